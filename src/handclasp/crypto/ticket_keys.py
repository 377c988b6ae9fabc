"""The keys under which a server seals sessions into tickets (RFC 5077, 4; RFC 8446, 4.6.1).

A key is derived from a secret, and knows its tickets by a name that is derived from it too: whoever has the
secret has the same key under the same name. A `Ratchet` goes from secret to secret as time goes by: all that
have begun with one secret (processes that were forked, say) get the same keys with no word between them, and
none can go back to a key that is over.
"""

from __future__ import annotations

import hmac
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Ratchet", "TicketKey"]

NAME_SIZE = 16
NONCE_SIZE = 12


def _derived(secret: bytes, label: bytes) -> bytes:
    """HKDF-Expand of one block (RFC 5869, 2.3); the number is that of the ticket's format."""
    return hmac.digest(secret, b"handclasp ticket 2 " + label + b"\x01", "sha256")


class TicketKey:
    """One key, AES-256-GCM. A ticket is its name of 16 bytes, a nonce of 12, then what is sealed."""

    __slots__ = ("_aead", "_secret", "name")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.name = _derived(secret, b"name")[:NAME_SIZE]
        self._aead = AESGCM(_derived(secret, b"key"))

    def __repr__(self) -> str:
        return f"<TicketKey {self.name.hex()}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return TicketKey, (self._secret,)

    def seal(self, content: bytes, nonce: bytes) -> bytes:
        """The ticket that holds this."""
        return self.name + nonce + self._aead.encrypt(nonce, content, self.name)

    def open(self, ticket: bytes) -> bytes | None:
        """What a ticket of this key holds; None for any other bytes."""
        try:
            return self._aead.decrypt(
                ticket[NAME_SIZE : NAME_SIZE + NONCE_SIZE], ticket[NAME_SIZE + NONCE_SIZE :], self.name
            )
        except (InvalidTag, ValueError):
            return None


class _State(NamedTuple):
    period: int
    """The number of the period that it is, counted from 1970."""
    secret: bytes
    """From which the next period's key comes; those before cannot be told from it."""
    keys: tuple[TicketKey, ...]
    """This period's, then those before that still open tickets."""


class Ratchet:
    """A new key for each period. What it keeps is replaced at once and by what time alone says: no lock is needed,
    and none can be held by a thread that a fork leaves behind."""

    __slots__ = ("_earlier", "_period_ms", "_state")

    def __init__(self, secret: bytes, period_ms: int, now_ms: int, earlier: int) -> None:
        """The first secret, the length of a period, the time, and how many earlier keys are kept."""
        self._period_ms = period_ms
        self._earlier = earlier
        self._state = _State(now_ms // period_ms, _derived(secret, b"next"), (TicketKey(_derived(secret, b"this")),))

    def __repr__(self) -> str:
        return f"<Ratchet {self._state.period}>"

    def keys(self, now_ms: int) -> tuple[TicketKey, ...]:
        """The current key, then those before it, the newest first. A clock that is set back changes nothing."""
        state, period = self._state, now_ms // self._period_ms
        if period > state.period:
            self._state = state = _advanced(state, period, self._earlier)
        return state.keys


def _advanced(state: _State, period: int, earlier: int) -> _State:
    """The state in a later period."""
    secret, keys = state.secret, state.keys
    for number in range(state.period + 1, period + 1):
        if number >= period - earlier:
            keys = (TicketKey(_derived(secret, b"this")), *keys[:earlier])
        secret = _derived(secret, b"next")
    return _State(period, secret, keys)
