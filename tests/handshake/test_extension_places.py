"""Every known extension in every message, of both roles and versions: where it may be, and its form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair, Party

from handclasp import ClientAuth, NamedGroup, ProtocolVersion
from handclasp.errors import PeerError
from handclasp.facts import KeyInstalled, MessageSeen
from handclasp.handshake import errors
from handclasp.handshake.extensions import check_extensions
from handclasp.wire import extensions as bodies
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import ExtensionBody
from handclasp.wire.iana import (
    AlertDescription,
    CertificateStatusType,
    CertificateType,
    ECPointFormat,
    ExtensionType,
    PskKeyExchangeMode,
    ServerNameType,
    SignatureScheme,
)
from handclasp.wire.messages import (
    Certificate,
    CertificateRequest,
    ClientHello,
    EncryptedExtensions,
    HandshakeMessage,
    NewSessionTicket,
    ServerHello,
)
from handclasp.wire.places import PLACES, Place

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
E = ExtensionType
CH, SH, SH12, HRR = Place.CLIENT_HELLO, Place.SERVER_HELLO, Place.SERVER_HELLO_12, Place.HELLO_RETRY_REQUEST
EE, CT, CR, NST = Place.ENCRYPTED_EXTENSIONS, Place.CERTIFICATE, Place.CERTIFICATE_REQUEST, Place.NEW_SESSION_TICKET

RFC8446_TABLE = """
    server_name CH EE
    max_fragment_length CH EE
    status_request CH CR CT
    supported_groups CH EE
    signature_algorithms CH CR
    use_srtp CH EE
    heartbeat CH EE
    application_layer_protocol_negotiation CH EE
    signed_certificate_timestamp CH CR CT
    client_certificate_type CH EE
    server_certificate_type CH EE
    padding CH
    key_share CH SH HRR
    pre_shared_key CH SH
    psk_key_exchange_modes CH
    early_data CH EE NST
    cookie CH HRR
    supported_versions CH SH HRR
    certificate_authorities CH CR
    oid_filters CR
    post_handshake_auth CH
    signature_algorithms_cert CH CR
