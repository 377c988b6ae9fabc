"""The key schedule of TLS 1.3 (RFC 8446, 7), each stage a type of its own.

A secret exists only in the stage that may use it: a `MasterSecret` can be had from a
`HandshakeSecret` and from nothing else. Almost every output here is one HMAC block, so HKDF-Expand is
one HMAC; a stage makes several and keeps its HMAC keyed.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography.hazmat.primitives.hmac import HMAC

from handclasp.crypto.mac import finish, hmac, keyed
from handclasp.crypto.suites import SuiteParameters

__all__ = [
    "EarlySecret",
    "HandshakeSecret",
    "MasterSecret",
    "TrafficSecret",
    "expand_label",
    "exporter_value",
    "resumption_psk",
]


@lru_cache(maxsize=256)
def _label(label: bytes, length: int, context_length: int = 0) -> bytes:
    """HkdfLabel up to its context (RFC 8446, 7.1)."""
    full = b"tls13 " + label
    return length.to_bytes(2, "big") + bytes((len(full),)) + full + bytes((context_length,))


def _expand(hash_name: str, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869, 2.3)."""
    mac = keyed(hash_name, secret)
    out = block = finish(mac.copy(), info + b"\x01")
    counter = 1
    while len(out) < length:
        counter += 1
        block = finish(mac.copy(), block + info + bytes((counter,)))
        out += block
    return out[:length]


def expand_label(hash_name: str, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, 7.1); `length` in bytes, at most 255 hashes."""
    return _expand(hash_name, secret, _label(label, length, len(context)) + context, length)


@lru_cache(maxsize=8)
def _size(hash_name: str) -> int:
    return hashlib.new(hash_name).digest_size


@lru_cache(maxsize=8)
def _empty(hash_name: str) -> bytes:
    return hashlib.new(hash_name).digest()


def _derive(secret: HMAC, label: bytes, transcript_hash: bytes) -> bytes:
    """Derive-Secret (RFC 8446, 7.1); as long as the hash, so one block. Uses `secret` up."""
    size = len(transcript_hash)
    return finish(secret, _label(label, size, size) + transcript_hash + b"\x01")


class _Stage:
    """A secret of the schedule's column; its value stays inside."""

    __slots__ = ("_mac", "hash_name")

    def __init__(self, hash_name: str, secret: bytes) -> None:
        self.hash_name = hash_name
        self._mac = keyed(hash_name, secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.hash_name}>"

    def _traffic(self, label: bytes, transcript_hash: bytes) -> TrafficSecret:
        return TrafficSecret(self.hash_name, _derive(self._mac.copy(), label, transcript_hash))

    def _next(self, key_material: bytes | None) -> bytes:
        """The next secret down the column: Derive-Secret, then HKDF-Extract."""
        empty = _empty(self.hash_name)
        salt = _derive(self._mac.copy(), b"derived", empty)
        return hmac(self.hash_name, salt, key_material or bytes(len(empty)))


class EarlySecret(_Stage):
    """The column's first secret, from a PSK or from none."""

    __slots__ = ()

    @classmethod
    def of(cls, hash_name: str, psk: bytes | None = None) -> EarlySecret:
        """Start the schedule."""
        if psk is None:
            return _without_psk(hash_name)
        return cls(hash_name, hmac(hash_name, bytes(_size(hash_name)), psk))

    def binder_key(self, *, external: bool = False) -> TrafficSecret:
        """The key whose `verify_data` is a binder (RFC 8446, 4.2.11.2)."""
        return self._traffic(b"ext binder" if external else b"res binder", _empty(self.hash_name))

    def client_early_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """Protects 0-RTT data."""
        return self._traffic(b"c e traffic", transcript_hash)

    def handshake(self, shared_secret: bytes | None) -> HandshakeSecret:
        """The next stage; None where a PSK is used without a key exchange."""
        return HandshakeSecret(self.hash_name, self._next(shared_secret))


@lru_cache(maxsize=8)
def _without_psk(hash_name: str) -> EarlySecret:
    zeros = bytes(_size(hash_name))
    return EarlySecret(hash_name, hmac(hash_name, zeros, zeros))


class HandshakeSecret(_Stage):
    """The column's second secret: the key exchange is in it."""

    __slots__ = ()

    def client_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """Protects the client's handshake messages; the transcript up to ServerHello."""
        return self._traffic(b"c hs traffic", transcript_hash)

    def server_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """Protects the server's handshake messages."""
        return self._traffic(b"s hs traffic", transcript_hash)

    def master(self) -> MasterSecret:
        """The last stage."""
        return MasterSecret(self.hash_name, self._next(None))


class MasterSecret(_Stage):
    """The column's last secret, from which application keys come."""

    __slots__ = ()

    def client_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """Protects the client's data; the transcript up to the server's Finished."""
        return self._traffic(b"c ap traffic", transcript_hash)

    def server_traffic(self, transcript_hash: bytes) -> TrafficSecret:
        """Protects the server's data."""
        return self._traffic(b"s ap traffic", transcript_hash)

    def exporter(self, transcript_hash: bytes) -> bytes:
        """The exporter secret; the transcript up to the server's Finished (RFC 8446, 7.5)."""
        return _derive(self._mac.copy(), b"exp master", transcript_hash)

    def resumption(self, transcript_hash: bytes) -> bytes:
        """The resumption secret; the transcript up to the client's Finished (RFC 8446, 4.6.1)."""
        return _derive(self._mac.copy(), b"res master", transcript_hash)


class TrafficSecret:
    """A secret that keys one direction; `secret` is for key logs alone."""

    __slots__ = ("hash_name", "secret")

    def __init__(self, hash_name: str, secret: bytes) -> None:
        self.hash_name = hash_name
        self.secret = secret

    def __repr__(self) -> str:
        return f"<TrafficSecret {self.hash_name}>"

    def key_iv(self, suite: SuiteParameters) -> tuple[bytes, bytes]:
        """Key and nonce base for records (RFC 8446, 7.3)."""
        mac = keyed(self.hash_name, self.secret)
        key = finish(mac.copy(), _label(b"key", suite.key_length) + b"\x01")
        iv = finish(mac, _label(b"iv", 12) + b"\x01")
        return key[: suite.key_length], iv[:12]

    def verify_data(self, transcript_hash: bytes) -> bytes:
        """The MAC that a Finished or a binder holds (RFC 8446, 4.4.4)."""
        name, secret = self.hash_name, self.secret
        return hmac(name, hmac(name, secret, _label(b"finished", len(secret)) + b"\x01"), transcript_hash)

    def next(self) -> TrafficSecret:
        """The secret after a KeyUpdate (RFC 8446, 7.2)."""
        updated = expand_label(self.hash_name, self.secret, b"traffic upd", b"", len(self.secret))
        return TrafficSecret(self.hash_name, updated)


def resumption_psk(hash_name: str, resumption: bytes, nonce: bytes) -> bytes:
    """The PSK of a ticket (RFC 8446, 4.6.1)."""
    return expand_label(hash_name, resumption, b"resumption", nonce, len(resumption))


def exporter_value(hash_name: str, exporter: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """Exported keying material, `length` bytes (RFC 8446, 7.5)."""
    secret = _derive(keyed(hash_name, exporter), label, _empty(hash_name))
    return expand_label(hash_name, secret, b"exporter", hashlib.new(hash_name, context).digest(), length)
