"""Key agreement: one shape for curves, finite fields and hybrids with ML-KEM.

The client makes a `KeyShare` with `generate`, the server answers with `respond`, the client
finishes with `KeyShare.agree`. A hybrid's secret is its two parts' secrets in a row, in the order
that draft-ietf-tls-ecdhe-mlkem gives each: ML-KEM first with X25519, the curve first with P-256
and P-384.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handclasp.crypto import ffdhe
from handclasp.errors import PeerError
from handclasp.wire.iana import AlertDescription, NamedGroup

__all__ = ["ECDHE_GROUPS", "SUPPORTED_GROUPS", "BadKeyShare", "KeyShare", "generate", "respond"]

Random = Callable[[int], bytes] | None
"""Randomness for tests that replay a handshake; None: the system's, by `cryptography`."""


class BadKeyShare(PeerError):
    """A key from the peer that is no key of its group (RFC 8446, 4.2.8.1 and 4.2.8.2; RFC 7748, 6)."""

    alert = AlertDescription.ILLEGAL_PARAMETER
    section = "RFC 8446, 4.2.8"
    mend = "The peer's TLS software makes wrong keys, or something between changed this one."


class KeyShare(Protocol):
    """Our half of a key exchange in progress."""

    group: NamedGroup
    public: bytes
    """What goes over the wire as `key_exchange`."""

    def agree(self, peer: bytes) -> bytes:
        """The shared secret with the peer's half; raises `BadKeyShare`."""


class _X:
    """X25519 and X448 (RFC 7748)."""

    __slots__ = ("_key", "group", "public")

    def __init__(self, group: NamedGroup, random: Random) -> None:
        self.group = group
        private: Any = X25519PrivateKey if group == NamedGroup.X25519 else X448PrivateKey
        size = 32 if group == NamedGroup.X25519 else 56
        self._key = private.generate() if random is None else private.from_private_bytes(random(size))
        self.public: bytes = self._key.public_key().public_bytes_raw()

    def agree(self, peer: bytes) -> bytes:
        public: Any = X25519PublicKey if self.group == NamedGroup.X25519 else X448PublicKey
        if len(peer) != len(self.public):
            raise _wrong_length(self.group, len(peer), len(self.public))
        try:
            secret: bytes = self._key.exchange(public.from_public_bytes(peer))
        except ValueError:
            raise BadKeyShare(f"The peer's {self.group} key leads to a secret of zeros.") from None
        return secret


_CURVES: dict[NamedGroup, ec.EllipticCurve] = {
    NamedGroup.SECP256R1: ec.SECP256R1(),
    NamedGroup.SECP384R1: ec.SECP384R1(),
    NamedGroup.SECP521R1: ec.SECP521R1(),
}
_ECDH = ec.ECDH()


class _EC:
    """The NIST curves, with uncompressed points (RFC 8446, 4.2.8.2)."""

    __slots__ = ("_key", "group", "public")

    def __init__(self, group: NamedGroup, random: Random) -> None:
        self.group = group
        curve = _CURVES[group]
        self._key = ec.generate_private_key(curve) if random is None else _derive(curve, random)
        self.public: bytes = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def agree(self, peer: bytes) -> bytes:
        if len(peer) != len(self.public):
            raise _wrong_length(self.group, len(peer), len(self.public))
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(self._key.curve, peer)
        except ValueError:
            raise BadKeyShare(f"The peer's {self.group} key is not a point of the curve.") from None
        return self._key.exchange(_ECDH, point)


def _derive(curve: ec.EllipticCurve, random: Callable[[int], bytes]) -> ec.EllipticCurvePrivateKey:
    size = (curve.key_size + 7) // 8
    excess = 8 * size - curve.key_size
    while True:
        try:
            return ec.derive_private_key(int.from_bytes(random(size), "big") >> excess, curve)
        except ValueError:
            continue  # zero, or not below the curve's order: take the next


