"""A stale session is never an error: it is resumed properly, or a whole handshake is made as if it were not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World
from tests.handshake.test_any_two import Setup, issued, parties
from tests.pair import Pair, anybody

from handclasp import CipherSuite, ClientAuth, ProtocolVersion, ServerConfig
from handclasp.ca import Authority, KeyType
from handclasp.events import Asked, TicketReceived
from handclasp.facts import Choice, MessageSeen, PeerChecked
from handclasp.handshake.answers import DEFAULT_ANSWERS
from handclasp.handshake.established import Established
from handclasp.questions import SealTicket, VerifyPeer
from handclasp.sessions import MAX_TICKET_SIZE, ClientSessions, ServerSessions, Session, TicketKeys
from handclasp.wire.iana import ExtensionType
from handclasp.wire.messages import ClientHello
from handclasp.x509 import DEFAULT, RevocationMode
from handclasp.x509.clients import AllowedClient
from handclasp.x509.errors import UnknownAuthority
from handclasp.x509.identity import Identity
from handclasp.x509.reload import CrlFiles, TrustFiles

__all__ = ["issued"]

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
NOW = datetime.now(UTC)
EARLIER = timedelta(hours=3)
"""What is made for a day so much before ends in the lifetime of a session that is made now."""
REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED, revocation_of_leaf_alone=True)


class Clock:
    def __init__(self) -> None:
        self.now = NOW.timestamp() + 600

    def __call__(self) -> float:
        return self.now


def shaken(pair: Pair) -> Established:
    pair.shake()
    pair.say()
    ours, theirs = pair.client.connection.established, pair.server.connection.established
    assert ours is not None
    assert theirs is not None
    assert ours.resumed == theirs.resumed
    assert pair.client.data == b"gnip"
    return ours


@dataclass
class Case:
    """Two that have made a session, and what makes it stale."""

    client: dict[str, Any]
    server: dict[str, Any]
    change: Callable[[], None]
    refused: str = "client"
    """Who would refuse the session now."""


def a_renewed_server(world: World, folder: Path) -> Case:
    """Its certificate has ended, and it has another."""
    clock = Clock()
    own = [world.issuing.server("localhost", days=1, at=NOW - EARLIER).identity]

    def change() -> None:
        clock.now += 22 * 3600
        own[:] = [world.issuing.server("localhost", days=1, at=NOW + timedelta(hours=20)).identity]

    return Case({"now": clock}, {"now": clock, "identities": own}, change)


def a_renewed_client(world: World, folder: Path) -> Case:
    clock = Clock()
    own = [world.issuing.client("alice", days=1, at=NOW - EARLIER).identity]

    def change() -> None:
        clock.now += 22 * 3600
        own[:] = [world.issuing.client("alice", days=1, at=NOW + timedelta(hours=20)).identity]

    server = {"client_auth": ClientAuth.REQUIRED, "trust": world.root.trust, "now": clock}
    return Case({"now": clock, "identities": own}, server, change)


def a_client_that_ends(world: World, folder: Path) -> Case:
    """It has two certificates, and the one it showed is the first to end."""
    clock = Clock()
    own = (world.issuing.client("alice", days=1, at=NOW - EARLIER).identity, world.issuing.client("alice").identity)

    def change() -> None:
        clock.now += 22 * 3600

    server = {"client_auth": ClientAuth.REQUIRED, "trust": world.root.trust, "now": clock}
    return Case({"now": clock, "identities": own}, server, change, "server")


def a_replaced_root(world: World, folder: Path) -> Case:
    file, own = folder / "roots.pem", [world.server.identity]
    file.write_bytes(world.root.certificate_pem)

    def change() -> None:
        other = Authority.root("Another Root")
        replace_file(file, other.certificate_pem)
        own[:] = [other.intermediate("Another CA").server("localhost").identity]

    return Case({"trust": TrustFiles(file)}, {"identities": own}, change)


def a_replaced_root_of_clients(world: World, folder: Path) -> Case:
    """The client has a certificate of either authority."""
    file, other = folder / "roots.pem", Authority.root("Another Root")
    file.write_bytes(world.root.certificate_pem)

    def change() -> None:
        replace_file(file, other.certificate_pem)

    own = (world.client.identity, other.client("alice").identity)
    server = {"client_auth": ClientAuth.REQUIRED, "trust": TrustFiles(file)}
    return Case({"identities": own}, server, change, "server")


def a_revoked_server(world: World, folder: Path) -> Case:
    """Its certificate was taken back, and it has another."""
    own = [world.server.identity]
    (folder / "old.crl").write_bytes(world.issuing.make_crl([], number=1))

    def change() -> None:
        revoked = [(world.server.certificate.serial_number, NOW, None)]
        replace_file(folder / "old.crl", world.issuing.make_crl(revoked, number=2))
        own[:] = [world.issuing.server("localhost").identity]

    return Case({"revocation": CrlFiles(folder)}, {"identities": own}, change)


def an_old_staple(world: World, folder: Path) -> Case:
    """What was stapled has ended, and the server has a new one."""
    clock = Clock()

    def stapled(at: datetime) -> Identity:
        response = world.issuing.ocsp_response(world.server.certificate, days=1, at=at)
        return replace(world.server.identity, ocsp_response=response)

    own = [stapled(NOW - EARLIER)]

    def change() -> None:
        clock.now += 22 * 3600
        own[:] = [stapled(NOW + timedelta(hours=20))]

    return Case({"verification": REQUIRED, "now": clock}, {"identities": own, "now": clock}, change)


def replace_file(path: Path, data: bytes) -> None:
    """Another file in its place, told apart by its inode."""
    new = path.with_name("new")
    new.write_bytes(data)
    os.replace(new, path)


CASES = [
    a_renewed_server,
    a_renewed_client,
    a_client_that_ends,
    a_replaced_root,
    a_replaced_root_of_clients,
    a_revoked_server,
    an_old_staple,
]


@BOTH
@pytest.mark.parametrize("tickets", [2, 0], ids=["by ticket", "by ID"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_session_that_would_be_refused_now_is_a_whole_handshake(
    world: World, tmp_path: Path, version: ProtocolVersion, tickets: int, case: Callable[[World, Path], Case]
) -> None:
    if version == TLS13 and not tickets:
        return
    made = case(world, tmp_path)
    client = world.client_config(versions=(version,), **made.client)
    server = world.server_config(tickets=tickets, **made.server)
    assert not shaken(Pair(client, server)).resumed
    assert shaken(Pair(client, server)).resumed
    made.change()
    pair = Pair(client, server)
    assert not shaken(pair).resumed
    if made.refused == "server":
        said = [fact for fact in pair.server.facts if isinstance(fact, Choice) and fact.what == "session"]
        assert "refused now" in said[0].why
    assert shaken(Pair(client, server)).resumed


@BOTH
def test_what_was_stapled_counts_in_resumptions_too(world: World, version: ProtocolVersion) -> None:
    """A client that wants a response, of a server whose certificate promises one (RFC 7633)."""
    issued = world.issuing.server("localhost", must_staple=True)
    identity = replace(issued.identity, ocsp_response=world.issuing.ocsp_response(issued.certificate))
    client = world.client_config(versions=(version,), verification=REQUIRED)
    server = world.server_config(identities=(identity,))
    assert not shaken(Pair(client, server)).resumed
    for _ in range(3):
        assert shaken(Pair(client, server)).resumed


# The question is asked before a session is offered or taken, once, whoever answers.


@BOTH
@pytest.mark.parametrize("way", ["refuse", "report"])
@pytest.mark.parametrize("role", ["client", "server"])
def test_a_session_that_the_caller_refuses_is_not_resumed(
    world: World, version: ProtocolVersion, role: str, way: str
) -> None:
    asking: dict[str, Any] = {"ask_caller": frozenset({VerifyPeer})}
    client = world.client_config(
        versions=(version,), identities=(world.client.identity,), **(asking if role == "client" else {})
    )
    server = world.server_config(
        trust=world.root.trust, client_auth=ClientAuth.REQUIRED, **(asking if role == "server" else {})
    )
    for expected in ([False], [True], [True, False]):
        pair = Pair(client, server)
        pair.run()
        party, asked = (pair.client if role == "client" else pair.server), []
        while party.events and isinstance(event := party.events[-1], Asked):
            question = event.question
            assert isinstance(question, VerifyPeer)
            asked.append(question.resumed)
            if expected == [True, False] and question.resumed:
                if way == "refuse":
                    party.events = party.connection.refuse(question, UnknownAuthority("We trust them no more."))
                else:
                    report = anybody(question)
                    report.error = UnknownAuthority("We trust them no more.", report)
                    party.events = party.connection.answer(question, report)
            else:
                party.events = party.connection.answer(question, anybody(question))
            pair.carry()
        assert asked == expected
        established = pair.server.connection.established
        assert established is not None, (pair.client.error, pair.server.error)
        assert pair.client.connection.established is not None
        assert established.resumed == (expected == [True])
        assert established.peer_report is not None


@BOTH
def test_a_resumption_judges_the_peer_once_and_tells_of_it_once(world: World, version: ProtocolVersion) -> None:
    asked: list[VerifyPeer] = []
    client_config = world.client_config()

    def judge(question: VerifyPeer) -> object:
        asked.append(question)
        config = client_config if question.role == "server" else server_config
        return DEFAULT_ANSWERS[VerifyPeer](config, question)

    answers: dict[str, Any] = {"answers": {VerifyPeer: judge}}
    client_config = world.client_config(versions=(version,), identities=(world.client.identity,), **answers)
    server_config = world.server_config(trust=world.root.trust, client_auth=ClientAuth.REQUIRED, **answers)
    for resumed in (False, True):
        asked.clear()
        pair = Pair(client_config, server_config)
        assert shaken(pair).resumed == resumed
        assert sorted((question.role, question.resumed) for question in asked) == [
            ("client", resumed),
            ("server", resumed),
        ]
        for party in (pair.client, pair.server):
            checked = [fact for fact in party.facts if isinstance(fact, PeerChecked)]
            assert len(checked) == 1
            assert checked[0].report is not None


# What servers send as tickets.


@BOTH
@pytest.mark.parametrize("size", [1, MAX_TICKET_SIZE, MAX_TICKET_SIZE + 1, 65_400, 65_535])
def test_a_ticket_of_any_size_breaks_no_connection(world: World, version: ProtocolVersion, size: int) -> None:
    """One that is too long to be said again is not kept, nor offered where a limit lets it be kept."""
    long = world.server_config(answers={SealTicket: lambda _: bytes(size)})
    for limits in (world.client_config().limits, replace(world.client_config().limits, ticket_size=65_535)):
        client = world.client_config(versions=(version,), limits=limits)
        pair = Pair(client, long)
        shaken(pair)
        kept = size <= limits.ticket_size
        if version == TLS13:
            assert any(isinstance(event, TicketReceived) for event in pair.client.events) == kept
        for _ in range(3):
            pair = Pair(client, long)
            shaken(pair)
            [hello] = [
                f.message for f in pair.server.facts if isinstance(f, MessageSeen) and f.direction == "received"
            ][:1]
            assert isinstance(hello, ClientHello)
            tickets = hello.extensions.get(ExtensionType.PRE_SHARED_KEY, b"") + hello.extensions.get(
                ExtensionType.SESSION_TICKET, b""
            )
            assert (len(tickets) >= size) == (kept and size < 65_400)


def test_tickets_of_ours_are_no_longer_than_clients_keep(world: World) -> None:
    chain = [os.urandom(20_000) for _ in range(2)]
    session = Session(TLS13, CipherSuite.TLS_AES_128_GCM_SHA256, b"s" * 32, 0, 100, peer_chain=chain)
    assert DEFAULT_ANSWERS[SealTicket](world.server_config(), SealTicket(session, 0)) is None


def a_session(size: int) -> Session:
    return Session(TLS12, CipherSuite.TLS_AES_128_GCM_SHA256, b"s", 0, 100, peer_chain=[bytes(size)])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3000), st.sampled_from(["put", "take", "discard"]))))
def test_what_a_memory_holds_is_bounded_in_bytes(steps: list[tuple[int, int, str]]) -> None:
    """Of a client and of a server, whatever is put in and taken out."""
    client, server = ClientSessions(servers=5, each=3, max_bytes=8000), ServerSessions(size=5, max_bytes=8000)
    for name, size, what in steps:
        key = bytes([name])
        if what == "put":
            client.put(key, a_session(size))
            server.put(key, a_session(size))
        elif what == "take":
            client.take(key, 1)
            server.get(key, 1 if size else 10**6)
        else:
            client.discard(key)
            server.discard(key)
        held = sum(one.size for kept in client._sessions.values() for one in kept)
        assert client._size == held <= 8000
        assert len(client._sessions) <= 5
        assert all(len(kept) <= 3 for kept in client._sessions.values())
        assert server._size == sum(one.size for one in server._sessions.values()) <= 8000
        assert len(server._sessions) <= 5


# Any two configs, and any change.


@st.composite
def changed(draw: st.DrawFn, role: str, setup: Setup) -> Setup:
    """The setup with some of it drawn anew, or as it was."""
    other = draw(parties(role))
    names = draw(st.sets(st.sampled_from(sorted(setup.config))))
    config = {**setup.config, **{name: other.config[name] for name in names}}
    together = ("versions", "cipher_suites", "groups", "key_shares", "signature_schemes")
    if names & set(together):  # a config that has one of them fits the others of the same draw
        config |= {name: other.config[name] for name in together if name in config}
    return Setup(config, draw(st.sampled_from([setup.keys, other.keys])))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data())
def test_after_any_change_a_session_is_resumed_or_a_whole_handshake_made(
    world: World, issued: dict[tuple[str, KeyType], Identity], data: st.DataObject
) -> None:
    """Where two that never met would agree, two that share a past do; where one was bound to fail, it still is."""
    one, other = data.draw(parties("client")), data.draw(parties("server"))
    later_one, later_other = data.draw(changed("client", one)), data.draw(changed("server", other))
    memory, cache, keys = ClientSessions(), ServerSessions(), TicketKeys()
    policies = [DEFAULT, replace(DEFAULT, allowed_clients=(AllowedClient("email", "bob@example.com"),))]

    def configs(client: Setup, server: Setup, shared: bool, policy: Any) -> tuple[Any, ServerConfig]:
        cached = server.config["sessions"] and (cache if shared else ServerSessions())
        return (
            world.client_config(
                **client.config,
                identities=tuple(issued["client", key] for key in client.keys),
                sessions=memory if shared else ClientSessions(),
            ),
            world.server_config(
                **{**server.config, "sessions": cached},
                identities=tuple(issued["server", key] for key in server.keys),
                ticket_keys=keys if shared else TicketKeys(),
                trust=world.root.trust,
                verification=policy,
            ),
        )

    first, policy = Pair(*configs(one, other, True, DEFAULT)), data.draw(st.sampled_from(policies))
    first.run()
    strangers = Pair(*configs(later_one, later_other, False, policy))
    strangers.run()
    pair = Pair(*configs(later_one, later_other, True, policy))
    pair.run()
    for mine, theirs in ((pair.client, strangers.client), (pair.server, strangers.server)):
        assert type(mine.error) is type(theirs.error), (mine.error, theirs.error)
        a, b = mine.connection.established, theirs.connection.established
        if a is not None and b is not None:
            assert (a.version, a.alpn, a.server_name) == (b.version, b.alpn, b.server_name)
            assert a.peer_chain == b.peer_chain
    if pair.client.error is None and pair.server.error is None:
        pair.say()
        assert pair.server.data == b"ping"


@BOTH
def test_identities_in_a_list_may_be_renewed_in_their_place(world: World, version: ProtocolVersion) -> None:
    """What can be gone through once is taken when the config is built."""
    own = [world.server.identity]
    server, once = world.server_config(identities=own), world.server_config(identities=iter(own))
    renewed = world.issuing.server("localhost")
    client = world.client_config(versions=(version,))
    for config in (server, once):
        assert shaken(Pair(client, config)).peer_chain[0] == world.server.certificate.der
    own[:] = [renewed.identity]
    assert not shaken(Pair(client, server)).resumed
    assert shaken(Pair(client, server)).peer_chain[0] == renewed.certificate.der
    assert shaken(Pair(world.client_config(), once)).peer_chain[0] == world.server.certificate.der
