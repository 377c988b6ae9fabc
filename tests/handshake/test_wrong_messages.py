"""A peer whose messages are well-formed and wrong: each mistake has its own error and alert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair, anybody

from handclasp import ClientAuth, NamedGroup, ProtocolVersion
from handclasp.crypto.groups import BadKeyShare
from handclasp.crypto.protection import BadRecordMac
from handclasp.crypto.signatures import BadSignature
from handclasp.endings import PeerAlert, Truncated
from handclasp.errors import PeerError
from handclasp.facts import AlertSeen, KeyInstalled, MessageSeen
from handclasp.handshake import errors
from handclasp.questions import VerifyPeer
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import (
    ALPN,
    Cookie,
    ECPointFormats,
    KeyShareClientHello,
    KeyShareEntry,
    KeyShareHelloRetryRequest,
    KeyShareServerHello,
    OCSPStatus,
    OfferedPsks,
    RenegotiationInfo,
    SelectedPsk,
    ServerName,
    ServerNameList,
    SignatureAlgorithms,
    SupportedGroups,
    SupportedVersions,
    SupportedVersionsServerHello,
    find,
    pack,
)
from handclasp.wire.iana import (
    CertificateStatusType,
    CipherSuite,
    ClientCertificateType,
    CompressionMethod,
    ECCurveType,
    ECPointFormat,
    ExtensionType,
    HandshakeType,
    ServerNameType,
    SignatureScheme,
)
from handclasp.wire.messages import (
    DOWNGRADE_TLS12,
    RETRY_RANDOM,
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    EncryptedExtensions,
    Finished,
    HandshakeMessage,
    ServerHello,
)
from handclasp.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchangeECDHE,
    HelloRequest,
    ServerECDHParams,
    ServerHelloDone,
    ServerKeyExchangeECDHE,
)

TLS11, TLS12, TLS13 = ProtocolVersion.TLS11, ProtocolVersion.TLS12, ProtocolVersion.TLS13
SSL3 = ProtocolVersion.SSL3
E = ExtensionType


def extended(message: Any, *bodies: Any, without: tuple[ExtensionType, ...] = (), **raw: bytes) -> Any:
    """The message with extensions added, replaced or left out."""
    extensions = {kind: data for kind, data in message.extensions.items() if kind not in without}
    extensions |= pack(*bodies)
    extensions |= {ExtensionType[name]: data for name, data in raw.items()}
    return replace(message, extensions=extensions)


def shares_of(hello: ClientHello) -> list[KeyShareEntry]:
    found = find(hello.extensions, KeyShareClientHello)
    assert found is not None
    return found.client_shares


def server_share(hello: ServerHello) -> KeyShareEntry:
    found = find(hello.extensions, KeyShareServerHello)
    assert found is not None
    return found.server_share


Change = Callable[[Any], HandshakeMessage | None]

SERVER13: list[tuple[str, type[HandshakeMessage], Change, type[PeerError]]] = [
    ("a false Finished", Finished, lambda m: replace(m, verify_data=bytes(32)), errors.FinishedMismatch),
    ("a short Finished", Finished, lambda m: replace(m, verify_data=b"x"), DecodeError),
    ("a false signature", CertificateVerify, lambda m: replace(m, signature=m.signature[:-1] + b"!"), BadSignature),
    ("no signature", CertificateVerify, lambda m: None, errors.UnexpectedMessage),
    (
        "a signature by PKCS 1",
        CertificateVerify,
        lambda m: replace(m, algorithm=SignatureScheme.RSA_PKCS1_SHA256),
        errors.IllegalValue,
    ),
    (
        "a signature nobody offered",
        CertificateVerify,
        lambda m: replace(m, algorithm=SignatureScheme.ECDSA_SHA1),
        errors.IllegalValue,
    ),
    ("an empty Certificate", Certificate, lambda m: replace(m, certificate_list=[]), DecodeError),
    (
        "a Certificate with a context",
        Certificate,
        lambda m: replace(m, certificate_request_context=b"x"),
        errors.IllegalValue,
    ),
    ("no Certificate", Certificate, lambda m: None, errors.UnexpectedMessage),
    (
        "a certificate with an extension nobody asked for",
        Certificate,
        lambda m: replace(m, certificate_list=[CertificateEntry(m.certificate_list[0].cert_data, {E.COOKIE: b""})]),
        errors.ExtensionUnasked,
    ),
    (
        "too many certificates",
        Certificate,
        lambda m: replace(m, certificate_list=m.certificate_list * 20),
        errors.ChainTooLong,
    ),
    ("no EncryptedExtensions", EncryptedExtensions, lambda m: None, errors.UnexpectedMessage),
    (
        "an extension nobody offered",
        EncryptedExtensions,
        lambda m: extended(m, USE_SRTP=b""),
        errors.ExtensionUnasked,
    ),
    (
        "key_share in EncryptedExtensions",
        EncryptedExtensions,
        lambda m: extended(m, KEY_SHARE=b""),
        errors.ExtensionNotAllowed,
    ),
    (
        "a protocol nobody offered",
        EncryptedExtensions,
        lambda m: extended(m, ALPN([b"spdy/1"])),
        errors.IllegalValue,
    ),
    (
        "two protocols",
        EncryptedExtensions,
        lambda m: extended(m, ALPN([b"h2", b"http/1.1"])),
        errors.IllegalValue,
    ),
    (
        "a suite nobody offered",
        ServerHello,
        lambda m: replace(m, cipher_suite=CipherSuite.TLS_AES_128_CCM_SHA256),
        errors.IllegalValue,
    ),
    (
        "a suite of TLS 1.2",
        ServerHello,
        lambda m: replace(m, cipher_suite=CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
        errors.IllegalValue,
    ),
    (
        "TLS 1.3 by legacy_version",
        ServerHello,
        lambda m: replace(extended(m, without=(E.SUPPORTED_VERSIONS,)), legacy_version=TLS13),
        errors.VersionUnasked,
    ),
    (
        "compression",
        ServerHello,
        lambda m: replace(m, legacy_compression_method=CompressionMethod.DEFLATE),
        errors.IllegalValue,
    ),
    (
        "another session ID",
        ServerHello,
        lambda m: replace(m, legacy_session_id_echo=bytes(32)),
        errors.IllegalValue,
    ),
    ("SSL 3.0's legacy_version", ServerHello, lambda m: replace(m, legacy_version=SSL3), errors.VersionUnasked),
    ("no key", ServerHello, lambda m: extended(m, without=(E.KEY_SHARE,)), errors.ExtensionMissing),
    (
        "a key of a group nobody sent one for",
        ServerHello,
        lambda m: extended(m, KeyShareServerHello(KeyShareEntry(NamedGroup.SECP384R1, bytes(97)))),
        errors.IllegalValue,
    ),
    (
        "a key that is none",
        ServerHello,
        lambda m: extended(m, KeyShareServerHello(replace(server_share(m), key_exchange=bytes(1120)))),
        BadKeyShare,
    ),
    (
        "a short key",
        ServerHello,
        lambda m: extended(m, KeyShareServerHello(replace(server_share(m), key_exchange=b"x"))),
        BadKeyShare,
    ),
    ("ALPN in ServerHello", ServerHello, lambda m: extended(m, ALPN([b"h2"])), errors.ExtensionNotAllowed),
    ("a session nobody offered", ServerHello, lambda m: extended(m, SelectedPsk(0)), errors.ExtensionUnasked),
    (
        "TLS 1.1",
        ServerHello,
        lambda m: extended(m, SupportedVersionsServerHello(TLS11)),
        errors.IllegalValue,
    ),
    (
        "TLS 1.4",
        ServerHello,
        lambda m: extended(m, SupportedVersionsServerHello(ProtocolVersion(0x0305))),
        errors.IllegalValue,
    ),
    (
        "a server name with a body",
        EncryptedExtensions,
        lambda m: extended(m, SERVER_NAME=b"x"),
        DecodeError,
    ),
    (
        "a retry with a protocol",
        ServerHello,
        lambda m: extended(
            replace(m, random=RETRY_RANDOM), KeyShareHelloRetryRequest(NamedGroup.SECP256R1), ALPN([b"h2"])
        ),
        errors.ExtensionNotAllowed,
    ),
    (
        "a retry without a version",
        ServerHello,
        lambda m: extended(
            replace(m, random=RETRY_RANDOM),
            KeyShareHelloRetryRequest(NamedGroup.SECP256R1),
            without=(E.SUPPORTED_VERSIONS,),
        ),
        errors.ExtensionMissing,
    ),
    (
        "a retry that changes nothing",
        ServerHello,
        lambda m: extended(
            replace(m, random=RETRY_RANDOM),
            without=(E.KEY_SHARE,),
        ),
        errors.IllegalValue,
    ),
    (
        "a retry for a key that was sent",
        ServerHello,
        lambda m: extended(
            replace(m, random=RETRY_RANDOM),
            KeyShareHelloRetryRequest(NamedGroup.X25519),
        ),
        errors.IllegalValue,
    ),
]


def failing(pair: Pair, expected: type[Exception], finder: Any, other: Any) -> None:
    """The finder raises this error; the other hears its alert; neither has a session or data."""
    pair.run()
    assert type(finder.error) is expected, repr(finder.error)
    if isinstance(finder.error, PeerError):
        assert other.heard == finder.error.alert or isinstance(other.error, Exception)
        sent = [f for f in finder.facts if isinstance(f, AlertSeen) and f.direction == "sent"]
        assert [f.description for f in sent] == [finder.error.alert]
    assert str(finder.error)
    assert not finder.done
    with pytest.raises(expected):
        finder.connection.receive_data(b"")
    with pytest.raises(expected):
        finder.connection.send_data(b"x")


@pytest.mark.parametrize(("kind", "change", "expected"), [row[1:] for row in SERVER13], ids=[r[0] for r in SERVER13])
def test_a_client_of_tls13_refuses(
    world: World, kind: type[HandshakeMessage], change: Change, expected: type[PeerError]
) -> None:
    pair = Pair(world.client_config(alpn=("h2", "http/1.1")), world.server_config())
    pair.server.rewrite(kind, change)
    failing(pair, expected, pair.client, pair.server)


CLIENT13: list[tuple[str, type[HandshakeMessage], Change, type[PeerError]]] = [
    ("a false Finished", Finished, lambda m: replace(m, verify_data=bytes(32)), errors.FinishedMismatch),
    ("a false signature", CertificateVerify, lambda m: replace(m, signature=m.signature[:-1] + b"!"), BadSignature),
    ("no signature", CertificateVerify, lambda m: None, errors.UnexpectedMessage),
    ("no certificate", Certificate, lambda m: replace(m, certificate_list=[]), errors.CertificateMissing),
    (
        "a certificate with a context",
        Certificate,
        lambda m: replace(m, certificate_request_context=b"x"),
        errors.IllegalValue,
    ),
    (
        "only suites that we lack",
        ClientHello,
        lambda m: replace(m, cipher_suites=[CipherSuite.TLS_AES_128_CCM_SHA256]),
        errors.NoCommonCipherSuite,
    ),
    (
        "only groups that we lack",
        ClientHello,
        lambda m: extended(m, SupportedGroups([NamedGroup.SECP160K1]), KeyShareClientHello([])),
        errors.NoCommonGroup,
    ),
    (
        "only signatures that we can't make",
        ClientHello,
        lambda m: extended(m, SignatureAlgorithms([SignatureScheme.ED448])),
        errors.NoSuitableCertificate,
    ),
    (
        "only versions that we lack",
        ClientHello,
        lambda m: extended(m, SupportedVersions([TLS11])),
        errors.NoCommonVersion,
    ),
    (
        "an old version without the extension",
        ClientHello,
        lambda m: replace(extended(m, without=(E.SUPPORTED_VERSIONS,)), legacy_version=TLS11),
        errors.NoCommonVersion,
    ),
    (
        "SSL 3.0's legacy_version beside the versions of today",
        ClientHello,
        lambda m: replace(m, legacy_version=SSL3),
        errors.NoCommonVersion,
    ),
    (
        "compression too",
        ClientHello,
        lambda m: replace(m, legacy_compression_methods=[CompressionMethod.NULL, CompressionMethod.DEFLATE]),
        errors.IllegalValue,
    ),
    (
        "an extended master secret with a body",
        ClientHello,
        lambda m: extended(m, EXTENDED_MASTER_SECRET=b"x"),
        DecodeError,
    ),
    (
        "only compression",
        ClientHello,
        lambda m: replace(m, legacy_compression_methods=[CompressionMethod.DEFLATE]),
        errors.IllegalValue,
    ),
    (
        "keys without groups",
        ClientHello,
        lambda m: extended(m, without=(E.SUPPORTED_GROUPS,)),
        errors.ExtensionMissing,
    ),
    (
        "no signature algorithms",
        ClientHello,
        lambda m: extended(m, without=(E.SIGNATURE_ALGORITHMS,)),
        errors.ExtensionMissing,
    ),
    (
        "two keys of one group",
        ClientHello,
        lambda m: extended(m, KeyShareClientHello(shares_of(m)[:1] * 2)),
        errors.IllegalValue,
    ),
    (
        "a key of a group not offered",
        ClientHello,
        lambda m: extended(m, SupportedGroups([NamedGroup.X25519])),
        errors.IllegalValue,
    ),
    (
        "a key that is none",
        ClientHello,
        lambda m: extended(m, KeyShareClientHello([KeyShareEntry(NamedGroup.X25519, bytes(32))])),
        BadKeyShare,
    ),
    (
        "two server names",
        ClientHello,
        lambda m: extended(m, ServerNameList([ServerName(ServerNameType.HOST_NAME, b"a")] * 2)),
        errors.IllegalValue,
    ),
    (
        "a server name that is not ASCII",
        ClientHello,
        lambda m: extended(m, ServerNameList([ServerName(ServerNameType.HOST_NAME, b"\xff")])),
        DecodeError,
    ),
    (
        "protocols that we don't speak",
        ClientHello,
        lambda m: extended(m, ALPN([b"spdy/1"])),
        errors.NoCommonProtocol,
    ),
    ("a pre-shared key without modes", ClientHello, lambda m: psk(m, modes=False), errors.ExtensionMissing),
    (
        "a fallback to what is not spoken",
        ClientHello,
        lambda m: replace(
            extended(m, without=(E.SUPPORTED_VERSIONS,)),
            legacy_version=TLS11,
            cipher_suites=[*m.cipher_suites, CipherSuite.TLS_FALLBACK_SCSV],
        ),
        errors.InappropriateFallback,
    ),
    (
        "a fallback",
        ClientHello,
        lambda m: replace(
            extended(m, SupportedVersions([TLS12])),
            cipher_suites=[*m.cipher_suites, CipherSuite.TLS_FALLBACK_SCSV],
        ),
        errors.InappropriateFallback,
    ),
]


def psk(hello: ClientHello, *, modes: bool) -> ClientHello:
    from handclasp.wire.extensions import PskIdentity

    offer = OfferedPsks([PskIdentity(b"ticket", 0)], [bytes(32)])
    without = () if modes else (E.PSK_KEY_EXCHANGE_MODES,)
    changed: ClientHello = extended(hello, offer, without=without)
    return changed


@pytest.mark.parametrize(("kind", "change", "expected"), [row[1:] for row in CLIENT13], ids=[r[0] for r in CLIENT13])
def test_a_server_of_tls13_refuses(
    world: World, kind: type[HandshakeMessage], change: Change, expected: type[PeerError]
) -> None:
    server = world.server_config(trust=world.root.trust, client_auth=ClientAuth.REQUIRED, alpn=("h2",))
    pair = Pair(world.client_config(identities=(world.client.identity,)), server)
    pair.client.rewrite(kind, change)
    failing(pair, expected, pair.server, pair.client)
    if kind is ClientHello:  # what cannot be is told in clear, before any key
        assert not any(isinstance(fact, KeyInstalled) for fact in pair.server.facts)


SECOND_HELLO: list[tuple[str, Change, type[PeerError]]] = [
    ("another random", lambda m: replace(m, random=bytes(32)), errors.IllegalChange),
    ("other suites", lambda m: replace(m, cipher_suites=m.cipher_suites[:1]), errors.IllegalChange),
    ("other versions", lambda m: extended(m, SupportedVersions([TLS13])), errors.IllegalChange),
    ("an extension more", lambda m: extended(m, HEARTBEAT=b"\1"), errors.IllegalChange),
    ("no cookie", lambda m: extended(m, without=(E.COOKIE,)), errors.CookieMismatch),
    ("another cookie", lambda m: extended(m, Cookie(bytes(32))), errors.CookieMismatch),
    (
        "a key of another group",
        lambda m: extended(m, KeyShareClientHello([KeyShareEntry(NamedGroup.SECP256R1, bytes(65))])),
        errors.IllegalChange,
    ),
    ("no key", lambda m: extended(m, KeyShareClientHello([])), errors.IllegalChange),
]


@pytest.mark.parametrize(("change", "expected"), [r[1:] for r in SECOND_HELLO], ids=[r[0] for r in SECOND_HELLO])
def test_a_second_hello_may_change_only_what_was_asked(world: World, change: Change, expected: type[PeerError]) -> None:
    """RFC 8446, 4.1.2."""
    pair = Pair(world.client_config(key_shares=0), world.server_config(retry_cookie=True))
    pair.client.rewrite(ClientHello, lambda m: change(m) if E.COOKIE in m.extensions else m)  # type: ignore[arg-type,return-value]
    failing(pair, expected, pair.server, pair.client)


AFTER_RETRY: list[tuple[str, Change, type[PeerError]]] = [
    (
        "a second retry",
        lambda m: extended(
            replace(m, random=RETRY_RANDOM),
            Cookie(b"x"),
        ),
        errors.SecondRetry,
    ),
    (
        "another suite",
        lambda m: replace(m, cipher_suite=CipherSuite.TLS_CHACHA20_POLY1305_SHA256),
        errors.IllegalChange,
    ),
    ("another version", lambda m: extended(m, without=(E.SUPPORTED_VERSIONS,)), errors.IllegalChange),
    (
        "another version, with what belongs to it",
        lambda m: replace(
            extended(m, HEARTBEAT=b"", without=(E.SUPPORTED_VERSIONS,)),
            cipher_suite=CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA,
        ),
        errors.IllegalChange,
    ),
    ("SSL 3.0", lambda m: replace(m, legacy_version=SSL3), errors.VersionUnasked),
    (
        "another group",
        lambda m: extended(m, KeyShareServerHello(KeyShareEntry(NamedGroup.SECP384R1, bytes(97)))),
        errors.IllegalChange,
    ),
    (
        "compression",
        lambda m: replace(m, legacy_compression_method=CompressionMethod.DEFLATE),
        errors.IllegalValue,
    ),
    ("an extension nobody offered", lambda m: extended(m, HEARTBEAT=b"\1"), errors.ExtensionUnasked),
]


@pytest.mark.parametrize(("change", "expected"), [r[1:] for r in AFTER_RETRY], ids=[r[0] for r in AFTER_RETRY])
def test_a_server_keeps_its_word_after_a_retry(world: World, change: Change, expected: type[PeerError]) -> None:
    """RFC 8446, 4.1.4."""
    pair = Pair(world.client_config(key_shares=0), world.server_config())
    pair.server.rewrite(ServerHello, lambda m: m if m.is_retry else change(m))  # type: ignore[arg-type,return-value]
    failing(pair, expected, pair.client, pair.server)


def with_early_data(pair: Pair, sizes: tuple[int, ...]) -> None:
    """Let the client send early data that nobody asked for, as to a server that has given up on it."""
    from handclasp.crypto.protection import Sealer13
    from handclasp.crypto.suites import SUITES

    pair.client.rewrite(ClientHello, lambda m: m if E.COOKIE in m.extensions else extended(m, EARLY_DATA=b""))
    pair.client.connection.start()
    pair.server.connection.start()
    sealer = Sealer13(SUITES[CipherSuite.TLS_AES_128_GCM_SHA256], bytes(16), bytes(12))
    early: list[bytes] = []
    for size in sizes:
        sealer.seal(early, 23, bytes(size))
    pair.server.receive(pair.client.connection.data_to_send() + b"".join(early))
    pair.carry()


@pytest.mark.parametrize("retry", [False, True], ids=["at-once", "after-a-retry"])
def test_a_server_passes_over_early_data_that_it_did_not_ask_for(world: World, retry: bool) -> None:
    """RFC 8446, 4.2.10: the client's ticket may be of a server that took some."""
    pair = Pair(world.client_config(key_shares=0 if retry else 2), world.server_config(retry_cookie=True))
    with_early_data(pair, (0, 16_384 - 1))
    assert pair.client.done
    pair.say()
    assert pair.server.data == b"ping"


