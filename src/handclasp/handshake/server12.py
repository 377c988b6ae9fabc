"""TLS 1.2, the server's half (RFC 5246, 7.3 and 7.4; RFC 8422; RFC 7627; RFC 5077)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from handclasp.config import ClientAuth
from handclasp.crypto import groups
from handclasp.crypto.signatures import known_in
from handclasp.crypto.suites import SUITES, SuiteParameters
from handclasp.handshake.authenticate import (
    check_chain_size,
    common_schemes,
    no_certificate,
    signed,
    verify_peer,
)
from handclasp.handshake.authenticate12 import (
    SIGNING_TYPES,
    authentication_by,
    authentication_of,
    check_signed,
    leaf_of,
)
from handclasp.handshake.errors import (
    CertificateMissing12,
    ExtendedMasterSecretChanged,
    ExtendedMasterSecretMissing,
    IllegalValue,
    NoCommonCipherSuite,
    NoCommonGroup,
    NoCommonSignatureScheme,
    NoSuitableCertificate,
    RenegotiationMismatch,
)
from handclasp.handshake.established import Established, Peer
from handclasp.handshake.flow import Steps, ask, expect
from handclasp.handshake.keys12 import Keys12
from handclasp.handshake.recall import belongs, mark_of, note_recalled, recall_peer, resume_as
from handclasp.handshake.suites import common_suites
from handclasp.questions import (
    ChooseCertificate,
    FindSession,
    KeepSession,
    OpenTicket,
    SealTicket,
)
from handclasp.sessions import Session
from handclasp.wire.extensions import (
    ALPN,
    ECPointFormats,
    RenegotiationInfo,
    SignatureAlgorithms,
    SignedCertificateTimestamps,
    SupportedGroups,
    find,
    pack,
)
from handclasp.wire.iana import (
    CertificateStatusType,
    CipherSuite,
    CompressionMethod,
    ECCurveType,
    ECPointFormat,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from handclasp.wire.messages import DOWNGRADE_TLS12, CertificateVerify, ClientHello, ServerHello
from handclasp.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchangeECDHE,
    NewSessionTicket12,
    ServerECDHParams,
    ServerHelloDone,
    ServerKeyExchangeECDHE,
)
from handclasp.x509.text import listed

if TYPE_CHECKING:
    from handclasp.crypto.groups import KeyShare
    from handclasp.handshake.side import ServerSide
    from handclasp.x509.identity import Identity

__all__ = ["handshake"]

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


@dataclass(slots=True)
class Choice12:
    """What the server takes of the client's offer."""

    suite: SuiteParameters
    group: NamedGroup
    identity: Identity
    scheme: SignatureScheme


def handshake(side: ServerSide, hello: ClientHello, alpn: str | None) -> Steps[Established]:
    """From the client's hello to an established session."""
    extended = check_hello(side, hello)
    found = yield from find_session(side, hello, extended, alpn)
    random = server_random(side)
    if found is not None:
        return (yield from resume(side, hello, found, random, alpn))
    choice = yield from choose(side, hello)  # step 7
    session_id = side.random(32) if keeps_by_id(side, hello) else b""
    say_hello(side, hello, choice.suite.suite, random, session_id, extended, alpn, choice.identity)
    side.transcript.start(choice.suite.hash_name, keep_messages=True)
    share = yield from say_who_and_key(side, hello, choice, random)  # steps 9, 10
    request_certificate(side)  # step 11
    side.send(ServerHelloDone())  # step 12
    peer = yield from receive_certificate(side)  # steps 14, 17
    message = yield from expect(ClientKeyExchangeECDHE)
    premaster = share.agree(message.public)
    keys = Keys12.agreed(side, choice.suite, premaster, (hello.random, random), extended)  # step 18
    if peer.chain:
        yield from check_proof(side, peer)
    side.transcript.forget_messages()
    first = yield from keys.check_finished(side)  # steps 16, 20
    yield from give_ticket(side, hello, keys, peer, alpn, extended, session_id)
    keys.send_finished(side)  # step 19
    return keys.establish(side, peer, choice.group, alpn, finished_bytes=first, session_id=session_id)  # step 22


