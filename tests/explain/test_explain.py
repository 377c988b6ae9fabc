"""The 22 steps as they happen, and failures explained."""

from __future__ import annotations

import errno
import importlib
import pkgutil
import socket
from collections.abc import Iterator

import pytest
from tests.conftest import World

import handclasp
from handclasp import ClientAuth, ProtocolVersion
from handclasp.connection import ClientConnection, ServerConnection
from handclasp.endings import PeerAlert, Truncated
from handclasp.errors import HandclaspError, PeerError, UsageError
from handclasp.explain import STEPS, StepTrace, explain
from handclasp.handshake.errors import FinishedMismatch
from handclasp.questions import WrongAnswer
from handclasp.wire.iana import AlertDescription

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


def run(
    world: World, version: ProtocolVersion, name: str = "localhost", **server: object
) -> tuple[StepTrace, StepTrace, ClientConnection]:
    client_steps, server_steps = StepTrace(), StepTrace()
    client = ClientConnection(
        world.client_config(versions=(version,), identities=(world.client.identity,)),
        server_name=name,
        observer=client_steps,
    )
    other = ServerConnection(world.server_config(**server), observer=server_steps)
    client.start()
    other.start()
    for _ in range(4):
        for there, back in ((client, other), (other, client)):
            data = there.data_to_send()
            if data and back.error is None:
                try:
                    back.receive_data(data)
                except Exception:
                    assert back.error is not None
    return client_steps, server_steps, client


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_all_22_steps_of_a_mutual_handshake_are_seen(world: World, version: ProtocolVersion) -> None:
    client, server, _ = run(world, version, trust=world.root.trust, client_auth=ClientAuth.REQUIRED)
    seen = {step.number for step in client.steps} | {step.number for step in server.steps}
    assert seen == set(range(1, 23))
    for trace in (client, server):
        for step in trace.steps:
            assert (step.party, step.title) == STEPS[step.number]
            assert step.decision
            assert step.to_dict()["step"] == step.number
    assert "Test Issuing CA" in next(s.decision for s in client.steps if s.number == 13)
    assert "alice" in next(s.decision for s in server.steps if s.number == 17)
    assert client.has(22)


def test_steps_are_told_as_they_happen(world: World) -> None:
    told: list[int] = []
    trace = StepTrace(lambda step: told.append(step.number))
    client = ClientConnection(world.client_config(), server_name="localhost", observer=trace)
    client.start()
    assert told == [1, 2, 3, 4, 5]
    assert trace.last is not None
    assert trace.last.number == 5


def test_a_wrong_name_is_explained_with_step_side_reason_and_mend(world: World) -> None:
    steps, other, client = run(world, TLS13, "other.example")
    assert client.error is not None
    explanation = explain(client.error, steps)
    assert explanation.step == 13
    assert explanation.refused_by == "us"
    assert "other.example" in explanation.what
    assert "localhost" in explanation.what
    assert explanation.mend
    assert explanation.alert == "bad_certificate"
    assert "step 13" in str(explanation)
    assert explanation.to_dict()["section"] == "RFC 9525, 6"
    theirs = explain(PeerAlert(AlertDescription.BAD_CERTIFICATE, True), other)
    assert theirs.step == 13
    assert theirs.refused_by == "the peer"


