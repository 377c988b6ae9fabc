"""A timeout is how long a call may last, however often the peer does a little; and a socket keeps its own."""

from __future__ import annotations

import itertools
import socket
import time

import pytest
from tests.conftest import World
from tests.io.ends import Working, over_tcp, shake, tcp_pair

import handclasp
from handclasp import TlsSocket
from handclasp.connection import ClientConnection, ServerConnection


def let_time_pass(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """Each look at the clock finds that so many seconds have gone by."""
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) * step)


def test_a_peer_that_drips_holds_a_reader_no_longer_than_the_timeout(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte of a record comes by itself; a good part of them is never looked at."""
    with over_tcp(world, server={"tickets": 0}) as (client, server):
        server.connection.send_data(bytes(1000))
        server._sock.sendall(server.connection.data_to_send()[:500])
        monkeypatch.setattr("handclasp.io.transport.RECEIVE_SIZE", 1)
        client.settimeout(10)
        let_time_pass(monkeypatch, 0.1)
        with pytest.raises(TimeoutError):
            client.recv()
        client._sock.setblocking(False)
        assert len(client._sock.recv(1000)) > 300


def test_a_peer_that_takes_little_holds_a_writer_no_longer_than_the_timeout(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with over_tcp(world) as (client, server):
        client.settimeout(10)
        reading = Working(lambda: sum(len(server._sock.recv(1 << 16)) for _ in iter(lambda: client.fileno() < 0, True)))
        let_time_pass(monkeypatch, 1.0)
        with pytest.raises(TimeoutError):
            client.sendall(bytes(50_000_000))
        monkeypatch.undo()
        client._sock.shutdown(socket.SHUT_RDWR)
        client.abort()
        assert reading.result() < 50_000_000


def test_after_its_time_a_call_fails_although_it_need_not_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of records that carry no data, such as KeyUpdates, is a wait too."""
    monkeypatch.setattr("handclasp.io.transport.RECEIVE_SIZE", 100)
    with over_tcp(world, client={"limits": handclasp.Limits(key_updates=1000)}) as (client, server):
        for _ in range(400):
            server.connection.update_keys(request_peer=False)
        server._sock.sendall(server.connection.data_to_send())
        client.settimeout(5)
        let_time_pass(monkeypatch, 0.1)
        with pytest.raises(TimeoutError):
            client.recv()


def test_a_socket_keeps_its_own_timeout(world: World) -> None:
    for timeout in (None, 5.0, 7.5):
        ours, theirs = tcp_pair()
        ours.settimeout(timeout)
        theirs.settimeout(timeout)
        server = handclasp.Listener(theirs, world.server_config()).wrap(theirs)
        serving = Working(server.do_handshake)
        with ours, theirs:
            client = handclasp.connect(ours, world.client_config(), server_name="localhost")
            serving.result()
            assert client.gettimeout() == server.gettimeout() == ours.gettimeout() == timeout


def test_a_socket_that_does_not_block_shakes_hands_within_the_time_given_and_stays_so(world: World) -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        for one in (ours, theirs):
            one.setblocking(False)
        server = handclasp.Listener(theirs, world.server_config()).wrap(theirs)
        serving = Working(lambda: server.do_handshake(timeout=20))
        client = handclasp.connect(ours, world.client_config(), server_name="localhost", timeout=20)
        serving.result()
        assert not client.getblocking()
        with pytest.raises(BlockingIOError):
            client.recv()


def test_the_socket_s_own_timeout_is_one_for_the_handshake_too(world: World) -> None:
    ours, theirs = tcp_pair()
    ours.settimeout(0.05)
    with ours, theirs, pytest.raises(TimeoutError, match="handshake took too long"):
        handclasp.connect(ours, world.client_config(), server_name="localhost", timeout=60)


def test_a_handshake_that_a_reader_begins_has_its_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent client holds the thread of its own connection, and not for ever."""
    ours, theirs = tcp_pair()
    with ours, theirs:
        server = handclasp.Listener(theirs, world.server_config()).wrap(theirs, timeout=0.05)
        assert server.gettimeout() is None
        with pytest.raises(TimeoutError, match="handshake took too long"):
            server.recv()


def test_a_call_that_ran_out_of_time_in_the_handshake_can_be_made_again(world: World) -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        client = TlsSocket(ours, ClientConnection(world.client_config(), server_name="localhost"))
        server = TlsSocket(theirs, ServerConnection(world.server_config()))
        client.settimeout(0.01)
        with pytest.raises(TimeoutError):
            client.sendall(b"x")
        client.settimeout(20)
        shake(client, server)
        client.sendall(b"x")
        assert server.recv() == b"x"


def test_a_new_key_is_announced_although_bytes_waited_before_it(world: World) -> None:
    with over_tcp(world, room=4096) as (client, server):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.settimeout(0.01)
        assert client.send(bytes(100_000)) == 100_000
        assert client.unsent
        client.settimeout(20)
        renewing = Working(lambda: client.update_keys(request_peer=False))
        got = 0
        while got < 100_000:
            got += len(server.recv())
        renewing.result()
        assert client.unsent == 0
        client.sendall(b"x")
        assert server.recv() == b"x"
        assert server.connection.established is not None
        assert client.connection.established is not None
        assert client.connection.established.after is not None
        assert client.connection.established.after.generation == 1
