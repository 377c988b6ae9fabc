"""Which certificates an authority has issued and revoked, in SQLite (mission row S22).

A serial number is written down before anything is signed with it, in a transaction of its own; its certificate is
written down in the transaction that its files are written in. After a crash between the two the files tell which it is.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography import x509

from handclasp.errors import UsageError
from handclasp.x509 import Certificate

__all__ = ["AlreadyRevoked", "BookUnusable", "CaDatabase", "Entry", "NotOnHold", "UnknownList", "UnknownSerial"]

VERSION = 1
"""The form of the book; another one is refused rather than misread."""

SCHEMA = (
    """CREATE TABLE certificate (
        serial TEXT PRIMARY KEY,
        authority TEXT NOT NULL,
        name TEXT NOT NULL,
        der BLOB,
        not_after TEXT,
        revoked_at TEXT,
        reason TEXT,
        changed_at TEXT
    ) STRICT""",
    """CREATE TABLE list (
        authority TEXT NOT NULL,
        number INTEGER NOT NULL,
        made_at TEXT NOT NULL,
        PRIMARY KEY (authority, number)
    ) STRICT""",
    f"PRAGMA user_version = {VERSION}",
)

FREED = x509.ReasonFlags.remove_from_crl
HOLD = x509.ReasonFlags.certificate_hold


class UnknownSerial(UsageError):
    """No certificate of this serial number was issued here."""


class AlreadyRevoked(UsageError):
    """A certificate that was taken back before; only one on hold can still change (RFC 5280, 5.3.1)."""


class NotOnHold(UsageError):
    """A certificate that cannot be set free, for it is not on hold (RFC 5280, 5.3.1)."""


class UnknownList(UsageError):
    """No list of this number was made by this authority."""


class BookUnusable(UsageError):
    """The book's file cannot be read or written; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate that was issued."""

    serial: int
    authority: str
    name: str
    der: bytes | None
    """None where nothing came of the number."""
    not_after: datetime | None
    revoked_at: datetime | None
    reason: x509.ReasonFlags | None
    changed_at: datetime | None = None
    """When it was last revoked or set free, by our own clock; lists made later know of it."""

    @property
    def certificate(self) -> Certificate | None:
        """The certificate itself."""
        return None if self.der is None else Certificate(self.der)


