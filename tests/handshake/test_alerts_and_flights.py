"""Alerts of every form, and bytes that come where a flight is over or all is protected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.conftest import World
from tests.pair import Pair, Party, records

from handclasp import ClientAuth, ProtocolVersion, SignatureScheme
from handclasp.config import ClientConfig, ServerConfig
from handclasp.crypto.protection import UnprotectedRecord
from handclasp.crypto.signatures import known_in
from handclasp.endings import PeerAlert
from handclasp.errors import ConfigError
from handclasp.facts import AlertSeen, KeyInstalled, MessageSeen
from handclasp.handshake import errors
from handclasp.wire.extensions import SignatureAlgorithms, find
from handclasp.wire.iana import AlertDescription, AlertLevel, CipherSuite, ContentType, ExtensionType
from handclasp.wire.messages import ClientHello, EncryptedExtensions, ServerHello
from handclasp.wire.messages12 import CertificateRequest12, HelloRequest

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
MLDSA = (SignatureScheme.MLDSA44, SignatureScheme.MLDSA65, SignatureScheme.MLDSA87)


def established(world: World, version: ProtocolVersion) -> Pair:
    pair = Pair(world.client_config(versions=(version,)), world.server_config())
    pair.shake()
    return pair


def record(kind: ContentType, body: bytes) -> bytes:
    return bytes((kind,)) + b"\x03\x03" + len(body).to_bytes(2, "big") + body


def protected(sender: Party, kind: ContentType, body: bytes) -> bytes:
    """A record of the sender's, under its key."""
    sealer = sender.connection._records.sealer
    assert sealer is not None
    out: list[bytes] = []
    sealer.seal(out, kind, body)
    return b"".join(out)


def lengthened(data: bytes, more: bytes) -> bytes:
    """One record, with more at its end."""
    assert len(records(data)) == 1
    body = data[5:] + more
    return data[:3] + len(body).to_bytes(2, "big") + body


def sent_alerts(party: Party) -> list[tuple[int, int]]:
    return [(f.level, f.description) for f in party.facts if isinstance(f, AlertSeen) and f.direction == "sent"]


@BOTH
@pytest.mark.parametrize("kind", [ContentType.ALERT, ContentType.HANDSHAKE], ids=str)
def test_a_protected_record_of_these_is_never_empty(world: World, version: ProtocolVersion, kind: ContentType) -> None:
    """RFC 8446, 5.1; RFC 5246, 6.2.1."""
    pair = established(world, version)
    pair.client.receive(protected(pair.server, kind, b""))
    assert type(pair.client.error) is errors.UnexpectedMessage


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("kind", [ContentType.HANDSHAKE, ContentType.ALERT, ContentType.HEARTBEAT], ids=str)
def test_an_unprotected_record_under_keys_of_tls13_is_refused(world: World, role: str, kind: ContentType) -> None:
    """RFC 8446, 5.2."""
    pair = established(world, TLS13)
    party = pair.client if role == "client" else pair.server
    party.receive(record(kind, HelloRequest().to_bytes()))
    assert type(party.error) is UnprotectedRecord
    assert sent_alerts(party)[-1] == (AlertLevel.FATAL, AlertDescription.UNEXPECTED_MESSAGE)


def test_an_unprotected_message_in_the_middle_of_a_protected_flight_is_refused(world: World) -> None:
    pair = Pair(world.client_config(versions=(TLS13,)), world.server_config())
    pair.to_client = lambda data: (
        records(data)[0] + record(ContentType.HANDSHAKE, EncryptedExtensions({}).to_bytes()) + data
        if data[0] == ContentType.HANDSHAKE
        else data
    )
    pair.run()
    assert type(pair.client.error) is UnprotectedRecord


