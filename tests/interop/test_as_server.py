"""Our server against clients that other people wrote."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import World
from tests.interop.clients import CLIENTS, Client
from tests.interop.harness import Files

import handclasp
from handclasp import ClientAuth, NamedGroup, ProtocolVersion
from handclasp.facts import Fact, KeyInstalled, MessageSeen
from handclasp.handshake.established import Established
from handclasp.wire.messages import ServerHello

pytestmark = pytest.mark.interop
TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
EVERY = [pytest.param(c, v, id=f"{c.name}-{v}") for c in CLIENTS for v in (TLS13, TLS12)]
MODERN = [pytest.param(c, id=c.name) for c in CLIENTS]
ANSWER = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n\r\nhello from handclasp\n"


class Served:
    """What our server saw."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sessions: list[Established] = []
        self.facts: list[Fact] = []
        self.errors: list[Exception] = []


@contextlib.contextmanager
def serving(config: handclasp.ServerConfig, *, update: bool = False) -> Iterator[Served]:
    """A server of ours that answers every request alike."""
    with handclasp.listen(("127.0.0.1", 0), config) as listener:
        served = Served(listener.port)
        thread = threading.Thread(target=_accept, args=(listener, served, update), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            served.port = -1
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", listener.port)):
                pass  # wakes the thread up, which then sees that it is over
            thread.join(30)


def _accept(listener: handclasp.Listener, served: Served, update: bool) -> None:
    while True:
        try:
            tls, _ = listener.accept(timeout=20, observer=served.facts.append)
        except (handclasp.HandclaspError, OSError) as error:
            if served.port < 0:
                return
            served.errors.append(error)
            continue
        served.sessions.append(tls.session)
        with tls, contextlib.suppress(handclasp.HandclaspError, OSError):
            tls.settimeout(20)
            if tls.recv():
                if update:
                    tls.update_keys(request_peer=True)
                tls.sendall(ANSWER)
                tls.shutdown()
                while tls.recv():
                    pass


def need(client: Client, feature: str) -> None:
    if (why := client.unavailable()) is not None:
        pytest.skip(why)
    if feature not in client.can:
        pytest.skip(f"{client.name} does not do this: {feature}")


def check(served: Served, output: str) -> None:
    assert "hello from handclasp" in output, (output[-2000:], served.errors)


@pytest.mark.parametrize(("client", "version"), EVERY)
def test_simple(world: World, files: Files, client: Client, version: ProtocolVersion) -> None:
    need(client, "simple")
    with serving(world.server_config(versions=(version,))) as served:
        check(served, client.get(files, served.port, version, mutual=False))
    assert served.sessions[0].version == version


@pytest.mark.parametrize(("client", "version"), EVERY)
def test_mutual(world: World, files: Files, client: Client, version: ProtocolVersion) -> None:
    need(client, "mutual")
    config = world.server_config(versions=(version,), trust=world.root.trust, client_auth=ClientAuth.REQUIRED)
    with serving(config) as served:
        check(served, client.get(files, served.port, version, mutual=True))
    report: Any = served.sessions[0].peer_report
    assert report.identities.common_names == ("alice",)


@pytest.mark.parametrize(("client", "version"), EVERY)
def test_resumed(world: World, files: Files, client: Client, version: ProtocolVersion) -> None:
    need(client, "resumed")
    with serving(world.server_config(versions=(version,))) as served:
        check(served, client.get(files, served.port, version, mutual=False, times=2))
    assert any(session.resumed for session in served.sessions)


@pytest.mark.parametrize("client", MODERN)
def test_retry(world: World, files: Files, client: Client) -> None:
    """The server's only group is one for which no client sends a key at first."""
    need(client, "retry")
    with serving(world.server_config(groups=(NamedGroup.SECP384R1,))) as served:
        check(served, client.get(files, served.port, TLS13, mutual=False))
    hellos = [f.message for f in served.facts if isinstance(f, MessageSeen) and isinstance(f.message, ServerHello)]
    assert hellos[0].is_retry
    assert served.sessions[0].group == NamedGroup.SECP384R1


@pytest.mark.parametrize("client", MODERN)
def test_key_update(world: World, files: Files, client: Client) -> None:
    need(client, "key update")
    with serving(world.server_config(), update=True) as served:
        check(served, client.get(files, served.port, TLS13, mutual=False))
    labels = [f.label for f in served.facts if isinstance(f, KeyInstalled) and f.direction == "sent"]
    assert "application 2" in labels


def test_chromium_reports_protocol_and_group(files: Files) -> None:
    """The page that `handclasp serve --mode status` shows tells what Chromium's connection used."""
    client = next(one for one in CLIENTS if one.name == "chromium")
    need(client, "simple")
    command = ["handclasp", "serve", "--port", "0", "--mode", "status"]
    command += ["--cert", str(files.server_cert), "--key", str(files.server_key)]
    command[0] = str(Path(sys.executable).with_name("handclasp"))
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        port = int(server.stderr.readline().rpartition(":")[2].partition(";")[0])
        page = client.get(files, port, TLS13, mutual=False)
    finally:
        server.kill()
        server.communicate()
    assert '"version": "TLS 1.3"' in page
    assert '"group": "X25519MLKEM768"' in page
    assert '"alpn": "http/1.1"' in page


@pytest.mark.parametrize(
    "client", [c for c in CLIENTS if c.name in ("go", "pyopenssl", "chromium", "boringssl")], ids=lambda c: c.name
)
def test_post_quantum(world: World, files: Files, client: Client) -> None:
    need(client, "simple")
    with serving(world.server_config()) as served:
        check(served, client.get(files, served.port, TLS13, mutual=False))
    assert served.sessions[0].group == NamedGroup.X25519MLKEM768
