"""HMAC (RFC 2104): a secret of the key schedules makes several, so it is keyed once and copied for each.

Keying is two thirds of an HMAC over a short message.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

__all__ = ["finish", "hmac", "keyed"]

_HASHES: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


def keyed(hash_name: str, key: bytes) -> HMAC:
    """HMAC under this key, before any message; `copy()` it for each message but the last."""
    return HMAC(key, _HASHES[hash_name])


def finish(mac: HMAC, message: bytes) -> bytes:
    """The HMAC of the message; `mac` is used up."""
    mac.update(message)
    return mac.finalize()


def hmac(hash_name: str, key: bytes, message: bytes) -> bytes:
    """The HMAC of one message under a key of its own."""
    return finish(keyed(hash_name, key), message)