def check_hello(side: ServerSide, hello: ClientHello) -> bool:
    """The hello's rules in TLS 1.2; whether it offers the extended master secret."""
    renegotiation = find(hello.extensions, RenegotiationInfo)
    if renegotiation is not None and renegotiation.renegotiated_connection:
        raise RenegotiationMismatch("The client's first hello speaks of an earlier handshake.")
    formats = find(hello.extensions, ECPointFormats)
    if formats is not None and ECPointFormat.UNCOMPRESSED not in formats.ec_point_format_list:
        raise IllegalValue("The client does not take uncompressed points, which all have to.")
    extended = ExtensionType.EXTENDED_MASTER_SECRET in hello.extensions
    if not extended and side.config.require_extended_master_secret:
        raise ExtendedMasterSecretMissing(
            "The client offers TLS 1.2 without the extended master secret (RFC 7627), which this server requires."
        )
    return extended


def server_random(side: ServerSide) -> bytes:
    """32 random bytes; the last eight tell a TLS 1.3 client that we speak it too (RFC 8446, 4.1.3)."""
    random = side.random(32)
    return random[:24] + DOWNGRADE_TLS12 if TLS13 in side.config.versions else random


def uses_tickets(side: ServerSide, hello: ClientHello) -> bool:
    """Whether both sides do."""
    return bool(side.config.tickets) and ExtensionType.SESSION_TICKET in hello.extensions


def keeps_by_id(side: ServerSide, hello: ClientHello) -> bool:
    """A session ID is given to clients without tickets, where there is a place to keep the session."""
    wanted = side.config.sessions is not None or side.config.answers_itself(KeepSession)
    return wanted and not uses_tickets(side, hello)


class Found(NamedTuple):
    """A session to resume."""

    session: Session
    peer: Peer
    """Its client, as judged now."""
    session_id: bytes
    """The ID that it was found by; empty where that was a ticket."""


def find_session(side: ServerSide, hello: ClientHello, extended: bool, alpn: str | None) -> Steps[Found | None]:
    """The session that the client wants to resume, where it is ours, fresh, fits, and its client is good still."""
    session: Session | None = None
    session_id = b""
    ticket = hello.extensions.get(ExtensionType.SESSION_TICKET)
    if ticket and side.config.tickets:
        session = yield from ask(side, OpenTicket(ticket, side.now_ms()))
    elif hello.legacy_session_id and not ticket:
        session_id = hello.legacy_session_id
        session = yield from ask(side, FindSession(None, session_id, side.now_ms()))
    if session is None or not fits(side, hello, session, extended) or not belongs(side, session, alpn):
        return None
    peer = yield from recall_peer(side, "client", session)
    if peer is None:
        return None
    side.note_choice("session", "server", ("session",), ("session",), "session", "it is ours, fresh and fits")
    return Found(session, peer, session_id)


def fits(side: ServerSide, hello: ClientHello, session: Session, extended: bool) -> bool:
    """Whether this session may be resumed in this connection (RFC 7627, 5.3; RFC 6066, 3)."""
    if session.version != TLS12 or not session.is_fresh(side.now_ms()):
        return False  # before its extended master secret counts
    if session.extended_master_secret and not extended:
        raise ExtendedMasterSecretChanged("The client resumes a session and left its extended master secret out.")
    return (
        bool(session.extended_master_secret) == extended
        and session.cipher_suite in hello.cipher_suites
        and session.cipher_suite in side.config.cipher_suites
    )


def resume(side: ServerSide, hello: ClientHello, found: Found, random: bytes, alpn: str | None) -> Steps[Established]:
    """The short handshake: we finish first (RFC 5246, 7.3)."""
    session, peer, session_id = found
    suite = SUITES[session.cipher_suite]
    resume_as(side, session)
    note_recalled(side, peer)
    extended = bool(session.extended_master_secret)
    side.transcript.start(suite.hash_name)
    say_hello(side, hello, suite.suite, random, hello.legacy_session_id, extended, alpn)
    keys = Keys12(side, suite, session.secret, hello.random, random)
    yield from give_ticket(side, hello, keys, peer, alpn, extended, b"")
    first = keys.send_finished(side)
    yield from keys.check_finished(side)
    first = first if extended else b""
    return keys.establish(side, peer, None, alpn, finished_bytes=first, session_id=session_id, resumed=True)


