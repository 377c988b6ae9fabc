"""What a party shows of itself: a chain and the key to it; and which of several to show.

Selection goes by name, key type, accepted authorities, purpose and dates, and says of each
identity that was passed over why (mission row S11).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from handclasp.crypto.signatures import schemes_for
from handclasp.errors import UsageError
from handclasp.wire.iana import ProtocolVersion, SignatureScheme
from handclasp.x509.answers import MalformedResponse, single_responses
from handclasp.x509.certificate import Certificate, interned
from handclasp.x509.checks import EKU
from handclasp.x509.der import after, element
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.keys import (
    MAX_SIZE,
    KeyFilePolicy,
    UnsupportedKey,
    brought,
    carried,
    load_private_key,
    public_bytes,
    read_key_file,
    signer_key_bytes,
)
from handclasp.x509.names import Identities, PeerName, matches
from handclasp.x509.policy import DEFAULT, Purpose
from handclasp.x509.rounds import TooMuchWork, check_rounds

if TYPE_CHECKING:
    from handclasp.wire.extensions import OidFilter

__all__ = ["Identity", "KeyMismatch", "Selection", "UnreadableIdentity", "select"]


class UnreadableIdentity(UsageError):
    """A certificate or key that could not be read; the message says which and why."""


class KeyMismatch(UsageError):
    """A private key that is not the certificate's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate chain, the party's own first, and its private key."""

    chain: tuple[Certificate, ...]
    private_key: Any = field(repr=False)
    """A private key of `cryptography`'s, or an object with the same `public_key` and `sign`, as of an HSM.

    Which signatures it makes is told by the certificate's public key. An object without `sign` serves where the
    owner answers the question `Sign`.
    """
    ocsp_response: bytes | None = field(default=None, repr=False)
    """Stapled where the peer asks for it."""
    scts: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.chain:
            raise UnreadableIdentity("An identity needs at least one certificate.")
        if signer_key_bytes(self.private_key) != self.leaf.key_bytes:
            raise KeyMismatch(f"The private key does not belong to the certificate of {self.leaf.subject_text}.")
        if not self.schemes(ProtocolVersion.TLS12) and not self.schemes(ProtocolVersion.TLS13):
            raise UnsupportedKey(
                f"The key of {self.leaf.subject_text} makes no signature of TLS; use RSA of 1024 bits or more, "
                "EC on P-256, P-384 or P-521, Ed25519, Ed448 or ML-DSA."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """The private key is in it, as it is: what is pickled is as secret as a key file."""
        key = carried(self.private_key, self.leaf.subject_text)
        return _brought, (type(self), self.chain, key, self.ocsp_response, self.scts)

    def __copy__(self) -> Self:
        return self  # nothing in it changes

    def __deepcopy__(self, _: object) -> Self:
        return self

    @classmethod
    def from_files(
        cls,
        certificate: str | os.PathLike[str],
        key: str | os.PathLike[str] | None = None,
        password: bytes | None = None,
        exposed: KeyFilePolicy = KeyFilePolicy.WARN,
    ) -> Identity:
        """From PEM or DER files; without `key` the first file holds both, or is a PKCS #12 file."""
        data = read_key_file(certificate, exposed) if key is None else _read(certificate)
        if key is None and b"-----BEGIN" not in data:
            return cls.from_pkcs12(data, password)
        return cls.from_pem(data, data if key is None else read_key_file(key, exposed), password)

    @classmethod
    def from_pem(cls, certificates: bytes, key: bytes, password: bytes | None = None) -> Identity:
        """From bytes, PEM or DER."""
        try:
            chain = Certificate.load_all(certificates)
        except MalformedCertificate as error:
            raise UnreadableIdentity(str(error)) from None
        private = load_private_key(key, password)
        return cls(_in_order(chain, private), private)

    @classmethod
    def from_pkcs12(cls, data: bytes, password: bytes | None = None) -> Identity:
        """From the bytes of a PKCS #12 file (RFC 7292)."""
        if len(data) > MAX_SIZE:
            raise UnreadableIdentity(f"{len(data)} bytes are no PKCS #12 file; at most {MAX_SIZE} are looked at.")
        try:
            check_rounds(data)
            private, leaf, others = pkcs12.load_key_and_certificates(data, password)
        except (ValueError, TypeError, UnsupportedAlgorithm, TooMuchWork) as error:
            raise UnreadableIdentity(f"The PKCS #12 file could not be read: {error}") from None
        if private is None or leaf is None:
            raise UnreadableIdentity("The PKCS #12 file holds no private key with its certificate.")
        chain = [interned(one.public_bytes(Encoding.DER)) for one in (leaf, *others)]
        return cls(tuple(chain), private)

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
        leaf, old = self.leaf, version < ProtocolVersion.TLS13
        return leaf.once(
            "schemes of TLS 1.2" if old else "schemes of TLS 1.3",
            lambda: schemes_for(leaf.public_key, version, rsa_pss_key=leaf.is_rsa_pss_key),
        )


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


