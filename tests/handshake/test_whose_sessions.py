"""A session belongs to those who made it, and to nobody whom they share a memory or keys with."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair, anybody

from handclasp import CipherSuite, ClientAuth, ClientConfig, NamedGroup, ProtocolVersion, ServerConfig
from handclasp.ca import Authority
from handclasp.errors import ConfigError
from handclasp.events import Asked
from handclasp.handshake.established import Established
from handclasp.questions import ChooseCertificate, FindSession, KeepSession, VerifyPeer
from handclasp.sessions import ClientSessions, ServerSessions, Session, TicketKeys
from handclasp.wire.iana import ExtensionType
from handclasp.wire.messages import ClientHello
from handclasp.x509 import DEFAULT, TrustStore
from handclasp.x509.clients import AllowedClient
from handclasp.x509.errors import ClientNotAllowed, UnknownAuthority
from handclasp.x509.reload import TrustFiles

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
TICKETS = pytest.mark.parametrize("tickets", [2, 0], ids=["by ticket", "by ID"])


def shaken(client: ClientConfig, server: ServerConfig, **changes: Any) -> Established:
    """What the server established; the client sees it alike."""
    pair = Pair(client, server, **changes)
    pair.shake()
    pair.say()
    ours, theirs = pair.client.connection.established, pair.server.connection.established
    assert ours is not None
    assert theirs is not None
    assert ours.resumed == theirs.resumed
    assert pair.client.data == b"gnip"
    return theirs


# Clients that share a memory.


def roots_in(file: Path, world: World) -> Path:
    file.write_bytes(world.root.certificate_pem)
    return file


def changes_of_a_client(world: World, folder: Path) -> dict[str, dict[str, Any]]:
    stranger = Authority.root("Somebody else").certificate
    return {
        "another identity": {"identities": (world.issuing.client("bob").identity,)},
        "no identity": {"identities": ()},
        "one identity more": {"identities": (world.client.identity, world.issuing.client("bob").identity)},
        "more trust": {"trust": TrustStore.of(stranger, *world.root.trust.anchors)},
        "trust in files": {"trust": TrustFiles(roots_in(folder / "a.pem", world))},
        "trust in other files": {"trust": TrustFiles(roots_in(folder / "b.pem", world))},
        "a stricter policy": {"verification": replace(DEFAULT, wildcards=False)},
        "another protocol": {"alpn": ("http/1.1",)},
        "other suites": {"cipher_suites": ClientConfig(trust=world.root.trust).cipher_suites[::-1]},
        "other groups": {"groups": (NamedGroup.SECP256R1, NamedGroup.X25519)},
        "fewer schemes": {"signature_schemes": ClientConfig(trust=world.root.trust).signature_schemes[:-1]},
        "no staple asked for": {"request_ocsp": False},
    }


@BOTH
@TICKETS
def test_a_client_finds_no_session_that_was_made_with_something_else(
    world: World, tmp_path: Path, version: ProtocolVersion, tickets: int
) -> None:
    if version == TLS13 and not tickets:
        return
    server = world.server_config(
        tickets=tickets, client_auth=ClientAuth.OPTIONAL, trust=world.root.trust, alpn=("h2", "http/1.1")
    )
    base = {"versions": (version,), "identities": (world.client.identity,), "alpn": ("h2",)}
    sessions = ClientSessions()
    client = world.client_config(sessions=sessions, **base)
    assert not shaken(client, server).resumed
    for what, change in changes_of_a_client(world, tmp_path).items():
        assert shaken(client, server).resumed
        other = shaken(replace(client, **change), server)
        assert not other.resumed, what
        if "identities" in change and what != "one identity more":
            shown = [one.leaf.der for one in change["identities"]]
            assert list(other.peer_chain[:1]) == shown
        same = world.client_config(sessions=sessions, **base)
        same = replace(same, record_padding=64, middlebox_compatibility=False, key_shares=1)
        assert shaken(same, server).resumed, "a config that makes the same sessions"


@BOTH
def test_a_session_is_for_one_name_and_port(world: World, version: ProtocolVersion) -> None:
    from handclasp import ClientConnection

    client, server = world.client_config(versions=(version,)), world.server_config()

    def at(name: str, port: int | None) -> bool:
        pair = Pair(client, server)
        pair.client.connection = ClientConnection(client, server_name=name, port=port)
        pair.shake()
        assert pair.client.connection.established is not None
        return pair.client.connection.established.resumed

    assert not at("localhost", 443)
    assert not at("localhost", 8443)
    assert not at("example.com", 443)
    assert not at("localhost", None)
    for name, port in (("localhost", 443), ("localhost", 8443), ("example.com", 443), ("localhost", None)):
        assert at(name, port)


@BOTH
def test_a_session_of_something_else_is_not_offered_whoever_finds_it(world: World, version: ProtocolVersion) -> None:
    kept: list[Session] = []
    answers = {KeepSession: lambda q: kept.append(q.session), FindSession: lambda _: kept[-1] if kept else None}
    server = world.server_config(client_auth=ClientAuth.OPTIONAL, trust=world.root.trust)
    alice = world.client_config(versions=(version,), identities=(world.client.identity,), answers=answers)
    assert not shaken(alice, server).resumed
    nobody = replace(alice, identities=())
    established = shaken(nobody, server)
    assert not established.resumed
    assert not established.peer_chain
    kept.pop()
    while kept[-1].scope != kept[0].scope:
        kept.pop()
    assert shaken(alice, server).resumed


@BOTH
@pytest.mark.parametrize("way", ["function", "caller"])
def test_who_chooses_a_certificate_each_time_resumes_as_nobody_else(
    world: World, version: ProtocolVersion, way: str
) -> None:
    """Whom the caller would be this time is asked in whole handshakes alone."""
    bob = world.issuing.client("bob")
    server = world.server_config(client_auth=ClientAuth.REQUIRED, trust=world.root.trust)
    both = (world.client.identity, bob.identity)
    turns = iter([world.client, bob])
    changes: dict[str, Any] = {"ask_caller": frozenset({ChooseCertificate})}
    if way == "function":
        changes = {"answers": {ChooseCertificate: lambda _: next(turns).identity}}
    client = world.client_config(versions=(version,), identities=both, **changes)
    for one in (world.client, bob):
        pair = Pair(client, server)
        pair.run()
        for event in pair.client.events:
            if isinstance(event, Asked):
                pair.client.events = pair.client.connection.answer(event.question, one.identity)
                pair.carry()
        established = pair.server.connection.established
        assert established is not None
        assert established.peer_chain[0] == one.certificate.der
    anonymous = world.server_config()
    assert not shaken(replace(client, answers={}, ask_caller=frozenset()), anonymous).resumed
    assert not shaken(client, anonymous).resumed
    assert shaken(client, anonymous).resumed, "where nobody asks for a certificate, none is chosen"


# Configs that are made from others.


def test_a_config_that_is_made_from_another_shares_nothing_but_what_it_is_told_to(world: World) -> None:
    client = world.client_config()
    assert replace(client).sessions is not client.sessions
    told = world.client_config(sessions=ClientSessions())
    assert replace(told).sessions is told.sessions
    assert replace(client, sessions=told.sessions).sessions is told.sessions
    assert len({id(one.sessions) for one in (client, replace(client), replace(replace(client)))}) == 3
    assert pickle.loads(pickle.dumps(client)).sessions.of_config
    assert world.client_config(sessions=None).sessions is None
    server = world.server_config()
    assert replace(server).sessions is not server.sessions
    assert replace(server).ticket_keys is not server.ticket_keys
    shared = world.server_config(ticket_keys=TicketKeys(), sessions=ServerSessions())
    assert replace(shared).ticket_keys is shared.ticket_keys
    assert replace(shared).sessions is shared.sessions
    assert replace(server) == server


@BOTH
def test_what_pickle_carries_to_another_process_takes_the_tickets_of_this_one(
    world: World, version: ProtocolVersion
) -> None:
    """A copy within the process takes none."""
    client, server = world.client_config(versions=(version,)), world.server_config()
    assert not shaken(client, server).resumed
    assert shaken(client, pickle.loads(pickle.dumps(server))).resumed
    assert not shaken(client, copy.copy(server)).resumed
    assert not shaken(client, copy.deepcopy(server)).resumed


@BOTH
@TICKETS
def test_a_server_that_is_made_from_another_takes_none_of_its_sessions(
    world: World, version: ProtocolVersion, tickets: int
) -> None:
    client, server = world.client_config(versions=(version,)), world.server_config(tickets=tickets)
    assert not shaken(client, server).resumed
    assert not shaken(client, replace(server)).resumed


@pytest.mark.parametrize("wrong", [{}, True, "own", TicketKeys])
def test_what_is_no_memory_and_no_keys_is_refused(world: World, wrong: object) -> None:
    with pytest.raises(ConfigError, match="sessions"):
        world.client_config(sessions=wrong)
    with pytest.raises(ConfigError, match="sessions"):
        world.server_config(sessions=wrong)
    with pytest.raises(ConfigError, match="ticket_keys"):
        world.server_config(ticket_keys=wrong)


@pytest.mark.parametrize("sessions", [ClientSessions(3, 2, 10_000), ServerSessions(3, 10_000)], ids=repr)
def test_a_copy_of_a_memory_is_empty_and_as_large(sessions: Any) -> None:
    session = Session(TLS12, CipherSuite.TLS_AES_128_GCM_SHA256, b"s" * 48, 0, 100)
    sessions.put(b"a", session)
    for twin in (copy.deepcopy(sessions), pickle.loads(pickle.dumps(sessions))):
        assert twin._limits == sessions._limits
        assert not twin._sessions
    assert "ssss" not in repr(sessions)
    sessions.discard(b"a")


# Servers that share keys and memory: virtual hosts.


def hosts(world: World) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of servers of which one may not take the other's sessions."""
    other = Authority.root("Other clients")
    asking: dict[str, Any] = {"client_auth": ClientAuth.OPTIONAL, "trust": world.root.trust}
    only_bob = replace(DEFAULT, allowed_clients=(AllowedClient("email", "bob@example.com"),))
    return {
        "another certificate": ({}, {"identities": (world.issuing.server("localhost").identity,)}),
        "another protocol": ({"alpn": ("h2",)}, {"alpn": ("http/1.1",)}),
        "no protocol": ({"alpn": ("h2",)}, {}),
        "it asks for no certificate": (asking, {}),
        "it asks for a certificate": ({}, asking),
        "it requires a certificate": ({}, {**asking, "client_auth": ClientAuth.REQUIRED}),
        "it lets other clients in, by their authority": (asking, {**asking, "trust": other.trust}),
        "it lets other clients in, by their names": (asking, {**asking, "verification": only_bob}),
    }


