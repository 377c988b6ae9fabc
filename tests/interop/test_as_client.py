"""Our client against servers that other people wrote."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import World
from tests.interop.harness import Files, Running
from tests.interop.servers import SERVERS, Server

import handclasp
from handclasp import ProtocolVersion
from handclasp.facts import Fact, KeyInstalled, MessageSeen
from handclasp.wire.messages import ServerHello

pytestmark = pytest.mark.interop
TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
EVERY = [pytest.param(s, v, id=f"{s.name}-{v}") for s in SERVERS for v in (TLS13, TLS12)]
MODERN = [pytest.param(s, id=s.name) for s in SERVERS]


def need(server: Server, feature: str) -> None:
    if (why := server.unavailable()) is not None:
        pytest.skip(why)
    if feature not in server.can:
        pytest.skip(f"{server.name} does not do this: {feature}")


def get(running: Running, config: handclasp.ClientConfig, facts: list[Fact] | None = None, **more: Any) -> Any:
    """One request and its answer; the session."""
    observer = facts.append if facts is not None else None
    with handclasp.connect(running.connect(), config, server_name="localhost", observer=observer) as tls:
        tls.settimeout(20)
        if more.get("update"):
            tls.update_keys(request_peer=True)
        tls.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b"HTTP/1" not in answer:
            data = tls.recv()
            assert data, (
                f"the server ended after {answer!r}:\n{running.log.read_text() if running.log.exists() else ''}"
            )
            answer += data
        while True:
            try:
                if not tls.recv():
                    break
            except (handclasp.Truncated, OSError):
                break  # many servers close without close_notify once HTTP is done
        return tls.session


@pytest.mark.parametrize(("server", "version"), EVERY)
def test_simple(world: World, files: Files, server: Server, version: ProtocolVersion) -> None:
    need(server, "simple")
    with server.start(files, version, mutual=False) as running:
        session = get(running, world.client_config(**server.needs))
    assert session.version == version
    assert session.peer_report.accepted


@pytest.mark.parametrize(("server", "version"), EVERY)
def test_mutual(world: World, files: Files, server: Server, version: ProtocolVersion) -> None:
    need(server, "mutual")
    with server.start(files, version, mutual=True) as running:
        session = get(running, world.client_config(identities=(world.client.identity,), **server.needs))
    assert session.version == version


@pytest.mark.parametrize(("server", "version"), EVERY)
def test_resumed(world: World, files: Files, server: Server, version: ProtocolVersion) -> None:
    need(server, "resumed")
    config = world.client_config(**server.needs)
    with server.start(files, version, mutual=False) as running:
        assert not get(running, config).resumed
        assert get(running, config).resumed


@pytest.mark.parametrize("server", MODERN)
def test_retry(world: World, files: Files, server: Server) -> None:
    need(server, "retry")
    facts: list[Fact] = []
    with server.start(files, TLS13, mutual=False) as running:
        get(running, world.client_config(key_shares=0, **server.needs), facts)
    hellos = [f.message for f in facts if isinstance(f, MessageSeen) and isinstance(f.message, ServerHello)]
    assert [hello.is_retry for hello in hellos] == [True, False]


@pytest.mark.parametrize("server", MODERN)
def test_key_update(world: World, files: Files, server: Server) -> None:
    need(server, "key update")
    facts: list[Fact] = []
    with server.start(files, TLS13, mutual=False) as running:
        get(running, world.client_config(**server.needs), facts, update=True)
    labels = [f.label for f in facts if isinstance(f, KeyInstalled) and f.direction == "received"]
    assert labels[-1] == "application, updated"
