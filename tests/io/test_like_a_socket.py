"""A TLS connection keeps the promises of sockets: timeouts, both directions at once, files, ends."""

from __future__ import annotations

import array
import contextlib
import hashlib
import http.client
import itertools
import os
import select
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import World

import handclasp
from handclasp import ProtocolVersion, TlsSocket
from handclasp.connection import ClientConnection, ServerConnection
from handclasp.endings import PeerAlert

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)


@contextlib.contextmanager
def joined(world: World, **changes: object) -> Iterator[tuple[TlsSocket, TlsSocket]]:
    """A client and a server over a socket pair, their handshake done."""
    ours, theirs = socket.socketpair()
    client = TlsSocket(ours, ClientConnection(world.client_config(**changes), server_name="localhost"))
    server = TlsSocket(theirs, ServerConnection(world.server_config()))
    for one in (client, server):
        one.settimeout(20)
    thread = threading.Thread(target=server.do_handshake)
    thread.start()
    client.do_handshake()
    thread.join()
    with ours, theirs:
        yield client, server


def in_thread(run: Callable[..., Any], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=run, args=arguments)
    thread.start()
    return thread


def error_of(run: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # the test looks at what it is
        run()
    return caught.value


def read_all(tls: TlsSocket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        data = tls.recv()
        assert data
        got += data
    return bytes(got)


@BOTH
def test_both_may_send_much_at_once_and_renew_their_keys_meanwhile(world: World, version: ProtocolVersion) -> None:
    """Each side writes in one thread and reads in another; neither reader waits for its writer."""
    data = os.urandom(6_000_000)
    digests: list[str] = []

    def write(tls: TlsSocket) -> None:
        for at in range(0, len(data), 1_000_000):
            tls.sendall(data[at : at + 1_000_000])
            if version == TLS13:
                tls.update_keys(request_peer=True)

    def read(tls: TlsSocket) -> None:
        digests.append(hashlib.sha256(read_all(tls, len(data))).hexdigest())

    with joined(world, versions=(version,)) as ends:
        writers = [in_thread(write, one) for one in ends]
        while select.select([], ends, [], 0)[1]:
            continue  # the readers begin when both directions are full
        for thread in writers + [in_thread(read, one) for one in ends]:
            thread.join(30)
            assert not thread.is_alive()
    assert digests == [hashlib.sha256(data).hexdigest()] * 2


def test_after_a_timeout_in_the_middle_of_sending_the_connection_is_in_order(world: World) -> None:
    data = os.urandom(8_000_000)
    with joined(world) as (client, server):
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sendall(data)
        assert client.unsent > 0
        server.sendall(b"still here")
        assert client.recv() == b"still here", "reading goes on"
        with pytest.raises(TimeoutError):
            client.recv()
        client.settimeout(20)
        got: list[bytes] = []
        reader = in_thread(lambda: got.extend(iter(server.recv, b"")))
        client.sendall(b"the end")
        assert client.unsent == 0
        client.shutdown()
        reader.join(20)
    received = b"".join(got)
    assert received.endswith(b"the end")
    assert data.startswith(received.removesuffix(b"the end"))


def test_a_reader_answers_a_key_update_as_soon_as_there_is_room(world: World) -> None:
    """The client's direction is full when it is asked to renew its key; it reads on, and answers later."""
    with joined(world) as (client, server):
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sendall(bytes(8_000_000))
        server.update_keys(request_peer=True)
        server.sendall(b"with a new key")
        assert client.recv() == b"with a new key"
        client.settimeout(20)
        stop = threading.Event()
        reader = in_thread(lambda: [server.recv() for _ in iter(stop.is_set, True)])
        waiting = in_thread(client.recv)
        while client.unsent:
            select.select([], [client.fileno()], [], 1)
        stop.set()
        client.sendall(b"x")
        server.sendall(b"x")
        waiting.join(20)
        reader.join(20)
        assert not waiting.is_alive()


def test_a_socket_that_does_not_block(world: World) -> None:
    ours, theirs = socket.socketpair()
    client = TlsSocket(ours, ClientConnection(world.client_config(), server_name="localhost"))
    server = TlsSocket(theirs, ServerConnection(world.server_config()))
    waiting = {client, server}
    for one in (client, server):
        one.setblocking(False)
        assert not one.getblocking()
    while waiting:
        for one in tuple(waiting):
            try:
                one.do_handshake()
                waiting.discard(one)
            except BlockingIOError:
                continue
    with pytest.raises(BlockingIOError):
        client.recv()
    data, sent, got = os.urandom(5_000_000), 0, bytearray()
    blocked = False
    while len(got) < len(data):
        try:
            while sent < len(data):
                sent += client.send(data[sent:])
        except BlockingIOError:
            blocked = True
            assert client.unsent
        with contextlib.suppress(BlockingIOError):
            while True:
                got += server.recv()
        with contextlib.suppress(BlockingIOError):
            client.flush()
    assert blocked
    assert bytes(got) == data
    client.close()
    assert server.recv() == b""
    server.close()


def test_a_handshake_has_its_time_however_many_bytes_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a byte now and then holds nobody longer than one that sends none."""
    clock = itertools.count(step=20)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    with (
        handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener,
        socket.create_connection(("127.0.0.1", listener.port)) as slow,
    ):
        slow.sendall(b"\x16\x03")
        with pytest.raises(TimeoutError, match="too long"):
            listener.accept(timeout=30)


def test_a_slow_client_keeps_nobody_waiting(world: World) -> None:
    with (
        handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener,
        socket.create_connection(("127.0.0.1", listener.port)) as silent,
    ):
        first, _ = listener.accept_raw()
        assert first.getpeername() == silent.getsockname()
        ends: list[Exception] = []
        waiting = in_thread(lambda: ends.append(error_of(first.do_handshake)))
        other = in_thread(lambda: listener.accept(timeout=10)[0].close())
        handclasp.connect(listener.getsockname(), world.client_config(), server_name="localhost").close()
        other.join(10)
        silent.close()
        waiting.join(10)
        first.close()
        assert type(ends[0]) is handclasp.Truncated


@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR])
def test_each_direction_ends_by_itself(world: World, how: int) -> None:
    with joined(world) as (client, server):
        client.shutdown(how)
        if how == socket.SHUT_RD:
            assert client.recv() == b""
            client.sendall(b"more")
            assert server.recv() == b"more"
        else:
            assert server.recv() == b""
        if how == socket.SHUT_WR:
            server.sendall(b"more")
            assert client.recv() == b"more"
            with pytest.raises(handclasp.UsageError):
                client.sendall(b"x")


def test_shutting_down_wakes_a_reader_in_another_thread(world: World) -> None:
    got: list[bytes] = []
    with joined(world) as (client, _):
        client.settimeout(None)
        reader = in_thread(lambda: got.append(client.recv()))
        client.shutdown(socket.SHUT_RDWR)
        reader.join(20)
    assert got == [b""]


def test_an_error_inside_with_is_no_good_end(world: World) -> None:
    """The peer can tell what was cut short from what was finished."""
    with joined(world) as (client, server):
        server.sendall(b"half of")
        with pytest.raises(ZeroDivisionError), server:
            raise ZeroDivisionError
        assert client.recv() == b"half of"
        with pytest.raises(handclasp.Truncated):
            client.recv()


def test_what_was_sent_before_close_arrives_before_the_end(world: World) -> None:
    data = os.urandom(3_000_000)

    def send_and_close(tls: TlsSocket) -> None:
        with tls:
            tls.sendall(data)

    with joined(world) as (client, server):
        writer = in_thread(send_and_close, server)
        assert read_all(client, len(data)) == data
        assert client.recv() == b""
        writer.join()


def test_closing_while_another_thread_sends_does_not_wait_for_it(world: World) -> None:
    with joined(world) as (client, _):
        client.settimeout(None)
        failed: list[BaseException] = []

        def write() -> None:
            try:
                client.sendall(bytes(50_000_000))
            except (OSError, handclasp.HandclaspError) as error:
                failed.append(error)

        writer = in_thread(write)
        while not client._outgoing._turn.locked():
            pass
        client.shutdown(socket.SHUT_RDWR)
        writer.join(20)
        client.close()
        assert failed


def test_the_peer_s_reason_is_heard_although_it_takes_no_more(world: World) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(bytes.fromhex("15030300020228"))  # a fatal handshake_failure
        client = TlsSocket(ours, ClientConnection(world.client_config(), server_name="localhost"))
        with pytest.raises(PeerAlert, match="handshake_failure"):
            client.do_handshake()


def test_a_refusal_that_came_after_the_handshake_is_what_sending_raises(world: World) -> None:
    """TLS 1.3: the client is done before the server has judged it, and may send before it hears of that."""
    ours, theirs = socket.socketpair()
    client = TlsSocket(ours, ClientConnection(world.client_config(), server_name="localhost"))
    config = world.server_config(trust=world.root.trust, client_auth=handclasp.ClientAuth.REQUIRED)
    server = TlsSocket(theirs, ServerConnection(config))

    def refuse() -> None:
        with theirs, pytest.raises(handclasp.PeerError):
            server.do_handshake()

    with ours:
        thread = in_thread(refuse)
        client.do_handshake()
        thread.join()
        with pytest.raises(PeerAlert, match="certificate_required"):
            client.sendall(b"POST / HTTP/1.1")


def test_a_refusal_is_heard_by_one_who_only_wants_to_end(world: World) -> None:
    """The server says why and resets the connection, which the system then calls not connected."""
    config = world.server_config(trust=world.root.trust, client_auth=handclasp.ClientAuth.REQUIRED)
    with handclasp.listen(("127.0.0.1", 0), config) as listener:

        def refuse() -> None:
            tls, _ = listener.accept_raw()
            with pytest.raises(handclasp.PeerError):
                tls.do_handshake(timeout=20)
            tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            tls.abort()

        thread = in_thread(refuse)
        client = handclasp.connect(listener.getsockname(), world.client_config(), server_name="localhost")
        thread.join(20)
        with pytest.raises(PeerAlert, match="certificate_required"):
            client.shutdown()
        client.close()


def test_sizes_mean_what_they_mean_to_sockets(world: World) -> None:
    with joined(world) as (client, server):
        server.sendall(b"abcdef")
        buffer = bytearray(4)
        assert client.recv(0) == b""
        with pytest.raises(ValueError):
            client.recv(-1)
        for wrong in (5, -1):
            with pytest.raises(ValueError):
                client.recv_into(buffer, wrong)
        assert client.recv_into(buffer, 2) == 2
        assert buffer == b"ab\0\0"
        assert client.recv_into(array.array("I", [0])) == 4
        assert client.recv_into(bytearray()) == 0


def test_anything_with_bytes_can_be_sent(world: World) -> None:
    numbers = array.array("H", [1, 2, 3])
    with joined(world) as (client, server):
        client.sendall(numbers)  # type: ignore[arg-type]  # a buffer
        client.sendall(memoryview(b"abcdef").cast("B", (2, 3)))
        assert read_all(server, 12) == numbers.tobytes() + b"abcdef"
        for wrong in (memoryview(b"abcdef")[::2], "text"):
            with pytest.raises((TypeError, BufferError)):
                client.sendall(wrong)  # type: ignore[arg-type]


def test_files_are_made_as_sockets_make_them(world: World) -> None:
    with joined(world) as (client, server):
        for mode, buffering in (("x", None), ("b+", None), ("r", 0)):
            with pytest.raises(ValueError):
                client.makefile(mode, buffering)
        with client.makefile("rwb") as both, server.makefile("rw", encoding="ascii", errors="replace") as text:
            both.write(b"question \xff\n")
            both.flush()
            assert text.readline() == "question \ufffd\n"
            text.write("answer\n")
            text.flush()
            assert both.readline() == b"answer\n"
        assert client.family == socket.AF_UNIX
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM


def answering(tls: TlsSocket, body: bytes, *, whole: bool) -> None:
    with contextlib.suppress(ZeroDivisionError), tls:
        request = tls.makefile("rb")
        while request.readline().strip():
            pass
        tls.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        request.close()
        if not whole:
            raise ZeroDivisionError


@pytest.mark.parametrize("whole", [True, False])
def test_a_body_without_length_is_whole_or_an_error(world: World, whole: bool) -> None:
    with joined(world) as (client, server):
        thread = in_thread(lambda: answering(server, b"body", whole=whole))
        connection = http.client.HTTPConnection("localhost")
        connection.sock = client
        connection.request("GET", "/")
        response = connection.getresponse()
        if whole:
            assert response.read() == b"body"
        else:
            with pytest.raises(handclasp.Truncated):
                response.read()
        thread.join()


def test_urllib_goes_over_it(world: World) -> None:
    class OverHandclasp(http.client.HTTPConnection):
        def connect(self) -> None:
            config = world.client_config()
            self.sock = handclasp.connect((self.host, self.port), config, server_name="localhost")

    class Handler(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(OverHandclasp, request)

    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:
        thread = in_thread(lambda: answering(listener.accept(timeout=10)[0], b"by urllib", whole=True))
        with urllib.request.build_opener(Handler).open(f"https://127.0.0.1:{listener.port}/") as response:
            assert response.read() == b"by urllib"
        thread.join()