@BOTH
@pytest.mark.parametrize("level", [AlertLevel.WARNING, AlertLevel.FATAL], ids=str)
def test_user_canceled_ends_a_connection_where_its_level_says_so(
    world: World, version: ProtocolVersion, level: AlertLevel
) -> None:
    """RFC 5246, 7.2: fatal is fatal; TLS 1.3 reads no levels, and a close_notify follows (RFC 8446, 6.1)."""
    pair = established(world, version)
    pair.client.receive(protected(pair.server, ContentType.ALERT, bytes((level, AlertDescription.USER_CANCELED))))
    if version == TLS12 and level == AlertLevel.FATAL:
        assert isinstance(pair.client.error, PeerAlert)
        assert pair.client.error.description == AlertDescription.USER_CANCELED
    else:
        pair.say()
        assert pair.client.error is None


@BOTH
@pytest.mark.parametrize("level", [0, 3, 255])
def test_an_alert_of_another_level_is_refused(world: World, version: ProtocolVersion, level: int) -> None:
    """RFC 5246, 7.2."""
    pair = established(world, version)
    pair.client.receive(protected(pair.server, ContentType.ALERT, bytes((level, AlertDescription.USER_CANCELED))))
    assert type(pair.client.error) is errors.IllegalValue


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_close_notify_in_the_handshake_is_answered(world: World, role: str) -> None:
    """RFC 5246, 7.2.1; RFC 8446, 6.1."""
    pair = Pair(world.client_config(), world.server_config())
    party = pair.client if role == "client" else pair.server
    party.connection.start()
    party.connection.data_to_send()
    party.receive(record(ContentType.ALERT, bytes((AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY))))
    assert isinstance(party.error, PeerAlert)
    assert sent_alerts(party) == [(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)]
    assert party.connection.data_to_send()[-2:] == bytes((AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY))


@BOTH
@pytest.mark.parametrize("retry", [False, True], ids=["at-once", "before-a-retry"])
@pytest.mark.parametrize("more", [b"\x01", b"\x01\x00\x00\x01", HelloRequest().to_bytes()], ids=["1", "4", "whole"])
def test_bytes_behind_a_hello_are_refused_in_clear(
    world: World, version: ProtocolVersion, retry: bool, more: bytes
) -> None:
    """The beginning of a second hello behind the first cannot be an answer to ours (RFC 8446, 5.1)."""
    client = world.client_config(versions=(version,), **({"key_shares": 0} if retry else {}))
    pair = Pair(client, world.server_config())

    pair.to_server = lambda data: lengthened(data, more) if data[5] == 1 else data
    pair.run()
    assert type(pair.server.error) is errors.UnexpectedMessage
    assert not any(isinstance(f, MessageSeen) and f.direction == "sent" for f in pair.server.facts)
    assert not any(isinstance(f, KeyInstalled) for f in pair.server.facts)


@pytest.mark.parametrize("more", [b"\x04", HelloRequest().to_bytes()], ids=["1", "whole"])
def test_bytes_behind_a_server_flight_of_tls12_are_refused(world: World, more: bytes) -> None:
    """Behind ServerHelloDone nothing comes before the client's answer."""
    pair = Pair(world.client_config(versions=(TLS12,)), world.server_config())
    pair.to_client = lambda data: lengthened(data, more) if data[5] == 2 else data
    pair.run()
    assert type(pair.client.error) is errors.UnexpectedMessage
    sent = [f.message for f in pair.client.facts if isinstance(f, MessageSeen) and f.direction == "sent"]
    assert [type(message) for message in sent] == [ClientHello]


# What TLS 1.2 asks of both.


def hello_of(party: Party) -> ClientHello:
    return next(f.message for f in party.facts if isinstance(f, MessageSeen) and isinstance(f.message, ClientHello))


