"""Sessions that are resumed, and those that are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.conftest import World
from tests.pair import Pair

from handclasp import CipherSuite, ClientAuth, ProtocolVersion
from handclasp.ca import Authority
from handclasp.crypto.protection import BadRecordMac
from handclasp.endings import PeerAlert
from handclasp.events import TicketReceived
from handclasp.facts import MessageSeen, PeerChecked
from handclasp.handshake import errors
from handclasp.questions import FindSession, KeepSession
from handclasp.sessions import ClientSessions, ServerSessions, Session, TicketKeys
from handclasp.wire.extensions import OfferedPsks, PskKeyExchangeModes, find, pack
from handclasp.wire.iana import ExtensionType, PskKeyExchangeMode
from handclasp.wire.messages import ClientHello, EncryptedExtensions, Finished, ServerHello
from handclasp.x509.errors import UnknownAuthority

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def resumed(pair: Pair) -> bool:
    pair.shake()
    pair.say()
    client, server = pair.client.connection.established, pair.server.connection.established
    assert client is not None
    assert server is not None
    assert client.resumed == server.resumed
    assert pair.server.data == b"ping"
    return client.resumed


@BOTH
@pytest.mark.parametrize("tickets", [2, 0], ids=["by-ticket", "by-id"])
def test_the_second_connection_resumes_the_first(world: World, version: ProtocolVersion, tickets: int) -> None:
    client, server = world.client_config(versions=(version,)), world.server_config(tickets=tickets)
    assert not resumed(Pair(client, server))
    expected = not (version == TLS13 and tickets == 0)
    assert resumed(Pair(client, server)) == expected
    assert resumed(Pair(client, server)) == expected


@BOTH
def test_a_resumed_session_knows_the_client_of_the_first(world: World, version: ProtocolVersion) -> None:
    client = world.client_config(versions=(version,), identities=(world.client.identity,))
    server = world.server_config(trust=world.root.trust, client_auth=ClientAuth.REQUIRED)
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)
    assert resumed(pair)
    established = pair.server.connection.established
    assert established is not None
    assert established.peer_chain[0] == world.client.certificate.der
    assert any(isinstance(fact, PeerChecked) for fact in pair.server.facts)


@BOTH
def test_a_session_is_not_resumed_for_another_name(world: World, version: ProtocolVersion) -> None:
    client, server = world.client_config(versions=(version,)), world.server_config()
    assert not resumed(Pair(client, server))
    assert not resumed(Pair(client, server, server_name="example.com"))


@BOTH
def test_a_resumption_does_not_speak_of_the_servers_name(world: World, version: ProtocolVersion) -> None:
    """RFC 6066, 3: the answer to server_name is for whole handshakes."""
    client, server = world.client_config(versions=(version,)), world.server_config()
    kind = EncryptedExtensions if version == TLS13 else ServerHello
    for expected in (False, True):
        pair = Pair(client, server)
        assert resumed(pair) == expected
        [said] = [f.message for f in pair.client.facts if isinstance(f, MessageSeen) and type(f.message) is kind]
        assert (ExtensionType.SERVER_NAME in said.extensions) != expected


@BOTH
def test_a_session_whose_certificate_is_refused_now_is_not_resumed(world: World, version: ProtocolVersion) -> None:
    """What the first handshake accepted is judged again: revocation and policy may have changed."""
    sessions = ClientSessions()
    server = world.server_config()
    assert not resumed(Pair(world.client_config(versions=(version,), sessions=sessions), server))
    stranger = Authority.root("Stranger").trust
    pair = Pair(world.client_config(versions=(version,), sessions=sessions, trust=stranger), server)
    with pytest.raises(UnknownAuthority):
        pair.shake()


@BOTH
def test_an_old_session_is_not_resumed(world: World, version: ProtocolVersion) -> None:
    clock = Clock()
    client = world.client_config(versions=(version,), now=clock)
    server = world.server_config(now=clock, ticket_lifetime=60)
    clock.now = world.server.certificate.not_before.timestamp() + 600
    assert not resumed(Pair(client, server))
    clock.now += 61
    assert not resumed(Pair(client, server))


@BOTH
def test_new_tickets_do_not_prolong_a_session_for_ever(world: World, version: ProtocolVersion) -> None:
    """RFC 8446, 4.6.1: a week after the whole handshake there is another, however often it was resumed."""
    clock, day = Clock(), 24 * 3600
    clock.now = world.server.certificate.not_before.timestamp() + 600
    client = world.client_config(versions=(version,), now=clock)
    server = world.server_config(now=clock, ticket_lifetime=7 * day)
    assert not resumed(Pair(client, server))
    for _ in range(7):
        clock.now += day - 1
        assert resumed(Pair(client, server))
    clock.now += day
    assert not resumed(Pair(client, server))
    clock.now += day - 1
    assert resumed(Pair(client, server))


@BOTH
def test_a_session_that_a_caller_finds_too_late_is_not_offered(world: World, version: ProtocolVersion) -> None:
    """RFC 8446, 4.6.1: whoever keeps the sessions, the engine looks at the date."""
    clock = Clock()
    kept: list[Session] = []
    clock.now = world.server.certificate.not_before.timestamp() + 600
    client = world.client_config(
        versions=(version,),
        now=clock,
        answers={KeepSession: lambda q: kept.append(q.session), FindSession: lambda _: kept[-1] if kept else None},
    )
    server = world.server_config(now=clock, ticket_lifetime=60)
    assert not resumed(Pair(client, server))
    clock.now += 61
    pair = Pair(client, server)
    assert not resumed(pair)
    [hello] = [f.message for f in pair.client.facts if isinstance(f, MessageSeen) and type(f.message) is ClientHello]
    assert isinstance(hello, ClientHello)
    assert ExtensionType.PRE_SHARED_KEY not in hello.extensions
    assert not hello.extensions.get(ExtensionType.SESSION_TICKET)


@BOTH
@pytest.mark.parametrize("heard", [False, True], ids=["alert sent", "alert heard"])
def test_a_session_that_ended_by_an_alert_is_not_resumed(world: World, version: ProtocolVersion, heard: bool) -> None:
    """RFC 5246, 7.2.2; RFC 8446, 6.2."""
    client, server = world.client_config(versions=(version,)), world.server_config(tickets=2 * (version == TLS13))
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)
    assert resumed(pair)
    (pair.server if heard else pair.client).receive(b"\x17\x03\x03\x00\x20" + bytes(32))
    pair.carry()
    assert isinstance(pair.client.error, PeerAlert if heard else BadRecordMac)
    assert not resumed(Pair(client, server))


def test_a_server_forgets_the_session_of_an_id_that_ended_by_an_alert(world: World) -> None:
    """RFC 5246, 7.2.2; whatever the client remembers."""
    kept: list[Session] = []
    answers = {KeepSession: lambda q: kept.append(q.session), FindSession: lambda _: kept[-1] if kept else None}
    client, server = world.client_config(versions=(TLS12,), answers=answers), world.server_config(tickets=0)
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)
    assert resumed(pair)
    pair.server.receive(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert not resumed(Pair(client, server))


@pytest.mark.parametrize("by", ["client", "server"])
def test_nobody_makes_a_server_forget_a_session_by_saying_its_id(world: World, by: str) -> None:
    """An ID goes over the wire in clear: that it was said proves nothing, a Finished does (RFC 5246, 7.2.2)."""
    kept: list[Session] = []
    answers = {KeepSession: lambda q: kept.append(q.session), FindSession: lambda _: kept[-1] if kept else None}
    client, server = world.client_config(versions=(TLS12,), answers=answers), world.server_config(tickets=0)
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)
    (pair.server if by == "client" else pair.client).rewrite(Finished, lambda m: replace(m, verify_data=bytes(12)))
    with pytest.raises(errors.FinishedMismatch):
        pair.shake()
    assert resumed(Pair(client, server))


def test_a_client_does_not_fail_twice_by_the_same_session(world: World) -> None:
    """A server that resumes wrongly is met by a whole handshake the next time."""
    client, server = world.client_config(versions=(TLS12,)), world.server_config()
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)
    pair.server.rewrite(Finished, lambda m: replace(m, verify_data=bytes(12)))
    with pytest.raises(errors.FinishedMismatch):
        pair.shake()
    assert not resumed(Pair(client, server))


@BOTH
def test_a_server_with_other_keys_makes_a_whole_handshake(world: World, version: ProtocolVersion) -> None:
    client = world.client_config(versions=(version,))
    assert not resumed(Pair(client, world.server_config()))
    assert not resumed(Pair(client, world.server_config()))


def test_a_client_uses_each_ticket_of_tls13_once() -> None:
    """RFC 8446, C.4."""
    sessions = ClientSessions()
    session = Session(TLS13, CipherSuite.TLS_AES_128_GCM_SHA256, b"s", 0, 100)
    sessions.put(b"a", session)
    assert sessions.take(b"a", 1) is session
    assert sessions.take(b"a", 1) is None


def test_client_sessions_are_bounded() -> None:
    sessions = ClientSessions(servers=2, each=2)
    session = Session(TLS12, CipherSuite.TLS_AES_128_GCM_SHA256, b"s", 0, 100)
    for name in (b"a", b"b", b"c"):
        for _ in range(5):
            sessions.put(name, session)
    assert sessions.take(b"a", 1) is None
    assert sessions.take(b"c", 1) is session
    sessions.discard(b"c")
    assert sessions.take(b"c", 1) is None
    assert sessions.take(b"b", 100_001) is None


def test_server_sessions_are_bounded_and_forget() -> None:
    sessions = ServerSessions(size=2)
    session = Session(TLS12, CipherSuite.TLS_AES_128_GCM_SHA256, b"s", 0, 100)
    for name in (b"a", b"b", b"c"):
        sessions.put(name, session)
    assert sessions.get(b"a", 1) is None
    assert sessions.get(b"c", 1) is session
    assert sessions.get(b"c", 100_001) is None
    sessions.discard(b"b")
    assert sessions.get(b"b", 1) is None


def test_a_psk_is_used_alone_only_where_both_allow_it(world: World) -> None:
    """RFC 8446, 4.2.9: psk_ke."""
    from handclasp.wire.extensions import PskKeyExchangeModes

    client = world.client_config(allow_psk_without_forward_secrecy=True)
    server = world.server_config(allow_psk_without_forward_secrecy=True)
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)

    def alone(hello: ClientHello) -> ClientHello:
        modes = pack(PskKeyExchangeModes([PskKeyExchangeMode.PSK_KE]))
        hello.extensions[ExtensionType.PSK_KEY_EXCHANGE_MODES] = modes[ExtensionType.PSK_KEY_EXCHANGE_MODES]
        return rebind(pair, hello)

    pair.client.rewrite(ClientHello, alone)
    assert resumed(pair)
    assert pair.client.connection.established is not None
    assert pair.client.connection.established.group is None


def rebind(pair: Pair, hello: ClientHello) -> ClientHello:
    """Make the binder anew for a changed hello."""
    from handclasp.crypto.schedule13 import EarlySecret

    psks = find(hello.extensions, OfferedPsks)
    assert psks is not None
    ticket = psks.identities[0].identity
    session = pair.server.connection._config.ticket_keys.open(ticket, 0)  # type: ignore[attr-defined]
    covered = hello.to_bytes()[: -psks.binders_size]
    side = pair.client.connection._side
    assert side is not None
    digest = side.transcript.digest_with("sha256", covered)
    psks.binders = [EarlySecret.of("sha256", session.secret).binder_key().verify_data(digest)]
    hello.extensions |= pack(psks)
    return hello


def test_a_false_binder_is_refused(world: World) -> None:
    """RFC 8446, 4.2.11.2."""
    client, server = world.client_config(), world.server_config()
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)

    def forge(hello: ClientHello) -> ClientHello:
        psks = find(hello.extensions, OfferedPsks)
        assert psks is not None
        return replace(hello, extensions=hello.extensions | pack(replace(psks, binders=[bytes(32)])))

    pair.client.rewrite(ClientHello, forge)
    with pytest.raises(errors.BinderMismatch):
        pair.shake()


@pytest.mark.parametrize("mistake", ["two binders", "not last"])
def test_pre_shared_keys_that_are_offered_wrongly_are_refused(world: World, mistake: str) -> None:
    """RFC 8446, 4.2.11."""
    client, server = world.client_config(), world.server_config()
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)

    def forge(hello: ClientHello) -> ClientHello:
        psks = find(hello.extensions, OfferedPsks)
        assert psks is not None
        if mistake == "two binders":
            return replace(hello, extensions=hello.extensions | pack(replace(psks, binders=[bytes(32)] * 2)))
        items = list(hello.extensions.items())
        return replace(hello, extensions=dict(items[-1:] + items[:-1]))

    pair.client.rewrite(ClientHello, forge)
    with pytest.raises(errors.IllegalValue):
        pair.shake()


def test_a_session_goes_through_a_retry(world: World) -> None:
    """The binder of the second hello covers the first and the retry (RFC 8446, 4.2.11.2)."""
    client, server = world.client_config(key_shares=0), world.server_config(retry_cookie=True)
    assert not resumed(Pair(client, server))
    assert resumed(Pair(client, server))


def test_a_session_of_another_hash_is_left_out_after_a_retry(world: World) -> None:
    client = world.client_config(key_shares=0)
    keys = TicketKeys()
    assert not resumed(Pair(client, world.server_config(ticket_keys=keys)))
    other = world.server_config(
        ticket_keys=keys, cipher_suites=(CipherSuite.TLS_AES_256_GCM_SHA384,), versions=(TLS13,)
    )
    pair = Pair(client, other)
    assert not resumed(pair)
    hellos = [f.message for f in pair.server.facts if isinstance(f, MessageSeen) and isinstance(f.message, ClientHello)]
    assert [find(hello.extensions, OfferedPsks) is None for hello in hellos] == [False, True]


def test_a_client_without_memory_gets_no_tickets(world: World) -> None:
    pair = Pair(world.client_config(sessions=None), world.server_config())
    assert not resumed(pair)
    assert not any(isinstance(event, TicketReceived) for event in pair.client.events)


@BOTH
def test_a_server_that_gives_no_tickets_takes_none(world: World, version: ProtocolVersion) -> None:
    client, keys = world.client_config(versions=(version,)), TicketKeys()
    assert not resumed(Pair(client, world.server_config(ticket_keys=keys)))
    assert not resumed(Pair(client, world.server_config(ticket_keys=keys, tickets=0)))


def test_there_is_no_tls_unique_of_a_resumption_without_extended_master_secret(world: World) -> None:
    """RFC 7627, 1: two sessions that share a master secret can be made to have the same one."""
    client = world.client_config(versions=(TLS12,), require_extended_master_secret=False)
    server = world.server_config(require_extended_master_secret=False)
    for expected in (False, True):
        pair = Pair(client, server)
        pair.client.rewrite(ClientHello, without_extended_master_secret)
        assert resumed(pair) == expected
        for party in (pair.client, pair.server):
            assert party.connection.established is not None
            assert bool(party.connection.established.finished_bytes) != expected


def without_extended_master_secret(hello: ClientHello) -> ClientHello:
    extensions = dict(hello.extensions)
    extensions.pop(ExtensionType.EXTENDED_MASTER_SECRET)
    return replace(hello, extensions=extensions)


def test_a_client_that_could_not_use_tickets_gets_none(world: World) -> None:
    """RFC 8446, 4.2.9: this client would use a key alone, which the server does not allow."""
    pair = Pair(world.client_config(), world.server_config())
    alone = pack(PskKeyExchangeModes([PskKeyExchangeMode.PSK_KE]))
    pair.client.rewrite(ClientHello, lambda m: replace(m, extensions={**m.extensions, **alone}))
    pair.shake()
    assert not any(isinstance(event, TicketReceived) for event in pair.client.events)


def test_tickets_carry_the_lifetime_of_the_config(world: World) -> None:
    pair = Pair(world.client_config(), world.server_config(ticket_lifetime=77, tickets=3))
    pair.shake()
    tickets = [event.session for event in pair.client.events if isinstance(event, TicketReceived)]
    assert [ticket.lifetime for ticket in tickets] == [77] * 3
    assert len({ticket.ticket for ticket in tickets}) == 3
    assert repr(tickets[0].secret) not in repr(tickets[0])


def test_a_session_of_tls12_that_needs_an_extended_master_secret_is_refused_without(world: World) -> None:
    """RFC 7627, 5.3."""

    client, server = world.client_config(versions=(TLS12,)), world.server_config(require_extended_master_secret=False)
    assert not resumed(Pair(client, server))
    pair = Pair(client, server)
    pair.client.rewrite(
        ClientHello,
        lambda m: replace(
            m, extensions={k: v for k, v in m.extensions.items() if k != ExtensionType.EXTENDED_MASTER_SECRET}
        ),
    )
    with pytest.raises(errors.ExtendedMasterSecretChanged):
        pair.shake()
    assert isinstance(pair.client.error, PeerAlert)
