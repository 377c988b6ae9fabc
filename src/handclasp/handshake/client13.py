"""TLS 1.3, the client's half (RFC 8446, 2 and 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handclasp.crypto.protection import Opener13, Sealer13
from handclasp.crypto.schedule13 import EarlySecret
from handclasp.crypto.suites import SUITES, SuiteParameters
from handclasp.handshake.authenticate import common_schemes, verify_peer
from handclasp.handshake.authenticate13 import (
    check_chain_limits,
    check_finished,
    check_signature,
    present_certificate,
    stapled,
)
from handclasp.handshake.errors import (
    ExtensionMissing,
    IllegalChange,
    IllegalValue,
    SecondRetry,
    VersionUnasked,
)
from handclasp.handshake.established import Established, Peer
from handclasp.handshake.extensions import check_answers, check_extensions
from handclasp.handshake.flow import Steps, expect, maybe
from handclasp.handshake.keys13 import Keys13
from handclasp.handshake.offer import Offer, check_answer, say_hello_again
from handclasp.handshake.recall import note_recalled, resume_as
from handclasp.questions import ChooseCertificate
from handclasp.sessions import Session
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
    SupportedVersionsServerHello,
    find,
)
from handclasp.wire.iana import ExtensionType, NamedGroup, ProtocolVersion
from handclasp.wire.messages import (
    Certificate,
    CertificateRequest,
    EncryptedExtensions,
    Finished,
    ServerHello,
)
from handclasp.wire.places import Place
from handclasp.x509.text import listed, shortened

if TYPE_CHECKING:
    from handclasp.handshake.side import ClientSide

__all__ = ["handshake"]

TLS13 = ProtocolVersion.TLS13


def handshake(side: ClientSide, offer: Offer, hello: ServerHello) -> Steps[Established]:
    """From the server's first answer to an established session."""
    if hello.is_retry:
        hello = yield from retry(side, offer, hello)
    keys, sealer = agree(side, offer, hello)  # steps 6-8, 10, 15
    suite = keys.suite
    alpn = accept_extensions(side, offer, (yield from expect(EncryptedExtensions)))
    if keys.session is not None:
        request, peer = None, offer.peer or Peer()
        resume_as(side, keys.session)
        note_recalled(side, peer)
    else:
        request = yield from receive_request(side)  # step 11
        peer = yield from authenticate_server(side, offer)  # steps 9, 13
    yield from check_finished(side, keys.server)  # steps 19, 21
    application = keys.application(side)
    side.read_with(Opener13(suite, *application.server.key_iv(suite)), "application", suite.suite)
    begin_second_flight(side, suite, sealer)
    if request is not None:
        yield from answer_request(side, request)  # step 14
    side.send(Finished(keys.client.verify_data(side.transcript.digest())))  # step 16
    return keys.establish(side, application, peer, alpn)  # step 22


def retry(side: ClientSide, offer: Offer, request: ServerHello) -> Steps[ServerHello]:
    """HelloRetryRequest: the hello once more, with what the server misses (RFC 8446, 4.1.4)."""
    check_suite(offer, request)
    suite = SUITES[request.cipher_suite]
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
    if hello.legacy_version < ProtocolVersion.TLS10:  # (RFC 8446, D.5)
        raise VersionUnasked(f"The server's second hello is of {hello.legacy_version}.")
    version = find(hello.extensions, SupportedVersionsServerHello)
    if version is None or version.selected_version != TLS13:
        raise IllegalChange("The server left TLS 1.3 after its HelloRetryRequest.")
    check_answer(offer, hello, TLS13)
    if hello.cipher_suite != request.cipher_suite:
        raise IllegalChange(f"The server changed from {request.cipher_suite} to {hello.cipher_suite} after its retry.")
    share = find(hello.extensions, KeyShareServerHello)
    if group is not None and share is not None and share.server_share.group != group:
        raise IllegalChange(f"The server asked for {group} and answered with {share.server_share.group}.")


def check_suite(offer: Offer, hello: ServerHello) -> None:
    """A TLS 1.3 hello carries a TLS 1.3 suite and gives our session ID back (RFC 8446, 4.1.3)."""
    suite = SUITES.get(hello.cipher_suite)
    if suite is None or suite.version != TLS13:
        raise IllegalValue(f"The server chose {hello.cipher_suite}, which is not for TLS 1.3.")
    if hello.legacy_session_id_echo != offer.hello.legacy_session_id:
        raise IllegalValue("The server's hello does not give back our session ID.")


