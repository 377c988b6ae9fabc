"""A TLS 1.3 peer whose messages are well-formed and wrong: each mistake has its own error and alert."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.conftest import World
from tests.handshake.wrong import SSL3, TLS11, TLS12, TLS13, Change, E, extended, failing, server_share, shares_of
from tests.pair import Pair

from handclasp import ClientAuth, NamedGroup, ProtocolVersion
from handclasp.crypto.groups import BadKeyShare
from handclasp.crypto.signatures import BadSignature
from handclasp.errors import PeerError
from handclasp.facts import KeyInstalled
from handclasp.handshake import errors
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import (
    ALPN,
    Cookie,
    KeyShareClientHello,
    KeyShareEntry,
    KeyShareHelloRetryRequest,
    KeyShareServerHello,
    OfferedPsks,
    SelectedPsk,
    ServerName,
    ServerNameList,
    SignatureAlgorithms,
    SupportedGroups,
    SupportedVersions,
    SupportedVersionsServerHello,
)
from handclasp.wire.iana import (
    CipherSuite,
    CompressionMethod,
    ServerNameType,
    SignatureScheme,
)
from handclasp.wire.messages import (
    RETRY_RANDOM,
    Certificate,
    CertificateEntry,
    CertificateVerify,
    ClientHello,
    EncryptedExtensions,
    Finished,
    HandshakeMessage,
    ServerHello,
)

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
