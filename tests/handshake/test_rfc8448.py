"""The five traces of RFC 8448, replayed byte for byte with their keys injected.

The hellos of the traces have extensions in an order of their own, and some that we never send. So
the messages that leave a choice are put into our mouth as the RFC has them; all that follows from
them (secrets, Finished, every protected record) is made by the engine and has to be the RFC's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import World
from tests.pair import TamperingSide, anybody

from handclasp import CipherSuite, ClientConfig, NamedGroup, ProtocolVersion, ServerConfig
from handclasp.connection import ClientConnection, ServerConnection
from handclasp.crypto import groups
from handclasp.crypto.protection import Sealer13
from handclasp.crypto.schedule13 import EarlySecret
from handclasp.crypto.suites import SUITES
from handclasp.events import DataReceived, HandshakeCompleted, PeerClosed, TicketReceived
from handclasp.handshake import client, client13
from handclasp.handshake.flow import Steps, expect
from handclasp.handshake.offer import Offer
from handclasp.questions import ChooseCertificate, VerifyPeer
from handclasp.sessions import Session
from handclasp.wire.extensions import OfferedPsks, find
from handclasp.wire.messages import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    EncryptedExtensions,
    EndOfEarlyData,
    HandshakeMessage,
    NewSessionTicket,
    ServerHello,
)

Trace = dict[str, bytes]
SIMPLE = "simple 1-RTT (section 3)"
EARLY = "resumed 0-RTT (section 4)"
RETRY = "hello retry request (section 5)"
MUTUAL = "client authentication (section 6)"
COMPATIBLE = "compatibility mode (section 7)"
SUITE = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]


def read_traces() -> dict[str, Trace]:
    traces: dict[str, Trace] = {}
    for block in (Path(__file__).parent / "rfc8448.txt").read_text().split("\n[")[1:]:
        title, _, body = block.partition("]\n")
        values = (entry.partition(" =") for entry in body.replace("\n    ", "").splitlines() if " =" in entry)
        traces[title.strip("[]")] = {name: bytes.fromhex(text) for name, _, text in values}
    return traces


TRACES = read_traces()


def body(record: bytes) -> bytes:
    """The handshake message in an unprotected record."""
    return record[5:]


def script(given: Iterable[bytes]) -> Callable[[int], bytes]:
    """Randomness that is given beforehand."""
    values = iter(given)

    def random(size: int) -> bytes:
        value = next(values)
        assert len(value) == size
        return value

    return random


def share(group: NamedGroup, key: bytes) -> groups.KeyShare:
    return groups.generate(group, script([key]))


# The client's half.


def client_of(trace: Trace, offer: Callable[[Any], Offer], **changes: Any) -> ClientConnection:
    """A client that says the trace's hello in place of its own."""
    answers = {VerifyPeer: anybody, **changes.pop("answers", {})}
    config = ClientConfig(
        answers=answers,
        groups=(NamedGroup.X25519, NamedGroup.SECP256R1, NamedGroup.SECP384R1, NamedGroup.SECP521R1),
        middlebox_compatibility=changes.pop("middlebox_compatibility", False),
        **changes,
    )
    connection = ClientConnection(config, server_name="server")
    side = connection._side
    assert side is not None

    def replayed() -> Steps[Any]:
        made = offer(side)
        hello = yield from expect(ServerHello)
        side.version = client.accept_version(side, made, hello)
        side.records.version = b"\x03\x03"
        return (yield from client13.handshake(side, made, hello))

    connection._handshake = replayed()
    connection.start()
    return connection


def say(side: Any, record: bytes) -> ClientHello:
    """Send this hello."""
    hello = ClientHello.parse(body(record))
    side.client_random = hello.random
    side.transcript.add(hello.raw)
    side.records.write_handshake(hello.raw)
    return hello


def simple_offer(trace: Trace) -> Callable[[Any], Offer]:
    def offer(side: Any) -> Offer:
        hello = say(side, trace["client hello record"])
        return Offer(hello, {NamedGroup.X25519: share(NamedGroup.X25519, trace["client key"])}, None)

    return offer


