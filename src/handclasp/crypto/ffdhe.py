"""The finite-field groups of RFC 7919, computed from the formula that defines them.

Each prime is 2^b - 2^(b-64) + {[2^(b-130) e] + X} 2^64 - 1 with its own X, and each generator is
2 (RFC 7919, appendix A), so no page of digits stands here to be mistyped.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from handclasp.wire.iana import NamedGroup

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import dh

__all__ = ["EXPONENT_BITS", "MODULUS_SIZE", "parameters", "private_key", "public_key"]

_X = {
    NamedGroup.FFDHE2048: (2048, 560316),
    NamedGroup.FFDHE3072: (3072, 2625351),
    NamedGroup.FFDHE4096: (4096, 5736041),
    NamedGroup.FFDHE6144: (6144, 15705020),
    NamedGroup.FFDHE8192: (8192, 10965728),
}

MODULUS_SIZE = {group: bits // 8 for group, (bits, _) in _X.items()}
"""Bytes of the prime, and so of every value on the wire (RFC 8446, 4.2.8.1)."""

EXPONENT_BITS = {
    NamedGroup.FFDHE2048: 225,
    NamedGroup.FFDHE3072: 275,
    NamedGroup.FFDHE4096: 325,
    NamedGroup.FFDHE6144: 375,
    NamedGroup.FFDHE8192: 400,
}
"""Bits of a private exponent that keep each group's strength (RFC 7919, 5.2)."""


@lru_cache(maxsize=1)
def _e_fraction_bits() -> tuple[int, int]:
    """Euler's number times 2^8192, and that exponent; the series stops where terms vanish."""
    bits = 8192 + 64
    term = total = 1 << bits
    n = 1
    while term:
        term //= n
        total += term
        n += 1
    return total >> 64, 8192


@lru_cache(maxsize=8)
def prime(group: NamedGroup) -> int:
    """The group's safe prime."""
    bits, x = _X[group]
    e, scale = _e_fraction_bits()
    return (1 << bits) - (1 << bits - 64) + ((e >> scale - (bits - 130)) + x << 64) - 1


@lru_cache(maxsize=1)
def _dh() -> Any:
    """`cryptography`'s classes for finite fields, which warn of their deprecation when first named.

    RFC 7919's groups are in TLS still; the warning is for those who write new protocols.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        from cryptography.hazmat.primitives.asymmetric import dh

        return dh.DHParameterNumbers, dh.DHPublicNumbers, dh.DHPrivateNumbers


@lru_cache(maxsize=8)
def parameters(group: NamedGroup) -> dh.DHParameterNumbers:
    """Prime, generator and order, as `cryptography` takes them."""
    p = prime(group)
    numbers: dh.DHParameterNumbers = _dh()[0](p, 2, (p - 1) // 2)
    return numbers


def public_key(group: NamedGroup, y: int) -> dh.DHPublicKey:
    """The key with this public value; raises `ValueError` for one that is not of the group."""
    key: dh.DHPublicKey = _dh()[1](y, parameters(group)).public_key()
    return key


def private_key(group: NamedGroup, x: int) -> dh.DHPrivateKey:
    """The key with this exponent."""
    numbers = parameters(group)
    public = _dh()[1](pow(numbers.g, x, numbers.p), numbers)
    key: dh.DHPrivateKey = _dh()[2](x, public).private_key()
    return key
