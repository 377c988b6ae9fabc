"""The PRF of TLS 1.2 and what is made with it (RFC 5246, 5, 6.3 and 8.1; RFC 7627; RFC 5705)."""

from __future__ import annotations

from typing import NamedTuple

from handclasp.crypto.mac import finish, keyed
from handclasp.crypto.suites import SuiteParameters

__all__ = [
    "KeyBlock",
    "exporter_value",
    "extended_master_secret",
    "key_block",
    "master_secret",
    "prf",
    "verify_data",
]

MASTER_SECRET_SIZE = 48
VERIFY_DATA_SIZE = 12


def prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """`length` bytes of P_hash over the label and the seed (RFC 5246, 5)."""
    mac, seed = keyed(hash_name, secret), label + seed
    a, out = seed, b""
    while len(out) < length:
        a = finish(mac.copy(), a)
        out += finish(mac.copy(), a + seed)
    return out[:length]


def master_secret(hash_name: str, premaster: bytes, client_random: bytes, server_random: bytes) -> bytes:
    """The 48 bytes of a session without RFC 7627 (RFC 5246, 8.1)."""
    return prf(hash_name, premaster, b"master secret", client_random + server_random, MASTER_SECRET_SIZE)


def extended_master_secret(hash_name: str, premaster: bytes, session_hash: bytes) -> bytes:
    """The 48 bytes bound to the handshake up to ClientKeyExchange (RFC 7627, 4)."""
    return prf(hash_name, premaster, b"extended master secret", session_hash, MASTER_SECRET_SIZE)


class KeyBlock(NamedTuple):
    """Keys and implicit nonces of both directions (RFC 5246, 6.3)."""

    client_key: bytes
    server_key: bytes
    client_iv: bytes
    server_iv: bytes

    def __repr__(self) -> str:
        return "<KeyBlock>"


def key_block(suite: SuiteParameters, master: bytes, client_random: bytes, server_random: bytes) -> KeyBlock:
    """Cut the key block for an AEAD suite, which has no MAC keys."""
    key, iv = suite.key_length, suite.fixed_iv_length
    block = prf(suite.hash_name, master, b"key expansion", server_random + client_random, 2 * (key + iv))
    return KeyBlock(block[:key], block[key : 2 * key], block[2 * key : 2 * key + iv], block[2 * key + iv :])


def verify_data(hash_name: str, master: bytes, role: str, transcript_hash: bytes) -> bytes:
    """The 12 bytes of the Finished that `role` ("client" or "server") sends (RFC 5246, 7.4.9)."""
    return prf(hash_name, master, role.encode() + b" finished", transcript_hash, VERIFY_DATA_SIZE)


def exporter_value(
    hash_name: str, master: bytes, randoms: bytes, label: bytes, context: bytes | None, length: int
) -> bytes:
    """Exported keying material (RFC 5705, 4); `randoms` is the client's, then the server's."""
    seed = randoms if context is None else randoms + len(context).to_bytes(2, "big") + context
    return prf(hash_name, master, label, seed, length)
