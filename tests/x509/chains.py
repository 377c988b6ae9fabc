"""Chains made to order, with every fault that two verifiers may judge differently."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

__all__ = ["HOST", "NOW", "Link", "Made", "key_of", "leaf", "make_chain"]

HOST = "www.a.example"
NOW = datetime.datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DATES = {"now": (-DAY, DAY), "past": (-2 * DAY, -DAY), "future": (DAY, 2 * DAY)}
USES = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}
NOBODY_KNOWS = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")


@dataclass(frozen=True, slots=True)
class Link:
    """One certificate of a chain: an authority as it should be, where nothing else is said."""

    dates: str = "now"
    ca: bool | None = True
    """None: no basic constraints at all."""
    path_length: int | None = None
    signs: bool | None = True
    """Whether keyCertSign is set; None: no key usage at all."""
    use: str | None = None
    permitted: str | None = None
    excluded: str | None = None
    sans: tuple[str, ...] | None = None
    common_name: str | None = None
    unknown_critical: bool = False
    identifiers: bool = True
    """Whether subject and authority key identifiers are there."""
    forged: bool = False
    """Signed by a key that is nobody's."""
    key: str = "p256"
    """One of KEYS."""
    addresses: tuple[str, ...] = ()
    """In the SAN, where there is one."""
    self_issued: bool = False
    """With the name of its issuer."""


KEYS: dict[str, Callable[[], Key]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa2055": lambda: rsa.generate_private_key(65537, 2055),
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def leaf(**changes: object) -> Link:
    """The certificate of a server as it should be, but for these changes."""
    return replace(Link(ca=None, signs=False, use="server", sans=(HOST,)), **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Made:
    """DER from the leaf to the last intermediate, and of the root."""

    chain: tuple[bytes, ...]
    root: bytes
    links: tuple[Link, ...] = field(default=())


def key_of(index: int, kind: str = "p256") -> Any:
    """The key of one place in all chains."""
    return _key(index, kind)


@cache
def _key(index: int, kind: str) -> Key:
    """Kept, since making keys is slow."""
    return KEYS[kind]()


def make_chain(leaf: Link, *authorities: Link) -> Made:
    """A chain under a sound root: `authorities` from the one below the root down to the leaf's issuer."""
    links = (Link(common_name="Root"), *authorities, leaf)
    ders: list[bytes] = []
    issuer_name = None
    for index, link in enumerate(links):
        last = index == len(links) - 1
        default = None if last else f"Authority {index}"
        name = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, text)] if (text := link.common_name or default) else []
        )
        name = issuer_name if link.self_issued and issuer_name is not None else name
        ders.append(_sign(links, index, name, issuer_name or name))
        issuer_name = name
    return Made(tuple(ders[:0:-1]), ders[0], links[:0:-1])


def _sign(links: tuple[Link, ...], index: int, name: x509.Name, issuer: x509.Name) -> bytes:
    link, above = links[index], max(index - 1, 0)
    key, signer = key_of(index, link.key), key_of(above, links[above].key)
    first, end = DATES[link.dates]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(1000 + index)
        .not_valid_before(NOW + first)
        .not_valid_after(NOW + end)
    )
    for value, critical in _extensions(link, name, key, signer, last=index == len(links) - 1):
        builder = builder.add_extension(value, critical)
    if link.forged:
        signer = key_of(99, links[above].key)
    return builder.sign(signer, _hash_for(signer)).public_bytes(Encoding.DER)


def _hash_for(signer: Key) -> Any:
    """The hash that goes with the key (CA/Browser BR, 7.1.3.2)."""
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        return {384: hashes.SHA384(), 521: hashes.SHA512()}.get(signer.key_size, hashes.SHA256())
    return hashes.SHA256() if isinstance(signer, rsa.RSAPrivateKey) else None


def _extensions(
    link: Link, name: x509.Name, key: Key, above: Key, *, last: bool
) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if link.ca is not None:
        found.append((x509.BasicConstraints(link.ca, link.path_length if link.ca else None), True))
    if link.signs is not None:
        found.append((_usage(signs=link.signs, last=last), True))
    if link.use is not None:
        found.append((x509.ExtendedKeyUsage([USES[link.use]]), False))
    trees = [None if tree is None else [_tree(tree)] for tree in (link.permitted, link.excluded)]
    if any(trees):
        found.append((x509.NameConstraints(*trees), True))
    if link.sans is not None:
        names = [*map(x509.DNSName, link.sans), *(x509.IPAddress(ip_address(one)) for one in link.addresses)]
        found.append((x509.SubjectAlternativeName(names), not name.rdns))
    if link.unknown_critical:
        found.append((NOBODY_KNOWS, True))
    if link.identifiers:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False))
    return found


def _tree(text: str) -> x509.GeneralName:
    return x509.IPAddress(ip_network(text)) if "/" in text else x509.DNSName(text)


def _usage(*, signs: bool, last: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=last,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not signs and not last,
        key_cert_sign=signs,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