def finish_as_client(connection: ClientConnection, trace: Trace) -> None:
    """The rest of a trace: our flight, data both ways where it has some, the end."""
    assert connection.data_to_send() == trace["client flight"]
    if "new session ticket record" in trace:
        [event] = connection.receive_data(trace["new session ticket record"])
        assert isinstance(event, TicketReceived)
    if "data" in trace:
        connection.send_data(trace["data"])
        assert connection.data_to_send() == trace["client data record"]
        assert connection.receive_data(trace["server data record"]) == [DataReceived(trace["data"])]
    connection.close()
    assert connection.data_to_send() == trace["client close_notify record"]
    assert connection.receive_data(trace["server close_notify record"]) == [PeerClosed()]


@pytest.mark.parametrize("title", [SIMPLE, COMPATIBLE])
def test_client_replays(title: str) -> None:
    trace = TRACES[title]
    connection = client_of(trace, simple_offer(trace), middlebox_compatibility=title == COMPATIBLE)
    assert connection.data_to_send() == trace["client hello record"]
    connection.receive_data(trace["server hello record"])
    events = connection.receive_data(trace["server flight"])
    assert isinstance(events[-1], HandshakeCompleted)
    finish_as_client(connection, trace)


def test_client_replays_the_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = TRACES[RETRY]

    def again(side: Any, offer: Offer, group: NamedGroup, cookie: Any) -> None:
        assert group == NamedGroup.SECP256R1
        side.records.version = b"\x03\x03"
        offer.hello = say(side, trace["client hello 2 record"])
        offer.shares = {group: share(group, trace["client key 2"])}

    def offer(side: Any) -> Offer:
        hello = say(side, trace["client hello record"])
        return Offer(hello, {NamedGroup.X25519: share(NamedGroup.X25519, trace["client key 1"])}, None)

    monkeypatch.setattr(client13, "say_hello_again", again)
    connection = client_of(trace, offer)
    assert connection.data_to_send() == trace["client hello record"]
    connection.receive_data(trace["hello retry request record"])
    assert connection.data_to_send() == trace["client hello 2 record"]
    connection.receive_data(trace["server hello record"])
    connection.receive_data(trace["server flight"])
    finish_as_client(connection, trace)


def test_client_replays_its_authentication(world: World) -> None:
    """The client's certificate and signature are the trace's; the messages with them are made here."""
    trace = TRACES[MUTUAL]
    connection = client_of(
        trace,
        simple_offer(trace),
        answers={ChooseCertificate: lambda _: world.rsa_server.identity},
    )
    plain = open_client_flight(trace)
    certificate, verify = Certificate.parse(plain[0]), CertificateVerify.parse(plain[1])
    tamper(connection, {Certificate: certificate, CertificateVerify: verify})
    assert connection.data_to_send() == trace["client hello record"]
    connection.receive_data(trace["server hello record"])
    connection.receive_data(trace["server flight"])
    finish_as_client(connection, trace)


def open_client_flight(trace: Trace) -> list[bytes]:
    """The messages of the client's protected flight, opened with keys made from the trace."""
    from handclasp.crypto.protection import Opener13
    from handclasp.handshake.transcript import Transcript

    transcript = Transcript()
    transcript.add(body(trace["client hello record"]))
    transcript.add(body(trace["server hello record"]))
    transcript.start("sha256")
    hello = ServerHello.parse(body(trace["server hello record"]))
    from handclasp.wire.extensions import KeyShareServerHello

    answer = find(hello.extensions, KeyShareServerHello)
    assert answer is not None
    shared = share(NamedGroup.X25519, trace["client key"]).agree(answer.server_share.key_exchange)
    secret = EarlySecret.of("sha256").handshake(shared).client_traffic(transcript.digest())
    flight = trace["client flight"]
    _, plain = Opener13(SUITE, *secret.key_iv(SUITE)).open(flight[:5], flight[5:])
    messages = []
    while plain:
        size = 4 + int.from_bytes(plain[1:4], "big")
        messages.append(plain[:size])
        plain = plain[size:]
    return messages


