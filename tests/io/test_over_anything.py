"""TLS over whatever has `recv`, `sendall` and `close`: TLS in TLS, the standard library's TLS, channels, pipes."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import World
from tests.io.ends import Working, end_of_closing, over_tcp, read_and_close, shake, tcp_pair

import handclasp
from handclasp import TlsSocket
from handclasp.connection import ClientConnection, ServerConnection

SIZE = 700_000


class Pipes:
    """A pair of pipes: no timeouts, no descriptor to ask, nothing but bytes."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self._read_from, self._write_to = read_from, write_to

    def recv(self, size: int) -> bytes:
        return os.read(self._read_from, size)

    def sendall(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._write_to, data) :]

    def close(self) -> None:
        os.close(self._write_to)
        os.close(self._read_from)


class Channel:
    """As an SSH library has them: it takes bytes only, sends some of them, and has a descriptor that says little."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._silent, self._other = socket.socketpair()
        self.gettimeout, self.settimeout = sock.gettimeout, sock.settimeout

    def recv(self, size: int) -> bytes:
        return self._sock.recv(min(size, 3000))

    def send(self, data: bytes) -> int:
        assert isinstance(data, bytes)
        return self._sock.send(data[:1000])

    def sendall(self, data: bytes) -> None:
        raise AssertionError("it cannot tell how much it sent before a timeout")

    def fileno(self) -> int:
        return self._silent.fileno()

    def close(self) -> None:
        for one in (self._sock, self._silent, self._other):
            one.close()


def pipes() -> tuple[Any, Any]:
    there, back = os.pipe(), os.pipe()
    return Pipes(back[0], there[1]), Pipes(there[0], back[1])


def channels() -> tuple[Any, Any]:
    ours, theirs = tcp_pair()
    return Channel(ours), Channel(theirs)


@contextlib.contextmanager
def carried(world: World, kind: str, folder: Path) -> Iterator[tuple[Any, Any]]:
    """Two ends that carry bytes."""
    if kind == "TLS of ours":
        with over_tcp(world) as ends:
            yield ends
    elif kind == "TLS of the standard library":
        ours, theirs = tcp_pair()
        chain, key = world.server.save(folder, "carrier")
        (folder / "root.pem").write_bytes(world.root.certificate_pem)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(chain, key)
        accepting = Working(lambda: server.wrap_socket(theirs, server_side=True))
        client = ssl.create_default_context(cafile=str(folder / "root.pem"))
        with client.wrap_socket(ours, server_hostname="localhost") as first, accepting.result() as second:
            yield first, second
    else:
        yield pipes() if kind == "pipes" else channels()


KINDS = pytest.mark.parametrize("kind", ["TLS of ours", "TLS of the standard library", "channels", "pipes"])


@contextlib.contextmanager
def over(world: World, kind: str, folder: Path) -> Iterator[tuple[TlsSocket, TlsSocket]]:
    with carried(world, kind, folder) as (ours, theirs):
        listener = handclasp.Listener(theirs, world.server_config())
        server = listener.wrap(theirs)
        serving = Working(server.do_handshake)
        client = handclasp.connect(ours, world.client_config(), server_name="localhost")
        serving.result()
        try:
            yield client, server
        finally:
            client.abort()
            server.abort()
            end_of_closing()


@KINDS
def test_bytes_go_both_ways_to_the_end(world: World, tmp_path: Path, kind: str) -> None:
    with over(world, kind, tmp_path) as (client, server):

        def echo() -> None:
            while data := server.recv():
                server.sendall(data)
            server.close()

        echoing = Working(echo)
        data = os.urandom(SIZE)
        reader = Working(lambda: b"".join(iter(client.recv, b"")))
        client.sendall(data)
        client.update_keys()
        client.sendall(b"and the end")
        client.shutdown(socket.SHUT_WR)
        assert reader.result() == data + b"and the end"
        client.close()
        echoing.result()


@KINDS
def test_who_only_writes_is_heard_to_the_end(world: World, tmp_path: Path, kind: str) -> None:
    with over(world, kind, tmp_path) as (client, server):
        reader = Working(read_and_close, server)
        client.sendall(bytes(SIZE))
        client.close()
        assert reader.result() == (SIZE, "end")


def test_a_descriptor_that_is_not_readable_hides_nothing(world: World, tmp_path: Path) -> None:
    """What the inner connection holds is taken along, so that `pending` and `select` together miss nothing."""
    with over(world, "TLS of ours", tmp_path) as (client, server):
        parts = 50
        for number in range(parts):
            server.sendall(bytes([number]) * 1000)
        got = 0
        while got < parts * 1000:
            assert client.pending() or select.select([client], [], [], 10)[0], got
            got += len(client.recv(700))


def test_tls_in_tls_that_does_not_block(world: World, tmp_path: Path) -> None:
    with over(world, "TLS of ours", tmp_path) as (client, server):
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv()
        reader = Working(read_and_close, server)
        sent = 0
        while sent < SIZE:
            try:
                sent += client.send(bytes(SIZE - sent))
            except BlockingIOError:
                select.select([], [client], [], 10)
        client.close()
        assert reader.result() == (SIZE, "end")
        end_of_closing()


def test_the_standard_library_s_tls_that_does_not_block(world: World, tmp_path: Path) -> None:
    with over(world, "TLS of the standard library", tmp_path) as (client, server):
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv()
        server.sendall(b"x")
        select.select([client], [], [], 10)
        data = b""
        while not data:
            with contextlib.suppress(BlockingIOError):
                data = client.recv()
        assert data == b"x"


@pytest.mark.parametrize("kind", ["TLS of ours", "TLS of the standard library", "channels"])
def test_timeouts_are_those_of_what_carries(world: World, tmp_path: Path, kind: str) -> None:
    with over(world, kind, tmp_path) as (client, server):
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv()
        assert client.gettimeout() == 0.05
        client.settimeout(10)
        server.sendall(b"still in order")
        assert client.recv() == b"still in order"


def test_what_has_no_timeouts_says_so(world: World, tmp_path: Path) -> None:
    with over(world, "pipes", tmp_path) as (client, server):
        assert client.gettimeout() is None
        assert client.fileno() == -1
        with pytest.raises(handclasp.UsageError, match="no timeouts"):
            client.settimeout(1)
        client.close()
        server.close()


def test_a_refusal_arrives_over_anything(world: World, tmp_path: Path) -> None:
    for kind in ("TLS of ours", "pipes", "channels"):
        with carried(world, kind, tmp_path) as (ours, theirs):
            server = handclasp.Listener(theirs, world.server_config()).wrap(theirs)
            serving = Working(server.do_handshake)
            with pytest.raises(handclasp.CertificateError):
                handclasp.connect(ours, world.client_config(), server_name="other.example")
            with pytest.raises(handclasp.PeerAlert, match="bad_certificate"):
                serving.result()
            server.abort()


@pytest.mark.parametrize("wrong", [object(), "localhost:443", 7])
def test_what_cannot_carry_bytes_is_refused(world: World, wrong: Any) -> None:
    with pytest.raises(handclasp.UsageError, match="what has recv and sendall"):
        handclasp.connect(wrong, world.client_config(), server_name="localhost")
    with pytest.raises(handclasp.UsageError, match=r"cannot carry TLS: it has no .*recv"):
        TlsSocket(wrong, ClientConnection(world.client_config(), server_name="localhost"))


def test_a_subclass_of_sockets_with_ways_of_its_own_is_used_as_it_is(world: World) -> None:
    class Counting(socket.socket):
        received = 0

        def recv(self, *arguments: Any) -> bytes:
            data = super().recv(*arguments)
            Counting.received += len(data)
            return data

    ours, theirs = tcp_pair()
    counting = Counting(fileno=ours.detach())
    with theirs, counting:
        client = TlsSocket(counting, ClientConnection(world.client_config(), server_name="localhost"))
        server = TlsSocket(theirs, ServerConnection(world.server_config()))
        shake(client, server)
        assert Counting.received > 500
