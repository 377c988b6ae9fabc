"""TLS 1.3, the client's half (RFC 8446, 2 and 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handclasp.crypto.protection import Opener13, Sealer13
from handclasp.crypto.schedule13 import EarlySecret, HandshakeSecret, MasterSecret, TrafficSecret
from handclasp.crypto.suites import SUITES, SuiteParameters
from handclasp.handshake.after13 import After13, Exporter13
from handclasp.handshake.authenticate import verify_peer
from handclasp.handshake.authenticate13 import (
    check_chain_limits,
    check_finished,
    check_signature,
    present_certificate,
    stapled,
)
from handclasp.handshake.errors import (
    ExtensionMissing,
    ExtensionNotAllowed,
    ExtensionUnasked,
    IllegalChange,
    IllegalValue,
    SecondRetry,
)
from handclasp.handshake.established import Established, Peer
from handclasp.handshake.flow import Steps, expect, maybe
from handclasp.handshake.offer import Offer, say_hello_again
from handclasp.questions import ChooseCertificate
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import (
    ALPN,
    CertificateAuthorities,
    Cookie,
    KeyShareHelloRetryRequest,
    KeyShareServerHello,
    OidFilters,
    SelectedPsk,
    SignatureAlgorithms,
    SupportedGroups,
    SupportedVersionsServerHello,
    check_empty,
    find,
)
from handclasp.wire.iana import CompressionMethod, ExtensionType, NamedGroup, ProtocolVersion
from handclasp.wire.messages import (
    Certificate,
    CertificateRequest,
    EncryptedExtensions,
    Finished,
    ServerHello,
)

if TYPE_CHECKING:
    from handclasp.handshake.side import ClientSide

__all__ = ["handshake"]

TLS13 = ProtocolVersion.TLS13

IN_RETRY = frozenset({ExtensionType.SUPPORTED_VERSIONS, ExtensionType.KEY_SHARE, ExtensionType.COOKIE})
IN_SERVER_HELLO = frozenset({ExtensionType.SUPPORTED_VERSIONS, ExtensionType.KEY_SHARE, ExtensionType.PRE_SHARED_KEY})
IN_ENCRYPTED_EXTENSIONS = frozenset(
    {
        ExtensionType.SERVER_NAME,
        ExtensionType.MAX_FRAGMENT_LENGTH,
        ExtensionType.SUPPORTED_GROUPS,
        ExtensionType.USE_SRTP,
        ExtensionType.HEARTBEAT,
        ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
        ExtensionType.CLIENT_CERTIFICATE_TYPE,
        ExtensionType.SERVER_CERTIFICATE_TYPE,
        ExtensionType.RECORD_SIZE_LIMIT,
        ExtensionType.EARLY_DATA,
    }
)
"""Of the extensions we could offer, those that may be answered there (RFC 8446, 4.2)."""


@dataclass(slots=True)
class Keys:
    """What both sides know once the server has answered."""

    suite: SuiteParameters
    group: NamedGroup | None
    resumed: bool
    handshake: HandshakeSecret = field(repr=False)
    client: TrafficSecret = field(repr=False)
    server: TrafficSecret = field(repr=False)
    sealer: Sealer13 = field(repr=False)
    """For the second flight, and for an alert before it."""


def handshake(side: ClientSide, offer: Offer, hello: ServerHello) -> Steps[Established]:
    """From the server's first answer to an established session."""
    if hello.is_retry:
        hello = yield from retry(side, offer, hello)
    keys = agree(side, offer, hello)  # steps 6-8, 10, 15
    alpn = accept_extensions(side, offer, (yield from expect(EncryptedExtensions)))
    if keys.resumed:
        request, peer = None, (yield from recall_server(side, offer))
    else:
        request = yield from maybe(CertificateRequest)  # step 11
        peer = yield from authenticate_server(side)  # steps 9, 13
    yield from check_finished(side, keys.server)  # steps 19, 21
    master = keys.handshake.master()
    covered = side.transcript.digest()
    server = read_application(side, keys, master, covered)
    begin_second_flight(side, keys)
    if request is not None:
        yield from answer_request(side, request)  # step 14
    return finish(side, keys, master, covered, server, peer, alpn)  # steps 16, 22


