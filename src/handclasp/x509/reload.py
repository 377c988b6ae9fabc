"""Keys, authorities and lists that live in files, read again when the files change, without a restart.

A new file that is bad leaves the old contents in force, and its error in `error`. Looking whether
something changed costs one `stat` a file; nothing is watched in the background.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from handclasp.errors import ConfigError, anew
from handclasp.values import checked
from handclasp.x509.bundle import by_name, in_order, key_of
from handclasp.x509.certificate import Certificate
from handclasp.x509.errors import CertificateError
from handclasp.x509.files import files_in, read_regular
from handclasp.x509.identity import Identity, UnreadableIdentity, end_of
from handclasp.x509.keys import KeyFilePolicy, MalformedKey, load_private_keys, public_bytes, read_key_file
from handclasp.x509.ocsp import is_about
from handclasp.x509.revocation import RevocationSources
from handclasp.x509.trust import TrustStore

__all__ = ["CrlFiles", "KeyStore", "Reloaded", "TrustFiles"]

T = TypeVar("T")
Signature = tuple[tuple[str, int, int, int], ...]


class Reloaded(Generic[T]):
    """Something made from files, made anew when one of them changes.

    `arguments` are those of the class: a copy, or what `pickle` carries to another process, reads the files itself.
    """

    def __init__(self, paths: tuple[Path, ...], load: Callable[[], T], arguments: tuple[Any, ...] = ()) -> None:
        self._paths = paths
        self._arguments = arguments
        self._load = load
        self._lock = threading.Lock()
        self._signature = self._look()
        self._value = self._loaded()
        self.error: Exception | None = None
        """Why the newest files are not in force; None where they are."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and directories it is made from."""
        return self._paths

    def current(self) -> T:
        """What the files hold now, or held before they went bad."""
        signature = self._look()
        if signature != self._signature:
            with self._lock:
                if signature != self._signature:
                    self._reload(signature)
        return self._value

    def _reload(self, signature: Signature) -> None:
        self._signature = signature
        try:
            self._value = self._loaded()
        except Exception as error:  # whatever is wrong with the new files, the old contents stay in force
            self.error = anew(error).with_traceback(None)  # frames that read keys hold them
        else:
            self.error = None

    def _loaded(self) -> T:
        for path in self._paths:
            if path.exists() and not path.is_file() and not path.is_dir():
                raise ConfigError(f"{path} is a pipe or a device, which can't be read again; name a file.")
        return self._load()

    def _look(self) -> Signature:
        found: list[tuple[str, int, int, int]] = []
        for path in self._paths:
            try:
                with os.scandir(path) as entries:
                    found += sorted(mark for one in entries if (mark := _mark(one)) is not None)
            except NotADirectoryError:
                if (mark := _mark(path)) is not None:
                    found.append(mark)
            except OSError:
                continue
        return tuple(found)


def _mark(file: Path | os.DirEntry[str]) -> tuple[str, int, int, int] | None:
    """What changes where the file does; None where it is gone."""
    try:
        status = file.stat()
    except OSError:
        return None
    return str(os.fspath(file)), status.st_mtime_ns, status.st_size, status.st_ino


class CrlFiles(Reloaded[RevocationSources]):
    """CRLs in files and directories; use it as a config's `revocation`."""

    @checked
    def __init__(self, *paths: str | os.PathLike[str]) -> None:
        super().__init__(tuple(map(Path, paths)), lambda: RevocationSources.from_path(*paths), paths)


class TrustFiles(Reloaded[TrustStore]):
    """Trusted authorities in files and directories; use it as a config's `trust`.

    A file of a directory that holds no certificate is passed over; one that holds half of one is bad. Raises
    `ConfigError` where there is no authority.
    """

    @checked
    def __init__(self, *paths: str | os.PathLike[str]) -> None:
        places = tuple(map(Path, paths))
        super().__init__(places, lambda: _read_authorities(places), paths)

    @property
    def subjects(self) -> tuple[bytes, ...]:
        """The names of those in force, in DER, for a CertificateRequest."""
        return self.current().subjects

    def __repr__(self) -> str:
        return f"<TrustFiles of {len(self._value.anchors)} anchors>"


