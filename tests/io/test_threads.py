"""Threads share a connection: several read, several write, and one of each does the handshake."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.conftest import World
from tests.io.ends import Working, over_tcp, tcp_pair

import handclasp
from handclasp import TlsSocket
from handclasp.connection import ClientConnection


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize("into", [False, True], ids=["recv", "recv_into"])
def test_each_byte_goes_to_one_of_several_readers(world: World, into: bool) -> None:
    def read(tls: TlsSocket) -> bytes:
        got, buffer = bytearray(), bytearray(7)
        while data := bytes(buffer[: tls.recv_into(buffer)]) if into else tls.recv(7):
            got += data
        return bytes(got)

    data = bytes(range(256)) * 40
    with over_tcp(world) as (client, server):
        readers = [Working(read, client) for _ in range(4)]
        for at in range(0, len(data), 50):
            server.sendall(data[at : at + 50])
        closing = Working(server.close)
        read_by = [reader.result() for reader in readers]
        client.close()
        closing.result()
    assert Counter(itertools.chain(*read_by)) == Counter(data)


@pytest.mark.usefixtures("many_switches")
def test_what_each_of_several_writers_sends_stays_in_one_piece(world: World) -> None:
    size, rounds = 300_000, 4

    def write(tls: TlsSocket, letter: int) -> None:
        for _ in range(rounds):
            tls.sendall(bytes([letter]) * size)

    with over_tcp(world) as (client, server):
        writers = [Working(write, client, letter) for letter in b"abc"]
        got = bytearray()
        while len(got) < 3 * rounds * size:
            got += server.recv()
        for writer in writers:
            writer.result()
    runs = [(letter, sum(1 for _ in run)) for letter, run in itertools.groupby(got)]
    assert all(length % size == 0 for _, length in runs)


def test_a_second_reader_or_writer_waits_no_longer_than_its_timeout(world: World) -> None:
    """And not at all, where the socket does not block."""
    with over_tcp(world) as (client, server):
        server.sendall(b"x")
        for turn, call in ((client._reading, client.recv), (client._writing, lambda: client.sendall(b"x"))):
            with turn:  # as another thread has it that waits for the peer
                client.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    call()
                client.setblocking(False)
                with pytest.raises(BlockingIOError):
                    call()
            client.settimeout(20)
            call()


def test_a_reader_and_a_writer_may_both_begin_the_handshake(world: World) -> None:
    """Neither waits for the other once it is done."""
    ours, theirs = tcp_pair()
    with ours, theirs:
        server = handclasp.Listener(theirs, world.server_config()).wrap(theirs)
        client = TlsSocket(ours, ClientConnection(world.client_config(), server_name="localhost"))
        begin = threading.Barrier(4)

        def read(tls: TlsSocket) -> bytes:
            begin.wait(10)
            return tls.recv()

        def write(tls: TlsSocket, text: bytes) -> None:
            begin.wait(10)
            tls.sendall(text)

        readers = [Working(read, one) for one in (client, server)]
        writers = [Working(write, client, b"from the client"), Working(write, server, b"from the server")]
        for writer in writers:
            writer.result()
        assert [reader.result() for reader in readers] == [b"from the server", b"from the client"]
