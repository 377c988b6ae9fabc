"""Sessions that can be resumed, and where they are kept (RFC 8446, 2.2; RFC 5077; RFC 5246, F.1.4).

A client keeps sessions by what they were made with (`Session.scope`). A server keeps nothing: it seals the
session into the ticket under keys that rotate. Only TLS 1.2 clients without tickets need a server-side cache.
What a peer can make us keep is bounded in bytes.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from handclasp.crypto.ticket_keys import NONCE_SIZE, Ratchet, TicketKey
from handclasp.errors import ConfigError, anew
from handclasp.text import in_a_line
from handclasp.values import check_type
from handclasp.wire.codec import U8, U16, U24, U32, U64, DecodeError, Opaque, Struct, Vector
from handclasp.wire.iana import CipherSuite, ProtocolVersion
from handclasp.x509.keys import KeyFilePolicy, read_key_file
from handclasp.x509.reload import Reloaded

__all__ = ["MAX_TICKET_LIFETIME", "MAX_TICKET_SIZE", "ClientSessions", "ServerSessions", "Session", "TicketKeys"]

MAX_TICKET_LIFETIME = 7 * 24 * 3600
"""No ticket lives longer, in seconds (RFC 8446, 4.6.1)."""

MAX_TICKET_SIZE = 32 * 1024
"""Bytes of the longest ticket that we make or keep; a hello with it still has room for all else."""


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
    own_certificate: Annotated[bytes, Opaque(U8)] = field(default=b"", repr=False)
    """SHA-256 of the certificate that we showed in the whole handshake; empty where we showed none."""
    client_asked: Annotated[int, U8] = 0
    """Whether the server asked for the client's certificate in the whole handshake; a server's alone."""
    scope: bytes = field(default=b"", repr=False, metadata={"off_wire": True})
    """What it was made with: stands for server name and port, own certificates, trust, policy, protocols, versions.

    A session is offered to nobody and by nobody of another scope. A client's alone, as the following."""
    ocsp_response: bytes | None = field(default=None, repr=False, metadata={"off_wire": True})
    """What was stapled in the whole handshake; judged again, with its dates, when the session is resumed."""
    scts: tuple[bytes, ...] = field(default=(), repr=False, metadata={"off_wire": True})
    ticket: bytes = field(default=b"", repr=False, metadata={"off_wire": True})
    """The ticket that names this session."""
    session_id: bytes = field(default=b"", repr=False, metadata={"off_wire": True})
    """Its session ID, in TLS 1.2 without a ticket."""

    __repr__ = in_a_line

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

    @property
    def size(self) -> int:
        """About how many bytes it holds, certificates included."""
        parts = (*self.peer_chain, *self.scts, self.ticket, self.session_id, self.secret, self.server_name, self.alpn)
        return 512 + sum(map(len, parts)) + len(self.ocsp_response or b"")