def agree(side: ClientSide, offer: Offer, hello: ServerHello) -> tuple[Keys13, Sealer13]:
    """Both halves of the key exchange are here: make the handshake keys (RFC 8446, 7.1).

    The sealer is for the second flight, and for an alert before it.
    """
    check_suite(offer, hello)
    suite = SUITES[hello.cipher_suite]
    side.transcript.start(suite.hash_name)
    early, session = accept_psk(side, offer, hello, suite)
    shared, group = exchange(side, offer, hello, resumed=session is not None)
    possible = side.config.suites_for(TLS13)
    side.note_choice("cipher_suite", "server", possible, possible, suite.suite, "the server's choice")
    keys = Keys13.agreed(side, suite, group, session, early, shared)
    if side.config.middlebox_compatibility and not side.ccs_sent:
        side.send_change_cipher_spec()  # before all that is protected, an alert too (RFC 8446, D.4)
    side.records.next_sealer = sealer = Sealer13(suite, *keys.client.key_iv(suite))
    side.read_with(Opener13(suite, *keys.server.key_iv(suite)), "handshake", suite.suite)
    return keys, sealer


def accept_psk(
    side: ClientSide, offer: Offer, hello: ServerHello, suite: SuiteParameters
) -> tuple[EarlySecret, Session | None]:
    """Our session, where the server took it, and the secret to begin with."""
    selected = find(hello.extensions, SelectedPsk)
    if selected is None:
        if offer.early is not None:
            side.note_choice("session", "server", ("ticket",), (), None, "the server did not take the ticket")
        return EarlySecret.of(suite.hash_name), None
    if offer.early is None or offer.session is None or selected.selected_identity != 0:
        raise IllegalValue(f"The server took our key number {selected.selected_identity}, which was not offered.")
    if SUITES[offer.session.cipher_suite].hash_name != suite.hash_name:
        raise IllegalValue(f"The server took a session with {suite.suite}, whose hash is another than the session's.")
    side.note_choice("session", "server", ("ticket",), ("ticket",), "ticket", "the server knows the ticket")
    return offer.early, offer.session


def exchange(
    side: ClientSide, offer: Offer, hello: ServerHello, *, resumed: bool
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
    check_answers(Place.ENCRYPTED_EXTENSIONS, message.extensions, offer.hello.extensions)
    return accept_alpn(side, find(message.extensions, ALPN))


def accept_alpn(side: ClientSide, answer: ALPN | None) -> str | None:
    """The one protocol that the server took, where it took one (RFC 7301, 3.1)."""
    if answer is None:
        return None
    offered = side.config.alpn
    name = answer.protocol_name_list[0].decode("utf-8", "replace")
    if len(answer.protocol_name_list) != 1 or name not in offered:
        raise IllegalValue(f"The server chose the protocol {shortened(name)}; offered were {listed(offered)}.")
    side.note_choice("alpn", "server", offered, offered, name, "the server's choice")
    return name


def receive_request(side: ClientSide) -> Steps[CertificateRequest | None]:
    """Step 11: whether the server asks who we are, in words that can be answered (RFC 8446, 4.3.2)."""
    request = yield from maybe(CertificateRequest)
    if request is None:
        return None
    if request.certificate_request_context:
        raise IllegalValue("The server's CertificateRequest has a context inside the handshake.")
    if ExtensionType.SIGNATURE_ALGORITHMS not in request.extensions:
        raise ExtensionMissing("The server's CertificateRequest has no signature_algorithms.")
    check_extensions(Place.CERTIFICATE_REQUEST, request.extensions)
    return request


def authenticate_server(side: ClientSide, offer: Offer) -> Steps[Peer]:
    """Steps 9 and 13: who the server is, and that it has the key to say so."""
    message = yield from expect(Certificate)
    if message.certificate_request_context:
        raise IllegalValue("The server's Certificate has a request context.")
    if not message.certificate_list:
        raise DecodeError("The server's Certificate is empty; a server has to show one.")
    chain = check_chain_limits(side, message, offer.hello.extensions)
    covered = side.transcript.digest()
    ocsp, scts = stapled(message)
    report = yield from verify_peer(side, "server", chain, ocsp, scts)
    scheme = yield from check_signature(side, "server", chain[0], report, covered)
    return Peer(chain, report, scheme)


def answer_request(side: ClientSide, request: CertificateRequest) -> Steps[None]:
    """Step 14: show the certificate that the server will like best, or none."""
    wanted = find(request.extensions, SignatureAlgorithms)
    authorities = find(request.extensions, CertificateAuthorities)
    filters = find(request.extensions, OidFilters)
    side.bound.client_asked = True
    offered = wanted.supported_signature_algorithms if wanted is not None else ()
    question = ChooseCertificate(
        role="client",
        version=TLS13,
        server_name=side.server_name,
        signature_schemes=common_schemes(side.config.signs_with, offered),
        certificate_authorities=tuple(authorities.authorities) if authorities is not None else (),
        oid_filters=tuple(filters.filters) if filters is not None else (),
        at=side.now(),
    )
    yield from present_certificate(side, question, request.certificate_request_context, request.extensions)


def begin_second_flight(side: ClientSide, suite: SuiteParameters, sealer: Sealer13) -> None:
    """From here on the client writes protected records."""
    side.write_with(sealer, "handshake", suite.suite)
