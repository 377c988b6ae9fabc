"""The running hash over all handshake messages (RFC 8446, 4.4.1; RFC 5246, 7.4.9).

Until the cipher suite names the hash the messages are kept; TLS 1.2 keeps them longer, since a
client's CertificateVerify may use another hash than the suite.
"""

from __future__ import annotations

import hashlib

from handclasp.wire.messages import message_hash

__all__ = ["Transcript"]


class Transcript:
    """All messages so far, in the order they were sent and received."""

    __slots__ = ("_hash", "_messages")

    def __init__(self) -> None:
        self._messages: list[bytes] | None = []
        self._hash: hashlib._Hash | None = None

    def add(self, raw: bytes) -> None:
        """Append one message, header included."""
        if self._hash is not None:
            self._hash.update(raw)
        if self._messages is not None:
            self._messages.append(raw)

    def start(self, hash_name: str, *, keep_messages: bool = False) -> None:
        """Name the hash; from here on `digest` works."""
        if self._hash is None:
            self._hash = hashlib.new(hash_name, b"".join(self._messages or ()))
        if not keep_messages:
            self._messages = None

    def retry(self, hash_name: str) -> None:
        """Put `message_hash` in place of the first ClientHello; the retry request stays (RFC 8446, 4.4.1)."""
        messages = self._messages or []
        first = hashlib.new(hash_name, b"".join(messages[:-1])).digest()
        self._hash = hashlib.new(hash_name, message_hash(first) + b"".join(messages[-1:]))
        self._messages = None

    def digest(self) -> bytes:
        """The hash of all messages so far."""
        assert self._hash is not None  # our own order of calls, whatever the peer sent
        return self._hash.copy().digest()

    def digest_with(self, hash_name: str, more: bytes) -> bytes:
        """The hash of all messages so far and `more`, as binders need it (RFC 8446, 4.2.11.2)."""
        running = hashlib.new(hash_name) if self._hash is None else self._hash.copy()
        running.update(more)
        return running.digest()

    def copy(self) -> Transcript:
        """This transcript as it is now; the original may go on."""
        twin = Transcript()
        twin._hash = None if self._hash is None else self._hash.copy()
        twin._messages = None if self._messages is None else list(self._messages)
        return twin

    def messages(self) -> bytes:
        """All messages themselves, where they were kept."""
        return b"".join(self._messages or ())

    def forget_messages(self) -> None:
        """Keep the hash alone."""
        self._messages = None
