"""The engine's own manners: questions, limits, alerts, new keys, the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair, records

from handclasp import ClientAuth, ClientConnection, Limits, ProtocolVersion, ServerConnection
from handclasp.crypto.protection import ProtectedChangeCipherSpec, UnprotectedRecord
from handclasp.endings import (
    AlreadyStarted,
    ConnectionClosed,
    HandshakePending,
    NotStarted,
    PeerAlert,
    QuestionMismatch,
    Truncated,
)
from handclasp.errors import ConfigError, PeerError, UsageError
from handclasp.events import Asked, DataReceived, PeerClosed
from handclasp.explain import StepTrace, explain
from handclasp.facts import AlertSeen, Closed, Failed, KeyInstalled
from handclasp.handshake.errors import IllegalValue, LimitExceeded, UnexpectedMessage
from handclasp.questions import (
    ChooseALPN,
    ChooseCertificate,
    FindSession,
    KeepSession,
    OpenTicket,
    SealTicket,
    Sign,
    VerifyPeer,
)
from handclasp.record_layer import NotTLS, RecordTooLong
from handclasp.wire.codec import DecodeError
from handclasp.wire.iana import AlertDescription, AlertLevel, HandshakeType, KeyUpdateRequest
from handclasp.wire.messages import EncryptedExtensions, Finished, HandshakeMessage, KeyUpdate, NewSessionTicket
from handclasp.wire.messages12 import HelloRequest
from handclasp.x509 import DEFAULT, NamePolicy
from handclasp.x509.errors import UnknownAuthority

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)


def shaken(world: World, version: ProtocolVersion = TLS13, **changes: Any) -> Pair:
    pair = Pair(
        world.client_config(versions=(version,), **changes.pop("client", {})),
        world.server_config(**changes.pop("server", {})),
    )
    pair.shake()
    return pair


def inject(pair: Pair, message: HandshakeMessage, *, from_server: bool = True, times: int = 1) -> None:
    """Let an established party send a message that it would not."""
    sender, receiver = (pair.server, pair.client) if from_server else (pair.client, pair.server)
    for _ in range(times):
        sender.connection._records.write_handshake(message.to_bytes())
        sender.connection._records.flush()
    receiver.receive(sender.connection.data_to_send())


# Questions.


@BOTH
def test_every_question_can_wait_for_the_caller(world: World, version: ProtocolVersion) -> None:
    """The answers are those that the config would give; only the way is another."""
    from handclasp.handshake.answers import DEFAULT_ANSWERS

    every = frozenset(
        {ChooseALPN, ChooseCertificate, FindSession, KeepSession, OpenTicket, SealTicket, Sign, VerifyPeer}
    )
    client = world.client_config(
        versions=(version,), ask_caller=every, identities=(world.client.identity,), alpn=("h2",)
    )
    server = world.server_config(
        ask_caller=every, alpn=("h2",), trust=world.root.trust, client_auth=ClientAuth.REQUIRED
    )
    asked: set[type[Any]] = set()
    for attempt in range(2):
        pair = Pair(client, server)
        pair.run()
        for _ in range(40):
            for party, config in ((pair.client, client), (pair.server, server)):
                event = party.events[-1] if party.events else None
                if isinstance(event, Asked):
                    party.events.pop()
                    asked.add(type(event.question))
                    answer = DEFAULT_ANSWERS[type(event.question)](config, event.question)
                    party.events += party.connection.answer(event.question, answer)
            pair.carry()
        assert pair.client.done, (attempt, pair.client.error, pair.server.error)
        assert pair.server.done
    expected = every - ({OpenTicket} if version == TLS13 else set()) - {KeepSession}
    assert asked >= expected - {OpenTicket}


def test_bytes_wait_with_the_question_and_no_more_than_the_limit(world: World) -> None:
    limits = Limits(buffered_bytes=5000)
    client = world.client_config(ask_caller=frozenset({VerifyPeer}), limits=limits)
    pair = Pair(client, world.server_config())
    pair.run()
    [asked] = [event for event in pair.client.events if isinstance(event, Asked)]
    assert isinstance(asked.question, VerifyPeer)
    pair.client.connection.receive_data(bytes(4000))
    with pytest.raises(LimitExceeded):
        pair.client.connection.receive_data(bytes(4000))


def test_a_refused_question_ends_the_connection_with_its_alert(world: World) -> None:
    pair = Pair(world.client_config(ask_caller=frozenset({VerifyPeer})), world.server_config())
    pair.run()
    [asked] = [event for event in pair.client.events if isinstance(event, Asked)]
    with pytest.raises(UnknownAuthority):
        pair.client.connection.refuse(asked.question, UnknownAuthority("We do not know them."))
    pair.carry()
    assert pair.server.heard == AlertDescription.UNKNOWN_CA


def test_an_answer_to_no_question_is_the_callers_mistake(world: World) -> None:
    pair = shaken(world)
    with pytest.raises(QuestionMismatch):
        pair.client.connection.answer(FindSession("a", None, 0), None)


def test_an_answer_that_raises_is_an_internal_error_to_the_peer(world: World) -> None:
    def broken(_: VerifyPeer) -> None:
        raise ZeroDivisionError

    pair = Pair(world.client_config(answers={VerifyPeer: broken}), world.server_config())
    pair.run()
    assert isinstance(pair.client.error, ZeroDivisionError)
    assert pair.server.heard == AlertDescription.INTERNAL_ERROR


# The end.


@BOTH
def test_each_side_closes_on_its_own(world: World, version: ProtocolVersion) -> None:
    """RFC 8446, 6.1: the other side may go on sending."""
    pair = shaken(world, version)
    pair.client.connection.close()
    pair.client.connection.close()
    pair.carry()
    assert isinstance(pair.server.events[-1], PeerClosed)
    pair.server.connection.send_data(b"still here")
    pair.carry()
    assert pair.client.data == b"still here"
    with pytest.raises(ConnectionClosed):
        pair.client.connection.send_data(b"x")
    pair.server.connection.close()
    pair.carry()
    assert pair.client.connection.peer_closed
    assert pair.client.connection.receive_eof() == []
    assert pair.client.connection._records.opener is None


@BOTH
def test_nothing_is_said_after_close_in_the_handshake(world: World, version: ProtocolVersion) -> None:
    """RFC 8446, 6.1: close_notify is the last that its sender says."""
    pair = Pair(world.client_config(versions=(version,)), world.server_config())
    client, server = pair.client.connection, pair.server.connection
    client.start()
    server.start()
    pair.server.receive(client.data_to_send())
    client.close()
    assert records(client.data_to_send()) == [b"\x15\x03\x01\x00\x02\x01\x00"]
    assert client.receive_data(server.data_to_send()) == []
    assert client.data_to_send() == b""
    assert not client.handshaking
    assert client.receive_eof() == []


@BOTH
def test_an_end_without_close_notify_is_a_truncation(world: World, version: ProtocolVersion) -> None:
    pair = shaken(world, version)
    pair.say()
    with pytest.raises(Truncated):
        pair.client.connection.receive_eof()
    with pytest.raises(Truncated):
        pair.client.connection.send_data(b"x")
    assert any(isinstance(fact, Failed) for fact in pair.client.facts)


def test_nothing_after_close_notify_counts(world: World) -> None:
    pair = shaken(world)
    pair.server.connection.close()
    pair.carry()
    assert pair.client.connection.receive_data(b"whatever comes") == []
    assert any(fact == Closed("received") for fact in pair.client.facts)


def test_a_buffer_that_bytes_came_in_is_the_callers_again(world: World) -> None:
    """Half a record is kept for its other half, whatever becomes of the buffer."""
    pair = shaken(world)
    pair.server.connection.send_data(b"in two halves")
    record = bytearray(pair.server.connection.data_to_send())
    half = bytearray(record[:-5])
    assert pair.client.connection.receive_data(half) == []
    half[:] = bytes(len(half))
    [*_, event] = pair.client.connection.receive_data(record[-5:])
    assert event == DataReceived(b"in two halves")


def test_data_before_an_error_is_delivered_first(world: World) -> None:
    """Nothing authentic is lost."""
    pair = shaken(world)
    pair.server.connection.send_data(b"all that was said")
    good = pair.server.connection.data_to_send()
    events = pair.client.connection.receive_data(good + b"\x17\x03\x03\x00\x20" + bytes(32))
    assert events[-1] == DataReceived(b"all that was said")
    assert isinstance(pair.client.connection.error, PeerError)
    with pytest.raises(PeerError):
        pair.client.connection.receive_data(b"")


def test_nothing_is_sent_or_exported_before_there_is_a_session(world: World) -> None:
    connection = ClientConnection(world.client_config(), server_name="localhost")
    for step in (
        lambda: connection.send_data(b"x"),
        lambda: connection.export(b"x", None, 1),
        connection.update_keys,
    ):
        with pytest.raises(HandshakePending):
            step()
    assert "handshaking" in repr(connection)


# Alerts.


def test_a_peers_alert_says_its_name(world: World) -> None:
    connection = ClientConnection(world.client_config(), server_name="localhost")
    connection.start()
    with pytest.raises(PeerAlert, match="handshake_failure") as caught:
        connection.receive_data(b"\x15\x03\x03\x00\x02\x02\x28")
    assert caught.value.description == AlertDescription.HANDSHAKE_FAILURE
    assert len(records(connection.data_to_send())) == 1, "no alert is answered by an alert"


@pytest.mark.parametrize("payload", [b"\x02", b"\x02\x28\x00"])
def test_an_alert_that_is_no_alert_is_refused(world: World, payload: bytes) -> None:
    connection = ClientConnection(world.client_config(), server_name="localhost")
    connection.start()
    with pytest.raises(DecodeError):
        connection.receive_data(b"\x15\x03\x03" + len(payload).to_bytes(2, "big") + payload)


def test_warnings_of_tls12_are_passed_over_up_to_the_limit(world: World) -> None:
    pair = shaken(world, TLS12)
    server = pair.server.connection
    for _ in range(4):
        server._records.write_alert(1, AlertDescription.UNRECOGNIZED_NAME)
    pair.carry()
    assert pair.client.error is None
    server._records.write_alert(1, AlertDescription.UNRECOGNIZED_NAME)
    pair.carry()
    assert isinstance(pair.client.error, LimitExceeded)


def test_a_warning_of_tls13_is_final(world: World) -> None:
    """RFC 8446, 6: the level says nothing any more."""
    pair = shaken(world)
    pair.server.connection._records.write_alert(1, AlertDescription.UNRECOGNIZED_NAME)
    pair.carry()
    assert isinstance(pair.client.error, PeerAlert)


def test_close_notify_in_the_handshake_is_a_failure(world: World) -> None:
    connection = ClientConnection(world.client_config(), server_name="localhost")
    connection.start()
    with pytest.raises(PeerAlert, match="close_notify"):
        connection.receive_data(b"\x15\x03\x03\x00\x02\x01\x00")


def test_a_client_that_refuses_the_server_tells_it_why(world: World) -> None:
    """The alert is protected by the handshake keys, and the server can read it."""
    pair = Pair(world.client_config(), world.server_config(), server_name="other.example")
    pair.run()
    assert isinstance(pair.server.error, PeerAlert)
    assert pair.server.heard == AlertDescription.BAD_CERTIFICATE


def test_a_client_that_refuses_the_server_sends_its_change_cipher_spec_first(world: World) -> None:
    """RFC 8446, D.4: what sits between sees one before anything that is protected."""
    pair = Pair(world.client_config(), world.server_config(), server_name="other.example")
    sent: list[bytes] = []

    def keep(data: bytes) -> bytes:
        sent.append(data)
        return data

    pair.to_server = keep
    pair.run()
    assert isinstance(pair.client.error, PeerError)
    assert [record[0] for record in records(b"".join(sent[1:]))] == [20, 23]


def test_a_peer_without_keys_may_give_its_reason_in_the_clear(world: World) -> None:
    pair = Pair(world.client_config(), world.server_config())
    pair.client.connection.start()
    pair.server.connection.start()
    pair.server.receive(pair.client.connection.data_to_send())
    pair.server.receive(b"\x15\x03\x03\x00\x02\x02\x30")
    assert isinstance(pair.server.error, PeerAlert)
    assert pair.server.error.description == AlertDescription.UNKNOWN_CA


@pytest.mark.parametrize("renewed", [False, True], ids=["at once", "after a KeyUpdate"])
@pytest.mark.parametrize("to_client", [True, False], ids=["to the client", "to the server"])
def test_an_unprotected_close_notify_does_not_cut_the_data_short(world: World, to_client: bool, renewed: bool) -> None:
    """RFC 8446, 6.1: the end of the data is authentic, or it is none."""
    pair = shaken(world, client={"sessions": None})
    victim, peer = (pair.client, pair.server) if to_client else (pair.server, pair.client)
    if renewed:
        peer.connection.update_keys(request_peer=False)
        pair.carry()
    victim.receive(b"\x15\x03\x03\x00\x02\x01\x00")
    assert isinstance(victim.error, UnprotectedRecord)
    assert not victim.connection.peer_closed


# Limits against a hostile peer.


def test_a_message_above_the_limit_is_refused_by_its_header(world: World) -> None:
    server = ServerConnection(world.server_config(limits=Limits(handshake_message_size=1000)))
    server.start()
    with pytest.raises(LimitExceeded):
        server.receive_data(b"\x16\x03\x01\x00\x04\x01\x00\x03\xe9")


def test_a_record_above_the_limit_is_refused_by_its_header(world: World) -> None:
    server = ServerConnection(world.server_config())
    server.start()
    with pytest.raises(RecordTooLong):
        server.receive_data(b"\x16\x03\x01\x40\x01")


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00", b"\x80\x2e\x01\x03\x01", b"HTTP/1.1 400"]
)
def test_what_is_not_tls_is_called_so(world: World, first: bytes) -> None:
    server = ServerConnection(world.server_config())
    server.start()
    with pytest.raises(NotTLS) as caught:
        server.receive_data(first)
    assert "STARTTLS" in caught.value.mend


def test_empty_records_are_limited(world: World) -> None:
    pair = shaken(world)
    sealer = pair.server.connection._records.sealer
    assert sealer is not None
    empty: list[bytes] = []
    for _ in range(33):
        sealer.seal(empty, 23, b"")
    pair.client.receive(b"".join(empty))
    assert isinstance(pair.client.error, LimitExceeded)


def test_key_updates_without_data_are_limited(world: World) -> None:
    pair = shaken(world, client={"limits": Limits(key_updates=5)})
    for _ in range(5):
        pair.server.connection.update_keys(request_peer=False)
    pair.carry()
    assert pair.client.error is None
    pair.server.connection.send_data(b"x")
    for _ in range(6):
        pair.server.connection.update_keys(request_peer=False)
    pair.carry()
    assert isinstance(pair.client.error, LimitExceeded)


def test_tickets_are_limited(world: World) -> None:
    pair = shaken(world, client={"limits": Limits(tickets=3)})
    inject(pair, NewSessionTicket(10, 0, b"n", b"ticket", {}))
    assert pair.client.error is None
    inject(pair, NewSessionTicket(10, 0, b"n", b"ticket", {}))
    assert isinstance(pair.client.error, LimitExceeded)


def test_change_cipher_spec_is_passed_over_up_to_the_limit(world: World) -> None:
    pair = Pair(world.client_config(), world.server_config())
    pair.client.connection.start()
    pair.server.connection.start()
    pair.server.receive(pair.client.connection.data_to_send())
    for _ in range(4):
        pair.server.receive(b"\x14\x03\x03\x00\x01\x01")
    assert pair.server.error is None
    pair.server.receive(b"\x14\x03\x03\x00\x01\x01")
    assert isinstance(pair.server.error, LimitExceeded)


@pytest.mark.parametrize("when", ["before", "after", "wrong body"])
def test_change_cipher_spec_has_its_place(world: World, when: str) -> None:
    """RFC 8446, 5."""
    if when == "after":
        pair = shaken(world)
        pair.client.receive(b"\x14\x03\x03\x00\x01\x01")
        assert isinstance(pair.client.error, UnexpectedMessage)
        return
    server = ServerConnection(world.server_config())
    server.start()
    with pytest.raises(UnexpectedMessage):
        server.receive_data(b"\x14\x03\x03\x00\x01" + (b"\x02" if when == "wrong body" else b"\x01"))


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_a_client_of_tls13_passes_over_a_change_cipher_spec_before_the_servers_hello(
    world: World, version: ProtocolVersion
) -> None:
    """RFC 8446, 5: from the first ClientHello on; TLS 1.2 alone has no such rule."""
    pair = Pair(world.client_config(versions=(version,)), world.server_config())
    pair.client.connection.start()
    pair.client.receive(b"\x14\x03\x03\x00\x01\x01")
    if version == TLS12:
        assert isinstance(pair.client.error, UnexpectedMessage)
        return
    pair.server.connection.start()
    pair.carry()
    pair.say()
    assert pair.client.data == b"gnip"


def test_a_change_cipher_spec_is_never_protected_in_tls13(world: World) -> None:
    """RFC 8446, 5."""
    pair = Pair(world.client_config(), world.server_config())

    def protected_first(message: EncryptedExtensions) -> EncryptedExtensions:
        pair.server.connection._records._write(20, b"\x01")
        return message

    pair.server.rewrite(EncryptedExtensions, protected_first)
    pair.run()
    assert isinstance(pair.client.error, ProtectedChangeCipherSpec)
    assert pair.server.heard == AlertDescription.UNEXPECTED_MESSAGE


def test_a_change_cipher_spec_before_its_time_is_refused_in_tls12(world: World) -> None:
    pair = Pair(world.client_config(versions=(TLS12,)), world.server_config())
    pair.client.connection.start()
    pair.server.connection.start()
    pair.server.receive(pair.client.connection.data_to_send())
    pair.server.receive(b"\x14\x03\x03\x00\x01\x01")
    assert isinstance(pair.server.error, UnexpectedMessage)


def test_data_before_the_handshake_is_done_is_refused(world: World) -> None:
    server = ServerConnection(world.server_config())
    server.start()
    with pytest.raises(UnexpectedMessage):
        server.receive_data(b"\x17\x03\x03\x00\x01x")


@pytest.mark.parametrize(
    "record",
    [b"\x16\x03\x03\x00\x00", b"\x18\x03\x03\x00\x01\x01"],
    ids=["an empty handshake record", "a heartbeat"],
)
def test_records_without_a_place_are_refused(world: World, record: bytes) -> None:
    pair = Pair(world.client_config(versions=(TLS12,)), world.server_config())
    pair.client.connection.start()
    pair.client.receive(b"\x16\x03\x03\x00\x01\x02" if record[0] != 0x16 else record)
    pair.client.receive(record)
    assert isinstance(pair.client.error, PeerError)


def test_each_record_that_we_send_pays_for_a_key_update_of_the_receiver(world: World) -> None:
    """It asks again for each record that was on its way when it first asked, as Java does."""
    pair = shaken(world, client={"limits": Limits(key_updates=5)}, server={"tickets": 0})
    for _ in range(20):
        pair.client.connection.send_data(b"x")
    for _ in range(25):
        pair.server.connection.update_keys(request_peer=True)
    pair.carry()
    assert pair.client.error is None
    pair.server.connection.update_keys(request_peer=True)
    pair.carry()
    assert isinstance(pair.client.error, LimitExceeded), "our answers pay for nothing"


def test_a_long_upload_may_be_asked_for_new_keys_all_along(world: World) -> None:
    pair = shaken(world, client={"limits": Limits(key_updates=1)}, server={"tickets": 0})
    for _ in range(100):
        pair.client.connection.send_data(b"x")
        pair.carry()
        pair.server.connection.update_keys(request_peer=True)
        pair.carry()
    assert pair.client.error is None
    assert pair.server.data == b"x" * 100


def test_a_message_may_not_be_interrupted(world: World) -> None:
    """RFC 8446, 5.1."""
    connection = ClientConnection(world.client_config(), server_name="localhost")
    connection.start()
    connection.receive_data(b"\x16\x03\x03\x00\x02\x02\x00")
    with pytest.raises(UnexpectedMessage):
        connection.receive_data(b"\x15\x03\x03\x00\x02\x02\x28")


def test_a_message_may_not_span_a_change_of_keys(world: World) -> None:
    """RFC 8446, 5.1."""
    pair = shaken(world)
    update = KeyUpdate(KeyUpdateRequest.UPDATE_NOT_REQUESTED).to_bytes()
    pair.server.connection._records.write_handshake(update + b"\x18")
    pair.server.connection._records.flush()
    pair.client.receive(pair.server.connection.data_to_send())
    assert isinstance(pair.client.error, UnexpectedMessage)


def test_bytes_after_the_servers_finished_are_refused_before_the_client_finishes(world: World) -> None:
    """RFC 8446, 5.1: the server hears the alert, for the client still has its handshake keys."""

    class FinishedAndMore(Finished):
        def to_bytes(self) -> bytes:
            return Finished(self.verify_data).to_bytes() + b"\x04"

    pair = Pair(world.client_config(), world.server_config())
    pair.server.rewrite(Finished, lambda m: FinishedAndMore(m.verify_data))
    pair.run()
    assert isinstance(pair.client.error, UnexpectedMessage)
    assert pair.server.heard == AlertDescription.UNEXPECTED_MESSAGE


# After the handshake.


def test_both_keys_are_renewed_on_request(world: World) -> None:
    """RFC 8446, 4.6.3."""
    pair = shaken(world)
    pair.client.connection.update_keys()
    pair.carry()
    pair.say(b"after")
    assert pair.server.data == b"after"
    assert pair.client.data == b"retfa"
    installed = [f.direction for f in pair.server.facts if isinstance(f, KeyInstalled) and "application" in f.label]
    assert installed.count("received") == 2
    assert installed.count("sent") == 2


def test_several_wishes_for_a_new_key_have_one_answer(world: World) -> None:
    """RFC 8446, 4.6.3: several KeyUpdates that ask, received while we are silent, are answered by one."""
    pair = shaken(world)
    for _ in range(7):
        pair.server.connection.update_keys(request_peer=True)
    pair.client.receive(pair.server.connection.data_to_send())
    pair.client.connection.send_data(b"after")
    pair.carry()
    assert pair.server.data == b"after"
    installed = [f for f in pair.server.facts if isinstance(f, KeyInstalled) and f.label == "application, updated"]
    assert len(installed) == 1


def test_a_new_key_of_our_own_is_an_answer_too(world: World) -> None:
    pair = shaken(world)
    pair.server.connection.update_keys(request_peer=True)
    pair.client.receive(pair.server.connection.data_to_send())
    pair.client.connection.update_keys(request_peer=False)
    pair.carry()
    installed = [f for f in pair.server.facts if isinstance(f, KeyInstalled) and f.label == "application, updated"]
    assert len(installed) == 1


def test_a_key_is_renewed_by_itself_before_its_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8446, 5.5."""
    pair = shaken(world)
    established = pair.client.connection.established
    assert established is not None
    assert established.after is not None
    established.after.suite = replace(established.after.suite, record_limit=3)
    for _ in range(10):
        pair.client.connection.send_data(b"x")
    pair.carry()
    assert pair.server.data == b"x" * 10
    updates = [f for f in pair.server.facts if isinstance(f, KeyInstalled) and f.label == "application, updated"]
    assert len(updates) == 3