@pytest.mark.parametrize("retry", [False, True], ids=["at-once", "after-a-retry"])
def test_a_server_passes_over_no_more_early_data_than_its_limit(world: World, retry: bool) -> None:
    pair = Pair(world.client_config(key_shares=0 if retry else 2), world.server_config(retry_cookie=True))
    with_early_data(pair, (16_384 - 10, 11))
    assert type(pair.server.error) is errors.LimitExceeded


def test_a_record_that_does_not_open_is_no_early_data_once_one_has_opened(world: World) -> None:
    pair = Pair(world.client_config(), world.server_config())
    with_early_data(pair, (1,))
    assert pair.client.done
    pair.server.receive(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert type(pair.server.error) is BadRecordMac


def test_a_certificate_request_without_signature_algorithms_is_refused(world: World) -> None:
    """RFC 8446, 4.3.2."""
    pair = Pair(world.client_config(), world.server_config(trust=world.root.trust, client_auth=ClientAuth.OPTIONAL))
    pair.server.rewrite(CertificateRequest, lambda m: replace(m, extensions={}))
    failing(pair, errors.ExtensionMissing, pair.client, pair.server)


def test_a_certificate_request_with_a_context_is_refused_in_the_handshake(world: World) -> None:
    """RFC 8446, 4.3.2."""
    pair = Pair(world.client_config(), world.server_config(trust=world.root.trust, client_auth=ClientAuth.OPTIONAL))
    pair.server.rewrite(CertificateRequest, lambda m: replace(m, certificate_request_context=b"x"))
    failing(pair, errors.IllegalValue, pair.client, pair.server)


SERVER12: list[tuple[str, type[HandshakeMessage], Change, type[PeerError]]] = [
    ("a false Finished", Finished, lambda m: replace(m, verify_data=bytes(12)), errors.FinishedMismatch),
    ("a long Finished", Finished, lambda m: replace(m, verify_data=bytes(13)), DecodeError),
    ("an empty Certificate", Certificate12, lambda m: replace(m, certificate_list=[]), DecodeError),
    ("no key", ServerKeyExchangeECDHE, lambda m: None, errors.UnexpectedMessage),
    (
        "a false signature",
        ServerKeyExchangeECDHE,
        lambda m: replace(m, signature=m.signature[:-1] + b"!"),
        BadSignature,
    ),
    (
        "a signature that the key can't make",
        ServerKeyExchangeECDHE,
        lambda m: replace(m, algorithm=SignatureScheme.ED25519),
        errors.IllegalValue,
    ),
    (
        "a signature nobody offered",
        ServerKeyExchangeECDHE,
        lambda m: replace(m, algorithm=SignatureScheme.ECDSA_SHA1),
        errors.IllegalValue,
    ),
    (
        "a group nobody offered",
        ServerKeyExchangeECDHE,
        lambda m: replace(m, params=ServerECDHParams(ECCurveType.NAMED_CURVE, NamedGroup.SECP192K1, b"x")),
        errors.IllegalValue,
    ),
    (
        "a group of TLS 1.3",
        ServerKeyExchangeECDHE,
        lambda m: replace(m, params=ServerECDHParams(ECCurveType.NAMED_CURVE, NamedGroup.X25519MLKEM768, b"x")),
        errors.IllegalValue,
    ),
    (
        "an explicit curve",
        ServerKeyExchangeECDHE,
        lambda m: replace(m, params=replace(m.params, curve_type=ECCurveType.EXPLICIT_PRIME)),
        errors.IllegalValue,
    ),
    (
        "no extended master secret",
        ServerHello,
        lambda m: extended(m, without=(E.EXTENDED_MASTER_SECRET,)),
        errors.ExtendedMasterSecretMissing,
    ),
    (
        "a renegotiation",
        ServerHello,
        lambda m: extended(m, RenegotiationInfo(b"earlier")),
        errors.RenegotiationMismatch,
    ),
    (
        "a server name with a body",
        ServerHello,
        lambda m: extended(m, SERVER_NAME=b"x"),
        DecodeError,
    ),
    (
        "an extended master secret with a body",
        ServerHello,
        lambda m: extended(m, EXTENDED_MASTER_SECRET=b"x"),
        DecodeError,
    ),
    (
        "no uncompressed points",
        ServerHello,
        lambda m: extended(m, ECPointFormats([ECPointFormat.ANSIX962_COMPRESSED_PRIME])),
        errors.IllegalValue,
    ),
    (
        "groups in ServerHello",
        ServerHello,
        lambda m: extended(m, SupportedGroups([NamedGroup.X25519])),
        errors.ExtensionNotAllowed,
    ),
    (
        "a suite of the other kind of key",
        ServerHello,
        lambda m: replace(m, cipher_suite=CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
        errors.CertificateUnwanted,
    ),
    (
        "a suite of TLS 1.3",
        ServerHello,
        lambda m: replace(m, cipher_suite=CipherSuite.TLS_AES_128_GCM_SHA256),
        errors.IllegalValue,
    ),
]


@pytest.mark.parametrize(("kind", "change", "expected"), [row[1:] for row in SERVER12], ids=[r[0] for r in SERVER12])
def test_a_client_of_tls12_refuses(
    world: World, kind: type[HandshakeMessage], change: Change, expected: type[PeerError]
) -> None:
    versions = (TLS13, TLS12) if "1.3" in str(expected) else (TLS12,)
    client = world.client_config(versions=versions)
    if kind is ServerHello and expected is errors.IllegalValue:
        client = world.client_config()
    pair = Pair(client, world.server_config(versions=(TLS12,)))
    pair.server.rewrite(kind, change)
    failing(pair, expected, pair.client, pair.server)


CLIENT12: list[tuple[str, type[HandshakeMessage], Change, type[PeerError]]] = [
    ("a false Finished", Finished, lambda m: replace(m, verify_data=bytes(12)), errors.FinishedMismatch),
    ("a false signature", CertificateVerify, lambda m: replace(m, signature=m.signature[:-1] + b"!"), BadSignature),
    ("no signature", CertificateVerify, lambda m: None, errors.UnexpectedMessage),
    ("no certificate", Certificate12, lambda m: replace(m, certificate_list=[]), errors.CertificateMissing12),
    ("no key", ClientKeyExchangeECDHE, lambda m: None, errors.UnexpectedMessage),
    ("a key that is none", ClientKeyExchangeECDHE, lambda m: replace(m, public=bytes(32)), BadKeyShare),
    (
        "no extended master secret",
        ClientHello,
        lambda m: extended(m, without=(E.EXTENDED_MASTER_SECRET,)),
        errors.ExtendedMasterSecretMissing,
    ),
    (
        "a renegotiation",
        ClientHello,
        lambda m: extended(m, RenegotiationInfo(b"earlier")),
        errors.RenegotiationMismatch,
    ),
    (
        "no uncompressed points",
        ClientHello,
        lambda m: extended(m, ECPointFormats([ECPointFormat.ANSIX962_COMPRESSED_PRIME])),
        errors.IllegalValue,
    ),
    (
        "no signature algorithms",
        ClientHello,
        lambda m: extended(m, without=(E.SIGNATURE_ALGORITHMS,)),
        errors.NoCommonSignatureScheme,
    ),
    (
        "only signatures that we can't make",
        ClientHello,
        lambda m: extended(m, SignatureAlgorithms([SignatureScheme.ED448])),
        errors.NoSuitableCertificate,
    ),
    (
        "only groups that we lack",
        ClientHello,
        lambda m: extended(m, SupportedGroups([NamedGroup.SECP192K1])),
        errors.NoCommonGroup,
    ),
    (
        "only suites for the other kind of key",
        ClientHello,
        lambda m: replace(m, cipher_suites=[CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]),
        errors.NoCommonCipherSuite,
    ),
]


@pytest.mark.parametrize(("kind", "change", "expected"), [row[1:] for row in CLIENT12], ids=[r[0] for r in CLIENT12])
def test_a_server_of_tls12_refuses(
    world: World, kind: type[HandshakeMessage], change: Change, expected: type[PeerError]
) -> None:
    server = world.server_config(trust=world.root.trust, client_auth=ClientAuth.REQUIRED)
    pair = Pair(world.client_config(versions=(TLS12,), identities=(world.client.identity,)), server)
    pair.client.rewrite(kind, change)
    failing(pair, expected, pair.server, pair.client)


@pytest.mark.parametrize(("version", "kind"), [(TLS13, Finished), (TLS12, ServerHelloDone)], ids=str)
def test_a_client_waits_for_a_message_that_never_comes(
    world: World, version: ProtocolVersion, kind: type[HandshakeMessage]
) -> None:
    pair = Pair(world.client_config(versions=(version,)), world.server_config())
    pair.server.rewrite(kind, lambda _: None)
    pair.run()
    assert not pair.client.done
    with pytest.raises(Truncated):
        pair.client.connection.receive_eof()


def test_a_downgrade_is_noticed(world: World) -> None:
    """RFC 8446, 4.1.3."""
    pair = Pair(world.client_config(), world.server_config(versions=(TLS12,)))
    pair.server.rewrite(ServerHello, lambda m: replace(m, random=m.random[:24] + DOWNGRADE_TLS12))
    failing(pair, errors.DowngradeDetected, pair.client, pair.server)


def test_a_server_that_speaks_tls13_marks_its_tls12_hello(world: World) -> None:
    """Somebody took TLS 1.3 out of the hello: the client sees the mark (RFC 8446, 4.1.3)."""
    pair = Pair(world.client_config(), world.server_config())
    pair.client.rewrite(ClientHello, lambda m: extended(m, without=(E.SUPPORTED_VERSIONS,)))
    failing(pair, errors.DowngradeDetected, pair.client, pair.server)


def test_a_certificate_request_of_tls12_that_no_key_fits_gets_an_empty_answer(world: World) -> None:
    pair = Pair(
        world.client_config(versions=(TLS12,), identities=(world.client.identity,)),
        world.server_config(trust=world.root.trust, client_auth=ClientAuth.OPTIONAL),
    )
    pair.server.rewrite(
        CertificateRequest12, lambda m: replace(m, supported_signature_algorithms=[SignatureScheme.ED448])
    )
    pair.run()
    assert pair.client.error is None or isinstance(pair.client.error, PeerAlert | errors.FinishedMismatch)


def test_a_session_id_that_names_no_session_may_not_come_back(world: World) -> None:
    """RFC 5246, 7.4.1.3: the same ID means a resumption, and the client's was for middleboxes alone."""
    pair = Pair(world.client_config(), world.server_config(versions=(TLS12,)))
    pair.client.connection.start()
    said = next(f.message for f in pair.client.facts if isinstance(f, MessageSeen))
    assert isinstance(said, ClientHello)
    pair.server.rewrite(ServerHello, lambda m: replace(m, legacy_session_id_echo=said.legacy_session_id))
    pair.server.connection.start()
    pair.carry()
    assert type(pair.client.error) is errors.IllegalValue


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_a_status_of_another_kind_than_ocsp_is_refused(world: World, version: ProtocolVersion) -> None:
    """RFC 6066, 8."""
    other = CertificateStatusType(9)
    identity = replace(world.server.identity, ocsp_response=b"a response")
    pair = Pair(
        world.client_config(versions=(version,), answers={VerifyPeer: anybody}),
        world.server_config(identities=(identity,)),
    )
    pair.server.rewrite(CertificateStatus, lambda m: replace(m, status_type=other))
    pair.server.rewrite(
        Certificate,
        lambda m: replace(
            m,
            certificate_list=[
                CertificateEntry(m.certificate_list[0].cert_data, pack(OCSPStatus(other, b"a response")))
            ],
        ),
    )
    failing(pair, errors.IllegalValue, pair.client, pair.server)


def test_a_client_of_tls12_shows_no_certificate_of_a_kind_that_the_server_does_not_want(world: World) -> None:
    """RFC 5246, 7.4.6: certificate_types bind as much as the signature algorithms do."""
    pair = Pair(
        world.client_config(versions=(TLS12,), identities=(world.client.identity,)),
        world.server_config(trust=world.root.trust, client_auth=ClientAuth.OPTIONAL),
    )
    pair.server.rewrite(CertificateRequest12, lambda m: replace(m, certificate_types=[ClientCertificateType.RSA_SIGN]))
    pair.shake()
    assert pair.server.connection.established is not None
    assert pair.server.connection.established.peer_chain == ()


@pytest.mark.parametrize("legacy_version", [0x0301, 0x0302, 0x0304, 0x0305, 0xFFFF], ids=hex)
@pytest.mark.parametrize("kind", [ClientHello, ServerHello], ids=lambda kind: kind.__name__)
def test_supported_versions_alone_says_the_version(world: World, kind: type[Any], legacy_version: int) -> None:
    """RFC 8446, 4.2.1: whatever is in legacy_version beside it, but for SSL 3.0 (D.5)."""
    pair = Pair(world.client_config(), world.server_config())
    party = pair.client if kind is ClientHello else pair.server
    party.rewrite(kind, lambda m: replace(m, legacy_version=ProtocolVersion(legacy_version)))
    pair.shake()
    assert pair.client.connection.established is not None
    assert pair.client.connection.established.version == TLS13


@pytest.mark.parametrize(
    "suite", [CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA, CipherSuite.TLS_AES_128_GCM_SHA256], ids=str
)
def test_a_client_judges_the_version_before_all_that_depends_on_it(world: World, suite: CipherSuite) -> None:
    """RFC 8446, D.1; RFC 5246, E.1: an old server's suite and extensions are as old as it is."""
    pair = Pair(world.client_config(), world.server_config(versions=(TLS12,)))
    pair.server.rewrite(
        ServerHello,
        lambda m: replace(extended(m, HEARTBEAT=b""), legacy_version=TLS11, cipher_suite=suite),
    )
    failing(pair, errors.VersionUnasked, pair.client, pair.server)
    assert "TLS 1.1" in str(pair.client.error)


@pytest.mark.parametrize("extra", [HelloRequest(), ServerHelloDone()], ids=lambda m: type(m).__name__)
def test_a_message_before_its_time_is_refused(world: World, extra: HandshakeMessage) -> None:
    pair = Pair(world.client_config(), world.server_config())
    pair.client.connection.start()
    raw = extra.to_bytes()
    pair.client.receive(b"\x16\x03\x03" + len(raw).to_bytes(2, "big") + raw)
    assert isinstance(pair.client.error, errors.UnexpectedMessage)
    assert str(HandshakeType(raw[0])) in str(pair.client.error)
