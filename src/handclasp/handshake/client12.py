"""TLS 1.2, the client's half (RFC 5246, 7.3 and 7.4; RFC 8422; RFC 7627; RFC 5077)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handclasp.crypto import groups
from handclasp.crypto.suites import SUITES, SuiteParameters
from handclasp.handshake.answers import why_none
from handclasp.handshake.authenticate import (
    check_chain_size,
    common_schemes,
    ocsp_of,
    signed,
    verify_peer,
)
from handclasp.handshake.authenticate12 import (
    authentication_of,
    check_signed,
    leaf_of,
    signing_type,
)
from handclasp.handshake.client13 import accept_alpn
from handclasp.handshake.errors import (
    CertificateUnwanted,
    ExtendedMasterSecretChanged,
    ExtendedMasterSecretMissing,
    IllegalValue,
    NoCommonSignatureScheme,
    RenegotiationMismatch,
    SecureRenegotiationMissing,
)
from handclasp.handshake.established import Established, Peer
from handclasp.handshake.flow import Steps, ask, expect, maybe
from handclasp.handshake.keys12 import Keys12
from handclasp.handshake.offer import Offer
from handclasp.handshake.recall import mark_of, note_recalled, resume_as
from handclasp.questions import ChooseCertificate, KeepSession
from handclasp.sessions import MAX_TICKET_LIFETIME, Session
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import (
    ALPN,
    ECPointFormats,
    RenegotiationInfo,
    SignedCertificateTimestamps,
    find,
)
from handclasp.wire.iana import (
    ECCurveType,
    ECPointFormat,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
)
from handclasp.wire.messages import CertificateVerify, ServerHello
from handclasp.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchangeECDHE,
    NewSessionTicket12,
    ServerHelloDone,
    ServerKeyExchangeECDHE,
)
from handclasp.x509.text import listed

if TYPE_CHECKING:
    from handclasp.crypto.groups import KeyShare
    from handclasp.handshake.side import ClientSide
    from handclasp.x509.identity import Identity

__all__ = ["handshake"]

TLS12 = ProtocolVersion.TLS12


@dataclass(slots=True)
class Agreed:
    """What the server's hello says."""

    suite: SuiteParameters
    server_random: bytes
    extended: bool
    """The extended master secret is used (RFC 7627)."""
    ticket_follows: bool
    status_may_follow: bool
    scts: tuple[bytes, ...]
    alpn: str | None


def handshake(side: ClientSide, offer: Offer, hello: ServerHello) -> Steps[Established]:
    """From the server's hello to an established session."""
    agreed = accept_hello(side, offer, hello)  # step 8
    session = resumed_session(side, offer, hello, agreed)
    if session is not None:
        return (yield from resume(side, offer, hello, agreed, session))
    peer = yield from receive_certificate(side, agreed)  # steps 9, 13
    share, secret, group = yield from receive_key(side, agreed, peer)  # step 10
    request = yield from maybe(CertificateRequest12)  # step 11
    yield from expect(ServerHelloDone)  # step 12
    identity = None
    if request is not None:
        identity = yield from choose_identity(side, request)
        side.bound.client_asked = True
        side.bound.own_certificate = mark_of(side, identity) if identity is not None else b""
        side.send(Certificate12([one.der for one in identity.chain] if identity is not None else []))  # step 14
    side.send(ClientKeyExchangeECDHE(share.public))
    keys = Keys12.agreed(side, agreed.suite, secret, (side.client_random, hello.random), agreed.extended)  # step 15
    if request is not None and identity is not None:
        yield from prove_key(side, request, identity)
    side.transcript.forget_messages()
    ours = keys.send_finished(side)  # step 16
    ticket = (yield from expect(NewSessionTicket12)) if agreed.ticket_follows else None
    yield from keys.check_finished(side)  # steps 19, 21
    yield from keep_session(side, hello, agreed, keys, peer, ticket)
    return keys.establish(side, peer, group, agreed.alpn, finished_bytes=ours)  # step 22