class _FFDHE:
    """The finite-field groups (RFC 7919; RFC 8446, 4.2.8.1)."""

    __slots__ = ("_key", "group", "public")

    def __init__(self, group: NamedGroup, random: Random) -> None:
        self.group = group
        size = ffdhe.MODULUS_SIZE[group]
        if random is None:
            self._key = ffdhe.parameters(group).parameters().generate_private_key()
        else:
            bits = ffdhe.EXPONENT_BITS[group]
            x = int.from_bytes(random((bits + 7) // 8), "big") >> -bits % 8 | 1 << bits - 1
            self._key = ffdhe.private_key(group, x)
        self.public = self._key.public_key().public_numbers().y.to_bytes(size, "big")

    def agree(self, peer: bytes) -> bytes:
        size = len(self.public)
        if len(peer) != size:
            raise _wrong_length(self.group, len(peer), size)
        y = int.from_bytes(peer, "big")
        if not 1 < y < ffdhe.parameters(self.group).p - 1:
            raise BadKeyShare(f"The peer's {self.group} key is outside 2 to p-2.")
        try:
            secret = self._key.exchange(ffdhe.public_key(self.group, y))
        except ValueError:
            raise BadKeyShare(f"The peer's {self.group} key is not of the group.") from None
        return secret.rjust(size, b"\0")


class _Hybrid:
    """A curve and ML-KEM side by side (draft-ietf-tls-ecdhe-mlkem)."""

    __slots__ = ("_curve", "_kem", "group", "public")

    def __init__(self, group: NamedGroup, random: Random) -> None:
        self.group = group
        form = _HYBRIDS[group]
        self._kem = form.private.generate() if random is None else form.private.from_seed_bytes(random(64))
        self._curve = generate(form.curve, random)
        kem = self._kem.public_key().public_bytes_raw()
        self.public: bytes = form.join(kem, self._curve.public)

    def agree(self, peer: bytes) -> bytes:
        form = _HYBRIDS[self.group]
        if len(peer) != form.ciphertext_size + form.point_size:
            raise _wrong_length(self.group, len(peer), form.ciphertext_size + form.point_size)
        ciphertext, point = form.split(peer, form.ciphertext_size)
        secret = self._curve.agree(point)
        return form.join(self._kem.decapsulate(ciphertext), secret)


class _Form:
    """How a hybrid is put together; sizes in bytes."""

    __slots__ = ("ciphertext_size", "curve", "kem_first", "key_size", "point_size", "private", "public")

    def __init__(
        self, curve: NamedGroup, kem_first: bool, private: Any, public: Any, sizes: tuple[int, int, int]
    ) -> None:
        self.curve = curve
        self.kem_first = kem_first
        self.private = private
        self.public = public
        self.key_size, self.ciphertext_size, self.point_size = sizes

    def join(self, kem: bytes, curve: bytes) -> bytes:
        return kem + curve if self.kem_first else curve + kem

    def split(self, data: bytes, kem_size: int) -> tuple[bytes, bytes]:
        if self.kem_first:
            return data[:kem_size], data[kem_size:]
        return data[self.point_size :], data[: self.point_size]


_HYBRIDS = {
    NamedGroup.X25519MLKEM768: _Form(NamedGroup.X25519, True, MLKEM768PrivateKey, MLKEM768PublicKey, (1184, 1088, 32)),
    NamedGroup.SECP256R1MLKEM768: _Form(
        NamedGroup.SECP256R1, False, MLKEM768PrivateKey, MLKEM768PublicKey, (1184, 1088, 65)
    ),
    NamedGroup.SECP384R1MLKEM1024: _Form(
        NamedGroup.SECP384R1, False, MLKEM1024PrivateKey, MLKEM1024PublicKey, (1568, 1568, 97)
    ),
}

_MAKERS: dict[NamedGroup, Callable[[NamedGroup, Random], KeyShare]] = {
    NamedGroup.X25519: _X,
    NamedGroup.X448: _X,
    **dict.fromkeys(_CURVES, _EC),
    **dict.fromkeys(ffdhe.MODULUS_SIZE, _FFDHE),
    **dict.fromkeys(_HYBRIDS, _Hybrid),
}

SUPPORTED_GROUPS = tuple(_MAKERS)
"""Every group that the engine can use."""

ECDHE_GROUPS = (NamedGroup.X25519, NamedGroup.X448, *_CURVES)
"""Those that TLS 1.2 can use in an ECDHE suite (RFC 8422, 5.1.1)."""


def generate(group: NamedGroup, random: Random = None) -> KeyShare:
    """Our half of a key exchange; the same `random` bytes give the same key."""
    return _MAKERS[group](group, random)


def respond(group: NamedGroup, peer: bytes, random: Random = None) -> tuple[bytes, bytes]:
    """The answer to the peer's half: what we send, and the shared secret; raises `BadKeyShare`.

    The encapsulation of a hybrid takes the system's randomness even where `random` is given:
    `cryptography` has no other.
    """
    form = _HYBRIDS.get(group)
    if form is None:
        share = generate(group, random)
        return share.public, share.agree(peer)
    if len(peer) != form.key_size + form.point_size:
        raise _wrong_length(group, len(peer), form.key_size + form.point_size)
    key, point = form.split(peer, form.key_size)
    share = generate(form.curve, random)
    curve_secret = share.agree(point)
    try:
        secret, ciphertext = form.public.from_public_bytes(key).encapsulate()
    except ValueError:
        raise BadKeyShare(f"The peer's {group} key has no valid ML-KEM part.") from None
    return form.join(ciphertext, share.public), form.join(secret, curve_secret)


def _wrong_length(group: NamedGroup, have: int, want: int) -> BadKeyShare:
    return BadKeyShare(f"The peer's {group} key has {have} bytes; {want} are needed.")
