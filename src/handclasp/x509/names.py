"""Does a certificate name this server? (RFC 9525, 6; RFC 5280, 4.2.1.6; mission rows S18 to S20)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

import idna
from cryptography import x509
from cryptography.x509.oid import NameOID

from handclasp.errors import UsageError
from handclasp.values import check_type
from handclasp.x509.certificate import Certificate
from handclasp.x509.der import sequence
from handclasp.x509.policy import NamePolicy, VerificationPolicy
from handclasp.x509.quiet import quietly
from handclasp.x509.text import listed, printable, shortened

__all__ = ["Identities", "PeerName", "as_address", "matches", "normalize_host"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BadName(UsageError):
    """A server name that no certificate can have."""


@dataclass(frozen=True, slots=True)
class PeerName:
    """The name we connect by: a host name in its ASCII form, or an address."""

    host: str | None = None
    address: Address | None = None

    @classmethod
    def of(cls, name: str | Address | PeerName) -> PeerName:
        """From a string or an address; raises `BadName` for a string that is neither."""
        if isinstance(name, PeerName):
            return name
        if not isinstance(name, str):
            check_type("name", name, ipaddress.IPv4Address, ipaddress.IPv6Address, str)
            return cls(address=_without_zone(name))
        address = as_address(name) or as_address(host := normalize_host(name))
        return cls(host=host) if address is None else cls(address=address)

    def __str__(self) -> str:
        return self.host if self.host is not None else str(self.address)


def as_address(text: str) -> Address | None:
    """The IP address that this text is, None for a host's name."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if not text[-1:].isdigit() and ":" not in text:
        return None  # a name for sure, and trying costs ten times as much
    try:
        return _without_zone(ipaddress.ip_address(text))
    except ValueError:
        return None


def _without_zone(address: Address) -> Address:
    """Which interface leads to it is of this machine, and stands in no certificate (RFC 4007, 11.2)."""
    return ipaddress.IPv6Address(int(address)) if getattr(address, "scope_id", None) else address


def normalize_host(name: str) -> str:
    """The host name as DNS and certificates have it: A-labels, lower case, no final dot."""
    text = name.removesuffix(".").lower()
    if text.isascii():
        labels = text.split(".")
        if not text or len(text) > 253 or not all(map(_LABEL.fullmatch, labels)):
            raise BadName(f"{name!r} is no host name.")
        return text
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadName(f"{name!r} is no host name: {error}") from None


_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True)
class Identities:
    """Every name that a certificate gives its subject."""

    dns: tuple[str, ...]
    addresses: tuple[Address, ...]
    uris: tuple[str, ...]
    emails: tuple[str, ...]
    subject_name: x509.Name
    has_san: bool

    @classmethod
    def of(cls, certificate: Certificate) -> Identities:
        """From a certificate's subject and SAN; raises `MalformedCertificate`."""
        san = certificate.extension(x509.SubjectAlternativeName)
        names: dict[type[x509.GeneralName], list[Any]] = {}
        for one in san or ():
            names.setdefault(type(one), []).append(one.value)
        return cls(
            dns=tuple(names.get(x509.DNSName, ())),
            addresses=tuple(
                [
                    one
                    for one in names.get(x509.IPAddress, ())
                    if isinstance(one, (ipaddress.IPv4Address, ipaddress.IPv6Address))
                ]
            ),
            uris=tuple(names.get(x509.UniformResourceIdentifier, ())),
            emails=tuple(names.get(x509.RFC822Name, ())),
            subject_name=certificate.subject_name,
            has_san=san is not None,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        names = (self.dns, self.addresses, self.uris, self.emails)
        return _identities, (*names, self.subject_name.public_bytes(), self.has_san)

    @property
    def common_names(self) -> tuple[str, ...]:
        """The subject's common names."""
        return tuple([str(one.value) for one in self.subject_name.get_attributes_for_oid(NameOID.COMMON_NAME)])

    @property
    def subject(self) -> str:
        """The subject's name for people."""
        return printable(self.subject_name.rfc4514_string()) or "(no subject)"

    def to_dict(self) -> dict[str, str | list[str]]:
        """For JSON."""
        return {
            "subject": self.subject,
            "dns": list(self.dns),
            "ip": [str(one) for one in self.addresses],
            "uri": list(self.uris),
            "email": list(self.emails),
        }

    def presented(self) -> str:
        """The names, for a sentence."""
        names = [*self.dns, *map(str, self.addresses), *self.uris, *self.emails]
        return listed(names) if names else f"the subject {shortened(self.subject)}"


def _identities(dns: Any, addresses: Any, uris: Any, emails: Any, subject: bytes, has_san: bool) -> Identities:
    return Identities(dns, addresses, uris, emails, _name(subject), has_san)


def _name(der: bytes) -> x509.Name:
    """The parser reads names inside other structures alone: here as the issuer of a list."""
    algorithm = sequence(b"\x06\x03\x2b\x65\x70")
    body = sequence(algorithm + der + b"\x17\x0d700101000000Z")
    with quietly():
        return x509.load_der_x509_crl(sequence(body + algorithm + b"\x03\x01\x00")).issuer


def matches(name: PeerName, identities: Identities, policy: VerificationPolicy) -> bool:
    """Whether one of the identities is this name, under the policy."""
    if name.address is not None:
        return name.address in identities.addresses
    host = name.host or ""
    if any(_dns_matches(host, pattern, policy.wildcards) for pattern in identities.dns):
        return True
    if policy.names is not NamePolicy.SAN_THEN_CN or identities.has_san:
        return False
    return any(_dns_matches(host, common, policy.wildcards) for common in identities.common_names)


def _dns_matches(host: str, pattern: str, wildcards: bool) -> bool:
    """One label for a leftmost "*" that stands alone, and never directly above a top-level domain."""
    if not pattern.isascii():
        return False  # some letters beyond ASCII become ASCII in lower case, as the Kelvin sign does
    pattern = pattern.lower()
    if "*" not in pattern:
        return host == pattern
    if not wildcards or not pattern.startswith("*.") or "*" in pattern[1:]:
        return False
    suffix = pattern[1:]
    first, dot, rest = host.partition(".")
    return bool(first) and dot + rest == suffix and suffix.count(".") >= 2
