"""Chains made to order, with every fault that two verifiers may judge differently."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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


def leaf(**changes: object) -> Link:
    """The certificate of a server as it should be, but for these changes."""
    return replace(Link(ca=None, signs=False, use="server", sans=(HOST,)), **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Made:
    """DER from the leaf to the last intermediate, and of the root."""

    chain: tuple[bytes, ...]
    root: bytes
    links: tuple[Link, ...] = field(default=())


@cache
def key_of(index: int) -> ec.EllipticCurvePrivateKey:
    """The key of one place in all chains, since making keys is slow."""
    return ec.generate_private_key(ec.SECP256R1())


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
        ders.append(_sign(link, name, issuer_name or name, index, last=last))
        issuer_name = name
    return Made(tuple(ders[:0:-1]), ders[0], links[:0:-1])


def _sign(link: Link, name: x509.Name, issuer: x509.Name, index: int, *, last: bool) -> bytes:
    key, above = key_of(index), key_of(max(index - 1, 0))
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
    for value, critical in _extensions(link, name, key, above, last=last):
        builder = builder.add_extension(value, critical)
    signer = key_of(99) if link.forged else above
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)


def _extensions(
    link: Link, name: x509.Name, key: ec.EllipticCurvePrivateKey, above: ec.EllipticCurvePrivateKey, *, last: bool
) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if link.ca is not None:
        found.append((x509.BasicConstraints(link.ca, link.path_length if link.ca else None), True))
    if link.signs is not None:
        found.append((_usage(signs=link.signs, last=last), True))
    if link.use is not None:
        found.append((x509.ExtendedKeyUsage([USES[link.use]]), False))
    trees = [None if tree is None else [x509.DNSName(tree)] for tree in (link.permitted, link.excluded)]
    if any(trees):
        found.append((x509.NameConstraints(*trees), True))
    if link.sans is not None:
        found.append((x509.SubjectAlternativeName([x509.DNSName(one) for one in link.sans]), not name.rdns))
    if link.unknown_critical:
        found.append((NOBODY_KNOWS, True))
    if link.identifiers:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False))
    return found


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