def retry(side: ClientSide, offer: Offer, request: ServerHello) -> Steps[ServerHello]:
    """HelloRetryRequest: the hello once more, with what the server misses (RFC 8446, 4.1.4)."""
    check_suite(offer, request)
    suite = SUITES[request.cipher_suite]
    check_extensions(offer, request, IN_RETRY)
    share = find(request.extensions, KeyShareHelloRetryRequest)
    cookie = find(request.extensions, Cookie)
    group = None if share is None else share.selected_group
    if group is None and cookie is None:
        raise IllegalValue("The server asks for another hello and names nothing to change in it.")
    if group is not None and (group not in side.config.groups or group in offer.shares):
        raise IllegalValue(f"The server asks for a key of {group}, which was sent already or never offered.")
    side.note_choice("group", "server", side.config.groups, side.config.groups, group, "asked for by a retry")
    side.transcript.retry(suite.hash_name)
    if offer.session is not None and SUITES[offer.session.cipher_suite].hash_name != suite.hash_name:
        offer.session = offer.early = None
    if side.config.middlebox_compatibility and not side.ccs_sent:
        side.send_change_cipher_spec()
    say_hello_again(side, offer, group, cookie)
    hello = yield from expect(ServerHello)
    check_after_retry(offer, request, hello, group)
    return hello


def check_after_retry(offer: Offer, request: ServerHello, hello: ServerHello, group: NamedGroup | None) -> None:
    """What the answer to the second hello has to keep."""
    if hello.is_retry:
        raise SecondRetry("The server asks for a third hello; one retry is allowed.")
    version = find(hello.extensions, SupportedVersionsServerHello)
    if version is None or version.selected_version != TLS13:
        raise IllegalChange("The server left TLS 1.3 after its HelloRetryRequest.")
    if hello.cipher_suite != request.cipher_suite:
        raise IllegalChange(f"The server changed from {request.cipher_suite} to {hello.cipher_suite} after its retry.")
    share = find(hello.extensions, KeyShareServerHello)
    if group is not None and share is not None and share.server_share.group != group:
        raise IllegalChange(f"The server asked for {group} and answered with {share.server_share.group}.")


def check_suite(offer: Offer, hello: ServerHello) -> None:
    """A TLS 1.3 hello carries a TLS 1.3 suite and gives our session ID back (RFC 8446, 4.1.3)."""
    suite = SUITES.get(hello.cipher_suite)
    if suite is None or suite.version != TLS13 or hello.cipher_suite not in offer.hello.cipher_suites:
        raise IllegalValue(f"The server chose {hello.cipher_suite}, which is not for TLS 1.3 or not offered.")
    if hello.legacy_session_id_echo != offer.hello.legacy_session_id:
        raise IllegalValue("The server's hello does not give back our session ID.")
    if hello.legacy_version != ProtocolVersion.TLS12:
        raise IllegalValue(f"The server's hello has legacy_version {hello.legacy_version}.")
    if hello.legacy_compression_method != CompressionMethod.NULL:
        raise IllegalValue(f"The server chose compression method {hello.legacy_compression_method}.")


def check_extensions(offer: Offer, hello: ServerHello, allowed: frozenset[ExtensionType]) -> None:
    """No extension that was not offered or has no place in this form of the hello (RFC 8446, 4.2)."""
    for extension in hello.extensions:
        if extension in allowed and (extension in offer.hello.extensions or extension == ExtensionType.COOKIE):
            continue
        if extension in offer.hello.extensions:
            raise ExtensionNotAllowed(
                f"The server put {extension} into its {'HelloRetryRequest' if hello.is_retry else 'ServerHello'}."
            )
        raise ExtensionUnasked(f"The server answers with {extension}, which was not offered.")


