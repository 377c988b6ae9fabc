"""What TLS 1.3 still says once the handshake is over: tickets and new keys (RFC 8446, 4.6).

These messages are in no transcript, and nothing here waits: so it is an object that the engine asks,
and not a generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handclasp.config import ClientAuth
from handclasp.crypto.protection import Opener13, Sealer13
from handclasp.crypto.schedule13 import TrafficSecret, exporter_value, resumption_psk
from handclasp.crypto.suites import SuiteParameters
from handclasp.handshake.errors import IllegalValue, LimitExceeded, UnexpectedMessage
from handclasp.handshake.extensions import check_extensions
from handclasp.sessions import MAX_TICKET_LIFETIME, Session
from handclasp.wire.iana import KeyUpdateRequest, ProtocolVersion
from handclasp.wire.messages import KeyUpdate, NewSessionTicket
from handclasp.wire.places import Place

if TYPE_CHECKING:
    from handclasp.config import Limits
    from handclasp.facts import Role
    from handclasp.handshake.established import Established
    from handclasp.handshake.side import Side

__all__ = ["After13", "Exporter13"]


class Exporter13:
    """Keys for others (RFC 8446, 7.5)."""

    __slots__ = ("_hash_name", "secret")

    def __init__(self, hash_name: str, secret: bytes) -> None:
        self._hash_name = hash_name
        self.secret = secret

    def export(self, label: bytes, context: bytes | None, length: int) -> bytes:
        """`length` bytes for this label; no context is an empty one."""
        return exporter_value(self._hash_name, self.secret, label, context or b"", length)


class After13:
    """One side of an established TLS 1.3 connection."""

    __slots__ = (
        "_nonce",
        "_resumption",
        "_tickets",
        "generation",
        "reads",
        "role",
        "since",
        "suite",
        "writes",
    )

    def __init__(
        self,
        *,
        role: Role,
        suite: SuiteParameters,
        reads: TrafficSecret,
        writes: TrafficSecret,
        resumption: bytes,
        since: int,
    ) -> None:
        self.role = role
        self.since = since
        self.suite = suite
        self.reads = reads
        self.writes = writes
        self.generation = 0
        self._resumption = resumption
        self._nonce = 0
        self._tickets = 0

    def __repr__(self) -> str:
        return f"<After13 {self.role} {self.suite.suite}>"

    # Tickets.

    def ticket_session(self, side: Side[Any], established: Established) -> tuple[Session, bytes]:
        """Server: the session of the next ticket, and its nonce."""
        nonce = self._nonce.to_bytes(2, "big")
        self._nonce += 1
        session = Session(
            version=ProtocolVersion.TLS13,
            cipher_suite=self.suite.suite,
            secret=resumption_psk(self.suite.hash_name, self._resumption, nonce),
            created=side.now_ms(),
            lifetime=side.config.ticket_lifetime,
            age_add=int.from_bytes(side.random(4), "big"),
            server_name=(established.server_name or "").encode(),
            alpn=(established.alpn or "").encode(),
            peer_chain=list(established.peer_chain),
            since=self.since,
            own_certificate=side.bound.own_certificate,
            client_asked=int(side.config.client_auth is not ClientAuth.NONE),
        )
        return session, nonce

    def take_ticket(
        self, message: NewSessionTicket, established: Established, now_ms: int, limits: Limits
    ) -> Session | None:
        """Client: the session of a ticket; None for one that may not be used (RFC 8446, 4.6.1)."""
        if self.role == "server":
            raise UnexpectedMessage("A client sent a NewSessionTicket.")
        self._tickets += 1
        if self._tickets > limits.tickets:
            raise LimitExceeded(f"The server sent more than {limits.tickets} tickets.")
        check_extensions(Place.NEW_SESSION_TICKET, message.extensions)
        if message.ticket_lifetime > MAX_TICKET_LIFETIME:
            raise IllegalValue(f"A ticket with a lifetime of {message.ticket_lifetime} s; a week is the most.")
        if not message.ticket_lifetime or len(message.ticket) > limits.ticket_size:
            return None
        bound = established.bound
        return Session(
            version=ProtocolVersion.TLS13,
            cipher_suite=self.suite.suite,
            secret=resumption_psk(self.suite.hash_name, self._resumption, message.ticket_nonce),
            created=now_ms,
            lifetime=message.ticket_lifetime,
            age_add=message.ticket_age_add,
            server_name=(established.server_name or "").encode(),
            alpn=(established.alpn or "").encode(),
            peer_chain=list(established.peer_chain),
            since=self.since,
            own_certificate=bound.own_certificate,
            client_asked=int(bound.client_asked),
            scope=bound.scope,
            ocsp_response=bound.ocsp_response,
            scts=bound.scts,
            ticket=message.ticket,
        )

    # New keys.

    def take_key_update(self, message: KeyUpdate) -> tuple[Opener13, bool]:
        """The peer's next key is in force; the flag says whether it wants ours renewed too."""
        if not message.request_update.is_known:
            raise IllegalValue(f"A KeyUpdate that asks for {int(message.request_update)}.")
        self.reads = self.reads.next()
        wants = message.request_update == KeyUpdateRequest.UPDATE_REQUESTED
        return Opener13(self.suite, *self.reads.key_iv(self.suite)), wants

    def next_sealer(self) -> Sealer13:
        """Our next key, to be used right after the KeyUpdate that announces it."""
        self.generation += 1
        self.writes = self.writes.next()
        return Sealer13(self.suite, *self.writes.key_iv(self.suite))