def test_a_key_update_with_another_wish_is_refused(world: World) -> None:
    pair = shaken(world)
    inject(pair, KeyUpdate(KeyUpdateRequest(7)))
    assert isinstance(pair.client.error, IllegalValue)


def test_a_ticket_may_not_live_longer_than_a_week(world: World) -> None:
    """RFC 8446, 4.6.1."""
    pair = shaken(world)
    inject(pair, NewSessionTicket(604801, 0, b"n", b"ticket", {}))
    assert isinstance(pair.client.error, IllegalValue)


def test_a_ticket_without_lifetime_is_dropped(world: World) -> None:
    pair = shaken(world, server={"tickets": 0})
    inject(pair, NewSessionTicket(0, 0, b"n", b"ticket", {}))
    assert pair.client.error is None
    assert not any(type(event).__name__ == "TicketReceived" for event in pair.client.events)


def test_a_client_may_not_send_tickets(world: World) -> None:
    pair = shaken(world)
    inject(pair, NewSessionTicket(10, 0, b"n", b"ticket", {}), from_server=False)
    assert isinstance(pair.server.error, UnexpectedMessage)


@BOTH
def test_a_message_that_has_no_place_after_the_handshake_is_refused(world: World, version: ProtocolVersion) -> None:
    pair = shaken(world, version)
    inject(pair, Finished(b"x" * 12))
    assert isinstance(pair.client.error, UnexpectedMessage)
    assert "finished" in str(pair.client.error)


