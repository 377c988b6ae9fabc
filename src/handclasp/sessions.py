"""Sessions that can be resumed, and where they are kept (RFC 8446, 2.2; RFC 5077; RFC 5246, F.1.4).

A client keeps sessions by the server's name. A server keeps nothing: it seals the session into
the ticket under keys that rotate. Only TLS 1.2 clients without tickets need a server-side cache.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from handclasp.wire.codec import U8, U16, U24, U32, U64, DecodeError, Opaque, Struct, Vector
from handclasp.wire.iana import CipherSuite, ProtocolVersion

__all__ = ["MAX_TICKET_LIFETIME", "ClientSessions", "ServerSessions", "Session", "TicketKeys"]

MAX_TICKET_LIFETIME = 7 * 24 * 3600
"""No ticket lives longer, in seconds (RFC 8446, 4.6.1)."""


@dataclass(slots=True)
class Session(Struct):
    """What both sides remember of a connection to shorten the next one."""

    version: ProtocolVersion
    cipher_suite: CipherSuite
    secret: Annotated[bytes, Opaque(U8, low=1)] = field(repr=False)
    """The PSK of a TLS 1.3 ticket, or the master secret of TLS 1.2."""
    created: Annotated[int, U64]
    """When the ticket was made or came in, in milliseconds since 1970."""
    lifetime: Annotated[int, U32]
    """Seconds after `created` for which it may be used."""
    age_add: Annotated[int, U32] = 0
    extended_master_secret: Annotated[int, U8] = 1
    server_name: Annotated[bytes, Opaque(U16)] = b""
    alpn: Annotated[bytes, Opaque(U8)] = b""
    peer_chain: Annotated[list[bytes], Vector(U24, item=Opaque(U24, low=1))] = field(default_factory=list)
    """The peer's certificates in DER, its own first; judged again when the session is resumed."""
    since: Annotated[int, U64] = 0
    """When the whole handshake was made that all its resumptions go back to; 0: at `created`."""
    ticket: bytes = field(default=b"", repr=False, metadata={"off_wire": True})
    """The ticket that names this session; a client's alone."""
    session_id: bytes = field(default=b"", repr=False, metadata={"off_wire": True})
    """Its session ID, in TLS 1.2 without a ticket; a client's alone."""

    def is_fresh(self, now_ms: int) -> bool:
        """Whether the session may still be used at this time, in milliseconds since 1970.

        New tickets do not prolong for ever what one handshake has proved (RFC 8446, 4.6.1).
        """
        end = min(self.created + 1000 * self.lifetime, self.began + 1000 * MAX_TICKET_LIFETIME)
        return self.created <= now_ms < end

    @property
    def began(self) -> int:
        """When the parties last proved who they are, in milliseconds since 1970."""
        return self.since or self.created


class ClientSessions:
    """A client's sessions by server name, in memory; a few for each name, the newest used first.

    TLS 1.3 tickets are taken out when used, so that nobody can link two connections by one
    (RFC 8446, C.4). Safe to share between threads.
    """

    def __init__(self, servers: int = 256, each: int = 4) -> None:
        self._servers = servers
        self._each = each
        self._sessions: OrderedDict[str, deque[Session]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, server_name: str, session: Session) -> None:
        """Keep a session, at the cost of the oldest where there is no room."""
        with self._lock:
            kept = self._sessions.setdefault(server_name, deque(maxlen=self._each))
            kept.append(session)
            self._sessions.move_to_end(server_name)
            if len(self._sessions) > self._servers:
                self._sessions.popitem(last=False)

    def take(self, server_name: str, now_ms: int) -> Session | None:
        """The newest fresh session for this name; a TLS 1.3 session is given once."""
        with self._lock:
            kept = self._sessions.get(server_name)
            while kept:
                session = kept.pop()
                if session.is_fresh(now_ms):
                    if session.version != ProtocolVersion.TLS13:
                        kept.append(session)
                    return session
            self._sessions.pop(server_name, None)
            return None

    def discard(self, server_name: str) -> None:
        """Forget all sessions of this name, as after a failure on one of them."""
        with self._lock:
            self._sessions.pop(server_name, None)


class ServerSessions:
    """A server's TLS 1.2 sessions by session ID, in memory, the oldest forgotten first."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, session_id: bytes, session: Session) -> None:
        """Keep a session."""
        with self._lock:
            self._sessions[session_id] = session
            if len(self._sessions) > self._size:
                self._sessions.popitem(last=False)

    def get(self, session_id: bytes, now_ms: int) -> Session | None:
        """The session of this ID, if it is still fresh."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is not None and not session.is_fresh(now_ms):
                del self._sessions[session_id]
                return None
            return session

    def discard(self, session_id: bytes) -> None:
        """Forget a session whose connection failed (RFC 5246, 7.2.2)."""
        with self._lock:
            self._sessions.pop(session_id, None)


class TicketKeys:
    """Keys that seal sessions into tickets, AES-256-GCM; a new one each `rotate_after` seconds.

    The key before the current one still opens tickets. A ticket is opaque to everybody else:
    16 bytes of key name, 12 of nonce, then the sealed session.
    """

    def __init__(self, *, rotate_after: int = 12 * 3600, random: Callable[[int], bytes] = os.urandom) -> None:
        self._rotate_after = rotate_after
        self._random = random
        self._keys: deque[tuple[bytes, AESGCM, int]] = deque(maxlen=2)
        self._lock = threading.Lock()

    def seal(self, session: Session, now_ms: int) -> bytes:
        """The ticket that holds this session."""
        name, key = self._current(now_ms)
        nonce = self._random(12)
        return name + nonce + key.encrypt(nonce, session.encode(), name)

    def open(self, ticket: bytes) -> Session | None:
        """The session in a ticket of ours; None for any other bytes."""
        for name, key, _ in self._keys:
            if ticket[:16] == name:
                try:
                    return Session.decode(key.decrypt(ticket[16:28], ticket[28:], name))
                except (InvalidTag, ValueError, DecodeError):
                    return None
        return None

    def _current(self, now_ms: int) -> tuple[bytes, AESGCM]:
        with self._lock:
            if not self._keys or now_ms - self._keys[0][2] >= 1000 * self._rotate_after:
                self._keys.appendleft((self._random(16), AESGCM(self._random(32)), now_ms))
            name, key, _ = self._keys[0]
            return name, key
