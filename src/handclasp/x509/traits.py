"""What choosing among identities looks at in a certificate, taken out once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from handclasp.crypto.signatures import schemes_for
from handclasp.errors import UsageError
from handclasp.wire.iana import NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.x509.certificate import Certificate
from handclasp.x509.filters import usage_of, uses_of
from handclasp.x509.names import Identities, PeerName

__all__ = ["Kind", "NameKey", "Traits", "name_keys", "traits_of"]

NameKey = tuple[str, object]
"""A name of a server's, or a pattern with "*", such that a name matches a pattern by an equal key."""

FOR_CLIENTS = {bytes.fromhex("2b06010505070302"), bytes.fromhex("551d2500")}
"""id-kp-clientAuth and anyExtendedKeyUsage."""
CURVES = {str(one): one for one in (NamedGroup.SECP256R1, NamedGroup.SECP384R1, NamedGroup.SECP521R1)}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a peer can ask of a certificate, apart from names and dates."""

    schemes12: tuple[SignatureScheme, ...]
    """What its key signs with in TLS 1.2."""
    schemes13: tuple[SignatureScheme, ...]
    curve: NamedGroup | None
    """Of an ECDSA key."""
    for_clients: bool
    usage: int | None
    uses: frozenset[bytes] | None

    def schemes(self, version: ProtocolVersion) -> tuple[SignatureScheme, ...]:
        """What its key signs with in handshakes of this version."""
        return self.schemes13 if version >= ProtocolVersion.TLS13 else self.schemes12


@dataclass(frozen=True, slots=True)
class Traits:
    """What one certificate is chosen by."""

    kind: Kind
    names: frozenset[NameKey]
    begin: datetime
    end: datetime
    """The last moment of its validity, itself included."""


def traits_of(leaf: Certificate) -> Traits:
    """Of a certificate, made once; raises `MalformedCertificate`."""
    return leaf.once("traits", lambda: _traits(leaf))


def _traits(leaf: Certificate) -> Traits:
    key, pss = leaf.public_key, leaf.is_rsa_pss_key
    old, new = (schemes_for(key, one, rsa_pss_key=pss) for one in (ProtocolVersion.TLS12, ProtocolVersion.TLS13))
    curve = CURVES.get(key.curve.name) if isinstance(key, ec.EllipticCurvePublicKey) else None
    uses = uses_of(leaf)
    for_clients = uses is None or not FOR_CLIENTS.isdisjoint(uses)
    kind = Kind(old, new, curve, for_clients, usage_of(leaf), uses)
    return Traits(kind, frozenset(_names(leaf)), leaf.not_before, leaf.not_after)


def name_keys(server_name: str | None) -> tuple[NameKey, ...]:
    """The keys of certificates that have the name, the very same first and then those that match (RFC 9525, 6)."""
    if server_name is None:
        return ()
    exact = ("exact", server_name)
    try:
        name = PeerName.of(server_name)
    except UsageError:
        return (exact,)
    if name.host is None:
        return exact, ("address", name.address)
    first, dot, rest = name.host.partition(".")
    return exact, ("host", name.host), ("below", dot + rest if first else None)


def _names(leaf: Certificate) -> list[NameKey]:
    """As `names.matches` has it under the default policy."""
    names = Identities.of(leaf)
    found: list[NameKey] = [("address", one) for one in names.addresses]
    for one in names.dns:
        found.append(("exact", one))
        pattern = one.lower()
        if not one.isascii():
            continue
        if "*" not in pattern:
            found.append(("host", pattern))
        elif pattern.startswith("*.") and "*" not in pattern[1:] and pattern.count(".") >= 2:
            found.append(("below", pattern[1:]))
    return found