def test_a_renegotiation_is_declined_and_the_session_goes_on(world: World) -> None:
    """RFC 5246, 7.2.2: no_renegotiation is a warning."""
    pair = shaken(world, TLS12)
    inject(pair, HelloRequest())
    pair.carry()
    assert pair.client.error is None
    assert pair.server.heard == AlertDescription.NO_RENEGOTIATION
    pair.say()
    assert pair.server.data == b"ping"
    inject(pair, HelloRequest(), times=4)
    assert isinstance(pair.client.error, LimitExceeded)


def end_by_alert(pair: Pair) -> None:
    pair.server.connection._send_alert(AlertLevel.FATAL, AlertDescription.HANDSHAKE_FAILURE)
    pair.carry()


def end_without_a_word(pair: Pair) -> None:
    with pytest.raises(Truncated) as caught:
        pair.client.connection.receive_eof()
    pair.client.error = caught.value


@pytest.mark.parametrize("end", [end_by_alert, end_without_a_word])
def test_a_server_that_goes_because_it_may_not_renegotiate_is_told_of_as_that(
    world: World, end: Callable[[Pair], None]
) -> None:
    """IIS and others ask for a client's certificate by a second handshake: which step, why and what to do."""
    pair = shaken(world, TLS12)
    inject(pair, HelloRequest())
    pair.carry()
    end(pair)
    trace = StepTrace()
    for fact in pair.client.facts:
        trace(fact)
    error = pair.client.error
    assert isinstance(error, PeerAlert | Truncated)
    told = explain(error, trace)
    assert "renegotiation" in str(error)
    assert "renegotiation" in told.what
    assert told.step == 11
    assert error.mend == told.mend
    assert "first handshake" in told.mend
    assert "renegotiation" in explain(TimeoutError("timed out"), trace).what


