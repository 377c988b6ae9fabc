"""Answers to questions, by a function and by the caller: what refuses refuses, what is none is a UsageError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair, Party, anybody

from handclasp import ClientAuth, ProtocolVersion
from handclasp.ca import Authority
from handclasp.events import Asked
from handclasp.handshake.answers import DEFAULT_ANSWERS
from handclasp.questions import (
    ChooseALPN,
    ChooseCertificate,
    FindSession,
    OpenTicket,
    SealTicket,
    Sign,
    VerifyPeer,
    WrongAnswer,
)
from handclasp.wire.iana import AlertDescription
from handclasp.x509 import Purpose, Report, verify
from handclasp.x509.errors import CertificateError, UnknownAuthority

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
ROLES = pytest.mark.parametrize("role", ["client", "server"])
WAYS = pytest.mark.parametrize("way", ["function", "caller"])
Answer = Callable[[Any], object]


def run(
    world: World, version: ProtocolVersion, role: str, way: str, answers: dict[type[Any], Answer], **changes: Any
) -> Party:
    """The party of this role after a handshake in which it gives these answers, by a function or as the caller."""
    own: dict[str, Any] = {"answers": answers} if way == "function" else {"ask_caller": frozenset(answers)}
    client = {"versions": (version,), "identities": (world.client.identity,), "alpn": ("h2",)}
    server = {"client_auth": ClientAuth.REQUIRED, "trust": world.root.trust, "alpn": ("h2",)}
    (client if role == "client" else server).update(own | changes)
    pair = Pair(world.client_config(**client), world.server_config(**server))
    with contextlib.suppress(WrongAnswer):  # of a client's first question; it stays in `error`
        pair.run()
    party, other = (pair.client, pair.server) if role == "client" else (pair.server, pair.client)
    while party.events and isinstance(asked := party.events[-1], Asked):
        party.events.pop()
        try:
            party.events += party.connection.answer(asked.question, answers[type(asked.question)](asked.question))
        except Exception as error:
            party.error = error
        pair.carry()
    party.error = party.error or party.connection.error
    if party.error is not None:
        assert party.connection.established is None
        assert not party.done
        assert not other.done or version == TLS13  # whose client is done first
    return party


def judged_by(authority: Authority) -> Answer:
    def judge(question: VerifyPeer) -> Report:
        purpose = Purpose.SERVER_AUTH if question.role == "server" else Purpose.CLIENT_AUTH
        return verify(question.chain, trust=authority.trust, purpose=purpose, at=question.at, name=question.server_name)

    return judge


@BOTH
@ROLES
@WAYS
def test_a_report_that_refuses_refuses(world: World, version: ProtocolVersion, role: str, way: str) -> None:
    party = run(world, version, role, way, {VerifyPeer: judged_by(Authority.root("Nobody's"))})
    assert type(party.error) is UnknownAuthority
    assert party.error.report is not None
    assert not party.error.report.accepted


@BOTH
@ROLES
@WAYS
def test_a_report_that_accepts_accepts(world: World, version: ProtocolVersion, role: str, way: str) -> None:
    party = run(world, version, role, way, {VerifyPeer: judged_by(world.root)})
    assert party.error is None
    assert party.done


def of_somebody_else(world: World) -> Answer:
    return lambda question: anybody(VerifyPeer("server", (world.root.certificate.der,), None, None, (), question.at))


def without_a_path(question: VerifyPeer) -> Report:
    report = anybody(question)
    report.path = None
    return report


@BOTH
@ROLES
@WAYS
@pytest.mark.parametrize("what", ["None", "True", "False", "text", "the class", "an error", "another's", "no path"])
def test_what_is_no_report_on_the_peer_lets_nobody_in(
    world: World, version: ProtocolVersion, role: str, way: str, what: str
) -> None:
    answers: dict[str, Answer] = {
        "None": lambda _: None,
        "True": lambda _: True,
        "False": lambda _: False,
        "text": lambda _: "accepted",
        "the class": lambda _: Report,
        "an error": lambda _: CertificateError("raise me"),
        "another's": of_somebody_else(world),
        "no path": without_a_path,
    }
    party = run(world, version, role, way, {VerifyPeer: answers[what]})
    assert type(party.error) is WrongAnswer
    assert "VerifyPeer has to be a Report" in str(party.error)


WRONG: list[tuple[type[Any], str, object]] = [
    (ChooseCertificate, "client", b"PEM"),
    (ChooseCertificate, "server", True),
    (Sign, "client", "signature"),
    (Sign, "client", None),
    (Sign, "server", b""),
    (Sign, "server", bytes(0x10000)),
    (ChooseALPN, "server", "h3"),
    (ChooseALPN, "server", b"h2"),
    (ChooseALPN, "server", True),
    (FindSession, "client", b"session"),
    (FindSession, "client", False),
    (SealTicket, "server", "ticket"),
    (SealTicket, "server", b""),
    (SealTicket, "server", bytes(0x10000)),
]


@BOTH
@WAYS
@pytest.mark.parametrize(
    ("kind", "role", "answer"), WRONG, ids=[f"{kind.__name__}-{type(answer).__name__}" for kind, _, answer in WRONG]
)
def test_what_is_no_answer_is_a_mistake_of_whoever_gave_it(
    world: World, version: ProtocolVersion, way: str, kind: type[Any], role: str, answer: object
) -> None:
    party = run(world, version, role, way, {kind: lambda _: answer})
    assert type(party.error) is WrongAnswer
    assert str(party.error).startswith(f"The answer to {kind.__name__} has to be ")


@BOTH
@WAYS
@pytest.mark.parametrize("kind", [OpenTicket, FindSession], ids=lambda kind: kind.__name__)
def test_what_is_no_session_is_not_resumed(world: World, version: ProtocolVersion, way: str, kind: type[Any]) -> None:
    """A server is asked about tickets and, in TLS 1.2, session IDs."""
    if kind is FindSession and version == TLS13:
        return
    tickets = 2 if kind is OpenTicket else 0
    client = world.client_config(versions=(version,))
    own: dict[str, Any] = {"answers": {kind: lambda _: True}} if way == "function" else {"ask_caller": {kind}}
    server = world.server_config(tickets=tickets, **own)
    first = Pair(client, world.server_config(tickets=tickets))
    first.shake()
    pair = Pair(client, server)
    pair.run()
    if way == "caller":
        [asked] = [event for event in pair.server.events if isinstance(event, Asked)]
        with pytest.raises(WrongAnswer, match=kind.__name__):
            pair.server.connection.answer(asked.question, True)
    else:
        assert type(pair.server.error) is WrongAnswer
    assert pair.server.connection.established is None


@ROLES
def test_a_wrong_answer_is_an_internal_error_to_the_peer(world: World, role: str) -> None:
    changes: dict[str, Any] = {"answers": {VerifyPeer: lambda _: True}}
    client = world.client_config(**(changes if role == "client" else {}), identities=(world.client.identity,))
    server = world.server_config(
        trust=world.root.trust, client_auth=ClientAuth.REQUIRED, **(changes if role == "server" else {})
    )
    pair = Pair(client, server)
    pair.run()
    assert (pair.server if role == "client" else pair.client).heard == AlertDescription.INTERNAL_ERROR


def test_a_refusal_is_by_an_exception(world: World) -> None:
    pair = Pair(world.client_config(ask_caller=frozenset({VerifyPeer})), world.server_config())
    pair.run()
    [asked] = [event for event in pair.client.events if isinstance(event, Asked)]
    for no_error in (None, "no", UnknownAuthority):
        with pytest.raises(WrongAnswer, match="an exception"):
            pair.client.connection.refuse(asked.question, no_error)  # type: ignore[arg-type]
    assert pair.client.connection.answer(
        asked.question, DEFAULT_ANSWERS[VerifyPeer](world.client_config(), asked.question)
    )
