"""What a server wants the extensions of a client's certificate to hold (RFC 8446, 4.2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from handclasp.errors import ConfigError
from handclasp.x509.der import after, element, oid_text

if TYPE_CHECKING:
    from handclasp.wire.extensions import OidFilter
    from handclasp.x509.certificate import Certificate

__all__ = ["NOTHING", "Wanted", "check_filters", "lacking", "usage_of", "uses_of"]

KEY_USAGE = bytes.fromhex("0603551d0f")
EXTENDED_KEY_USAGE = bytes.fromhex("0603551d25")
ANY_EXTENDED_KEY_USAGE = bytes.fromhex("551d2500")
"""As an element's content; no filter may name it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Some filters put together; a certificate has to have all that each of them names."""

    usage: int | None = None
    """Bits of the key usage; None: no filter speaks of it."""
    uses: frozenset[bytes] | None = None
    """Extended key usages in DER; None: no filter speaks of them."""
    impossible: bool = False
    """Whether a filter's value is none that a certificate can have."""

    @classmethod
    def of(cls, filters: Iterable[OidFilter]) -> Wanted:
        """From filters as they came; those of an extension that is not known here are passed over."""
        usage: int | None = None
        uses: set[bytes] | None = None
        for one in filters:
            kind, values = one.certificate_extension_oid, one.certificate_extension_values
            if kind == KEY_USAGE:
                bits = _bits(values)
                if bits is None:
                    return cls(impossible=True)
                usage = (usage or 0) | bits
            elif kind == EXTENDED_KEY_USAGE:
                oids = _sequence(values)
                if oids is None:
                    return cls(impossible=True)
                uses = oids if uses is None else uses
                uses |= oids
        return cls(usage, None if uses is None else frozenset(uses))

    def fit(self, usage: int | None, uses: frozenset[bytes] | None) -> bool:
        """Whether a certificate with this key usage and these extended ones is wanted; None: without the extension."""
        if self.impossible:
            return False
        if self.usage is not None and (usage is None or usage & self.usage != self.usage):
            return False
        return self.uses is None or (uses is not None and self.uses <= uses)


NOTHING = Wanted()
"""No filter at all."""


def usage_of(leaf: Certificate) -> int | None:
    """The bits of a certificate's key usage; None where it has none."""
    found = leaf.extension(x509.KeyUsage)
    return None if found is None else _bits(found.public_bytes()) or 0


def uses_of(leaf: Certificate) -> frozenset[bytes] | None:
    """A certificate's extended key usages in DER; None where it has none."""
    found = leaf.extension(x509.ExtendedKeyUsage)
    return None if found is None else frozenset(_sequence(found.public_bytes()) or ())


def check_filters(filters: Sequence[OidFilter]) -> None:
    """Raise a `ConfigError` for filters that no server may send, or whose values are none."""
    seen: set[bytes] = set()
    for one in filters:
        kind, values = one.certificate_extension_oid, one.certificate_extension_values
        name = _name_of(kind)
        if name is None or kind in seen:
            raise ConfigError(f"oid_filters: {kind.hex()} is no object identifier in DER, or comes twice.")
        seen.add(kind)
        if kind == KEY_USAGE and not _bits(values):
            raise ConfigError("oid_filters: give the bits of the key usage as a BIT STRING in DER.")
        if kind == EXTENDED_KEY_USAGE:
            uses = _sequence(values)
            if not uses or ANY_EXTENDED_KEY_USAGE in uses:
                raise ConfigError(
                    "oid_filters: give extended key usages as a SEQUENCE of object identifiers in DER, and not "
                    "anyExtendedKeyUsage, which no server may ask for (RFC 8446, 4.2.5)."
                )


def lacking(leaf: Certificate, filters: Sequence[OidFilter]) -> str | None:
    """What a certificate lacks of what the filters want; None: nothing.

    Key usages and extended ones may have others beside those that are wanted. For other extensions no standard says
    how they match: the certificate has to have them, with this very value where one is given.
    """
    if not Wanted.of(filters).fit(usage_of(leaf), uses_of(leaf)):
        return "the key usage or extended key usages that are wanted"
    for one in filters:
        kind, values = one.certificate_extension_oid, one.certificate_extension_values
        if kind in (KEY_USAGE, EXTENDED_KEY_USAGE):
            continue
        name = _name_of(kind) or kind.hex()
        found = leaf.extension_bytes(x509.ObjectIdentifier(name))
        if found is None:
            return f"the extension {name}"
        if values and found != values:
            return f"the wanted value of the extension {name}"
    return None


def _name_of(kind: bytes) -> str | None:
    try:
        return oid_text(element(kind, 0, 0x06)) if after(kind, 0) == len(kind) else None
    except (ValueError, IndexError):
        return None


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