class CaDatabase:
    """The book of one CA directory; raises `BookUnusable` where its file cannot be used."""

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self._path = Path(path)
        new = not self._path.exists()
        with self._told():
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            with self._told():
                if new:
                    self._path.chmod(0o600)
                # One file at rest, so that a copy of the directory is a copy of the book, and readable from anywhere.
                self._connection.execute("PRAGMA synchronous = EXTRA")
                self._prepare(create)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, create: bool) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0 and create:
            with self.alone() as book:
                if book.execute("PRAGMA user_version").fetchone() == (0,):
                    for statement in SCHEMA:
                        book.execute(statement)
        elif version == 0:
            raise BookUnusable(f"The book {self._path} is empty or cut short; put a copy of it in its place.")
        elif version != VERSION:
            raise BookUnusable(f"The book {self._path} is of form {version}; this handclasp reads form {VERSION}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # not the file's fault
        except sqlite3.Error as error:
            raise BookUnusable(f"The book {self._path} cannot be used: {error}.") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other process writes beside; undone where its body raises. One inside is part of it."""
        if self._connection.in_transaction:
            yield self._connection
            return
        with self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def reserve(self, serial: int, authority: str, name: str) -> None:
        """Write a serial number down before anything is signed with it."""
        with self.alone() as book:
            book.execute(
                "INSERT INTO certificate (serial, authority, name) VALUES (?, ?, ?)",
                (f"{serial:x}", authority, name),
            )

    def issued(self, certificate: Certificate) -> None:
        """The certificate of a number that was reserved."""
        with self.alone() as book:
            book.execute(
                "UPDATE certificate SET der = ?, not_after = ? WHERE serial = ?",
                (certificate.der, certificate.not_after.isoformat(), f"{certificate.serial_number:x}"),
            )

    def revoke(self, serial: int, reason: x509.ReasonFlags, at: datetime) -> None:
        """Take a certificate back; `remove_from_crl` gives one on hold free again.

        Raises `UnknownSerial`, `AlreadyRevoked` and `NotOnHold`: but for a hold, revoking is for ever.
        """
        with self.alone() as book:
            row = book.execute("SELECT reason FROM certificate WHERE serial = ?", (f"{serial:x}",)).fetchone()
            if row is None:
                raise UnknownSerial(f"No certificate with the serial number {serial:x} was issued here.")
            before = row[0]
            changes: tuple[str | None, str | None]
            if reason is FREED:
                if before != HOLD.value:
                    raise NotOnHold(f"The certificate {serial:x} is not on hold; only one that is can be set free.")
                changes = (None, None)
            elif before not in (None, HOLD.value):
                raise AlreadyRevoked(f"The certificate {serial:x} was revoked before ({before}); that stays.")
            else:
                changes = (at.isoformat(), reason.value)
            book.execute(
                "UPDATE certificate SET revoked_at = ?, reason = ?, changed_at = ? WHERE serial = ?",
                (*changes, datetime.now(UTC).isoformat(), f"{serial:x}"),
            )

    def unfinished(self) -> list[int]:
        """Serial numbers without a certificate."""
        with self._told():
            rows = self._connection.execute("SELECT serial FROM certificate WHERE der IS NULL")
            return [int(serial, 16) for (serial,) in rows]

    def next_list_number(self, authority: str, at: datetime) -> int:
        """The number of the next CRL of an authority, used once."""
        with self.alone() as book:
            (last,) = book.execute("SELECT max(number) FROM list WHERE authority = ?", (authority,)).fetchone()
            number = (last or 0) + 1
            book.execute("INSERT INTO list VALUES (?, ?, ?)", (authority, number, at.isoformat()))
            return int(number)

    def list_made_at(self, authority: str, number: int) -> datetime:
        """When an authority made the list of this number; raises `UnknownList`."""
        with self._told():
            row = self._connection.execute(
                "SELECT made_at FROM list WHERE authority = ? AND number = ?", (authority, number)
            ).fetchone()
        if row is None:
            raise UnknownList(f"The authority {authority!r} has made no list of number {number}.")
        return datetime.fromisoformat(row[0])

    def entries(self, authority: str | None = None) -> list[Entry]:
        """All that was issued, by one authority or by all."""
        with self._told():
            rows = self._connection.execute(
                "SELECT serial, authority, name, der, not_after, revoked_at, reason, changed_at FROM certificate"
                " WHERE :authority IS NULL OR authority = :authority ORDER BY rowid",
                {"authority": authority},
            )
            return [_entry(row) for row in rows]

    def find(self, text: str, *, newest: bool = False) -> Entry:
        """By serial number in hexadecimal, or by name where that is one certificate's alone.

        With `newest` a name of several is the last one's that is whole and not revoked.
        """
        wanted = text.lower().removeprefix("0x").replace(":", "").lstrip("0")
        found = [one for one in self.entries() if f"{one.serial:x}" == wanted or one.name == text]
        if not found:
            raise UnknownSerial(f"No certificate {text!r} was issued here; `list` shows all.")
        if newest:
            found = [one for one in found if one.der is not None and one.revoked_at is None][-1:] or found
        if len(found) > 1:
            numbers = ", ".join(f"{one.serial:x}" for one in found)
            raise UnknownSerial(f"{len(found)} certificates are named {text!r}; choose a serial number: {numbers}.")
        return found[0]


def _entry(row: tuple[str, str, str, bytes | None, str | None, str | None, str | None, str | None]) -> Entry:
    serial, authority, name, der, not_after, revoked_at, reason, changed_at = row
    return Entry(
        serial=int(serial, 16),
        authority=authority,
        name=name,
        der=der,
        not_after=_time(not_after),
        revoked_at=_time(revoked_at),
        reason=x509.ReasonFlags(reason) if reason else None,
        changed_at=_time(changed_at),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
