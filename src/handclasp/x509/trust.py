"""Who is trusted: certificates that need no proof, by the name they issue under."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from handclasp.errors import ConfigError
from handclasp.values import checked
from handclasp.x509.certificate import Certificate
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.files import files_in, read_regular

__all__ = ["TrustStore"]


class TrustStore:
    """A fixed set of trust anchors; one object serves all connections."""

    __slots__ = ("__weakref__", "_by_name", "_by_subject", "_digest", "anchors", "token")

    @checked
    def __init__(self, anchors: Iterable[Certificate]) -> None:
        self.anchors: tuple[Certificate, ...] = tuple(dict.fromkeys(anchors))
        self.token = object()
        """Stands for this store where only being the same matters."""
        self._digest: bytes | None = None
        self._by_name: dict[tuple[Any, ...], tuple[Certificate, ...]] | None = None
        self._by_subject: dict[bytes, tuple[Certificate, ...]] | None = None

    def __repr__(self) -> str:
        return f"<TrustStore of {len(self.anchors)} anchors>"

    def __reduce__(self) -> tuple[Any, ...]:
        return TrustStore, (self.anchors,)

    @classmethod
    @checked
    def of(cls, *certificates: Certificate | bytes) -> TrustStore:
        """These certificates, parsed or in PEM or DER; raises `MalformedCertificate` for bytes that are none."""
        return cls(one if isinstance(one, Certificate) else Certificate.load(one) for one in certificates)

    @classmethod
    @checked
    def from_pem(cls, data: bytes) -> TrustStore:
        """All certificates in PEM bytes, or the one in DER."""
        return cls(Certificate.load_all(data))

    @classmethod
    @checked
    def from_file(cls, path: str | os.PathLike[str]) -> TrustStore:
        """All certificates in a PEM or DER file; raises `ConfigError` where there is none."""
        try:
            return cls.from_pem(Path(path).read_bytes())
        except (OSError, MalformedCertificate) as error:
            raise ConfigError(f"No trusted authorities could be read from {path}: {error}") from None

    @classmethod
    @checked
    def from_directory(cls, path: str | os.PathLike[str]) -> TrustStore:
        """All certificates in the files of a directory; files that hold none are passed over."""
        found: list[Certificate] = []
        try:
            files = files_in(Path(path))
        except OSError as error:
            raise ConfigError(f"No trusted authorities could be read from {path}: {error}") from None
        for file in files:
            try:
                found += Certificate.load_all(read_regular(file))
            except (OSError, MalformedCertificate):
                continue
        if not found:
            raise ConfigError(f"No file in {path} holds a certificate.")
        return cls(found)

    @classmethod
    def system(cls) -> TrustStore:
        """The operating system's authorities, where OpenSSL would look for them; read once."""
        return _system()

    @property
    def subjects(self) -> tuple[bytes, ...]:
        """The anchors' names in DER, for a CertificateRequest."""
        return tuple(self._index())

    @property
    def digest(self) -> bytes:
        """SHA-256 over the anchors; the same for all stores that trust the same ones."""
        if self._digest is None:
            self._digest = hashlib.sha256(b"".join(sorted(one.fingerprint for one in self.anchors))).digest()
        return self._digest

    def issuers_of(self, certificate: Certificate) -> tuple[Certificate, ...]:
        """The anchors whose name is the certificate's issuer, however it is written."""
        return self.named(certificate.issuer_canonical)

    def named(self, name: tuple[Any, ...]) -> tuple[Certificate, ...]:
        """The anchors of a name in canonical form."""
        index = self._by_name
        if index is None:
            index = {}
            for anchors in self._index().values():
                for anchor in anchors:
                    index[anchor.subject_canonical] = (*index.get(anchor.subject_canonical, ()), anchor)
            self._by_name = index
        return index.get(name, ())

    def __contains__(self, certificate: Certificate) -> bool:
        return certificate in self._index().get(certificate.subject, ())

    def _index(self) -> dict[bytes, tuple[Certificate, ...]]:
        index = self._by_subject
        if index is None:
            index = {}
            for anchor in self.anchors:
                try:
                    index[anchor.subject] = (*index.get(anchor.subject, ()), anchor)
                except MalformedCertificate:
                    continue  # an anchor that nobody can parse vouches for nobody
            self._by_subject = index
        return index


@lru_cache(maxsize=1)
def _system() -> TrustStore:
    paths = ssl.get_default_verify_paths()
    for file in (
        paths.cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    ):
        if file and Path(file).is_file():
            return TrustStore.from_file(file)
    if paths.capath and Path(paths.capath).is_dir():
        return TrustStore.from_directory(paths.capath)
    raise ConfigError("This system has no trusted authorities where they are usually kept; name a file.")