@pytest.mark.parametrize("end", [end_by_alert, end_without_a_word])
def test_who_never_asked_to_renegotiate_is_not_told_of_so(world: World, end: Callable[[Pair], None]) -> None:
    pair = shaken(world, TLS12)
    end(pair)
    assert "renegotiation" not in str(pair.client.error)


def test_a_wish_to_renegotiate_has_no_body(world: World) -> None:
    pair = shaken(world, TLS12)
    pair.server.connection._records.write_handshake(b"\0\0\0\1x")
    pair.carry()
    assert isinstance(pair.client.error, DecodeError)


def test_no_key_is_updated_in_tls12_or_after_close(world: World) -> None:
    with pytest.raises(HandshakePending):
        shaken(world, TLS12).client.connection.update_keys()
    pair = shaken(world)
    pair.client.connection.close()
    with pytest.raises(ConnectionClosed):
        pair.client.connection.update_keys()


def test_large_writes_go_in_full_records(world: World) -> None:
    pair = shaken(world)
    pair.client.connection.send_data(memoryview(bytes(40000)))
    sizes = [len(record) for record in records(pair.client.connection.data_to_send())]
    assert sizes == [16384 + 22, 16384 + 22, 40000 - 2 * 16384 + 22]
    pair.client.connection.send_data(b"")
    assert pair.client.connection.data_to_send() == b""