def test_client_replays_the_resumption_with_early_data() -> None:
    """0-RTT is put together here from the engine's parts: binder, early keys, EndOfEarlyData."""
    first, trace = TRACES[SIMPLE], TRACES[EARLY]
    session = session_of(first)
    hello = ClientHello.parse(body(trace["client hello record"]))
    psks = find(hello.extensions, OfferedPsks)
    assert psks is not None
    assert psks.identities[0].identity == session.ticket
    early = EarlySecret.of("sha256", session.secret)

    def offer(side: Any) -> Offer:
        covered = side.transcript.digest_with("sha256", hello.raw[: -psks.binders_size])
        assert early.binder_key().verify_data(covered) == psks.binders[0]
        said = say(side, trace["client hello record"])
        side.records.flush()
        secret = early.client_early_traffic(side.transcript.digest_with("sha256", hello.raw))
        side.records.install_sealer(Sealer13(SUITE, *secret.key_iv(SUITE)))
        side.records.write_data(b"ABCDEF")
        return Offer(said, {NamedGroup.X25519: share(NamedGroup.X25519, trace["client key"])}, session, early=early)

    connection = client_of(trace, offer)
    sent = connection.data_to_send()
    assert sent == trace["client hello record"] + trace["early data record"]
    begin = client13.begin_second_flight

    def end_early_data(side: Any, suite: Any, sealer: Any) -> None:
        side.send(EndOfEarlyData())
        begin(side, suite, sealer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client13, "begin_second_flight", end_early_data)
        connection.receive_data(trace["server hello record"])
        connection.receive_data(trace["server flight"])
    finish_as_client(connection, trace)


def session_of(trace: Trace) -> Session:
    """The session that the first trace leaves with its client."""
    connection = client_of(trace, simple_offer(trace))
    connection.receive_data(trace["server hello record"] + trace["server flight"])
    [event] = connection.receive_data(trace["new session ticket record"])
    assert isinstance(event, TicketReceived)
    event.session.peer_chain = []
    return event.session


# The server's half.


def tamper(connection: Any, said: dict[type[HandshakeMessage], HandshakeMessage]) -> None:
    """Let this party send the trace's messages in place of its own."""
    side: Any = connection._side
    side.__class__ = TamperingSide
    TamperingSide.changes[id(side)] = [(kind, lambda _, m=message: m) for kind, message in said.items()]  # type: ignore[misc]


@pytest.mark.parametrize("title", [SIMPLE, COMPATIBLE])
def test_server_replays(world: World, title: str) -> None:
    trace = TRACES[title]
    config = ServerConfig(
        identities=(world.server.identity,),
        groups=(NamedGroup.X25519,),
        random=lambda size: given(size),
        tickets=1 if title == SIMPLE else 0,
    )
    given = script([trace["server key"], trace["server random"], bytes(4), bytes(16), bytes(32), bytes(12)])
    connection = ServerConnection(config)
    said: dict[type[HandshakeMessage], HandshakeMessage] = {
        ServerHello: ServerHello.parse(body(trace["server hello record"])),
        EncryptedExtensions: EncryptedExtensions.parse(trace["encrypted extensions"]),
        Certificate: Certificate.parse(trace["server certificate"]),
        CertificateVerify: CertificateVerify.parse(trace["server certificate verify"]),
    }
    if title == SIMPLE:
        ticket = session_of(trace)
        extensions = {42: bytes.fromhex("00000400")}
        said[NewSessionTicket] = NewSessionTicket(
            ticket.lifetime,
            ticket.age_add,
            b"\0\0",
            ticket.ticket,
            extensions,  # type: ignore[arg-type]
        )
    tamper(connection, said)
    connection.start()
    connection.receive_data(trace["client hello record"])
    assert connection.data_to_send() == trace["server hello record"] + trace["server flight"]
    [event] = connection.receive_data(trace["client flight"])
    assert isinstance(event, HandshakeCompleted)
    assert connection.data_to_send() == trace.get("new session ticket record", b"")
    if "data" in trace:
        assert connection.receive_data(trace["client data record"]) == [DataReceived(trace["data"])]
        connection.send_data(trace["data"])
        assert connection.data_to_send() == trace["server data record"]
    connection.close()
    assert connection.data_to_send() == trace["server close_notify record"]


def test_certificate_request_of_the_trace_round_trips() -> None:
    raw = TRACES[MUTUAL]["certificate request"]
    assert CertificateRequest.parse(raw).to_bytes() == raw


def test_every_version_field_is_that_of_tls13() -> None:
    for trace in TRACES.values():
        hello = ServerHello.parse(body(trace["server hello record"]))
        assert hello.legacy_version == ProtocolVersion.TLS12
        assert hello.to_bytes() == body(trace["server hello record"])
