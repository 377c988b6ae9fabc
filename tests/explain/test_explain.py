"""The 22 steps as they happen, and failures explained."""

from __future__ import annotations

import pytest
from tests.conftest import World

from handclasp import ClientAuth, ProtocolVersion
from handclasp.connection import ClientConnection, ServerConnection
from handclasp.endings import PeerAlert, Truncated
from handclasp.explain import STEPS, StepTrace, explain
from handclasp.handshake.errors import FinishedMismatch
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
    assert explanation.alert == alert.name.lower()


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