def _in_order(chain: list[Certificate], private: Any) -> tuple[Certificate, ...]:
    """The key's own certificate first; files have them in any order."""
    der = public_bytes(private.public_key())
    own = [one for one in chain if one.key_bytes == der]
    if not own:
        raise KeyMismatch("The private key does not belong to any of the certificates.")
    return (own[0], *(one for one in chain if one is not own[0]))


@dataclass(frozen=True, slots=True)
class Selection:
    """The identity that fits best, and why each other was passed over."""

    identity: Identity | None
    passed_over: tuple[tuple[Identity, str], ...] = ()


def select(
    identities: Iterable[Identity],
    *,
    server_name: str | None,
    signature_schemes: Sequence[SignatureScheme],
    certificate_authorities: Sequence[bytes],
    purpose: Purpose,
    at: datetime,
    oid_filters: Sequence[OidFilter] = (),
) -> Selection:
    """Choose what to show.

    A server shows the identity whose certificate has the name asked for, else its first; a client
    shows only one that the server accepts. Expired identities come last rather than never: the
    peer's refusal tells more than our silence.
    """
    candidates = list(identities)
    if len(candidates) == 1 and purpose is Purpose.SERVER_AUTH:
        only = candidates[0]
        why = _key_unfit(only, signature_schemes)
        return Selection(only) if why is None else Selection(None, ((only, why),))
    ranked: list[tuple[int, int, Identity]] = []
    passed_over: list[tuple[Identity, str]] = []
    for index, identity in enumerate(candidates):
        why = _key_unfit(identity, signature_schemes) or (
            _client_unfit(identity, certificate_authorities, oid_filters) if purpose is Purpose.CLIENT_AUTH else None
        )
        if why is not None:
            passed_over.append((identity, why))
            continue
        ranked.append((_rank(identity, server_name, purpose, at, certificate_authorities), index, identity))
    if not ranked:
        return Selection(None, tuple(passed_over))
    ranked.sort(key=lambda entry: entry[:2])
    best = ranked[0][2]
    passed_over += [(other, "another fits better") for _, _, other in ranked[1:]]
    return Selection(best, tuple(passed_over))


def _key_unfit(identity: Identity, schemes: Sequence[SignatureScheme]) -> str | None:
    known = identity.schemes(ProtocolVersion.TLS12) or identity.schemes(ProtocolVersion.TLS13)
    if any(scheme in schemes for scheme in known):
        return None
    return "the peer verifies no signature that its key makes"


def _client_unfit(identity: Identity, authorities: Sequence[bytes], filters: Sequence[OidFilter]) -> str | None:
    if authorities and not any(one.issuer in authorities for one in identity.chain):
        return "the server does not trust its authority"
    usage = identity.leaf.extension(x509.ExtendedKeyUsage)
    if usage is not None and not {EKU[Purpose.CLIENT_AUTH], ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage):
        return "it is not for clients"
    for one in filters:
        if not _has_values(identity.leaf, one):
            return "it lacks an extension that the server wants"
    return None


def _has_values(leaf: Certificate, wanted: OidFilter) -> bool:
    """Whether a certificate has the filter's extension with all its values (RFC 8446, 4.2.5)."""
    kind = wanted.certificate_extension_oid
    values = wanted.certificate_extension_values
    if kind == KEY_USAGE:
        usage = leaf.extension(x509.KeyUsage)
        bits = _bits(values)
        return usage is not None and bits is not None and (_bits(usage.public_bytes()) or 0) & bits == bits
    if kind == EXTENDED_KEY_USAGE:
        uses, oids = leaf.extension(x509.ExtendedKeyUsage), _sequence(values)
        return uses is not None and oids is not None and oids <= (_sequence(uses.public_bytes()) or set())
    return True  # a client that does not know the extension passes over the filter


KEY_USAGE = bytes.fromhex("0603551d0f")
EXTENDED_KEY_USAGE = bytes.fromhex("0603551d25")


def _bits(der: bytes) -> int | None:
    """The bits of a DER BIT STRING, the first one highest of sixteen; None for anything else."""
    try:
        content = element(der, 0, 0x03)
    except (ValueError, IndexError):
        return None
    return int.from_bytes(content[1:3].ljust(2, b"\0"), "big")


def _sequence(der: bytes) -> set[bytes] | None:
    """The elements of a DER SEQUENCE of object identifiers; None for anything else."""
    found, at = set(), 0
    try:
        content = element(der, 0, 0x30)
        while at < len(content):
            found.add(element(content, at, 0x06))
            at = after(content, at)
    except (ValueError, IndexError):
        return None
    return found


def _rank(
    identity: Identity,
    server_name: str | None,
    purpose: Purpose,
    at: datetime,
    authorities: Sequence[bytes],
) -> int:
    """The smaller, the better."""
    leaf = identity.leaf
    rank = 0 if leaf.not_before <= at <= leaf.not_after else 8
    if purpose is Purpose.SERVER_AUTH:
        if server_name is not None:
            names = Identities.of(leaf)
            exact = server_name in names.dns
            try:
                rank += 0 if exact else 1 if matches(PeerName.of(server_name), names, DEFAULT) else 4
            except UsageError:
                rank += 4
        if authorities and not any(one.issuer in authorities for one in identity.chain):
            rank += 2
    return rank
