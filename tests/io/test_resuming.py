"""Sessions over sockets: who finds them, and worker processes that take each other's tickets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import World

import handclasp
from handclasp import ClientConfig, Listener, TlsSocket
from handclasp.handshake.answers import DEFAULT_ANSWERS
from handclasp.questions import VerifyPeer


@contextmanager
def serving(listener: Listener, connections: int) -> Iterator[Listener]:
    """A server that says a word to so many, one after another."""

    def run() -> None:
        for _ in range(connections):
            with listener.accept(timeout=30)[0] as tls:
                tls.sendall(b"word")

    thread = threading.Thread(target=run)
    thread.start()
    with listener:
        try:
            yield listener
        finally:
            thread.join(60)
    assert not thread.is_alive()


def heard(tls: TlsSocket) -> bool:
    """Whether the connection resumed a session; it is read to its end."""
    with tls:
        tls.settimeout(30)
        assert tls.recv() == b"word"
        assert tls.recv() == b""
        return tls.resumed


def visit(port: int, config: ClientConfig, **changes: object) -> bool:
    return heard(handclasp.connect(("127.0.0.1", port), config, server_name="localhost", **changes))  # type: ignore[arg-type]


def test_a_caller_that_judges_peers_is_asked_before_a_session_is_offered(world: World) -> None:
    asked: list[VerifyPeer] = []
    config = world.client_config(ask_caller=frozenset({VerifyPeer}))

    def answer(question: VerifyPeer) -> object:
        asked.append(question)
        return DEFAULT_ANSWERS[VerifyPeer](config, question)

    with serving(handclasp.listen(("127.0.0.1", 0), world.server_config()), 2) as listener:
        for resumed in (False, True):
            assert visit(listener.port, config, answer=answer) == resumed
    assert [question.resumed for question in asked] == [False, True]


def test_a_session_is_for_the_port_that_it_was_made_at(world: World) -> None:
    """Over a socket of the caller's too; of two servers that share keys."""
    config, server = world.client_config(), world.server_config(ticket_keys=handclasp.sessions.TicketKeys())
    with (
        serving(handclasp.listen(("127.0.0.1", 0), server), 2) as one,
        serving(handclasp.listen(("127.0.0.1", 0), server), 2) as other,
    ):
        assert not visit(one.port, config)
        assert not visit(other.port, config)
        for listener in (one, other):
            own = socket.create_connection(("127.0.0.1", listener.port))
            assert heard(handclasp.connect(own, config, server_name="localhost"))


WORKERS = """
import os, socket, sys
import handclasp
from handclasp.x509.identity import Identity
config = handclasp.ServerConfig(identities=(Identity.from_files(sys.argv[1], sys.argv[2]),))
sock = socket.socket(fileno=int(sys.argv[3]))
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        listener = handclasp.Listener(sock, config)
        for _ in range(2):
            with listener.accept()[0] as tls:
                tls.sendall(b"word")
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


def test_forked_workers_take_each_other_s_tickets(world: World, tmp_path: Path) -> None:
    """Each of three serves two connections, so that five of the six come to it from others' tickets or its own."""
    certificate, key = world.server.save(tmp_path, "server")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        os.set_inheritable(sock.fileno(), True)
        workers = subprocess.Popen(
            [sys.executable, "-c", WORKERS, str(certificate), str(key), str(sock.fileno())],
            pass_fds=[sock.fileno()],
        )
    config = world.client_config()
    assert [visit(port, config, timeout=60) for _ in range(6)] == [False, *[True] * 5]
    assert workers.wait(60) == 0
