"""The answers to questions where the config brings none of its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from handclasp.config import ClientConfig, Config, ServerConfig
from handclasp.crypto import signatures
from handclasp.handshake.errors import SignerFailed
from handclasp.questions import (
    ChooseALPN,
    ChooseCertificate,
    FindSession,
    KeepSession,
    OpenTicket,
    Question,
    SealTicket,
    Sign,
    VerifyPeer,
)
from handclasp.sessions import MAX_TICKET_SIZE, Session
from handclasp.x509 import Purpose, Report, verify
from handclasp.x509.filters import Wanted
from handclasp.x509.identity import Identity
from handclasp.x509.reload import CrlFiles, TrustFiles
from handclasp.x509.selection import Demand
from handclasp.x509.text import MOST

__all__ = ["DEFAULT_ANSWERS", "why_none"]


def choose_certificate(config: Config, question: ChooseCertificate) -> Identity | None:
    """The identity that fits best of those in the config."""
    identity = config.identity_index.select(_demand(question))
    return None if identity is None else identity.as_of(question.at)


def why_none(config: Config, question: ChooseCertificate) -> str:
    """Why none of the config's identities is shown."""
    index = config.identity_index
    over = [f"{one.leaf.subject_text}, but {why}" for one, why in islice(index.passed_over(_demand(question)), MOST)]
    if more := len(index.identities) - len(over):
        over.append(f"and {more} more")
    return "; ".join(over) or "none"


def _demand(question: ChooseCertificate) -> Demand:
    return Demand(
        purpose=Purpose.SERVER_AUTH if question.role == "server" else Purpose.CLIENT_AUTH,
        version=question.version,
        server_name=question.server_name,
        schemes=frozenset(question.signature_schemes),
        at=question.at,
        authorities=question.certificate_authorities,
        wanted=Wanted.of(question.oid_filters),
        groups=frozenset(question.groups),
    )


def sign(config: Config, question: Sign) -> bytes:
    """A signature by the identity's private key; raises `SignerFailed` where that fails."""
    identity, scheme = question.identity, question.scheme
    try:
        return signatures.sign(scheme, identity.private_key, question.content)
    except Exception as error:  # whatever somebody else's key raises
        raise SignerFailed(
            f"The key of {identity.leaf.subject_text} made no {scheme} signature: {type(error).__name__}."
        ) from error


def verify_peer(config: Config, question: VerifyPeer) -> Report:
    """The verdict of `x509.verify`; raises the `CertificateError` of a refusal."""
    assert config.trust is not None  # the config refuses to be built otherwise
    trust, sources = config.trust, config.revocation
    judge = verify if config.online is None else config.online.verify
    report = judge(
        question.chain,
        trust=trust.current() if isinstance(trust, TrustFiles) else trust,
        policy=config.verification,
        purpose=Purpose.SERVER_AUTH if question.role == "server" else Purpose.CLIENT_AUTH,
        at=question.at,
        name=question.server_name,
        revocation=sources.current() if isinstance(sources, CrlFiles) else sources,
        staple=question.ocsp_response,
        staple_asked=isinstance(config, ClientConfig) and config.request_ocsp,
    )
    report.raise_if_refused()
    return report


def choose_alpn(config: Config, question: ChooseALPN) -> str | None:
    """The first of our protocols that the client speaks."""
    offered = frozenset(question.offered)
    return next((name for name in config.alpn if name in offered), None)


def find_session(config: Config, question: FindSession) -> Session | None:
    """From the config's own memory."""
    if isinstance(config, ClientConfig):
        if config.sessions is None or question.server_name is None:
            return None
        return config.sessions.take(question.scope, question.now_ms)
    if isinstance(config, ServerConfig) and config.sessions is not None and question.session_id:
        return config.sessions.get(question.session_id, question.now_ms)
    return None


def keep_session(config: Config, question: KeepSession) -> None:
    """In the config's own memory."""
    if isinstance(config, ClientConfig):
        if config.sessions is not None and question.server_name is not None:
            config.sessions.put(question.session.scope, question.session)
    elif isinstance(config, ServerConfig) and config.sessions is not None and question.session_id:
        config.sessions.put(question.session_id, question.session)


def seal_ticket(config: ServerConfig, question: SealTicket) -> bytes | None:
    """A ticket under the config's ticket keys."""
    ticket = config.ticket_keys.seal(question.session, question.now_ms)
    return ticket if len(ticket) <= MAX_TICKET_SIZE else None


def open_ticket(config: ServerConfig, question: OpenTicket) -> Session | None:
    """The session in a ticket of ours."""
    return config.ticket_keys.open(question.ticket, question.now_ms)


DEFAULT_ANSWERS: dict[type[Question], Callable[[Any, Any], Any]] = {
    ChooseCertificate: choose_certificate,
    Sign: sign,
    VerifyPeer: verify_peer,
    ChooseALPN: choose_alpn,
    FindSession: find_session,
    KeepSession: keep_session,
    SealTicket: seal_ticket,
    OpenTicket: open_ticket,
}