def agree(side: ClientSide, offer: Offer, hello: ServerHello) -> Keys:
    """Both halves of the key exchange are here: make the handshake keys (RFC 8446, 7.1)."""
    check_suite(offer, hello)
    suite = SUITES[hello.cipher_suite]
    check_extensions(offer, hello, IN_SERVER_HELLO)
    side.transcript.start(suite.hash_name)
    early, resumed = accept_psk(side, offer, hello, suite)
    shared, group = exchange(side, offer, hello, resumed)
    secret = early.handshake(shared)
    covered = side.transcript.digest()
    client, server = secret.client_traffic(covered), secret.server_traffic(covered)
    sealer = Sealer13(suite, *client.key_iv(suite))
    keys = Keys(suite, group, resumed, secret, client, server, sealer)
    if side.config.middlebox_compatibility and not side.ccs_sent:
        side.send_change_cipher_spec()  # before all that is protected, an alert too (RFC 8446, D.4)
    side.records.next_sealer = sealer
    possible = side.config.suites_for(TLS13)
    side.note_choice("cipher_suite", "server", possible, possible, suite.suite, "the server's choice")
    side.note_secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET", keys.client.secret)
    side.note_secret("SERVER_HANDSHAKE_TRAFFIC_SECRET", keys.server.secret)
    side.read_with(Opener13(suite, *keys.server.key_iv(suite)), "handshake", suite.suite)
    return keys


def accept_psk(side: ClientSide, offer: Offer, hello: ServerHello, suite: SuiteParameters) -> tuple[EarlySecret, bool]:
    """Did the server take our session?"""
    selected = find(hello.extensions, SelectedPsk)
    if selected is None:
        if offer.early is not None:
            side.note_choice("session", "server", ("ticket",), (), None, "the server did not take the ticket")
        return EarlySecret.of(suite.hash_name), False
    if offer.early is None or offer.session is None or selected.selected_identity != 0:
        raise IllegalValue(f"The server took our key number {selected.selected_identity}, which was not offered.")
    if SUITES[offer.session.cipher_suite].hash_name != suite.hash_name:
        raise IllegalValue(f"The server took a session with {suite.suite}, whose hash is another than the session's.")
    side.note_choice("session", "server", ("ticket",), ("ticket",), "ticket", "the server knows the ticket")
    return offer.early, True


def exchange(
    side: ClientSide, offer: Offer, hello: ServerHello, resumed: bool
) -> tuple[bytes | None, NamedGroup | None]:
    """The shared secret of the key exchange; None where a PSK is used alone."""
    share = find(hello.extensions, KeyShareServerHello)
    if share is None:
        if resumed and side.config.allow_psk_without_forward_secrecy:
            return None, None
        raise ExtensionMissing("The server's hello has no key_share.")
    entry = share.server_share
    ours = offer.shares.get(entry.group)
    if ours is None:
        raise IllegalValue(f"The server answers with a key of {entry.group}, for which it got none.")
    offered = side.config.groups
    side.note_choice("group", "server", offered, tuple(offer.shares), entry.group, "the server's choice")
    return ours.agree(entry.key_exchange), entry.group


def accept_extensions(side: ClientSide, offer: Offer, message: EncryptedExtensions) -> str | None:
    """What the server says beside its hello; the application protocol is the answer."""
    for extension in message.extensions:
        if extension not in offer.hello.extensions:
            raise ExtensionUnasked(f"The server answers with {extension}, which was not offered.")
        if extension not in IN_ENCRYPTED_EXTENSIONS:
            raise ExtensionNotAllowed(f"The server put {extension} into EncryptedExtensions.")
    check_empty(message.extensions, ExtensionType.SERVER_NAME)
    find(message.extensions, SupportedGroups)
    return accept_alpn(side, find(message.extensions, ALPN))


def accept_alpn(side: ClientSide, answer: ALPN | None) -> str | None:
    """The one protocol that the server took, where it took one (RFC 7301, 3.1)."""
    if answer is None:
        return None
    offered = side.config.alpn
    name = answer.protocol_name_list[0].decode("utf-8", "replace")
    if len(answer.protocol_name_list) != 1 or name not in offered:
        raise IllegalValue(f"The server chose the protocol {name!r}; offered were {', '.join(offered)}.")
    side.note_choice("alpn", "server", offered, offered, name, "the server's choice")
    return name


