"""What was accepted is delivered, or somebody is told, whatever way a connection ends."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import World
from tests.io.ends import Working, end_of_closing, over_tcp, read_and_close, read_to_end, shake, tcp_pair

import handclasp
from handclasp import DeliveryUncertain, ProtocolVersion, TlsSocket
from handclasp.connection import ClientConnection, ServerConnection
from handclasp.endings import DeliveryWarning
from handclasp.io import closing
from handclasp.io.delivered import acknowledged_in_time

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
SIZE = 1_500_000
SMALL = 4096
"""Bytes that a peer's system takes of which nobody reads anything."""
MUCH = 400_000
"""Bytes that our system takes, and such a peer's does not."""


def close(tls: TlsSocket) -> None:
    tls.sendall(bytes(SIZE))
    tls.close()


def leave_with(tls: TlsSocket) -> None:
    with tls:
        tls.sendall(bytes(SIZE))


def close_the_file(tls: TlsSocket) -> None:
    file = tls.makefile("wb")
    file.write(bytes(SIZE))
    tls.close()
    file.close()


def shut_and_close(tls: TlsSocket) -> None:
    tls.sendall(bytes(SIZE))
    tls.shutdown(socket.SHUT_WR)
    tls.close()


def shut_both(tls: TlsSocket) -> None:
    tls.sendall(bytes(SIZE))
    tls.shutdown(socket.SHUT_RDWR)
    tls.close()


def read_no_more_and_close(tls: TlsSocket) -> None:
    tls.shutdown(socket.SHUT_RD)
    tls.sendall(bytes(SIZE))
    tls.close()


def close_without_waiting(tls: TlsSocket) -> None:
    """What the socket does not take at once is `unsent`, and goes all the same."""
    tls.setblocking(False)
    sent = 0
    while sent < SIZE:
        try:
            sent += tls.send(bytes(SIZE - sent))
        except BlockingIOError:
            select.select([], [tls], [], 10)
            with contextlib.suppress(BlockingIOError):
                tls.flush()
    tls.close()
    assert tls.fileno() == -1


WAYS = (close, leave_with, close_the_file, shut_and_close, shut_both, read_no_more_and_close, close_without_waiting)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_who_only_writes_is_heard_to_the_end(
    world: World, version: ProtocolVersion, way: Callable[[TlsSocket], None]
) -> None:
    """The server's tickets lie unread in the client's socket, which resets a connection that is merely closed."""
    with over_tcp(world, client={"versions": (version,)}, room=SMALL) as (client, server):
        reader = Working(read_and_close, server)
        way(client)
        assert reader.result() == (SIZE, "end")


def test_what_a_timeout_left_waiting_goes_before_the_end(world: World) -> None:
    with over_tcp(world, room=SMALL) as (client, server):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        client.settimeout(0.01)
        assert client.send(bytes(100_000)) == 100_000
        assert client.unsent
        client.settimeout(20)
        reader = Working(read_and_close, server)
        client.close()
        assert reader.result() == (100_000, "end")


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_who_answers_a_client_that_has_said_its_end_is_heard_to_the_end(world: World, version: ProtocolVersion) -> None:
    """The client's close_notify lies unread when the server closes."""
    with over_tcp(world, client={"versions": (version,)}) as (client, server):
        client.shutdown(socket.SHUT_WR)
        select.select([server], [], [], 10)
        writer = Working(close, server)
        assert read_to_end(client) == (SIZE, "end")
        client.close()
        writer.result()


def test_who_closes_while_the_peer_goes_on_sending_is_heard_to_the_end(world: World) -> None:
    with over_tcp(world, room=SMALL) as (client, server):

        def echo() -> int:
            got = 0
            while data := server.recv():
                got += len(data)
                server.sendall(data)
            server.close()
            return got

        echoing = Working(echo)
        close(client)
        assert echoing.result() == SIZE


@pytest.mark.parametrize("in_a_circle", [False, True])
def test_what_nobody_closed_arrives_and_is_no_good_end(world: World, in_a_circle: bool) -> None:
    """It says no close_notify, for whoever forgets a connection may have been cut short."""
    gc.collect()
    ours, theirs = tcp_pair(SMALL)
    ends: list[Any] = [TlsSocket(ours, ClientConnection(world.client_config(), server_name="localhost"))]
    server = TlsSocket(theirs, ServerConnection(world.server_config()))
    del ours, theirs
    shake(ends[0], server)
    reader = Working(read_and_close, server)
    ends[0].sendall(bytes(SIZE))
    if in_a_circle:
        ends[0].circle = ends[0]
    with pytest.warns(ResourceWarning, match="unclosed <TlsSocket"):
        forget(ends)
    assert reader.result() == (SIZE, "Truncated")


def forget(ends: list[Any]) -> None:
    ends.clear()
    gc.collect()


SEND_AND_LEAVE = """
import os, sys, gc
import handclasp
from handclasp import ClientConfig, TrustStore
tls = handclasp.connect(("127.0.0.1", int(sys.argv[1])), ClientConfig(trust=TrustStore.from_file(sys.argv[2])),
                        server_name="localhost")
"""


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("tls.sendall(bytes(1500000))", "Truncated"),
        ("tls.sendall(bytes(1500000)); tls.setblocking(False); tls.close()", "end"),
        ("tls.sendall(bytes(1500000)); raise ZeroDivisionError", "Truncated"),
    ],
    ids=["left open", "closed without waiting", "ended by an error"],
)
def test_a_process_that_ends_delivers_first(world: World, tmp_path: Path, what: str, how: str) -> None:
    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:
        listener._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        reader = Working(lambda: read_and_close(listener.accept(timeout=20)[0]))
        run(world, tmp_path, listener.port, what)
        assert reader.result() == (SIZE, how)


