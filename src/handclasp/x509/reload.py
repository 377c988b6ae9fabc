"""Keys and lists that live in files, read again when the files change, without a restart.

A new file that is bad leaves the old contents in force, and its error in `error`. Looking whether
something changed costs one `stat` a file; nothing is watched in the background.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from handclasp.errors import HandclaspError
from handclasp.x509.certificate import Certificate
from handclasp.x509.errors import CertificateError
from handclasp.x509.identity import Identity, UnreadableIdentity, public_bytes
from handclasp.x509.keys import KeyFilePolicy, load_private_keys, read_key_file
from handclasp.x509.revocation import RevocationSources

__all__ = ["CrlFiles", "KeyStore", "Reloaded"]

T = TypeVar("T")
Signature = tuple[tuple[str, int, int, int], ...]


class Reloaded(Generic[T]):
    """Something made from files, made anew when one of them changes."""

    def __init__(self, paths: tuple[Path, ...], load: Callable[[], T]) -> None:
        self._paths = paths
        self._load = load
        self._lock = threading.Lock()
        self._signature = self._look()
        self._value = load()
        self.error: Exception | None = None
        """Why the newest files are not in force; None where they are."""

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
            self._value = self._load()
        except (HandclaspError, OSError) as error:
            self.error = error
        else:
            self.error = None

    def _look(self) -> Signature:
        found = []
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def _files(self) -> Iterator[Path]:
        for path in self._paths:
            if path.is_dir():
                yield from sorted(path.iterdir())
            else:
                yield path


class CrlFiles(Reloaded[RevocationSources]):
    """CRLs in files and directories; use it as a config's `revocation`."""

    def __init__(self, *paths: str | os.PathLike[str]) -> None:
        super().__init__(tuple(map(Path, paths)), lambda: RevocationSources.from_path(*paths))


class KeyStore(Reloaded[tuple[Identity, ...]]):
    """The identities in a directory; use it as a config's `identities`.

    Certificates and keys belong together by their public keys, whatever the files are called. PKCS #12
    files are read where a password is given. Raises `UnreadableIdentity` where there is no identity.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        password: bytes | None = None,
        exposed: KeyFilePolicy = KeyFilePolicy.WARN,
    ) -> None:
        folder = Path(directory)
        super().__init__((folder,), lambda: _read_directory(folder, password, exposed))

    def __iter__(self) -> Iterator[Identity]:
        return iter(self.current())

    def __repr__(self) -> str:
        return f"<KeyStore of {len(self._value)} identities>"


def _read_directory(folder: Path, password: bytes | None, exposed: KeyFilePolicy) -> tuple[Identity, ...]:
    chains: list[list[Certificate]] = []
    keys = {}
    found: list[Identity] = []
    try:
        files = sorted(file for file in folder.iterdir() if file.is_file())
    except OSError as error:
        raise UnreadableIdentity(f"{folder} could not be read: {error.strerror}.") from None
    for file in files:
        stored = file.suffix in (".p12", ".pfx")
        data = file.read_bytes()
        if stored or b"PRIVATE KEY-----" in data:
            data = read_key_file(file, exposed)
        if b"PRIVATE KEY-----" in data:
            for key in load_private_keys(data, password):
                keys[public_bytes(key.public_key())] = key
        if b"CERTIFICATE-----" in data:
            chains.append(Certificate.load_all(data))
        elif stored:
            found.append(Identity.from_pkcs12(data, password))
        elif b"-----BEGIN" not in data and file.suffix in (".der", ".crt", ".cer"):
            try:
                chains.append(Certificate.load_all(data))
            except CertificateError:
                continue
    for chain in chains:
        own = [one for one in chain if one.key_bytes in keys]
        if own:
            others = (one for one in chain if one is not own[0])
            found.append(Identity((own[0], *others), keys[own[0].key_bytes]))
    if not found:
        raise UnreadableIdentity(f"{folder} holds no certificate with its private key.")
    return tuple(found)