def accept_hello(side: ClientSide, offer: Offer, hello: ServerHello) -> Agreed:
    """The suite, and the extensions that the server answers."""
    suite = SUITES.get(hello.cipher_suite)
    if suite is None or suite.version != TLS12:
        raise IllegalValue(f"The server chose {hello.cipher_suite}, which is not for TLS 1.2.")
    formats = find(hello.extensions, ECPointFormats)
    if formats is not None and ECPointFormat.UNCOMPRESSED not in formats.ec_point_format_list:
        raise IllegalValue("The server does not take uncompressed points, which all have to.")
    renegotiation = find(hello.extensions, RenegotiationInfo)
    if renegotiation is None and not side.config.allow_servers_without_secure_renegotiation:
        raise SecureRenegotiationMissing(
            "The server speaks TLS 1.2 without secure renegotiation (RFC 5746), which this client requires."
        )
    if renegotiation is not None and renegotiation.renegotiated_connection:
        raise RenegotiationMismatch("The server's first hello speaks of an earlier handshake.")
    scts = find(hello.extensions, SignedCertificateTimestamps)
    extended = ExtensionType.EXTENDED_MASTER_SECRET in hello.extensions
    if not extended and side.config.require_extended_master_secret:
        raise ExtendedMasterSecretMissing(
            "The server speaks TLS 1.2 without the extended master secret (RFC 7627), which this client requires."
        )
    side.transcript.start(suite.hash_name, keep_messages=True)
    possible = side.config.suites_for(TLS12)
    side.note_choice("cipher_suite", "server", possible, possible, suite.suite, "the server's choice")
    return Agreed(
        suite=suite,
        server_random=hello.random,
        extended=extended,
        ticket_follows=ExtensionType.SESSION_TICKET in hello.extensions,
        status_may_follow=ExtensionType.STATUS_REQUEST in hello.extensions,
        scts=tuple(scts.sct_list) if scts is not None else (),
        alpn=accept_alpn(side, find(hello.extensions, ALPN)),
    )


def resumed_session(side: ClientSide, offer: Offer, hello: ServerHello, agreed: Agreed) -> Session | None:
    """The session of our offer, where the server's echo of our session ID says that it took it."""
    session, echo = offer.session, hello.legacy_session_id_echo
    same = bool(echo) and echo == offer.hello.legacy_session_id
    if session is None or session.version != TLS12:
        if same:
            raise IllegalValue("The server resumes by our session ID, and no session of TLS 1.2 was offered.")
        return None
    if not same:
        side.note_choice("session", "server", ("session",), (), None, "the server began a new session")
        return None
    if session.cipher_suite != hello.cipher_suite:
        raise IllegalValue(f"The server resumes a session of {session.cipher_suite} with {hello.cipher_suite}.")
    if bool(session.extended_master_secret) != agreed.extended:
        raise ExtendedMasterSecretChanged("The server resumes a session and changed its extended master secret.")
    side.note_choice("session", "server", ("session",), ("session",), "session", "the server knows the session")
    return session


def resume(side: ClientSide, offer: Offer, hello: ServerHello, agreed: Agreed, session: Session) -> Steps[Established]:
    """The short handshake: the server finishes first (RFC 5246, 7.3)."""
    side.transcript.forget_messages()
    peer = offer.peer or Peer()
    resume_as(side, session)
    note_recalled(side, peer)
    keys = Keys12(side, agreed.suite, session.secret, side.client_random, hello.random)
    ticket = (yield from expect(NewSessionTicket12)) if agreed.ticket_follows else None
    first = yield from keys.check_finished(side)
    keys.send_finished(side)
    if ticket is not None:
        yield from keep_session(side, hello, agreed, keys, peer, ticket)
    first = first if agreed.extended else b""
    return keys.establish(side, peer, None, agreed.alpn, finished_bytes=first, resumed=True)


def receive_certificate(side: ClientSide, agreed: Agreed) -> Steps[Peer]:
    """The server's chain, and what came with it: SCTs and an OCSP response (RFC 6962, 3.3; RFC 6066, 8)."""
    message = yield from expect(Certificate12)
    chain = check_chain_size(side, message.certificate_list)
    if not chain:
        raise DecodeError("The server's Certificate is empty; a server has to show one.")
    status = (yield from maybe(CertificateStatus)) if agreed.status_may_follow else None
    response = None if status is None else ocsp_of(status)
    report = yield from verify_peer(side, "server", chain, response, agreed.scts)
    key = leaf_of(chain, report).public_key
    if authentication_of(key) != agreed.suite.authentication:
        raise CertificateUnwanted(
            f"The server chose {agreed.suite.suite} and shows a certificate with another kind of key."
        )
    return Peer(chain, report)