def choose(side: ServerSide, hello: ClientHello) -> Steps[Choice12]:
    """The identity first, for its key says which suites are left (RFC 8422, 2)."""
    wanted = find(hello.extensions, SignatureAlgorithms)
    offered = tuple(wanted.supported_signature_algorithms) if wanted is not None else ()
    if not offered:
        raise NoCommonSignatureScheme(
            "The client offers no signature algorithms, and so only SHA-1 (RFC 5246, 7.4.1.4.1)."
        )
    curves = offered_groups(hello)
    suites = common_suites(side, hello, TLS12)
    group = choose_group(side, curves or (NamedGroup.SECP256R1,))
    identity, schemes = yield from choose_identity(side, suites, offered, curves)
    ours = identity.schemes(TLS12)
    possible = common_schemes(schemes, ours)
    if not possible:
        raise NoCommonSignatureScheme(
            f"The client verifies {listed(offered)}; this server's key signs with "
            f"{listed(ours) or 'nothing of TLS 1.2'}."
        )
    kind = authentication_of(identity.leaf.public_key)
    usable = tuple([suite for suite in suites if SUITES[suite].authentication == kind])
    side.note_choice("cipher_suite", "server", tuple(hello.cipher_suites), usable, usable[0], "the first for our key")
    side.note_choice("certificate", "server", (), (), identity, "it fits what the client accepts best")
    side.note_choice("signature_scheme", "server", offered, possible, possible[0], "the first that our key makes")
    return Choice12(SUITES[usable[0]], group, identity, possible[0])


def choose_identity(
    side: ServerSide,
    suites: tuple[CipherSuite, ...],
    offered: tuple[SignatureScheme, ...],
    curves: tuple[NamedGroup, ...],
) -> Steps[tuple[Identity, tuple[SignatureScheme, ...]]]:
    """The certificate for this client, and the schemes that some suite in common goes with."""
    kinds = {SUITES[suite].authentication for suite in suites}
    understood = common_schemes(side.config.signs_with, offered)
    schemes = tuple([scheme for scheme in understood if authentication_by(scheme) in kinds])
    question = ChooseCertificate("server", TLS12, side.server_name, schemes, (), (), side.now(), curves)
    identity: Identity | None = yield from ask(side, question)
    if identity is not None:
        return identity, schemes
    if len(schemes) == len(understood):
        raise NoSuitableCertificate(no_certificate(side, TLS12, offered, curves))
    keys = " or ".join(sorted(map(str, kinds)))
    raise NoCommonCipherSuite(
        f"Client and server have {listed(suites)} in common, for {keys} keys; this server "
        "has no certificate with such a key that the client verifies."
    )


def offered_groups(hello: ClientHello) -> tuple[NamedGroup, ...]:
    """The client's groups; none where it leaves the choice to us (RFC 8422, 4)."""
    wanted = find(hello.extensions, SupportedGroups)
    return tuple(wanted.named_group_list) if wanted is not None else ()


def choose_group(side: ServerSide, offered: tuple[NamedGroup, ...]) -> NamedGroup:
    """Our dearest curve that the client has."""
    ours = [group for group in side.config.groups if group in groups.ECDHE_GROUPS]
    theirs = frozenset(offered)
    possible = tuple([group for group in ours if group in theirs])
    side.note_choice("group", "server", offered, possible, possible[0] if possible else None, "our dearest in common")
    if not possible:
        raise NoCommonGroup(f"The client offers {listed(offered)}; for TLS 1.2 this server has {listed(ours)}.")
    return possible[0]


def say_hello(
    side: ServerSide,
    hello: ClientHello,
    suite: CipherSuite,
    random: bytes,
    session_id: bytes,
    extended: bool,
    alpn: str | None,
    identity: Identity | None = None,
) -> None:
    """ServerHello (RFC 5246, 7.4.1.3); without `identity` it resumes a session."""
    offered = hello.extensions
    extensions: dict[ExtensionType, bytes] = {}
    if (
        ExtensionType.RENEGOTIATION_INFO in offered
        or CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites
    ):
        extensions |= pack(RenegotiationInfo(b""))
    if extended:
        extensions[ExtensionType.EXTENDED_MASTER_SECRET] = b""
    if ExtensionType.EC_POINT_FORMATS in offered:
        extensions |= pack(ECPointFormats([ECPointFormat.UNCOMPRESSED]))
    if alpn is not None:
        extensions |= pack(ALPN([alpn.encode()]))
    if uses_tickets(side, hello):
        extensions[ExtensionType.SESSION_TICKET] = b""
    if identity is not None:
        extensions |= of_whole_handshakes(side, hello, identity)
    side.send(ServerHello(TLS12, random, session_id, suite, CompressionMethod.NULL, extensions))