def authenticate_server(side: ClientSide) -> Steps[Peer]:
    """Steps 9 and 13: who the server is, and that it has the key to say so."""
    message = yield from expect(Certificate)
    if message.certificate_request_context:
        raise IllegalValue("The server's Certificate has a request context.")
    if not message.certificate_list:
        raise DecodeError("The server's Certificate is empty; a server has to show one.")
    config = side.config
    allowed = set()
    if config.request_ocsp:
        allowed.add(ExtensionType.STATUS_REQUEST)
    if config.request_scts:
        allowed.add(ExtensionType.SIGNED_CERTIFICATE_TIMESTAMP)
    chain = check_chain_limits(side, message, allowed)
    covered = side.transcript.digest()
    ocsp, scts = stapled(message)
    report = yield from verify_peer(side, "server", chain, ocsp, scts)
    scheme = yield from check_signature(side, "server", chain[0], report, covered)
    return Peer(chain, report, scheme)


def recall_server(side: ClientSide, offer: Offer) -> Steps[Peer]:
    """A resumed session: the certificates are those of the first one, and have to be good still."""
    session = offer.session
    assert session is not None  # or there would be no resumption
    chain = tuple(session.peer_chain)
    if not chain:
        return Peer(since=session.began)
    report = yield from verify_peer(side, "server", chain, resumed=True)
    return Peer(chain, report, since=session.began)


def read_application(side: ClientSide, keys: Keys, master: MasterSecret, covered: bytes) -> TrafficSecret:
    """The server writes data from here on; bytes after its Finished are refused before we send ours."""
    server = master.server_traffic(covered)
    side.note_secret("SERVER_TRAFFIC_SECRET_0", server.secret)
    suite = keys.suite
    side.read_with(Opener13(suite, *server.key_iv(suite)), "application", suite.suite)
    return server


def answer_request(side: ClientSide, request: CertificateRequest) -> Steps[None]:
    """Step 14: show the certificate that the server will like best, or none."""
    if request.certificate_request_context:
        raise IllegalValue("The server's CertificateRequest has a context inside the handshake.")
    wanted = find(request.extensions, SignatureAlgorithms)
    if wanted is None:
        raise ExtensionMissing("The server's CertificateRequest has no signature_algorithms.")
    authorities = find(request.extensions, CertificateAuthorities)
    filters = find(request.extensions, OidFilters)
    offered = wanted.supported_signature_algorithms
    question = ChooseCertificate(
        role="client",
        version=TLS13,
        server_name=side.server_name,
        signature_schemes=tuple(s for s in side.config.signature_schemes if s in offered),
        certificate_authorities=tuple(authorities.authorities) if authorities is not None else (),
        oid_filters=tuple(filters.filters) if filters is not None else (),
        at=side.now(),
    )
    yield from present_certificate(side, question, request.certificate_request_context, request.extensions)


def begin_second_flight(side: ClientSide, keys: Keys) -> None:
    """From here on the client writes protected records."""
    side.write_with(keys.sealer, "handshake", keys.suite.suite)


def finish(
    side: ClientSide,
    keys: Keys,
    master: MasterSecret,
    covered: bytes,
    server: TrafficSecret,
    peer: Peer,
    alpn: str | None,
) -> Established:
    """Our Finished, then our application key; `covered` is the transcript up to the server's Finished."""
    suite = keys.suite
    side.send(Finished(keys.client.verify_data(side.transcript.digest())))
    client = master.client_traffic(covered)
    exporter = Exporter13(suite.hash_name, master.exporter(covered))
    side.note_secret("CLIENT_TRAFFIC_SECRET_0", client.secret)
    side.note_secret("EXPORTER_SECRET", exporter.secret)
    side.write_with(Sealer13(suite, *client.key_iv(suite)), "application", suite.suite)
    return Established(
        version=TLS13,
        cipher_suite=suite.suite,
        group=keys.group,
        signature_scheme=peer.scheme,
        alpn=alpn,
        server_name=side.server_name,
        resumed=keys.resumed,
        peer_chain=peer.chain,
        peer_report=peer.report,
        exporter=exporter,
        after=After13(
            role="client",
            suite=suite,
            reads=server,
            writes=client,
            resumption=master.resumption(side.transcript.digest()),
            since=peer.since or side.now_ms(),
        ),
    )
