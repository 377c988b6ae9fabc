"""The same in TLS 1.2: each mistake has its own error and alert."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.conftest import World
from tests.handshake.wrong import TLS12, TLS13, Change, E, extended, failing
from tests.pair import Pair

from handclasp import ClientAuth, NamedGroup
from handclasp.crypto.groups import BadKeyShare
from handclasp.crypto.signatures import BadSignature
from handclasp.errors import PeerError
from handclasp.handshake import errors
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import (
    ECPointFormats,
    RenegotiationInfo,
    SignatureAlgorithms,
    SupportedGroups,
)
from handclasp.wire.iana import (
    CipherSuite,
    ECCurveType,
    ECPointFormat,
    SignatureScheme,
)
from handclasp.wire.messages import (
    CertificateVerify,
    ClientHello,
    Finished,
    HandshakeMessage,
    ServerHello,
)
from handclasp.wire.messages12 import (
    Certificate12,
    ClientKeyExchangeECDHE,
    ServerECDHParams,
    ServerKeyExchangeECDHE,
)

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