def of_whole_handshakes(side: ServerSide, hello: ClientHello, identity: Identity) -> dict[ExtensionType, bytes]:
    """What a resumption leaves out of its hello (RFC 6066, 3 and 8; RFC 6962, 3.3.1)."""
    extensions: dict[ExtensionType, bytes] = {}
    if side.server_name is not None:
        extensions[ExtensionType.SERVER_NAME] = b""
    if identity.ocsp_response is not None and ExtensionType.STATUS_REQUEST in hello.extensions:
        extensions[ExtensionType.STATUS_REQUEST] = b""
    if identity.scts and ExtensionType.SIGNED_CERTIFICATE_TIMESTAMP in hello.extensions:
        extensions |= pack(SignedCertificateTimestamps(list(identity.scts)))
    return extensions


def say_who_and_key(side: ServerSide, hello: ClientHello, choice: Choice12, random: bytes) -> Steps[KeyShare]:
    """Certificate, its status, and the signed ephemeral key (RFC 8422, 5.4)."""
    side.bound.own_certificate = mark_of(side, choice.identity)
    side.send(Certificate12([one.der for one in choice.identity.chain]))
    staple = choice.identity.ocsp_response
    if staple is not None and ExtensionType.STATUS_REQUEST in hello.extensions:
        side.send(CertificateStatus(CertificateStatusType.OCSP, staple))
    share = groups.generate(choice.group, side.config.random)
    params = ServerECDHParams(ECCurveType.NAMED_CURVE, choice.group, share.public)
    content = hello.random + random + params.encode()
    signature = yield from signed(side, choice.identity, choice.scheme, content)
    side.send(ServerKeyExchangeECDHE(params, choice.scheme, signature))
    return share


def request_certificate(side: ServerSide) -> None:
    """Step 11: ask the client for a certificate, and say whose are welcome."""
    config = side.config
    if config.client_auth is ClientAuth.NONE:
        return
    authorities: list[bytes] = []
    if config.send_certificate_authorities and config.trust is not None:
        authorities = list(config.trust.subjects)
    side.send(CertificateRequest12(SIGNING_TYPES, list(known_in(TLS12, config.signature_schemes)), authorities))


def receive_certificate(side: ServerSide) -> Steps[Peer]:
    """Steps 14 and 17: who the client says it is; its proof comes later."""
    config = side.config
    if config.client_auth is ClientAuth.NONE:
        return Peer()
    message = yield from expect(Certificate12)
    chain = check_chain_size(side, message.certificate_list)
    if not chain:
        if config.client_auth is ClientAuth.REQUIRED:
            raise CertificateMissing12("The client showed no certificate, and this server requires one.")
        return Peer()
    report = yield from verify_peer(side, "client", chain)
    return Peer(chain, report)


def check_proof(side: ServerSide, peer: Peer) -> Steps[None]:
    """The client has the key of its certificate (RFC 5246, 7.4.8)."""
    covered = side.transcript.messages()
    verify = yield from expect(CertificateVerify)
    check_signed(side, "client", leaf_of(peer.chain, peer.report), verify.algorithm, verify.signature, covered)
    peer.scheme = verify.algorithm


def give_ticket(
    side: ServerSide,
    hello: ClientHello,
    keys: Keys12,
    peer: Peer,
    alpn: str | None,
    extended: bool,
    session_id: bytes,
) -> Steps[None]:
    """Let the client resume: a ticket, or a session kept here under its ID (RFC 5077, 3.3)."""
    session = Session(
        version=TLS12,
        cipher_suite=keys.suite.suite,
        secret=keys.master,
        created=side.now_ms(),
        lifetime=side.config.ticket_lifetime,
        extended_master_secret=int(extended),
        server_name=(side.server_name or "").encode(),
        alpn=(alpn or "").encode(),
        peer_chain=list(peer.chain),
        since=peer.since or side.now_ms(),
        own_certificate=side.bound.own_certificate,
        client_asked=int(side.config.client_auth is not ClientAuth.NONE),
    )
    if uses_tickets(side, hello):
        ticket = yield from ask(side, SealTicket(session, side.now_ms()))
        side.send(NewSessionTicket12(session.lifetime, ticket or b""))
    elif session_id:
        yield from ask(side, KeepSession(session, None, session_id))