@pytest.mark.parametrize("alert", AlertDescription, ids=lambda alert: alert.name)
def test_every_alert_of_a_peer_is_explained(alert: AlertDescription) -> None:
    explanation = explain(PeerAlert(alert, True))
    assert explanation.refused_by == "the peer"
    assert explanation.what.endswith(".")
    assert explanation.mend
    assert explanation.alert == str(alert)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (ConnectionRefusedError(), "Nobody listens"),
        (TimeoutError(), "in time"),
        (OSError(113, "No route to host"), "No route"),
        (Truncated("cut"), "cut without a word"),
        (ValueError("odd"), "ValueError: odd"),
        (FinishedMismatch("false"), "false"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_ends_are_explained_too(error: Exception, part: str) -> None:
    assert part in explain(error, StepTrace()).what


def test_a_failure_names_the_step_after_the_last_one_seen(world: World) -> None:
    trace = StepTrace()
    client = ClientConnection(world.client_config(), server_name="localhost", observer=trace)
    client.start()
    assert explain(Truncated("cut"), trace).step == 6


def below(kind: type[HandclaspError]) -> Iterator[type[HandclaspError]]:
    """All error classes below one, of every module."""
    for module in pkgutil.walk_packages(handclasp.__path__, "handclasp."):
        importlib.import_module(module.name)
    for one in kind.__subclasses__():
        yield one
        yield from below(one)


@pytest.mark.parametrize("kind", sorted(set(below(PeerError)), key=str), ids=lambda kind: kind.__name__)
def test_every_error_of_a_peer_s_has_side_reason_standard_and_mend(kind: type[PeerError]) -> None:
    trace = StepTrace()
    explanation = explain(kind("what happened"), trace)
    assert explanation.refused_by == "us"
    assert explanation.side == "client"
    assert explanation.what == "what happened"
    assert explanation.section
    assert explanation.alert == str(AlertDescription(kind.alert))
    assert len(explanation.mend) > 20
    assert explanation.mend.endswith((".", "?"))


def test_an_answer_that_is_none_is_our_own_mistake() -> None:
    explanation = explain(WrongAnswer(None, "a Report", "a word"), StepTrace())
    assert explanation.refused_by == "us"
    assert explanation.mend


PLAIN_MISTAKES = sorted(set(below(UsageError)) - {PeerAlert, WrongAnswer}, key=str)


@pytest.mark.parametrize("kind", PLAIN_MISTAKES, ids=lambda kind: kind.__name__)
def test_our_own_mistakes_are_not_blamed_on_the_peer(kind: type[UsageError]) -> None:
    error = kind.__new__(kind)  # some are made of more than a sentence
    error.args = ("what happened",)
    explanation = explain(error, StepTrace())
    assert explanation.refused_by == "us"
    assert explanation.mend


@pytest.mark.parametrize(
    ("error", "who", "part"),
    [
        (ConnectionRefusedError(), "the peer", "server runs"),
        (ConnectionResetError(), "the peer", "something else than TLS"),
        (BrokenPipeError(), "the peer", "something else than TLS"),
        (TimeoutError(), "the peer", "firewalls"),
        (socket.gaierror(-2, "Name or service not known"), "the network", "spelled"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "the network", "routes"),
        (OSError(errno.ENOSPC, "No space left on device", "/keys"), "the network", "put right"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_network_does_has_a_mend(error: OSError, who: str, part: str) -> None:
    explanation = explain(error, StepTrace())
    assert explanation.refused_by == who
    assert explanation.side == ("server" if who == "the peer" else None)
    assert part in explanation.mend


def test_the_side_is_the_one_that_refused(world: World) -> None:
    client, server, ours = run(world, TLS13, "other.example")
    assert ours.error is not None
    assert explain(ours.error, client).side == "client"
    alert = PeerAlert(AlertDescription.BAD_CERTIFICATE, True)
    assert explain(alert, server).side == "client"
    assert explain(alert, client).side == "server"
    assert explain(alert).side is None


def test_a_role_that_refused_its_peer_s_certificate_is_at_its_own_step(world: World) -> None:
    """Step 13 is the client's, step 17 the server's."""
    client, server, _ = run(world, TLS13, trust=world.root.trust, client_auth=ClientAuth.REQUIRED)
    from handclasp.x509.errors import CertificateExpired

    assert explain(CertificateExpired("expired"), client).step == 13
    assert explain(CertificateExpired("expired"), server).step == 17
    assert explain(PeerAlert(AlertDescription.CERTIFICATE_EXPIRED, True), client).step == 17
    assert explain(PeerAlert(AlertDescription.CERTIFICATE_EXPIRED, True), server).step == 13