def receive_key(side: ClientSide, agreed: Agreed, peer: Peer) -> Steps[tuple[KeyShare, bytes, NamedGroup]]:
    """The server's ephemeral key and its signature; the answer is our share and the premaster secret."""
    message = yield from expect(ServerKeyExchangeECDHE)
    params = message.params
    group = params.named_curve
    if params.curve_type != ECCurveType.NAMED_CURVE or group not in side.config.groups:
        raise IllegalValue(f"The server's key is on {group}, which was not offered.")
    if group not in groups.ECDHE_GROUPS:
        raise IllegalValue(f"The server's key is of {group}, which is no curve of TLS 1.2.")
    content = side.client_random + agreed.server_random + params.encode()
    leaf = leaf_of(peer.chain, peer.report)
    check_signed(side, "server", leaf, message.algorithm, message.signature, content)
    peer.scheme = message.algorithm
    side.note_choice("group", "server", side.config.groups, side.config.groups, group, "the server's choice")
    share = groups.generate(group, side.config.random)
    return share, share.agree(params.public), group


def choose_identity(side: ClientSide, request: CertificateRequest12) -> Steps[Identity | None]:
    """Step 14: the certificate that the server will like best, or none."""
    schemes = common_schemes(side.config.signs_with, request.supported_signature_algorithms)
    schemes = tuple([scheme for scheme in schemes if signing_type(scheme) in request.certificate_types])
    question = ChooseCertificate(
        role="client",
        version=TLS12,
        server_name=side.server_name,
        signature_schemes=schemes,
        certificate_authorities=tuple(request.certificate_authorities),
        oid_filters=(),
        at=side.now(),
    )
    identity: Identity | None = yield from ask(side, question)
    if side.observer is not None:
        fits = "it fits what the server accepts best"
        why = fits if identity is not None else why_none(side.config, question)
        side.note_choice("certificate", "client", question.certificate_authorities, (), identity, why)
    return identity


def prove_key(side: ClientSide, request: CertificateRequest12, identity: Identity) -> Steps[None]:
    """CertificateVerify over all messages so far (RFC 5246, 7.4.8)."""
    offered, ours = request.supported_signature_algorithms, identity.schemes(TLS12)
    schemes = common_schemes(common_schemes(side.config.signs_with, offered), ours)
    if not schemes:
        raise NoCommonSignatureScheme(
            f"The server verifies {listed(offered)}; our key signs with {listed(ours) or 'nothing of TLS 1.2'}."
        )
    side.note_choice("signature_scheme", "client", tuple(offered), schemes, schemes[0], "the first that our key makes")
    signature = yield from signed(side, identity, schemes[0], side.transcript.messages())
    side.send(CertificateVerify(schemes[0], signature))


def keep_session(
    side: ClientSide,
    hello: ServerHello,
    agreed: Agreed,
    keys: Keys12,
    peer: Peer,
    ticket: NewSessionTicket12 | None,
) -> Steps[None]:
    """Remember the session by its ticket, or by its ID where the server gave one."""
    by_ticket = ticket is not None and bool(ticket.ticket)
    if not by_ticket and not hello.legacy_session_id_echo:
        return
    if ticket is not None and len(ticket.ticket) > side.config.limits.ticket_size:
        return
    bound = side.bound
    lifetime = ticket.ticket_lifetime_hint if ticket is not None else 0
    session = Session(
        version=TLS12,
        cipher_suite=agreed.suite.suite,
        secret=keys.master,
        created=side.now_ms(),
        lifetime=min(lifetime or 24 * 3600, MAX_TICKET_LIFETIME),
        extended_master_secret=int(agreed.extended),
        server_name=(side.server_name or "").encode(),
        alpn=(agreed.alpn or "").encode(),
        peer_chain=list(peer.chain),
        since=peer.since or side.now_ms(),
        own_certificate=bound.own_certificate,
        client_asked=int(bound.client_asked),
        scope=bound.scope,
        ocsp_response=bound.ocsp_response,
        scts=bound.scts,
        ticket=ticket.ticket if ticket is not None else b"",
        session_id=b"" if by_ticket else hello.legacy_session_id_echo,
    )
    yield from ask(side, KeepSession(session, side.server_name, None))