class ClientSessions:
    """A client's sessions by their scope, in memory; a few for each, the newest used first.

    A scope is a server with a config's certificates, trust and policy (`Session.scope`), so configs may share one
    memory and find their own sessions alone. TLS 1.3 tickets are taken out when used, so that nobody can link two
    connections by one (RFC 8446, C.4). Safe to share between threads; a copy, or what `pickle` makes of it, is empty.
    """

    def __init__(self, servers: int = 256, each: int = 4, max_bytes: int = 8 << 20) -> None:
        """At most `each` sessions for each of `servers` scopes, and `max_bytes` of all together."""
        _check_sizes(servers=servers, each=each, max_bytes=max_bytes)
        self.of_config = False
        """Whether a config made it for itself; a config that is made from that one makes its own."""
        self._limits = servers, each, max_bytes
        self._sessions: OrderedDict[bytes, deque[Session]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<ClientSessions of {len(self._sessions)} servers, {self._size} bytes>"

    def __reduce__(self) -> tuple[Any, ...]:
        return ClientSessions, self._limits, {"of_config": self.of_config}

    def put(self, scope: bytes, session: Session) -> None:
        """Keep a session, at the cost of the oldest where there is no room."""
        servers, each, max_bytes = self._limits
        if session.size > max_bytes:
            return
        with self._lock:
            kept = self._sessions.setdefault(scope, deque())
            kept.append(session)
            self._size += session.size
            if len(kept) > each:
                self._size -= kept.popleft().size
            self._sessions.move_to_end(scope)
            while len(self._sessions) > servers or self._size > max_bytes:
                self._drop(next(iter(self._sessions)))

    def take(self, scope: bytes, now_ms: int) -> Session | None:
        """The newest fresh session of this scope; a TLS 1.3 session is given once."""
        with self._lock:
            kept = self._sessions.get(scope)
            while kept:
                session = kept.pop()
                if session.is_fresh(now_ms):
                    if session.version != ProtocolVersion.TLS13:
                        kept.append(session)
                    else:
                        self._size -= session.size
                    return session
                self._size -= session.size
            self._drop(scope)
            return None

    def discard(self, scope: bytes) -> None:
        """Forget all sessions of this scope, as after a failure on one of them."""
        with self._lock:
            self._drop(scope)

    def _drop(self, scope: bytes) -> None:
        self._size -= sum(session.size for session in self._sessions.pop(scope, ()))


class ServerSessions:
    """A server's TLS 1.2 sessions by session ID, in memory, the oldest forgotten first.

    Safe to share between threads; a copy, or what `pickle` makes of it, is empty.
    """

    def __init__(self, size: int = 1024, max_bytes: int = 8 << 20) -> None:
        """At most `size` sessions, and `max_bytes` of all together."""
        _check_sizes(size=size, max_bytes=max_bytes)
        self.of_config = False
        """Whether a config made it for itself, as in `ClientSessions`."""
        self._limits = size, max_bytes
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<ServerSessions: {len(self._sessions)}, {self._size} bytes>"

    def __reduce__(self) -> tuple[Any, ...]:
        return ServerSessions, self._limits, {"of_config": self.of_config}

    def put(self, session_id: bytes, session: Session) -> None:
        """Keep a session."""
        size, max_bytes = self._limits
        with self._lock:
            self._drop(session_id)
            self._sessions[session_id] = session
            self._size += session.size
            while len(self._sessions) > size or self._size > max_bytes:
                self._drop(next(iter(self._sessions)))

    def get(self, session_id: bytes, now_ms: int) -> Session | None:
        """The session of this ID, if it is still fresh."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is not None and not session.is_fresh(now_ms):
                self._drop(session_id)
                return None
            return session

    def discard(self, session_id: bytes) -> None:
        """Forget a session whose connection failed (RFC 5246, 7.2.2)."""
        with self._lock:
            self._drop(session_id)

    def _drop(self, session_id: bytes) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._size -= session.size


Secrets = Sequence[bytes]
MOST_KEYS = 64


class TicketKeys:
    """The keys that seal sessions into tickets.

    Without secrets they are this object's own: a new key each `rotate_after` seconds. It opens tickets for `lifetime`
    seconds after it has sealed its last (at most 64 keys do), and then it is gone. Processes that are forked or
    spawned with it, at any time, get the same keys at the same time, since each key comes from the one before.

    With secrets, each of 32 to 1024 bytes, the first seals and all open, and so for every process and machine that
    has them. They are rotated by whoever gives them: a function is asked for each ticket, and has to be quick; files
    (`from_files`) are read again when they change. To rotate without a gap, give the new secret to all as the last
    one first, then move it to the front, and take the old one away once `ticket_lifetime` is over. Whoever gets hold
    of a secret can open all tickets that were made under it, and with them the TLS 1.2 connections that they are for:
    rotate it, and keep no old ones.

    Safe to share between threads. Raises `ConfigError` for secrets that are none.
    """

    def __init__(
        self,
        secrets: Secrets | Callable[[], Secrets] | None = None,
        *,
        rotate_after: int = 12 * 3600,
        lifetime: int = 24 * 3600,
        random: Callable[[int], bytes] = os.urandom,
        now: Callable[[], float] = time.time,
    ) -> None:
        check_type("rotate_after", rotate_after, int)
        check_type("lifetime", lifetime, int)
        check_type("random", random, Callable)
        check_type("now", now, Callable)
        if rotate_after < 1 or lifetime < 0:
            raise ConfigError("rotate_after: at least a second; lifetime: not below 0.")
        self.of_config = False
        """Whether a config made them for itself, as in `ClientSessions`."""
        self._random = random
        self._ratchet: Ratchet | None = None
        self._source = secrets if callable(secrets) else None
        self._given: tuple[tuple[bytes, ...], tuple[TicketKey, ...]] = (), ()
        self.error: Exception | None = None
        """Why the newest secrets are not in force, and the ones before them are; None where they are."""
        if secrets is None:
            earlier = min(max(1, -(-lifetime // rotate_after)), MOST_KEYS)
            self._ratchet = Ratchet(random(32), 1000 * rotate_after, int(now() * 1000), earlier)
        else:
            self._take(secrets() if callable(secrets) else secrets)

    @classmethod
    def from_files(cls, *paths: str | os.PathLike[str], exposed: KeyFilePolicy = KeyFilePolicy.WARN) -> Self:
        """Secrets in files, the raw bytes of one in each, as `openssl rand 48` writes them; the first file's seals.

        A file that others may read is treated as a private key's would be.
        """
        return cls(_SecretFiles(tuple(map(Path, paths)), exposed).current)

    def __repr__(self) -> str:
        return f"<TicketKeys, {'their own' if self._ratchet is not None else f'{len(self._given[1])} secrets'}>"

    def seal(self, session: Session, now_ms: int) -> bytes:
        """The ticket that holds this session."""
        return self._keys(now_ms)[0].seal(session.encode(), self._random(NONCE_SIZE))

    def open(self, ticket: bytes, now_ms: int = 0) -> Session | None:
        """The session in a ticket of ours; None for any other bytes. Without a time the keys stay as they are."""
        for key in self._keys(now_ms):
            if ticket.startswith(key.name):
                content = key.open(ticket)
                try:
                    return None if content is None else Session.decode(content)
                except DecodeError:
                    return None
        return None

    def _keys(self, now_ms: int) -> tuple[TicketKey, ...]:
        if self._ratchet is not None:
            return self._ratchet.keys(now_ms)
        if self._source is not None:
            try:
                secrets = tuple(self._source())
                if secrets != self._given[0]:
                    self._take(secrets)
                self.error = None
            except Exception as error:  # whatever is wrong with the new ones, those before stay in force
                self.error = anew(error).with_traceback(None)  # frames that read secrets hold them
        return self._given[1]

    def _take(self, secrets: Secrets) -> None:
        checked = _checked(secrets)
        self._given = checked, tuple(map(TicketKey, checked))


class _SecretFiles(Reloaded[tuple[bytes, ...]]):
    """Secrets in files, read again when one of them changes."""

    def __init__(self, paths: tuple[Path, ...], exposed: KeyFilePolicy) -> None:
        def load() -> tuple[bytes, ...]:
            return _checked([read_key_file(path, exposed) for path in paths])

        super().__init__(paths, load, (paths, exposed))


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        check_type(name, value, int)
        if value < 0:
            raise ConfigError(f"{name}: 0 or more.")


def _checked(secrets: Secrets) -> tuple[bytes, ...]:
    if not isinstance(secrets, Sequence):
        check_type("secrets", secrets, Sequence[bytes])
    checked = tuple(secrets)
    if not checked:
        raise ConfigError("secrets: give at least one.")
    one: object
    for one in checked:
        if not isinstance(one, bytes):
            raise ConfigError(f"secrets: a ticket secret is bytes, not {type(one).__name__}.")
        if not 32 <= len(one) <= 1024:
            raise ConfigError(f"secrets: a ticket secret has 32 to 1024 bytes; this has {len(one)}.")
    return checked
