"""TLS ends and the connection goes on in clear text; or it ends without a word."""

from __future__ import annotations

import socket

import pytest
from tests.conftest import World
from tests.io.ends import Working, over_tcp, read_to_end, tcp_pair

import handclasp
from handclasp import ProtocolVersion, TlsSocket
from handclasp.io.plain_socket import PlainSocket
from handclasp.io.tls_socket import UnreadData

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)


@BOTH
def test_both_sides_go_on_in_clear_text(world: World, version: ProtocolVersion) -> None:
    """RFC 4217, 12: CCC."""
    with over_tcp(world, client={"versions": (version,)}) as (client, server):

        def serve() -> None:
            assert server.recv() == b"CCC\r\n"
            server.sendall(b"200 go on\r\n")
            server.unwrap().sendall(b"220 clear\r\n")

        serving = Working(serve)
        client.sendall(b"CCC\r\n")
        assert client.recv() == b"200 go on\r\n"
        plain = client.unwrap()
        serving.result()
        assert plain.recv(100) == b"220 clear\r\n"
        plain.sendall(b"NOOP\r\n")
        assert server._sock.recv(100) == b"NOOP\r\n"


@BOTH
def test_clear_text_right_behind_the_end_is_not_lost(world: World, version: ProtocolVersion) -> None:
    """The peer waits for nobody, and what it says arrives with its close_notify."""
    with over_tcp(world, client={"versions": (version,)}) as (client, server):
        server.sendall(b"last words")
        server.connection.close()
        server._sock.sendall(server.connection.data_to_send() + b"220 clear\r\n221 and more\r\n")
        assert client.recv() == b"last words"
        assert client.recv() == b""
        plain = client.unwrap()
        assert isinstance(plain, PlainSocket)
        assert plain.pending()
        assert plain.recv(4) == b"220 "
        with plain.makefile("rb") as lines:
            assert lines.readline() == b"clear\r\n"
            assert lines.readline() == b"221 and more\r\n"
            server._sock.sendall(b"222 later\r\n")
            assert lines.readline() == b"222 later\r\n"
        assert plain.getpeername() == client.getpeername()
        assert plain.fileno() > 0
        plain.close()


def test_who_ends_first_reads_no_byte_of_clear_text(world: World) -> None:
    """So the socket itself can be given back."""
    with over_tcp(world) as (client, server):
        server.sendall(b"on its way")
        serving = Working(server.unwrap)
        plain = client.unwrap()
        serving.result().sendall(b"clear")
        assert plain is client._sock
        assert client.recv() == b"on its way"
        assert client.recv() == b""
        assert plain.recv(100) == b"clear"


def test_tls_may_begin_again(world: World) -> None:
    with over_tcp(world) as (client, server):

        def serve() -> None:
            plain = server.unwrap()
            again = handclasp.Listener(plain, world.server_config()).wrap(plain)
            again.sendall(again.recv().upper())
            again.close()

        serving = Working(serve)
        with handclasp.connect(client.unwrap(), world.client_config(), server_name="localhost") as again:
            again.sendall(b"once more")
            assert again.recv() == b"ONCE MORE"
            assert again.recv() == b""
        serving.result()


def test_tls_may_begin_again_behind_bytes_that_were_read(world: World) -> None:
    """The client's second hello comes together with its first end."""
    with over_tcp(world) as (client, server):
        client.connection.close()
        second = handclasp.ClientConnection(world.client_config(), server_name="localhost")
        second.start()
        client._sock.sendall(client.connection.data_to_send() + second.data_to_send())
        assert server.recv() == b""
        plain = server.unwrap()
        assert isinstance(plain, PlainSocket)
        again = TlsSocket(plain, handclasp.ServerConnection(world.server_config()))
        echoing = Working(lambda: again.sendall(again.recv().upper()))
        rest = client.unwrap()
        tls = TlsSocket(rest, second)
        tls._started = True
        tls.sendall(b"once more")
        assert tls.recv() == b"ONCE MORE"
        echoing.result()
        tls.abort()
        again.abort()


@BOTH
def test_a_connection_that_ends_instead_is_an_error(world: World, version: ProtocolVersion) -> None:
    with over_tcp(world, client={"versions": (version,)}) as (client, server):
        server.abort()
        with pytest.raises(ConnectionError):
            client.unwrap()


def test_a_peer_that_goes_on_sending_is_read_before_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handclasp.io.tls_socket.MOST_UNREAD", 100_000)
    with over_tcp(world) as (client, server):

        def serve() -> None:
            server.sendall(bytes(1_000_000))
            server.unwrap()

        serving = Working(serve)
        with pytest.raises(UnreadData) as caught:
            client.unwrap()
        assert "recv" in str(caught.value.mend)
        assert read_to_end(client) == (1_000_000, "end")
        assert client.unwrap() is client._sock
        serving.result()


def test_what_follows_the_end_fills_no_memory(world: World) -> None:
    limits = handclasp.Limits(buffered_bytes=1000)
    with over_tcp(world, client={"limits": limits}) as (client, server):
        server.shutdown(socket.SHUT_WR)
        assert client.recv() == b""
        for _ in range(10):
            client.connection.receive_data(bytes(700))
        assert len(client.connection.unused_data) <= 1000


# An end without close_notify.


def cut(tls: TlsSocket) -> None:
    tls.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    tls.abort()


@BOTH
@pytest.mark.parametrize("as_file", [False, True], ids=["recv", "file"])
def test_a_server_of_old_may_end_without_close_notify_where_the_config_allows_it(
    world: World, version: ProtocolVersion, as_file: bool
) -> None:
    for allowed in (False, True):
        settings = {"versions": (version,), "allow_truncation": allowed}
        with over_tcp(world, client=settings) as (client, server):
            serving = Working(cut, server)
            if not allowed:
                with pytest.raises(handclasp.Truncated):
                    client.makefile("rb").read() if as_file else [client.recv(), client.recv()]
            elif as_file:
                assert client.makefile("rb").read().endswith(b"all of it")
            else:
                assert read_to_end(client) == (28, "end")
            serving.result()


def test_a_handshake_cut_short_is_an_error_in_any_case(world: World) -> None:
    ours, theirs = tcp_pair()
    with ours:
        theirs.shutdown(socket.SHUT_WR)
        with theirs, pytest.raises(ConnectionError):
            handclasp.connect(ours, world.client_config(allow_truncation=True), server_name="localhost")