REFUSED = {
    "it lets other clients in, by their authority": UnknownAuthority,
    "it lets other clients in, by their names": ClientNotAllowed,
}


@BOTH
@TICKETS
def test_a_session_of_one_host_is_none_of_another_that_shares_its_keys(
    world: World, version: ProtocolVersion, tickets: int
) -> None:
    if version == TLS13 and not tickets:
        return
    for what, (first, second) in hosts(world).items():
        shared = {"ticket_keys": TicketKeys(), "sessions": ServerSessions(), "tickets": tickets}
        client = world.client_config(versions=(version,), identities=(world.client.identity,), alpn=("h2", "http/1.1"))
        one, other = world.server_config(**first, **shared), world.server_config(**second, **shared)
        assert not shaken(client, one).resumed
        assert shaken(client, one).resumed, what
        pair = Pair(client, other)
        pair.run()
        established = pair.server.connection.established
        if what in REFUSED:  # as the whole handshake that is made instead tells
            assert type(pair.server.error) is REFUSED[what]
            continue
        assert established is not None, what
        assert not established.resumed, what
        asks = other.client_auth is not ClientAuth.NONE
        assert bool(established.peer_chain) == asks
        assert (established.peer_report is not None) == asks


@BOTH
def test_who_chooses_a_server_s_certificate_gives_sessions_of_this_config_alone(
    world: World, version: ProtocolVersion
) -> None:
    keys = TicketKeys()
    answers = {ChooseCertificate: lambda _: world.server.identity}
    client = world.client_config(versions=(version,))
    one = world.server_config(identities=(), ticket_keys=keys, answers=answers)
    assert not shaken(client, one).resumed
    assert shaken(client, one).resumed
    assert not shaken(client, world.server_config(identities=(), ticket_keys=keys, answers=answers)).resumed