def test_an_idle_connection_keeps_nothing_of_the_handshake(world: World) -> None:
    pair = shaken(world)
    for party in (pair.client, pair.server):
        assert party.connection._side is None
        assert party.connection._handshake is None


def test_no_repr_shows_a_secret(world: World) -> None:
    from handclasp.facts import SecretMade

    pair = shaken(world)
    secrets = [fact.secret for fact in pair.client.facts if isinstance(fact, SecretMade)]
    assert len(secrets) == 5
    shown = repr((pair.client.facts, pair.client.connection, pair.client.connection.established, pair.client.events))
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


def test_sent_alerts_are_told_once(world: World) -> None:
    pair = Pair(world.client_config(), world.server_config(), server_name="other.example")
    pair.run()
    sent = [fact for fact in pair.client.facts if isinstance(fact, AlertSeen) and fact.direction == "sent"]
    assert len(sent) == 1


# Configuration.


def test_configs_that_cannot_work_are_refused_when_built(world: World) -> None:
    from handclasp import CipherSuite, ClientConfig, NamedGroup, ServerConfig

    for wrong in (
        {"trust": None},
        {"versions": ()},
        {"versions": (ProtocolVersion.SSL3,)},
        {"cipher_suites": ()},
        {"cipher_suites": (CipherSuite.TLS_AES_128_GCM_SHA256,)},
        {"cipher_suites": (CipherSuite.TLS_RSA_WITH_NULL_MD5,)},
        {"groups": (NamedGroup.SECP192K1,)},
        {"groups": (NamedGroup.X25519MLKEM768,), "versions": (ProtocolVersion.TLS12,)},
        {"alpn": ("",)},
        {"record_padding": 20000},
        {"key_shares": 99},
        {"answers": {Sign: print}, "ask_caller": frozenset({Sign})},
    ):
        with pytest.raises(ConfigError) as caught:
            ClientConfig(**{"trust": world.root.trust, **wrong})  # type: ignore[arg-type]
        assert next(iter(wrong)) in str(caught.value)
    identities = (world.server.identity,)
    for wrong_server in (
        {"identities": ()},
        {"client_auth": ClientAuth.REQUIRED},
        {"ticket_lifetime": 10**9},
        {"tickets": -1},
    ):
        with pytest.raises(ConfigError):
            ServerConfig(**{"identities": identities, **wrong_server})  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        Limits(tickets=0)


