"""A CA in a directory: its authorities, what they issued, their lists, and the book (mission row S22).

    book.sqlite                what was issued and revoked
    NAME.pem, NAME.key         an authority's chain up to the root, and its key, for its owner alone
    NAME.crl                   its current list, DER
    issued/NAME-SERIAL.pem     certificates with their intermediates, and .key beside them

The first authority is the root; all that is issued comes from the last, the issuing one.
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handclasp.ca.authority import Authority, Issued, KeyType
from handclasp.ca.database import BookUnusable, CaDatabase, Entry, UnknownList
from handclasp.errors import UsageError
from handclasp.values import checked
from handclasp.x509 import Certificate, CertificateError
from handclasp.x509.crl import Crl
from handclasp.x509.files import clear_leftovers, read_regular, whole_folder, write_whole
from handclasp.x509.identity import KeyMismatch
from handclasp.x509.keys import UnreadableKey, load_private_key, read_key_file, write_owner_only
from handclasp.x509.text import shortened

__all__ = ["CaDirectory", "NoCa"]

ROOT, ISSUING = "root", "issuing"


class NoCa(UsageError):
    """A directory that holds no CA, or one where something has to be put right first."""


class CaDirectory:
    """One CA on disk."""

    @checked
    def __init__(self, path: str | os.PathLike[str], password: bytes | None = None) -> None:
        self.path = Path(path)
        self._password = password
        if not (self.path / "book.sqlite").exists():
            clear_leftovers(self.path.absolute().parent)  # of an `init` that was killed
            raise NoCa(f"{self.path} holds no CA; `handclasp ca init` makes one.")
        self.book = CaDatabase(self.path / "book.sqlite", create=False)
        with contextlib.suppress(OSError, BookUnusable):  # whoever may only read reads what is there
            self._put_in_order()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the book."""
        self.book.close()

    @classmethod
    @checked
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
        with whole_folder(folder) as making:
            try:
                _furnish(making, f"{name} Issuing CA", root, issuing, password)
            except BookUnusable as error:  # the name that the caller knows
                raise BookUnusable(str(error).replace(str(making), str(folder))) from None
        return cls(folder, password)

    def _put_in_order(self) -> None:
        """After a crash: what is whole in the folder is in the book, and what is not is gone."""
        clear_leftovers(self.path)
        clear_leftovers(self.path / "issued")
        if not self.book.unfinished():
            return
        with self.book.alone():  # so nobody is writing files
            open_numbers = set(self.book.unfinished())
            for name in os.listdir(self.path / "issued"):
                file = self.path / "issued" / name
                serial = _serial_in(file)
                if serial not in open_numbers or file.suffix != ".key":
                    continue
                certificate = file.with_suffix(".pem")
                if certificate.exists():
                    self._finish(certificate, serial)
                else:
                    file.unlink()  # the certificate comes after its key

    def _finish(self, file: Path, serial: int) -> None:
        """Write the certificate of a file into the book; files that are damaged, or another's, are left alone."""
        try:
            found = Certificate.load_all(read_regular(file))[0]
            if found.serial_number == serial:
                self.book.issued(found)
        except CertificateError:
            return

    @checked
    def authority(self, label: str = ISSUING) -> Authority:
        """An authority with its key; raises `NoCa` where that can't be read."""
        try:
            chain = Certificate.load_all((self.path / f"{label}.pem").read_bytes())
            key = load_private_key(read_key_file(self.path / f"{label}.key"), self._password)
            return Authority(chain[0], key, tuple(one for one in chain if not one.is_self_issued))
        except (OSError, UnreadableKey, KeyMismatch, CertificateError) as error:
            raise NoCa(f"The authority {label!r} in {self.path} could not be read: {error}") from None

    @checked
    def issue(self, kind: str, names: tuple[str, ...], **more: Any) -> tuple[Issued, Path, Path]:
        """A "server", "client" or "host" certificate; the answer is it and the files it was written to."""
        authority = self._noting(names[0])
        make: Any = {"server": authority.server, "client": authority.client, "host": authority.host}[kind]
        return self._keep(make(*names, **more), names[0])

    @checked
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
        length, most = len(os.fsencode(_stem(name))), _longest_name(self.path) - len(f"-{2**159:x}.pem")
        if length > most:
            raise UsageError(
                f"The name {shortened(name)!r} is too long for the names of its files: {length} bytes, where {most}"
                " have room. Put a shorter one first."
            )
        authority = self.authority()
        authority.keeps_constraints = True
        authority.on_serial = lambda serial: self.book.reserve(serial, ISSUING, name)
        return authority

    def _keep(self, issued: Issued, name: str) -> tuple[Issued, Path, Path]:
        label = f"{_stem(name)}-{issued.certificate.serial_number:x}"
        with self.book.alone():
            certificate, key = issued.save(self.path / "issued", label, self._password)
            self.book.issued(issued.certificate)
        return issued, certificate, key

    @checked
    def revoke(self, text: str, reason: x509.ReasonFlags, at: datetime | None = None) -> Entry:
        """Take a certificate back, named by its serial number or its name."""
        entry = self.book.find(text)
        self.book.revoke(entry.serial, reason, at or datetime.now(UTC))
        return self.book.find(f"{entry.serial:x}")

    @checked
    def make_crl(self, label: str = ISSUING, *, days: int = 7, base: int | None = None) -> Path:
        """The next list of an authority; with `base` a delta to the list of that number."""
        authority, now = self.authority(label), datetime.now(UTC)
        since = None if base is None else self._made_at(label, base)
        with self.book.alone():  # so a list of a higher number never knows less
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
            if (_number_of(target) or 0) <= number:
                write_whole(target, der)
        return target

    def _made_at(self, label: str, number: int) -> datetime:
        """When the list was made that a delta is to; a number that a crash kept from its list counts for none."""
        made, newest = self.book.list_made_at(label, number), _number_of(self.path / f"{label}.crl")
        if newest is not None and number > newest:
            raise UnknownList(f"The authority {label!r} never finished a list of number {number}.")
        return made

    @checked
    def ocsp_response(self, entry: Entry, *, days: int = 7) -> bytes:
        """What a server staples for a certificate in the book (RFC 6960), in DER."""
        certificate = entry.certificate
        if certificate is None:
            raise NoCa(f"The certificate {entry.serial:x} was never finished; there is nothing to say of it.")
        authority = self.authority(entry.authority)
        return authority.ocsp_response(certificate, revoked_at=entry.revoked_at, reason=entry.reason, days=days)

    @checked
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

    @checked
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


def _number_of(path: Path) -> int | None:
    """The number of a list that is there."""
    try:
        return Crl(path.read_bytes()).number
    except (OSError, UsageError):
        return None


def _stem(name: str) -> str:
    """What the names of a certificate's files begin with."""
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in name)


def _serial_in(file: Path) -> int:
    """The serial number in the name of a certificate's file; 0, which none has, where there is none."""
    try:
        return int(file.stem.rpartition("-")[2], 16)
    except ValueError:
        return 0


def _longest_name(folder: Path) -> int:
    """Bytes of the longest name that a file in a folder may have."""
    return os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255


def _pem(*certificates: Certificate) -> bytes:
    return b"".join(one.parsed.public_bytes(Encoding.PEM) for one in certificates)