@BOTH
@TICKETS
def test_a_server_with_more_certificates_than_before_goes_on_with_its_sessions(
    world: World, version: ProtocolVersion, tickets: int
) -> None:
    """Nobody's handshakes get longer by a host that is added."""
    shared = {"ticket_keys": TicketKeys(), "sessions": ServerSessions(), "tickets": tickets}
    client = world.client_config(versions=(version,))
    assert not shaken(client, world.server_config(**shared)).resumed
    more = (world.issuing.server("other.example").identity, world.server.identity)
    assert shaken(client, world.server_config(identities=more, **shared)).resumed == bool(tickets or version == TLS12)


# Session IDs, which are said in clear.


def without_tickets(hello: ClientHello) -> ClientHello:
    hello.extensions.pop(ExtensionType.SESSION_TICKET, None)
    return hello


@pytest.mark.parametrize("by_ticket", [True, False])
def test_nobody_evicts_a_session_of_somebody_else_by_its_id(world: World, by_ticket: bool) -> None:
    """Neither one whose handshake fails, nor one who resumes a session of his own under that ID."""
    server = world.server_config()
    victim = Pair(world.client_config(versions=(TLS12,)), server)
    victim.client.rewrite(ClientHello, without_tickets)
    victim.shake()
    assert victim.server.connection.established is not None
    session_id = victim.server.connection.established.session_id
    assert server.sessions is not None
    now = int(server.now() * 1000)
    assert server.sessions.get(session_id, now) is not None

    def as_victim(hello: ClientHello) -> ClientHello:
        hello.legacy_session_id = session_id
        return hello

    mallory = world.client_config(versions=(TLS12,))
    if by_ticket:
        assert not shaken(mallory, server).resumed
    pair = Pair(mallory, server)
    pair.client.rewrite(ClientHello, as_victim if by_ticket else lambda hello: without_tickets(as_victim(hello)))
    pair.run()
    assert (pair.server.connection.established is not None) == by_ticket
    pair.server.receive(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert pair.server.error is not None
    assert server.sessions.get(session_id, now) is not None


def test_anybody_is_not_who_a_session_is_for(world: World) -> None:
    """Two configs that judge by different functions, and share a memory: each asks its own."""
    sessions = ClientSessions()
    server = world.server_config()
    asked: list[VerifyPeer] = []

    def careful(question: VerifyPeer) -> object:
        asked.append(question)
        return anybody(question)

    easy = ClientConfig(answers={VerifyPeer: anybody}, sessions=sessions)
    assert not shaken(easy, server).resumed
    assert shaken(ClientConfig(answers={VerifyPeer: careful}, sessions=sessions), server).resumed
    assert [question.resumed for question in asked] == [True]