def test_a_child_says_nothing_on_connections_of_its_parent(world: World, tmp_path: Path) -> None:
    """Neither when it forgets them nor at its end."""
    forks = """
for forgetful in (True, False):
    tls.sendall(b"before")
    child = os.fork()
    if not child:
        if forgetful:
            del tls
            gc.collect()
        sys.exit(0)
    os.waitpid(child, 0)
    tls.sendall(b"behind")
tls.close()
"""
    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:
        reader = Working(lambda: read_and_close(listener.accept(timeout=20)[0]))
        run(world, tmp_path, listener.port, forks)
        assert reader.result() == (24, "end")


def run(world: World, folder: Path, port: int, what: str) -> None:
    root = folder / "root.pem"
    root.write_bytes(world.root.certificate_pem)
    program = [sys.executable, "-c", SEND_AND_LEAVE + what, str(port), str(root)]
    subprocess.run(program, timeout=60, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def test_a_peer_that_takes_not_all_in_time_is_told_of(world: World) -> None:
    with over_tcp(world, room=SMALL) as (client, _):
        client.sendall(bytes(MUCH))
        client.settimeout(0.1)
        with pytest.raises(DeliveryUncertain, match="bytes may be missing"):
            client.close()
        assert client.fileno() == -1
        client.close()  # and once is enough


def test_a_peer_that_is_gone_is_told_of(world: World) -> None:
    with over_tcp(world, room=SMALL) as (client, server):
        client.sendall(bytes(MUCH))
        reset(server)
        with pytest.raises(ConnectionError), client:
            pass


def reset(tls: TlsSocket) -> None:
    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tls._sock.close()


def test_after_shutdown_a_loss_is_a_warning(world: World) -> None:
    """As `socketserver` ends its connections: it minds errors of `shutdown`, and none of `close`."""
    with over_tcp(world, room=SMALL) as (client, server):
        client.sendall(bytes(MUCH))
        client.shutdown(socket.SHUT_WR)
        reset(server)
        with pytest.warns(DeliveryWarning, match="bytes may be missing"):
            client.close()


def test_what_nobody_waits_for_is_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "PATIENCE", 0.2)
    with over_tcp(world, room=SMALL) as (client, _):
        client.sendall(bytes(MUCH))
        client.setblocking(False)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            client.close()
            end_of_closing()
        assert [(one.category, "bytes may be missing" in str(one.message)) for one in warned] == [
            (DeliveryWarning, True)
        ]


def test_who_was_told_once_is_not_told_again(world: World) -> None:
    with over_tcp(world, room=SMALL) as (client, server):
        reset(server)
        with pytest.raises(ConnectionError):
            client.sendall(bytes(100 * MUCH))
        client.close()


def test_nothing_is_told_where_nothing_is_lost(world: World) -> None:
    """The peer took all and then reset the connection, as many do over a close_notify that they never read."""
    with over_tcp(world) as (client, server), warnings.catch_warnings():
        warnings.simplefilter("error")
        client.sendall(b"whole")
        assert server.recv() == b"whole"
        assert acknowledged_in_time(client._sock, 0, float("inf"))
        reset(server)
        client.close()


def test_a_client_that_read_all_and_leaves_our_end_unread_is_no_loss(world: World) -> None:
    """So end most programs on the standard library's TLS: a reset, and an acknowledgement that never comes."""
    for _ in range(20):
        with over_tcp(world) as (client, server):
            server.sendall(b"an answer")
            assert client.recv() == b"an answer"
            reset(client)
            server.close()


def test_a_peer_that_says_more_than_is_thrown_away_holds_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "MOST_DISCARDED", 1 << 20)
    with over_tcp(world) as (client, server):

        def flood() -> None:
            while True:
                server.sendall(bytes(1 << 20))

        flooding = Working(flood)
        client.close()
        with pytest.raises(ConnectionError):
            flooding.result()


@pytest.mark.parametrize("how", ["close", "abort", "forget"])
def test_a_connection_that_was_not_started_is_left_to_whoever_shares_it(world: World, how: str) -> None:
    """A server that forks closes in the parent what the child goes on with."""
    ours, theirs = tcp_pair()
    with theirs, ours.dup() as kept:
        ends = [TlsSocket(ours, ServerConnection(world.server_config()))]
        del ours
        if how == "forget":
            with pytest.warns(ResourceWarning):
                forget(ends)
        else:
            getattr(ends[0], how)()
        kept.sendall(b"still here")
        assert theirs.recv(100) == b"still here"
        theirs.sendall(b"and there")
        assert kept.recv(100) == b"and there"


def test_detaching_gives_the_descriptor_and_says_nothing(world: World) -> None:
    with over_tcp(world) as (client, server):
        with socket.socket(fileno=client.detach()) as raw:
            assert client.fileno() == -1
            client.close()
            server.sendall(b"x")
            assert raw.recv(1000)
        assert read_to_end(server) == (0, "Truncated")
        server.abort()


def test_a_reader_whose_connection_is_closed_has_not_seen_its_end(world: World) -> None:
    with over_tcp(world) as (client, server):
        client.settimeout(None)
        reading = Working(client.recv)
        while not client._reading.locked():
            pass
        client.settimeout(0.2)
        client.close()
        with pytest.raises(OSError):
            reading.result()
        with pytest.raises(handclasp.UsageError):
            client.recv()
        with pytest.raises(handclasp.UsageError):
            client.sendall(b"x")
        server.abort()