def test_the_type_of_an_unknown_message_is_told(world: World) -> None:
    server = ServerConnection(world.server_config())
    server.start()
    with pytest.raises(UnexpectedMessage, match="finished"):
        server.receive_data(b"\x16\x03\x01\x00\x04" + bytes((HandshakeType.FINISHED, 0, 0, 0)))


# Calls out of order.


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_connection_that_was_not_started_says_so_and_sends_nothing(world: World, role: str) -> None:
    uses: list[Any] = [
        lambda c: c.receive_data(bytes.fromhex("16030100040a000000")),
        lambda c: c.receive_data(b"GET / HTTP/1.0\r\n\r\n"),
        lambda c: c.receive_eof(),
        lambda c: c.send_data(b"x"),
        lambda c: c.update_keys(),
        lambda c: c.export(b"label", None, 16),
    ]
    for use in uses:
        pair = Pair(world.client_config(), world.server_config())
        connection = getattr(pair, role).connection
        with pytest.raises(HandshakePending) as caught:
            use(connection)
        assert connection.data_to_send() == b""
        assert connection.error is None
        assert "start()" in str(caught.value) or not isinstance(caught.value, NotStarted)
        pair.shake()  # and goes on as if nothing had been


def test_a_connection_is_started_once(world: World) -> None:
    pair = shaken(world)
    with pytest.raises(AlreadyStarted):
        pair.client.connection.start()
    pair.say()
    assert pair.server.data == b"ping"