def test_mldsa_is_not_offered_in_messages_of_tls12(world: World) -> None:
    """draft-ietf-tls-mldsa, 3."""
    pair = Pair(
        world.client_config(versions=(TLS12,)),
        world.server_config(trust=world.root.trust, client_auth=ClientAuth.OPTIONAL),
    )
    pair.shake()
    request = next(
        f.message
        for f in pair.client.facts
        if isinstance(f, MessageSeen) and isinstance(f.message, CertificateRequest12)
    )
    offered = find(hello_of(pair.server).extensions, SignatureAlgorithms)
    assert offered is not None
    assert not set(MLDSA) & {*offered.supported_signature_algorithms, *request.supported_signature_algorithms}
    assert known_in(TLS13, MLDSA) == MLDSA


@pytest.mark.parametrize("versions", [(TLS12,), (TLS13, TLS12)], ids=str)
def test_a_config_for_tls12_needs_a_scheme_of_it(world: World, versions: tuple[ProtocolVersion, ...]) -> None:
    for make in (world.client_config, world.server_config):
        with pytest.raises(ConfigError, match=r"signature_schemes has none for TLS 1\.2"):
            make(versions=versions, signature_schemes=MLDSA)


def without(*kinds: ExtensionType) -> object:
    return lambda m: replace(m, extensions={k: v for k, v in m.extensions.items() if k not in kinds})


def test_the_extended_master_secret_is_asked_for_by_its_name(world: World) -> None:
    """RFC 7627: whoever scans hears that it is not the version that is missing."""
    pair = Pair(world.client_config(versions=(TLS12,)), world.server_config())
    pair.client.rewrite(ClientHello, without(ExtensionType.EXTENDED_MASTER_SECRET))  # type: ignore[arg-type]
    pair.run()
    error = pair.server.error
    assert isinstance(error, errors.ExtendedMasterSecretMissing)
    assert "extended master secret (RFC 7627)" in str(error)
    assert "require_extended_master_secret" in (error.mend or "")
    assert pair.client.heard == AlertDescription.INSUFFICIENT_SECURITY


def plain_renegotiation(world: World, **changes: object) -> Pair:
    client: ClientConfig = world.client_config(versions=(TLS12,), **changes)
    server: ServerConfig = world.server_config()
    pair = Pair(client, server)
    pair.server.rewrite(ServerHello, without(ExtensionType.RENEGOTIATION_INFO))  # type: ignore[arg-type]
    return pair


def test_a_server_without_secure_renegotiation_is_refused(world: World) -> None:
    """RFC 5746, 3.4 and 4.1; RFC 9325, 3.5."""
    pair = plain_renegotiation(world)
    pair.run()
    assert isinstance(pair.client.error, errors.SecureRenegotiationMissing)
    assert pair.server.heard == AlertDescription.HANDSHAKE_FAILURE
    assert "allow_servers_without_secure_renegotiation" in (pair.client.error.mend or "")


def test_a_server_without_secure_renegotiation_is_accepted_where_the_config_says_so(world: World) -> None:
    pair = plain_renegotiation(world, allow_servers_without_secure_renegotiation=True)
    pair.shake()
    pair.say()
    assert pair.server.data == b"ping"


@pytest.mark.parametrize("by", ["the extension", "the suite", "both"])
def test_a_server_answers_both_ways_to_ask_for_secure_renegotiation(world: World, by: str) -> None:
    """RFC 5746, 3.6: by the extension, or by the suite that stands for it."""
    pair = Pair(world.client_config(versions=(TLS12,)), world.server_config())

    def ask(hello: ClientHello) -> ClientHello:
        if by != "the extension":
            scsv = CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV
            hello = replace(hello, cipher_suites=[*hello.cipher_suites, scsv])
        if by == "the suite":
            kinds = hello.extensions
            hello = replace(hello, extensions={k: v for k, v in kinds.items() if k != ExtensionType.RENEGOTIATION_INFO})
        return hello

    pair.client.rewrite(ClientHello, ask)
    pair.run()
    answer = next(f.message for f in pair.server.facts if isinstance(f, MessageSeen) and f.direction == "sent")
    assert isinstance(answer, ServerHello)
    assert answer.extensions[ExtensionType.RENEGOTIATION_INFO] == b"\x00"