def _read_authorities(places: tuple[Path, ...]) -> TrustStore:
    found: list[Certificate] = []
    for place in places:
        for file in files_in(place) if place.is_dir() else (place,):
            data = read_regular(file)
            if file is not place and b"-----BEGIN" not in data and not data.startswith(b"\x30"):
                continue
            try:
                certificates = Certificate.load_all(data)
                for one in certificates:
                    _ = one.subject_canonical, one.public_key
            except CertificateError as error:
                raise ConfigError(f"No trusted authorities could be read from {file}: {error}") from None
            found += certificates
    if not found:
        raise ConfigError(f"No trusted authorities in {', '.join(map(str, places))}.")
    return TrustStore(found)


class KeyStore(Reloaded[tuple[Identity, ...]]):
    """The identities in a directory; use it as a config's `identities`.

    Certificates and keys belong together by their public keys, the certificates of a chain by who certifies whom,
    whatever the files are called and however they are cut, and OCSP responses, in files that end in ".ocsp", by the
    certificates that they are about: those are stapled.
    Raises `UnreadableIdentity` where there is no identity.
    """

    @checked
    def __init__(
        self,
        directory: str | os.PathLike[str],
        password: bytes | None = None,
        exposed: KeyFilePolicy = KeyFilePolicy.WARN,
    ) -> None:
        folder = Path(directory)
        super().__init__((folder,), lambda: _read_directory(folder, password, exposed), (directory, password, exposed))

    def __iter__(self) -> Iterator[Identity]:
        return iter(self.current())

    def __repr__(self) -> str:
        return f"<KeyStore of {len(self._value)} identities>"


def _read_directory(folder: Path, password: bytes | None, exposed: KeyFilePolicy) -> tuple[Identity, ...]:
    certificates: dict[Certificate, None] = {}
    keys: dict[bytes, Any] = {}
    found: list[Identity] = []
    staples: list[bytes] = []
    try:
        files = files_in(folder)
    except OSError as error:
        raise UnreadableIdentity(f"{folder} could not be read: {error.strerror}.") from None
    for file in files:
        data = read_regular(file)
        if file.suffix in (".p12", ".pfx"):
            found.append(Identity.from_pkcs12(read_key_file(file, exposed), password))
        elif file.suffix == ".ocsp":
            staples.append(data)
        else:
            certificates |= dict.fromkeys(_certificates_in(file, data))
            for key in _keys_in(file, data, password, exposed):
                keys[public_bytes(key.public_key())] = key
    pool = by_name(certificates)
    for one in certificates:
        key = keys.get(key_of(one) or b"")
        if key is not None:
            chain, root = in_order(one, pool)
            found.append(Identity(chain, key, root=root))
    if not found:
        raise UnreadableIdentity(f"{folder} holds no certificate with its private key.")
    return tuple(_stapled(one, staples) for one in found)


def _certificates_in(file: Path, data: bytes) -> list[Certificate]:
    if b"CERTIFICATE-----" in data:
        return Certificate.load_all(data)
    if b"-----BEGIN" not in data and file.suffix in (".der", ".crt", ".cer"):
        try:
            return Certificate.load_all(data)
        except CertificateError:
            return []
    return []


def _keys_in(file: Path, data: bytes, password: bytes | None, exposed: KeyFilePolicy) -> tuple[Any, ...]:
    if b"PRIVATE KEY-----" in data:
        return load_private_keys(read_key_file(file, exposed), password)
    if b"-----BEGIN" in data or file.suffix not in (".key", ".der"):
        return ()
    try:
        keys = load_private_keys(data, password)
    except MalformedKey:
        if file.suffix == ".key":
            raise
        return ()  # a certificate
    read_key_file(file, exposed)
    return keys


def _stapled(identity: Identity, staples: list[bytes]) -> Identity:
    """The identity with the OCSP response about its certificate that ends last."""
    about = [one for one in staples if is_about(one, identity.leaf)]
    return replace(identity, ocsp_response=max(about, key=end_of)) if about else identity