def test_a_connection_closed_before_its_start_says_nothing(world: World) -> None:
    connection = ClientConnection(world.client_config(), server_name="localhost")
    connection.close()
    assert connection.data_to_send() == b""
    with pytest.raises(ConnectionClosed):
        connection.start()


# An end without close_notify.


@BOTH
def test_truncation_is_an_end_only_where_the_config_says_so(world: World, version: ProtocolVersion) -> None:
    strict = shaken(world, version)
    with pytest.raises(Truncated):
        strict.client.connection.receive_eof()
    lenient = shaken(world, version, client={"allow_truncation": True})
    assert lenient.client.connection.receive_eof() == [PeerClosed()]
    assert lenient.client.connection.peer_closed


def test_a_handshake_cut_short_is_no_end_whatever_the_config_says(world: World) -> None:
    connection = ClientConnection(world.client_config(allow_truncation=True), server_name="localhost")
    connection.start()
    with pytest.raises(Truncated):
        connection.receive_eof()


def test_a_client_names_the_server_unless_its_policy_says_that_names_are_not_checked(world: World) -> None:
    """Anybody with a certificate of a trusted authority would do, which nobody wants who leaves the name out."""
    for answers in ({}, {VerifyPeer: lambda _: None}):
        with pytest.raises(UsageError, match=r"names=NamePolicy\.OFF"):
            ClientConnection(world.client_config(answers=answers), server_name=None)
    unchecked = world.client_config(verification=replace(DEFAULT, names=NamePolicy.OFF))
    for _ in range(2):
        pair = Pair(unchecked, world.server_config(), server_name=None)
        pair.shake()
        assert pair.client.connection.established is not None
        assert not pair.client.connection.established.resumed  # it could be another server each time
