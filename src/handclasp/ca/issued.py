"""What an authority issues: a certificate with its key, and how the two go into files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from handclasp.values import checked
from handclasp.x509 import Certificate
from handclasp.x509.files import write_whole
from handclasp.x509.identity import Identity
from handclasp.x509.keys import brought, carried, key_bytes, write_owner_only

__all__ = ["Issued", "made_again"]


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, and the intermediates above it."""

    chain: tuple[Certificate, ...]
    """Its own first; the root is not in it."""
    private_key: Any = field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """The private key is in it, as it is."""
        return made_again, (Issued, self.chain, carried(self.private_key, self.certificate.subject_text))

    def __copy__(self) -> Self:
        return self  # nothing in it changes

    def __deepcopy__(self, _: object) -> Self:
        return self

    @property
    def certificate(self) -> Certificate:
        """Its own certificate."""
        return self.chain[0]

    @property
    def identity(self) -> Identity:
        """As a client or server shows it."""
        return Identity(self.chain, self.private_key)

    @property
    def chain_pem(self) -> bytes:
        """The chain in PEM, its own first."""
        return b"".join(one.parsed.public_bytes(Encoding.PEM) for one in self.chain)

    @checked
    def key_pem(self, password: bytes | None = None) -> bytes:
        """The key in PEM (PKCS #8), encrypted where a password is given."""
        return key_bytes(self.private_key, password=password)

    @checked
    def pkcs12(self, password: bytes, name: str = "handclasp") -> bytes:
        """Chain and key as an encrypted PKCS #12 file (RFC 7292)."""
        leaf, *others = (one.parsed for one in self.chain)
        return pkcs12.serialize_key_and_certificates(
            name.encode(), self.private_key, leaf, others, BestAvailableEncryption(password)
        )

    @checked
    def save(self, directory: str | os.PathLike[str], name: str, password: bytes | None = None) -> tuple[Path, Path]:
        """Write `name`.pem with the chain and `name`.key with the key; the answer is their paths."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        write_owner_only(key, self.key_pem(password))  # first: a certificate without its key is of no use
        write_whole(certificate, self.chain_pem)
        return certificate, key


def made_again(kind: Callable[..., Any], first: Any, key: Any, *more: Any) -> Any:
    """What `pickle` carried, made once more; `key` as `handclasp.x509.keys.carried` made it ready."""
    return kind(first, brought(key), *more)
