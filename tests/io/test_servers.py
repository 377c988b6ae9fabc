"""Servers of the standard library over TLS: no client ends them, keeps them waiting, or leaves a stack trace."""

from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import World
from tests.io.ends import Working

import handclasp
from handclasp import ClientConnection, Listener, TlsSocket
from handclasp.ca import Authority

Address = tuple[str, int]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


class Writer(socketserver.StreamRequestHandler):
    """Speaks first, and much."""

    def handle(self) -> None:
        self.wfile.write(bytes(200_000))


@pytest.fixture
def uncaught(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What left a thread."""
    found: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


@contextlib.contextmanager
def serving(
    world: World, handler: Any = Page, kind: Any = http.server.ThreadingHTTPServer, *, eager: bool = False
) -> Iterator[Any]:
    with kind(("127.0.0.1", 0), handler) as server:
        server.socket = Listener(server.socket, world.server_config(), handshake_on_accept=eager)
        server.handle_error = lambda *_: None
        running = Working(lambda: server.serve_forever(poll_interval=0.01))
        try:
            yield server
            assert running.is_alive(), "a client ended it"
        finally:
            server.shutdown()
            running.result()


def get(world: World, address: Address) -> bytes:
    with handclasp.connect(address, world.client_config(), server_name="localhost", timeout=20) as tls:
        tls.settimeout(20)
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := tls.recv():
            answer += data
        return answer


def bare_connect(world: World, address: Address) -> None:
    """A port scan, or a health check."""
    socket.create_connection(address).close()


def reset_at_once(world: World, address: Address) -> None:
    with socket.create_connection(address) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def plain_http(world: World, address: Address) -> None:
    with socket.create_connection(address) as sock:
        sock.settimeout(20)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(OSError):
            while sock.recv(1000):
                pass


def half_a_hello(world: World, address: Address) -> None:
    client = ClientConnection(world.client_config(), server_name="localhost")
    client.start()
    with socket.create_connection(address) as sock:
        sock.sendall(client.data_to_send()[:100])


def distrust(world: World, address: Address) -> None:
    """A client that refuses the certificate, by an alert."""
    config = handclasp.ClientConfig(trust=Authority.root("Another").trust)
    with pytest.raises(handclasp.CertificateError):
        handclasp.connect(address, config, server_name="localhost", timeout=20)


def alert_after_the_handshake(world: World, address: Address) -> None:
    """And then a reset."""
    client = ClientConnection(world.client_config(), server_name="localhost")
    client.start()
    with socket.create_connection(address) as sock:
        sock.settimeout(20)
        sock.sendall(client.data_to_send())
        while client.handshaking:
            client.receive_data(sock.recv(1 << 16))
        client._fail(handclasp.HandclaspError("an error of ours"))
        sock.sendall(client.data_to_send())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


CLIENTS = (bare_connect, reset_at_once, plain_http, half_a_hello, distrust, alert_after_the_handshake)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("handler", [Page, Writer], ids=["reads first", "writes first"])
def test_no_client_ends_a_server_or_leaves_a_stack_trace(
    world: World, uncaught: list[Any], client: Callable[[World, Address], None], handler: Any
) -> None:
    kind = http.server.ThreadingHTTPServer if handler is Page else socketserver.ThreadingTCPServer
    with serving(world, handler, kind) as server:
        for _ in range(3):
            client(world, server.server_address)
        expected = b"ok" if handler is Page else bytes(2)
        assert get(world, server.server_address).endswith(expected)
    assert uncaught == []


@pytest.mark.parametrize("client", CLIENTS[:5], ids=lambda client: client.__name__)
def test_a_server_that_shakes_hands_before_it_goes_on_is_not_ended_either(
    world: World, client: Callable[[World, Address], None]
) -> None:
    """`socketserver` minds what `accept` raises, since it is an `OSError`."""
    with serving(world, eager=True) as server:
        client(world, server.server_address)
        assert get(world, server.server_address).endswith(b"ok")


def test_a_silent_client_keeps_nobody_waiting(world: World) -> None:
    with serving(world) as server, socket.create_connection(server.server_address):
        assert get(world, server.server_address).endswith(b"ok")


def test_urllib_speaks_with_it_through_our_sockets(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(world) as server:
        import http.client

        def connect(self: http.client.HTTPConnection) -> None:
            self.sock = handclasp.connect(server.server_address, world.client_config(), server_name="localhost")

        monkeypatch.setattr(http.client.HTTPConnection, "connect", connect)
        with urllib.request.urlopen("http://localhost/", timeout=20) as response:
            assert response.read() == b"ok"


def test_a_server_that_forks_closes_only_its_own_descriptor(world: World) -> None:
    """The parent's copy says nothing: the child has yet to shake hands."""
    with serving(world, Writer, socketserver.ForkingTCPServer) as server:
        assert len(get(world, server.server_address)) == 200_000


def test_each_first_call_does_the_handshake(world: World) -> None:
    first_calls: list[Callable[[TlsSocket], object]] = [
        lambda tls: tls.recv(),
        lambda tls: tls.recv_into(bytearray(10)),
        lambda tls: tls.sendall(b"x"),
        lambda tls: tls.send(b"x"),
        lambda tls: tls.update_keys(),
        lambda tls: tls.flush(),
        lambda tls: tls.makefile("rb").read(1),
    ]
    for call in first_calls:
        with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:

            def serve(listener: Listener = listener, call: Callable[[TlsSocket], object] = call) -> None:
                tls, _ = listener.accept_raw(timeout=20)
                with pytest.raises(handclasp.UsageError):
                    _ = tls.session
                call(tls)
                assert tls.version
                tls.close()

            accepting = Working(serve)
            with handclasp.connect(listener.getsockname(), world.client_config(), server_name="localhost") as client:
                client.sendall(b"hello")
            accepting.result()