"""
SHORT = {"CH": CH, "SH": SH, "HRR": HRR, "EE": EE, "CT": CT, "CR": CR, "NST": NST}


def test_the_places_are_those_of_the_rfc() -> None:
    """RFC 8446, 4.2."""
    for row in RFC8446_TABLE.strip().splitlines():
        name, *places = row.split()
        assert set(PLACES[ExtensionType[name.upper()]]) - {SH12} == {SHORT[place] for place in places}, name


SHARE = bodies.KeyShareEntry(NamedGroup.X25519, bytes(range(32)))
SAMPLES: dict[tuple[ExtensionType, Place], ExtensionBody] = {
    (E.SERVER_NAME, CH): bodies.ServerNameList([bodies.ServerName(ServerNameType.HOST_NAME, b"localhost")]),
    (E.STATUS_REQUEST, CH): bodies.CertificateStatusRequest(CertificateStatusType.OCSP, [b"id"], b"more"),
    (E.STATUS_REQUEST, CT): bodies.OCSPStatus(CertificateStatusType.OCSP, b"a response"),
    (E.SIGNED_CERTIFICATE_TIMESTAMP, CT): bodies.SignedCertificateTimestamps([b"a proof"]),
    (E.SIGNED_CERTIFICATE_TIMESTAMP, SH12): bodies.SignedCertificateTimestamps([b"a proof"]),
    (E.CLIENT_CERTIFICATE_TYPE, CH): bodies.ClientCertificateTypes([CertificateType.X509]),
    (E.SERVER_CERTIFICATE_TYPE, CH): bodies.ServerCertificateTypes([CertificateType.X509]),
    (E.KEY_SHARE, CH): bodies.KeyShareClientHello([SHARE]),
    (E.KEY_SHARE, SH): bodies.KeyShareServerHello(SHARE),
    (E.KEY_SHARE, HRR): bodies.KeyShareHelloRetryRequest(NamedGroup.SECP256R1),
    (E.PRE_SHARED_KEY, CH): bodies.OfferedPsks([bodies.PskIdentity(b"ticket", 0)], [bytes(32)]),
    (E.PRE_SHARED_KEY, SH): bodies.SelectedPsk(0),
    (E.SUPPORTED_VERSIONS, CH): bodies.SupportedVersions([TLS13, TLS12]),
    (E.EARLY_DATA, NST): bodies.EarlyDataLimit(1),
}
ANYWHERE: dict[ExtensionType, ExtensionBody] = {
    E.MAX_FRAGMENT_LENGTH: bodies.MaxFragmentLength(1),
    E.SUPPORTED_GROUPS: bodies.SupportedGroups([NamedGroup.X25519]),
    E.SIGNATURE_ALGORITHMS: bodies.SignatureAlgorithms([SignatureScheme.ECDSA_SECP256R1_SHA256]),
    E.SIGNATURE_ALGORITHMS_CERT: bodies.SignatureAlgorithmsCert([SignatureScheme.ECDSA_SECP256R1_SHA256]),
    E.USE_SRTP: bodies.UseSRTP([1], b"mki"),
    E.HEARTBEAT: bodies.Heartbeat(1),
    E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION: bodies.ALPN([b"h2"]),
    E.CLIENT_CERTIFICATE_TYPE: bodies.SelectedCertificateType(CertificateType.X509),
    E.SERVER_CERTIFICATE_TYPE: bodies.SelectedCertificateType(CertificateType.X509),
    E.PADDING: bodies.Padding(bytes(3)),
    E.PSK_KEY_EXCHANGE_MODES: bodies.PskKeyExchangeModes([PskKeyExchangeMode.PSK_DHE_KE]),
    E.COOKIE: bodies.Cookie(b"a cookie"),
    E.SUPPORTED_VERSIONS: bodies.SupportedVersionsServerHello(TLS13),
    E.CERTIFICATE_AUTHORITIES: bodies.CertificateAuthorities([b"a name"]),
    E.OID_FILTERS: bodies.OidFilters([bodies.OidFilter(b"an OID", b"a value")]),
    E.RECORD_SIZE_LIMIT: bodies.RecordSizeLimit(512),
    E.EC_POINT_FORMATS: bodies.ECPointFormats([ECPointFormat.UNCOMPRESSED]),
    E.SESSION_TICKET: bodies.SessionTicket(b"a ticket"),
    E.RENEGOTIATION_INFO: bodies.RenegotiationInfo(b"earlier"),
}
ANY_BYTES = (E.PADDING, E.SESSION_TICKET)
"""Whose body is whatever it is."""


def sample(kind: ExtensionType, place: Place) -> bytes:
    """A body in good form; empty where it has to be."""
    if PLACES[kind].get(place, ...) is None:
        return b""
    found = SAMPLES.get((kind, place), ANYWHERE.get(kind))
    return b"" if found is None else found.encode()


ALLOWED = [(kind, place) for kind, places in PLACES.items() for place in places]
FORBIDDEN = [(kind, place) for kind, places in PLACES.items() for place in Place if place not in places]


def malformed(kind: ExtensionType, place: Place) -> Iterator[bytes]:
    """Each strict prefix of a good body, and one with a byte more."""
    good = sample(kind, place)
    if kind in ANY_BYTES and good:
        return
    yield from (good[:end] for end in range(len(good)))
    yield good + b"x"


@pytest.mark.parametrize(("kind", "place"), ALLOWED, ids=str)
def test_each_extension_is_decoded_to_its_last_byte(kind: ExtensionType, place: Place) -> None:
    check_extensions(place, {kind: sample(kind, place)})
    for body in malformed(kind, place):
        for _ in range(2):  # what is remembered is no more lenient
            with pytest.raises(DecodeError):
                check_extensions(place, {kind: body})


@pytest.mark.parametrize("place", Place, ids=str)
def test_unknown_extensions_are_passed_over(place: Place) -> None:
    check_extensions(place, {E(0xFAFA): b"?", E.TLS_FLAGS: b"?"})


# In whole handshakes.


def with_extension(message: Any, kind: ExtensionType, body: bytes) -> Any:
    """The message with this extension in place of its own, if it has one; a pre_shared_key stays last."""
    extensions = {**message.extensions, kind: body}
    last = extensions.pop(E.PRE_SHARED_KEY, None)
    return replace(message, extensions=extensions if last is None else {**extensions, E.PRE_SHARED_KEY: last})


def in_certificate(message: Any, kind: ExtensionType, body: bytes) -> Any:
    first, *others = message.certificate_list
    return replace(message, certificate_list=[with_extension(first, kind, body), *others])


Change = Callable[[Any, ExtensionType, bytes], HandshakeMessage]
SENT_IN: dict[Place, tuple[type[HandshakeMessage], Change]] = {
    CH: (ClientHello, with_extension),
    SH: (ServerHello, with_extension),
    SH12: (ServerHello, with_extension),
    HRR: (ServerHello, lambda m, kind, body: with_extension(m, kind, body) if m.is_retry else m),
    EE: (EncryptedExtensions, with_extension),
    CT: (Certificate, in_certificate),
    CR: (CertificateRequest, with_extension),
    NST: (NewSessionTicket, with_extension),
}


def receive(world: World, place: Place, kind: ExtensionType, body: bytes) -> Party:
    """Who gets a message with this extension in it, after the handshake was tried."""
    versions = (TLS12,) if place is SH12 else (TLS13,)
    pair = Pair(
        world.client_config(key_shares=0 if place is HRR else 2, alpn=("h2",), identities=(world.client.identity,)),
        world.server_config(
            versions=versions,
            trust=world.root.trust,
            client_auth=ClientAuth.OPTIONAL if place is CR else ClientAuth.NONE,
        ),
    )
    message, change = SENT_IN[place]
    sender, receiver = (pair.client, pair.server) if place is CH else (pair.server, pair.client)
    sender.rewrite(message, lambda m: change(m, kind, body))
    pair.run()
    return receiver


@pytest.mark.parametrize(("kind", "place"), FORBIDDEN, ids=str)
def test_an_extension_where_it_must_not_be_is_refused(world: World, kind: ExtensionType, place: Place) -> None:
    """RFC 8446, 4.2: illegal_parameter; unsupported_extension where it was not even offered."""
    receiver = receive(world, place, kind, sample(kind, place))
    assert isinstance(receiver.error, errors.ExtensionNotAllowed | errors.ExtensionUnasked), repr(receiver.error)
    hello = next(f.message for f in receiver.facts if isinstance(f, MessageSeen) and isinstance(f.message, ClientHello))
    answers = place not in (CH, CR, NST)
    expected = errors.ExtensionUnasked if answers and kind not in hello.extensions else errors.ExtensionNotAllowed
    assert type(receiver.error) is expected


@pytest.mark.parametrize(
    ("kind", "place"), [(kind, place) for kind, place in ALLOWED if kind not in ANY_BYTES or place is SH12], ids=str
)
def test_a_malformed_extension_is_refused(world: World, kind: ExtensionType, place: Place) -> None:
    """Whether it would have been used or not; before any key where the message is in clear."""
    receiver = receive(world, place, kind, sample(kind, place) + b"!")
    error = receiver.error
    assert isinstance(error, DecodeError | errors.ExtensionUnasked), repr(error)
    hello = next(f.message for f in receiver.facts if isinstance(f, MessageSeen) and isinstance(f.message, ClientHello))
    if isinstance(error, errors.ExtensionUnasked):
        assert place not in (CH, CR, NST)
        assert kind not in hello.extensions
    elif place in (CH, SH, SH12, HRR):
        assert isinstance(error, PeerError)
        assert error.alert == AlertDescription.DECODE_ERROR
        assert not any(isinstance(fact, KeyInstalled) for fact in receiver.facts)
