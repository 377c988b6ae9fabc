"""TLS 1.3, the server's tickets: a session taken back by one, and new ones given (RFC 8446, 4.2.11 and 4.6.1)."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple

from handclasp.crypto.schedule13 import EarlySecret
from handclasp.crypto.suites import SUITES, SuiteParameters
from handclasp.handshake.errors import BinderMismatch, ExtensionMissing, IllegalValue
from handclasp.handshake.flow import Steps, ask
from handclasp.handshake.recall import belongs, recall_peer
from handclasp.questions import OpenTicket, SealTicket
from handclasp.sessions import Session
from handclasp.wire.extensions import OfferedPsks, PskKeyExchangeModes, find
from handclasp.wire.iana import ExtensionType, ProtocolVersion, PskKeyExchangeMode
from handclasp.wire.messages import ClientHello, NewSessionTicket

if TYPE_CHECKING:
    from handclasp.handshake.established import Established, Peer
    from handclasp.handshake.side import ServerSide
    from handclasp.handshake.transcript import Transcript

__all__ = ["Found", "check_offered_keys", "choose_session", "send_tickets", "takes_tickets"]

TLS13 = ProtocolVersion.TLS13


def check_offered_keys(hello: ClientHello) -> None:
    """`pre_shared_key` comes last, and not without the modes that it may be used in (RFC 8446, 4.2.9 and 4.2.11)."""
    extensions = hello.extensions
    if ExtensionType.PRE_SHARED_KEY not in extensions:
        return
    if ExtensionType.PSK_KEY_EXCHANGE_MODES not in extensions:
        raise ExtensionMissing("The client offers pre-shared keys without psk_key_exchange_modes.")
    if next(reversed(extensions)) != ExtensionType.PRE_SHARED_KEY:
        raise IllegalValue("pre_shared_key is not the last extension of the client's hello.")


class Found(NamedTuple):
    """A session to resume."""

    place: int
    """Its place in the client's list."""
    session: Session
    peer: Peer
    """Its client, as judged now."""
    alone: bool
    """Whether without a key exchange."""


def choose_session(
    side: ServerSide, hello: ClientHello, before: Transcript | None, suite: SuiteParameters, alpn: str | None
) -> Steps[Found | None]:
    """A session to resume, the first that fits; one whose client would be refused now is the last looked at."""
    psks, modes = find(hello.extensions, OfferedPsks), find(hello.extensions, PskKeyExchangeModes)
    if psks is None or modes is None:
        return None
    if len(psks.identities) != len(psks.binders):
        raise IllegalValue("The client offers more pre-shared keys than binders, or fewer.")
    alone = choose_mode(side, hello, modes)
    if alone is None or not side.config.tickets:
        return None
    for index, identity in enumerate(psks.identities[: side.config.limits.psk_identities]):
        session: Session | None = yield from ask(side, OpenTicket(identity.identity, side.now_ms()))
        if session is None or not fits(session, suite) or not belongs(side, session, alpn):
            continue
        peer = yield from recall_peer(side, "client", session)
        if peer is None:
            return None
        check_binder(hello, psks, index, before, suite, session)
        side.note_choice("session", "server", ("ticket",), ("ticket",), "ticket", "the ticket is ours and fresh")
        return Found(index, session, peer, alone)
    side.note_choice("session", "server", ("ticket",), (), None, "no ticket of ours that is fresh and fits")
    return None


def choose_mode(side: ServerSide, hello: ClientHello, modes: PskKeyExchangeModes) -> bool | None:
    """Whether a PSK is used alone; None where the client's modes are none of ours."""
    if PskKeyExchangeMode.PSK_DHE_KE in modes.ke_modes and ExtensionType.KEY_SHARE in hello.extensions:
        return False
    if PskKeyExchangeMode.PSK_KE in modes.ke_modes and side.config.allow_psk_without_forward_secrecy:
        return True
    return None


def fits(session: Session, suite: SuiteParameters) -> bool:
    """Whether this session goes with this suite (RFC 8446, 4.2.11)."""
    return (
        session.version == TLS13
        and session.cipher_suite in SUITES
        and SUITES[session.cipher_suite].hash_name == suite.hash_name
    )


def check_binder(
    hello: ClientHello,
    psks: OfferedPsks,
    index: int,
    before: Transcript | None,
    suite: SuiteParameters,
    session: Session,
) -> None:
    """The client has the PSK: its binder covers the hello (RFC 8446, 4.2.11.2)."""
    covered = hello.raw[: -psks.binders_size]
    if before is None:
        digest = transcript_of(covered, suite)
    else:
        digest = before.digest_with(suite.hash_name, covered)
    wanted = EarlySecret.of(suite.hash_name, session.secret).binder_key().verify_data(digest)
    if not hmac.compare_digest(wanted, psks.binders[index]):
        raise BinderMismatch("The client's binder does not cover its hello.")


def transcript_of(covered: bytes, suite: SuiteParameters) -> bytes:
    """The hash of a first hello up to its binders."""
    return hashlib.new(suite.hash_name, covered).digest()


def takes_tickets(side: ServerSide, hello: ClientHello) -> bool:
    """Whether we give tickets and the client could use them with us (RFC 8446, 4.2.9)."""
    modes = find(hello.extensions, PskKeyExchangeModes)
    return bool(side.config.tickets) and modes is not None and choose_mode(side, hello, modes) is not None


def send_tickets(side: ServerSide, established: Established) -> Steps[None]:
    """Tickets for the client's next connections (RFC 8446, 4.6.1)."""
    after = established.after
    if after is None:
        return
    for _ in range(side.config.tickets if not established.resumed else 1):
        session, nonce = after.ticket_session(side, established)
        ticket = yield from ask(side, SealTicket(session, side.now_ms()))
        if ticket is not None:
            side.send(NewSessionTicket(session.lifetime, session.age_add, nonce, ticket, {}))
