"""A session belongs to those who made it, and is judged by what is in force now before it is resumed.

A stale session is never an error: a client does not offer one that it would refuse, a server makes a whole
handshake instead. So each of them asks whether the peer of the earlier handshake is still good before it says
anything that binds it (RFC 8446, 4.2.11 and 4.6.1; RFC 5077, 5; RFC 6066, 3).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from handclasp.config import ClientAuth
from handclasp.facts import PeerChecked
from handclasp.handshake.authenticate import verify_peer
from handclasp.handshake.established import Bound, Peer
from handclasp.handshake.flow import Steps, ask
from handclasp.questions import ChooseCertificate, FindSession
from handclasp.wire.iana import ProtocolVersion
from handclasp.x509 import CertificateError

if TYPE_CHECKING:
    from handclasp.facts import Role
    from handclasp.handshake.side import ClientSide, ServerSide, Side
    from handclasp.sessions import Session
    from handclasp.x509.identity import Identity

__all__ = ["belongs", "find_session", "mark_of", "note_recalled", "recall_peer", "resume_as"]

MOST_BESIDE = 256
"""Bytes that a hello needs for a ticket beside the ticket itself."""


def scope_of(side: ClientSide) -> bytes:
    """What this client's sessions with this server are made with."""
    made = hashlib.sha256(side.config.scope)
    made.update(repr((side.server_name, side.port)).encode())
    for identity in side.config.identity_index.identities:
        made.update(identity.leaf.fingerprint)
    return made.digest()


def find_session(side: ClientSide, room: int) -> Steps[tuple[Session, Peer] | None]:
    """Client: a session to offer, and its peer as judged now; a ticket of it has to fit into `room` bytes."""
    side.bound.scope = scope = scope_of(side)
    session: Session | None = yield from ask(side, FindSession(side.server_name, None, side.now_ms(), scope))
    if session is None or not _usable(side, session) or len(session.ticket) + MOST_BESIDE > room:
        return None
    peer = yield from recall_peer(side, "server", session)
    return None if peer is None else (session, peer)


def _usable(side: ClientSide, session: Session) -> bool:
    config = side.config
    if config.answers_itself(ChooseCertificate):
        own = not session.client_asked  # whom the caller would be this time is not known yet
    else:
        own = not session.own_certificate or _is_own(side, session.own_certificate)
    return (
        own
        and session.scope == side.bound.scope
        and session.version in config.versions
        and session.cipher_suite in config.cipher_suites
        and session.is_fresh(side.now_ms())
        and bool(session.peer_chain)
        and not (
            session.version < ProtocolVersion.TLS13
            and config.require_extended_master_secret
            and not session.extended_master_secret
        )
    )


def belongs(side: ServerSide, session: Session, alpn: str | None) -> bool:
    """Server: whether a whole handshake now could make this session, as far as that can be told without its peer.

    Servers that share ticket keys may differ in names, certificates, protocols and in whom they let in: a ticket
    of one does not make a client, or a thief of the connection, pass for more with another.
    """
    config = side.config
    if config.answers_itself(ChooseCertificate):
        own = session.own_certificate == config.tag
    else:
        own = _is_own(side, session.own_certificate)
    return (
        own
        and session.is_fresh(side.now_ms())
        and session.server_name == (side.server_name or "").encode()
        and session.alpn == (alpn or "").encode()
        and bool(session.client_asked) == (config.client_auth is not ClientAuth.NONE)
        and not (config.client_auth is ClientAuth.REQUIRED and not session.peer_chain)
    )


def _is_own(side: Side[Any], mark: bytes) -> bool:
    return mark in side.config.identity_index.fingerprints


def mark_of(side: Side[Any], identity: Identity) -> bytes:
    """What a session remembers of the identity that we show in it."""
    if side.role == "server" and side.config.answers_itself(ChooseCertificate):
        tag: bytes = side.config.tag
        return tag
    return identity.leaf.fingerprint


def recall_peer(side: Side[Any], role: Role, session: Session) -> Steps[Peer | None]:
    """The peer of an earlier session, as it is judged now; None where it would be refused."""
    chain = tuple(session.peer_chain)
    peer = Peer(chain, since=session.began)
    if chain:
        try:
            peer.report = yield from verify_peer(side, role, chain, session.ocsp_response, session.scts, resumed=True)
        except CertificateError as error:
            why = f"its peer would be refused now: {error}"
            side.note_choice("session", side.role, ("session",), (), None, why)
            return None
    return peer


def resume_as(side: Side[Any], session: Session) -> None:
    """From here on it is this session that goes on: what comes of it is bound as it is."""
    side.bound = Bound(
        session.scope,
        session.own_certificate,
        bool(session.client_asked),
        session.ocsp_response,
        session.scts,
    )


def note_recalled(side: Side[Any], peer: Peer) -> None:
    """Tell the observer how the peer of the earlier session was judged."""
    if peer.chain:
        side.note(PeerChecked(peer.report))
