"""A CA in a directory: its authorities, what they issued, their lists, and the book (mission row S22).

    book.sqlite                what was issued and revoked
    NAME.pem, NAME.key         an authority's chain up to the root, and its key, for its owner alone
    NAME.crl                   its current list, DER
    issued/NAME-SERIAL.pem     certificates with their intermediates, and .key beside them

The first authority is the root; all that is issued comes from the last, the issuing one.
"""

from __future__ import annotations

import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handclasp.ca.authority import Authority, Issued, KeyType
from handclasp.ca.database import CaDatabase, Entry
from handclasp.errors import UsageError
from handclasp.x509 import Certificate, CertificateError
from handclasp.x509.crl import Crl
from handclasp.x509.identity import KeyMismatch
from handclasp.x509.keys import UnreadableKey, load_private_key, read_key_file, write_owner_only, write_whole

__all__ = ["CaDirectory", "NoCa"]

ROOT, ISSUING = "root", "issuing"


class NoCa(UsageError):
    """A directory that holds no CA, or one where something has to be put right first."""


class CaDirectory:
    """One CA on disk."""

    def __init__(self, path: str | os.PathLike[str], password: bytes | None = None) -> None:
        self.path = Path(path)
        self._password = password
        if not (self.path / "book.sqlite").exists():
            raise NoCa(f"{self.path} holds no CA; `handclasp ca init` makes one.")
        self.book = CaDatabase(self.path / "book.sqlite", create=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the book."""
        self.book.close()

    @classmethod
    def init(
        cls,
        path: str | os.PathLike[str],
        name: str,
        *,
        key: KeyType = KeyType.P256,
        password: bytes | None = None,
        permitted_dns: tuple[str, ...] = (),
    ) -> CaDirectory:
        """A new CA: a root, and an issuing authority below it; whole, or not there at all."""
        folder = Path(path)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise NoCa(f"{folder} is not empty; a CA gets a directory of its own.")
        if not name.strip():
            raise UsageError("A CA needs a name.")
        root = Authority.root(f"{name} Root", key=key)
        issuing = root.intermediate(f"{name} Issuing CA", key=key, permitted_dns=permitted_dns)
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = folder.absolute().with_name(f".{folder.absolute().name}.{secrets.token_hex(8)}")
        try:
            making.mkdir(mode=0o700)
        except OSError as error:
            error.filename = str(folder)  # the name that the caller knows
            raise
        try:
            _furnish(making, f"{name} Issuing CA", root, issuing, password)
            making.rename(folder)  # over an empty directory, and over nothing else
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        return cls(folder, password)

    def authority(self, label: str = ISSUING) -> Authority:
        """An authority with its key; raises `NoCa` where that can't be read."""
        try:
            chain = Certificate.load_all((self.path / f"{label}.pem").read_bytes())
            key = load_private_key(read_key_file(self.path / f"{label}.key"), self._password)
            return Authority(chain[0], key, tuple(one for one in chain if not one.is_self_issued))
        except (OSError, UnreadableKey, KeyMismatch, CertificateError) as error:
            raise NoCa(f"The authority {label!r} in {self.path} could not be read: {error}") from None

    def issue(self, kind: str, names: tuple[str, ...], **more: Any) -> tuple[Issued, Path, Path]:
        """A "server", "client" or "host" certificate; the answer is it and the files it was written to."""
        authority = self._noting(names[0])
        make: Any = {"server": authority.server, "client": authority.client, "host": authority.host}[kind]
        return self._keep(make(*names, **more), names[0])

    def renew(self, entry: Entry) -> tuple[Issued, Path, Path]:
        """A certificate for the same party as an earlier one, with a key and dates of its own."""
        old = entry.certificate
        if old is None:
            raise NoCa(f"The certificate {entry.serial:x} was never finished; issue it anew.")
        if entry.authority != ISSUING:
            raise NoCa(f"{entry.name!r} is an authority; make a new CA instead.")
        return self._keep(self._noting(entry.name).renewed(old), entry.name)

    def _noting(self, name: str) -> Authority:
        """The issuing authority, which keeps its constraints; each serial number goes into the book before it signs."""
        authority = self.authority()
        authority.keeps_constraints = True
        authority.on_serial = lambda serial: self.book.reserve(serial, ISSUING, name)
        return authority

    def _keep(self, issued: Issued, name: str) -> tuple[Issued, Path, Path]:
        stem = "".join(c if c.isalnum() or c in "-._" else "_" for c in name)
        label = f"{stem}-{issued.certificate.serial_number:x}"
        certificate, key = issued.save(self.path / "issued", label, self._password)
        self.book.issued(issued.certificate)
        return issued, certificate, key

    def revoke(self, text: str, reason: x509.ReasonFlags, at: datetime | None = None) -> Entry:
        """Take a certificate back, named by its serial number or its name."""
        entry = self.book.find(text)
        self.book.revoke(entry.serial, reason, at or datetime.now(UTC))
        return self.book.find(f"{entry.serial:x}")

    def make_crl(self, label: str = ISSUING, *, days: int = 7, base: int | None = None) -> Path:
        """The next list of an authority; with `base` a delta to the list of that number."""
        authority, now = self.authority(label), datetime.now(UTC)
        since = None if base is None else self.book.list_made_at(label, base)
        number = self.book.next_list_number(label, now)
        entries = [one for one in self.book.entries(label) if since is None or _changed_after(one, since)]
        revoked = [
            (one.serial, one.revoked_at or one.changed_at or now, one.reason or x509.ReasonFlags.remove_from_crl)
            for one in entries
            if one.revoked_at is not None or since is not None
        ]
        der = authority.make_crl(revoked, number=number, days=days, at=now, base_number=base)
        target = self.path / (f"{label}.crl" if base is None else f"{label}-delta.crl")
        with self.book.alone():  # two at once, and the later list is the one that stays
            if not _is_newer(target, number):
                write_whole(target, der)
        return target

    def ocsp_response(self, entry: Entry, *, days: int = 7) -> bytes:
        """What a server staples for a certificate in the book (RFC 6960), in DER."""
        certificate = entry.certificate
        if certificate is None:
            raise NoCa(f"The certificate {entry.serial:x} was never finished; there is nothing to say of it.")
        authority = self.authority(entry.authority)
        return authority.ocsp_response(certificate, revoked_at=entry.revoked_at, reason=entry.reason, days=days)

    def issued(self, entry: Entry) -> Issued:
        """A certificate of the book with its chain and key, as they are kept here."""
        found = sorted((self.path / "issued").glob(f"*-{entry.serial:x}.key"))
        if not found:
            raise NoCa(f"The key of {entry.name!r} ({entry.serial:x}) is not kept here.")
        try:
            chain = Certificate.load_all(found[0].with_suffix(".pem").read_bytes())
            key = load_private_key(read_key_file(found[0]), self._password)
        except (OSError, UnreadableKey, CertificateError) as error:
            raise NoCa(f"The certificate and key of {entry.name!r} could not be read: {error}") from None
        return Issued(tuple(chain), key)

    def export(self, text: str, password: bytes) -> bytes:
        """A certificate with its key and chain as an encrypted PKCS #12 file."""
        entry = self.book.find(text, newest=True)
        return self.issued(entry).pkcs12(password, entry.name)


def _furnish(folder: Path, name: str, root: Authority, issuing: Authority, password: bytes | None) -> None:
    (folder / "issued").mkdir(mode=0o700)
    for label, authority, chain in (
        (ROOT, root, (root.certificate,)),
        (ISSUING, issuing, (issuing.certificate, root.certificate)),
    ):
        write_whole(folder / f"{label}.pem", _pem(*chain))
        write_owner_only(folder / f"{label}.key", authority.key_pem(password))
    with CaDatabase(folder / "book.sqlite") as book:
        book.reserve(issuing.certificate.serial_number, ROOT, name)
        book.issued(issuing.certificate)


def _changed_after(entry: Entry, since: datetime) -> bool:
    return entry.changed_at is not None and entry.changed_at >= since


def _is_newer(path: Path, number: int) -> bool:
    """Whether a list that is there already has a higher number."""
    try:
        return (Crl(path.read_bytes()).number or 0) > number
    except (OSError, UsageError):
        return False


def _pem(*certificates: Certificate) -> bytes:
    return b"".join(one.parsed.public_bytes(Encoding.PEM) for one in certificates)
