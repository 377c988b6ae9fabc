"""A CA in a directory: its authorities, what they issued, their lists, and the book (mission row S22).

    book.sqlite                what was issued and revoked
    NAME.pem, NAME.key         an authority's chain up to the root, and its key, for its owner alone
    NAME.crl                   its current list, DER
    issued/NAME-SERIAL.pem     certificates with their intermediates, and .key beside them

The first authority is the root; all that is issued comes from the last, the issuing one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handclasp.ca.authority import Authority, Issued, KeyType
from handclasp.ca.database import CaDatabase, Entry
from handclasp.errors import UsageError
from handclasp.x509 import Certificate, CertificateError
from handclasp.x509.keys import UnreadableKey, load_private_key, read_key_file, write_owner_only

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
        self.book = CaDatabase(self.path / "book.sqlite")

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
        """A new CA: a root, and an issuing authority below it."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            raise NoCa(f"{folder} is not empty; a CA gets a directory of its own.")
        root = Authority.root(f"{name} Root", key=key)
        issuing = root.intermediate(f"{name} Issuing CA", key=key, permitted_dns=permitted_dns)
        (folder / "issued").mkdir(mode=0o700)
        for label, authority, chain in (
            (ROOT, root, (root.certificate,)),
            (ISSUING, issuing, (issuing.certificate, root.certificate)),
        ):
            (folder / f"{label}.pem").write_bytes(_pem(*chain))
            write_owner_only(folder / f"{label}.key", authority.key_pem(password))
        CaDatabase(folder / "book.sqlite").close()
        house = cls(folder, password)
        house.book.reserve(issuing.certificate.serial_number, ROOT, f"{name} Issuing CA")
        house.book.issued(issuing.certificate)
        return house

    def authority(self, label: str = ISSUING) -> Authority:
        """An authority with its key; raises `NoCa` where that can't be read."""
        try:
            chain = Certificate.load_all((self.path / f"{label}.pem").read_bytes())
            key = load_private_key(read_key_file(self.path / f"{label}.key"), self._password)
        except (OSError, UnreadableKey, CertificateError) as error:
            raise NoCa(f"The authority {label!r} could not be read: {error}") from None
        return Authority(chain[0], key, tuple(one for one in chain if not one.is_self_issued))

    def issue(self, kind: str, names: tuple[str, ...], **more: Any) -> tuple[Issued, Path, Path]:
        """A "server", "client" or "host" certificate; the answer is it and the files it was written to."""
        authority = self.authority()
        authority.on_serial = lambda serial: self.book.reserve(serial, ISSUING, names[0])
        make: Any = {"server": authority.server, "client": authority.client, "host": authority.host}[kind]
        issued = make(*names, **more)
        stem = "".join(c if c.isalnum() or c in "-._" else "_" for c in names[0])
        label = f"{stem}-{issued.certificate.serial_number:x}"
        certificate, key = issued.save(self.path / "issued", label, self._password)
        self.book.issued(issued.certificate)
        return issued, certificate, key

    def renew(self, entry: Entry) -> tuple[Issued, Path, Path]:
        """A certificate like an earlier one, with a key and dates of its own."""
        old = entry.certificate
        if old is None:
            raise NoCa(f"The certificate {entry.serial:x} was never finished; issue it anew.")
        san = old.extension(x509.SubjectAlternativeName)
        names = tuple(str(one.value) for one in san or () if isinstance(one, (x509.DNSName, x509.IPAddress)))
        uses = {oid.dotted_string for oid in old.extension(x509.ExtendedKeyUsage) or ()}
        server, client = "1.3.6.1.5.5.7.3.1" in uses, "1.3.6.1.5.5.7.3.2" in uses
        kind = "host" if server and client else "server" if server else "client"
        return self.issue(kind, names if server else (entry.name,))

    def revoke(self, text: str, reason: x509.ReasonFlags, at: datetime | None = None) -> Entry:
        """Take a certificate back, named by its serial number or its name."""
        entry = self.book.find(text)
        self.book.revoke(entry.serial, reason, at or datetime.now(UTC))
        return self.book.find(f"{entry.serial:x}")

    def make_crl(self, label: str = ISSUING, *, days: int = 7, base: int | None = None) -> Path:
        """The next list of an authority; with `base` a delta to the list of that number."""
        now = datetime.now(UTC)
        number = self.book.next_list_number(label, now)
        revoked = [
            (one.serial, one.revoked_at, one.reason) for one in self.book.entries(label) if one.revoked_at is not None
        ]
        der = self.authority(label).make_crl(revoked, number=number, days=days, at=now, base_number=base)
        target = self.path / (f"{label}.crl" if base is None else f"{label}-delta.crl")
        temporary = target.with_suffix(".new")
        temporary.write_bytes(der)
        temporary.replace(target)
        return target

    def export(self, text: str, password: bytes) -> bytes:
        """A certificate with its key and chain as an encrypted PKCS #12 file."""
        entry = self.book.find(text)
        found = sorted((self.path / "issued").glob(f"*-{entry.serial:x}.key"))
        if not found:
            raise NoCa(f"The key of {text!r} is not kept here.")
        chain = Certificate.load_all(found[0].with_suffix(".pem").read_bytes())
        try:
            key = load_private_key(read_key_file(found[0]), self._password)
        except UnreadableKey as error:
            raise NoCa(f"The key of {text!r} could not be read: {error}") from None
        return Issued(tuple(chain), key).pkcs12(password, entry.name)


def _pem(*certificates: Certificate) -> bytes:
    return b"".join(one.parsed.public_bytes(Encoding.PEM) for one in certificates)
