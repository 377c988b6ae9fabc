"""What a party shows of itself: a chain and the key to it. Which of several it shows, `selection.py` says."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from handclasp.errors import UsageError
from handclasp.values import check_fields, checked
from handclasp.wire.iana import ProtocolVersion, SignatureScheme
from handclasp.x509.answers import MalformedResponse, single_responses
from handclasp.x509.bundle import by_name, in_order, own_of
from handclasp.x509.certificate import Certificate, interned
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.keys import (
    MAX_SIZE,
    KeyFilePolicy,
    UnsupportedKey,
    brought,
    carried,
    load_private_keys,
    public_bytes,
    read_key_file,
    signer_key_bytes,
)
from handclasp.x509.pem import as_pem
from handclasp.x509.rounds import TooMuchWork, check_rounds
from handclasp.x509.traits import traits_of

__all__ = ["Identity", "KeyMismatch", "UnreadableIdentity", "end_of"]


class UnreadableIdentity(UsageError):
    """A certificate or key that could not be read; the message says which and why."""


class KeyMismatch(UsageError):
    """A private key that is not the certificate's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate chain, the party's own first, and its private key."""

    chain: tuple[Certificate, ...]
    """As it is sent, whatever the order it came in: each certifies the one before it. Copies, strangers and the root
    are left out."""
    private_key: Any = field(repr=False)
    """A private key of `cryptography`'s, or an object with the same `public_key` and `sign`, as of an HSM.

    Which signatures it makes is told by the certificate's public key. An object without `sign` serves where the
    owner answers the question `Sign`.
    """
    ocsp_response: bytes | None = field(default=None, repr=False)
    """Stapled where the peer asks for it."""
    scts: tuple[bytes, ...] = field(default=(), repr=False)
    root: Certificate | None = field(default=None, repr=False)
    """The root above the chain, where it was among the certificates; it is not sent."""

    def __post_init__(self) -> None:
        check_fields(self)
        try:
            self._put_in_order()
            kind = traits_of(self.leaf).kind
        except MalformedCertificate as error:
            raise UnreadableIdentity(str(error)) from None
        if not kind.schemes12 and not kind.schemes13:
            raise UnsupportedKey(
                f"The key of {self.leaf.subject_text} makes no signature of TLS; use RSA of 1024 bits or more, "
                "EC on P-256, P-384 or P-521, Ed25519, Ed448 or ML-DSA."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """The private key is in it, as it is: what is pickled is as secret as a key file."""
        key = carried(self.private_key, self.leaf.subject_text)
        return _brought, (type(self), self.chain, key, self.ocsp_response, self.scts, self.root)

    def __copy__(self) -> Self:
        return self  # nothing in it changes

    def __deepcopy__(self, _: object) -> Self:
        return self

    def _put_in_order(self) -> None:
        given = self.chain
        if not given:
            raise UnreadableIdentity("An identity needs at least one certificate.")
        key = signer_key_bytes(self.private_key)
        own = own_of(given[:1], key) or own_of(given, key)
        if own is None:
            whose = given[0].subject_text if len(given) == 1 else "any of these"
            raise KeyMismatch(f"The private key does not belong to the certificate of {whose}.")
        chain, root = in_order(own, by_name(given if self.root is None else (*given, self.root)))
        object.__setattr__(self, "chain", chain)
        object.__setattr__(self, "root", root)

    @classmethod
    @checked
    def from_files(
        cls,
        certificate: str | os.PathLike[str],
        key: str | os.PathLike[str] | None = None,
        password: bytes | None = None,
        exposed: KeyFilePolicy = KeyFilePolicy.WARN,
    ) -> Identity:
        """From PEM or DER files; without `key` the first file holds both, or is a PKCS #12 file."""
        data = as_pem(read_key_file(certificate, exposed) if key is None else _read(certificate))
        if key is None and b"-----BEGIN" not in data:
            return cls.from_pkcs12(data, password)
        return cls.from_pem(data, data if key is None else read_key_file(key, exposed), password)

    @classmethod
    @checked
    def from_pem(cls, certificates: bytes, key: bytes, password: bytes | None = None) -> Identity:
        """From bytes, PEM or DER: certificates in any order, and one private key that belongs to one of them.

        Raises `UnreadableIdentity`, `UnreadableKey` or `KeyMismatch`.
        """
        private = load_private_keys(key, password)
        try:
            found = Certificate.load_all(certificates)
            keys = {public_bytes(one.public_key()): one for one in private}
            own = {der: own_of(found, der) for der in keys}
        except MalformedCertificate as error:
            raise UnreadableIdentity(str(error)) from None
        fitting = [(leaf, keys[der]) for der, leaf in own.items() if leaf is not None]
        if not fitting:
            raise KeyMismatch("The private key does not belong to any of the certificates.")
        if len(fitting) > 1:
            raise UnreadableIdentity(
                f"There are {len(fitting)} private keys with certificates; give each its own file, or use a KeyStore."
            )
        [(leaf, signer)] = fitting
        return cls((leaf, *found), signer)

    @classmethod
    @checked
    def from_pkcs12(cls, data: bytes, password: bytes | None = None) -> Identity:
        """From the bytes of a PKCS #12 file (RFC 7292)."""
        if len(data) > MAX_SIZE:
            raise UnreadableIdentity(f"{len(data)} bytes are no PKCS #12 file; at most {MAX_SIZE} are looked at.")
        try:
            check_rounds(data)
            private, leaf, others = pkcs12.load_key_and_certificates(data, password)
        except (ValueError, TypeError, UnsupportedAlgorithm, TooMuchWork) as error:
            raise UnreadableIdentity(f"The PKCS #12 file could not be read: {error}") from None
        held = [interned(one.public_bytes(Encoding.DER)) for one in (leaf, *others) if one is not None]
        if private is None or not held:
            raise UnreadableIdentity("The PKCS #12 file holds no private key with its certificate.")
        return cls(tuple(held), private)

    def as_of(self, at: datetime) -> Identity:
        """The same, without an OCSP response that is no longer in force: its client would refuse it."""
        if self.ocsp_response is None or at.timestamp() <= end_of(self.ocsp_response):
            return self
        return replace(self, ocsp_response=None)

    @property
    def leaf(self) -> Certificate:
        """The party's own certificate."""
        return self.chain[0]

    def schemes(self, version: ProtocolVersion) -> tuple[SignatureScheme, ...]:
        """What the key signs with in handshakes of this version, by the certificate's public key."""
        return traits_of(self.leaf).kind.schemes(version)


def _brought(kind: type[Identity], chain: tuple[Certificate, ...], key: Any, *more: Any) -> Identity:
    return kind(chain, brought(key), *more)


@lru_cache(maxsize=256)
def end_of(response: bytes) -> float:
    """When the first answer in an OCSP response ends to be believed, in seconds since 1970."""
    try:
        return min((one.until.timestamp() for one in single_responses(response)), default=inf)
    except MalformedResponse:
        return inf


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableIdentity(f"{path} could not be read: {error.strerror}.") from None
