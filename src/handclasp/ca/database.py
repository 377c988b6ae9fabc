"""Which certificates an authority has issued and revoked, in SQLite (mission row S22).

A serial number is written down before its certificate leaves the house, in a transaction of its own: a
crash half-way leaves a serial number without a certificate, never a certificate nobody remembers.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from handclasp.errors import UsageError
from handclasp.x509 import Certificate

__all__ = ["CaDatabase", "Entry", "UnknownSerial"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS certificate (
    serial TEXT PRIMARY KEY,
    authority TEXT NOT NULL,
    name TEXT NOT NULL,
    der BLOB,
    not_after TEXT,
    revoked_at TEXT,
    reason TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS list (
    authority TEXT NOT NULL,
    number INTEGER NOT NULL,
    made_at TEXT NOT NULL,
    PRIMARY KEY (authority, number)
) STRICT;
"""


class UnknownSerial(UsageError):
    """No certificate of this serial number was issued here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate that was issued."""

    serial: int
    authority: str
    name: str
    der: bytes | None
    """None where a crash came between the number and the certificate."""
    not_after: datetime | None
    revoked_at: datetime | None
    reason: x509.ReasonFlags | None

    @property
    def certificate(self) -> Certificate | None:
        """The certificate itself."""
        return None if self.der is None else Certificate(self.der)


class CaDatabase:
    """The book of one CA directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        new = not Path(path).exists()
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        if new:
            Path(path).chmod(0o600)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def reserve(self, serial: int, authority: str, name: str) -> None:
        """Write a serial number down before anything is signed with it."""
        with self._transaction() as book:
            book.execute(
                "INSERT INTO certificate (serial, authority, name) VALUES (?, ?, ?)",
                (f"{serial:x}", authority, name),
            )

    def issued(self, certificate: Certificate) -> None:
        """The certificate of a number that was reserved."""
        with self._transaction() as book:
            book.execute(
                "UPDATE certificate SET der = ?, not_after = ? WHERE serial = ?",
                (certificate.der, certificate.not_after.isoformat(), f"{certificate.serial_number:x}"),
            )

    def revoke(self, serial: int, reason: x509.ReasonFlags, at: datetime) -> None:
        """Take a certificate back; `remove_from_crl` gives one on hold free again."""
        with self._transaction() as book:
            free = reason is x509.ReasonFlags.remove_from_crl
            changed = book.execute(
                "UPDATE certificate SET revoked_at = ?, reason = ? WHERE serial = ?",
                (None if free else at.isoformat(), None if free else reason.value, f"{serial:x}"),
            )
            if not changed.rowcount:
                raise UnknownSerial(f"No certificate with the serial number {serial:x} was issued here.")

    def next_list_number(self, authority: str, at: datetime) -> int:
        """The number of the next CRL of an authority, used once."""
        with self._transaction() as book:
            (last,) = book.execute("SELECT max(number) FROM list WHERE authority = ?", (authority,)).fetchone()
            number = (last or 0) + 1
            book.execute("INSERT INTO list VALUES (?, ?, ?)", (authority, number, at.isoformat()))
            return int(number)

    def entries(self, authority: str | None = None) -> list[Entry]:
        """All that was issued, by one authority or by all."""
        rows = self._connection.execute(
            "SELECT serial, authority, name, der, not_after, revoked_at, reason FROM certificate"
            " WHERE ?1 IS NULL OR authority = ?1 ORDER BY rowid",
            (authority,),
        )
        return [_entry(row) for row in rows]

    def find(self, text: str) -> Entry:
        """By serial number in hexadecimal, or by name where that is one certificate's alone."""
        wanted = text.lower().removeprefix("0x").replace(":", "").lstrip("0")
        found = [one for one in self.entries() if f"{one.serial:x}" == wanted or one.name == text]
        if not found:
            raise UnknownSerial(f"No certificate {text!r} was issued here; `list` shows all.")
        if len(found) > 1:
            raise UnknownSerial(f"{len(found)} certificates are named {text!r}; name one by its serial number.")
        return found[0]


def _entry(row: tuple[str, str, str, bytes | None, str | None, str | None, str | None]) -> Entry:
    serial, authority, name, der, not_after, revoked_at, reason = row
    return Entry(
        serial=int(serial, 16),
        authority=authority,
        name=name,
        der=der,
        not_after=_time(not_after),
        revoked_at=_time(revoked_at),
        reason=x509.ReasonFlags(reason) if reason else None,
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
