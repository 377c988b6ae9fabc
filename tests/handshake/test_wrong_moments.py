"""Messages and data that come at the wrong time, for another version, or never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import World
from tests.handshake.wrong import TLS11, TLS12, TLS13, E, extended, failing
from tests.pair import Pair, anybody

from handclasp import ClientAuth, ProtocolVersion
from handclasp.crypto.protection import BadRecordMac
from handclasp.endings import PeerAlert, Truncated
from handclasp.facts import MessageSeen
from handclasp.handshake import errors
from handclasp.questions import VerifyPeer
from handclasp.wire.extensions import (
    OCSPStatus,
    pack,
)
from handclasp.wire.iana import (
    CertificateStatusType,
    CipherSuite,
    ClientCertificateType,
    HandshakeType,
    SignatureScheme,
)
from handclasp.wire.messages import (
    DOWNGRADE_TLS12,
    Certificate,
    CertificateEntry,
    CertificateRequest,
    ClientHello,
    Finished,
    HandshakeMessage,
    ServerHello,
)
from handclasp.wire.messages12 import (
    CertificateRequest12,
    CertificateStatus,
    HelloRequest,
    ServerHelloDone,
)


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
