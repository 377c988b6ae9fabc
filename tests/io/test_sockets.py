"""TLS over real sockets: everything that users of sockets do."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import World
from tests.io.ends import Working

import handclasp
from handclasp import ProtocolVersion, TlsSocket
from handclasp.crypto.protection import BadRecordMac
from handclasp.endings import PeerAlert
from handclasp.handshake.answers import DEFAULT_ANSWERS
from handclasp.handshake.errors import NoCommonVersion, UnexpectedMessage
from handclasp.io.sockets import Listener
from handclasp.io.tls_socket import QuestionUnanswered
from handclasp.keylog import key_log_to, observe_with
from handclasp.questions import VerifyPeer
from handclasp.x509.errors import HostNameMismatch, UnknownAuthority

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)


@contextlib.contextmanager
def serving(
    world: World, handle: Callable[[TlsSocket], None], host: str = "127.0.0.1", **changes: object
) -> Iterator[Listener]:
    """A server of ours in a thread; what goes wrong in it comes out at the end."""
    errors: list[BaseException] = []
    with handclasp.listen((host, 0), world.server_config(**changes)) as listener:

        def run() -> None:
            try:
                tls, _ = listener.accept(timeout=10)
                with tls:
                    tls.settimeout(10)
                    handle(tls)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener
        finally:
            thread.join(20)
    for error in errors:
        raise error


def echo(tls: TlsSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)


def connect(world: World, listener: Listener, **changes: object) -> TlsSocket:
    config = world.client_config(**changes)
    tls = handclasp.connect(("127.0.0.1", listener.port), config, server_name="localhost", timeout=10)
    tls.settimeout(10)
    return tls


@BOTH
def test_what_is_sent_comes_back(world: World, version: ProtocolVersion) -> None:
    data = os.urandom(300_000)
    with serving(world, echo) as listener, connect(world, listener, versions=(version,)) as tls:
        writer = threading.Thread(target=tls.sendall, args=(data,))
        writer.start()
        got = bytearray()
        while len(got) < len(data):
            got += tls.recv()
        writer.join()
        assert bytes(got) == data
        assert tls.version == version
        assert tls.peer_report is not None
        assert tls.fileno() > 0
        assert tls.getpeername()[1] == listener.port
        assert tls.getsockname()[0] == "127.0.0.1"
        assert tls.gettimeout() == 10
        tls.shutdown()
        assert tls.recv() == b""


def test_ipv6_works_too(world: World) -> None:
    with serving(world, echo, host="::1") as listener:
        config = world.client_config()
        with handclasp.connect(("::1", listener.port), config, timeout=10) as tls:
            tls.sendall(b"six")
            assert tls.recv() == b"six"


def test_a_buffer_is_filled_from_several_records(world: World) -> None:
    def three(tls: TlsSocket) -> None:
        for part in (b"one", b"two", b"three"):
            tls.sendall(part)

    with serving(world, three) as listener, connect(world, listener) as tls:
        buffer = bytearray(5)
        got = b""
        while size := tls.recv_into(buffer):
            got += buffer[:size]
        assert got == b"onetwothree"
        assert tls.recv_into(buffer) == 0


def test_a_byte_at_a_time_is_enough(world: World) -> None:
    with serving(world, lambda tls: tls.sendall(b"slowly")) as listener, connect(world, listener) as tls:
        assert tls.recv(1) == b"s"
        assert tls.pending() == 5
        assert tls.recv(3) == b"low"
        assert tls.recv(0) == b""
        assert tls.recv(100) == b"ly"
        assert tls.send(b"") == 0


def test_files_over_a_connection_read_lines_and_close_it_last(world: World) -> None:
    def lines(tls: TlsSocket) -> None:
        with tls.makefile("rw", encoding="utf-8", newline="\n") as file:
            assert file.readline() == "hello\n"
            file.write("world\n")
            file.flush()

    with serving(world, lines) as listener:
        tls = connect(world, listener)
        reader, writer = tls.makefile("rb"), tls.makefile("wb", buffering=0)
        assert isinstance(reader, io.BufferedReader)
        writer.write(b"hello\n")
        tls.close()
        assert tls.fileno() > 0, "the files still need it"
        assert reader.readline() == b"world\n"
        reader.close()
        writer.close()
        assert tls.fileno() == -1


def test_http_client_speaks_over_it(world: World) -> None:
    def http(tls: TlsSocket) -> None:
        request = tls.makefile("rb")
        while request.readline().strip():
            pass
        request.close()
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    with serving(world, http) as listener:
        connection = http_connection(world, listener)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        connection.close()


def http_connection(world: World, listener: Listener) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("localhost", listener.port, timeout=10)
    connection.sock = connect(world, listener)
    return connection


def test_a_peer_that_hangs_up_is_a_truncation_and_no_end(world: World) -> None:
    def hang_up(tls: TlsSocket) -> None:
        tls.sendall(b"all but")
        tls._sock.shutdown(socket.SHUT_RDWR)
        tls._sock.close()

    with serving(world, hang_up) as listener, connect(world, listener) as tls:
        assert tls.recv() == b"all but"
        with pytest.raises(handclasp.Truncated):
            tls.recv()


def test_an_error_that_came_with_data_is_raised_after_it_and_nobody_waited_for(world: World) -> None:
    def send_both(tls: TlsSocket) -> None:
        tls.connection.send_data(b"data")
        tls._sock.sendall(tls.connection.data_to_send() + b"\x17\x03\x03\x00\x11" + bytes(17))
        with contextlib.suppress(PeerAlert):
            tls.recv()

    with serving(world, send_both) as listener, connect(world, listener) as tls:
        assert tls.recv() == b"data"
        tls.settimeout(5)
        with pytest.raises(BadRecordMac):
            tls.recv()


def test_a_peer_that_stops_talking_runs_into_the_timeout(world: World) -> None:
    done = threading.Event()

    def wait(_: TlsSocket) -> None:
        done.wait(10)

    with serving(world, wait) as listener, connect(world, listener) as tls:
        tls.settimeout(0.05)
        with pytest.raises(TimeoutError):
            tls.recv()
        done.set()


def test_a_server_that_never_answers_runs_into_the_timeout(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(TimeoutError):
            handclasp.connect(("127.0.0.1", port), world.client_config(), server_name="localhost", timeout=0.05)


def test_a_failed_handshake_says_why_on_both_sides(world: World) -> None:
    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:
        errors: list[Exception] = []

        def run() -> None:
            try:
                listener.accept(timeout=10)
            except handclasp.HandclaspError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        with pytest.raises(HostNameMismatch, match=r"other\.example"):
            handclasp.connect(
                ("127.0.0.1", listener.port), world.client_config(), server_name="other.example", timeout=10
            )
        thread.join(10)
    assert isinstance(errors[0], PeerAlert)


def test_an_alert_arrives_though_the_peer_sent_more_than_was_read(world: World) -> None:
    """A socket that is closed over unread bytes resets the connection, and the peer loses the alert."""
    with (
        handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener,
        socket.create_connection(("127.0.0.1", listener.port)) as sock,
    ):
        refused: list[Exception] = []

        def accept() -> None:
            try:
                listener.accept(timeout=10)
            except handclasp.HandclaspError as error:
                refused.append(error)

        thread = threading.Thread(target=accept)
        thread.start()
        sock.settimeout(10)
        sock.sendall(b"\x16\x03\x01\x00\x04\x09\x00\x00\x00" + bytes(1 << 20))
        sock.shutdown(socket.SHUT_WR)
        thread.join(20)
        assert type(refused[0]) is UnexpectedMessage
        assert sock.recv(100) == b"\x15\x03\x01\x00\x02\x02\x0a"
        assert sock.recv(100) == b""


def test_a_server_that_speaks_no_common_version_says_so(world: World) -> None:
    with (
        pytest.raises(NoCommonVersion),
        serving(world, echo, versions=(TLS13,)) as listener,
        pytest.raises(PeerAlert, match="protocol_version"),
    ):
        connect(world, listener, versions=(TLS12,))


def test_a_plain_server_is_called_no_tls(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def greet() -> None:
            sock, _ = plain.accept()
            with sock:
                sock.sendall(b"220 mail.example ESMTP\r\n")
                sock.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(handclasp.PeerError, match="220 mail"):
            handclasp.connect(
                ("127.0.0.1", plain.getsockname()[1]), world.client_config(), server_name="localhost", timeout=10
            )
        thread.join(10)


def test_the_caller_answers_what_the_config_leaves_to_it(world: World) -> None:
    asked: list[VerifyPeer] = []
    config = world.client_config(ask_caller=frozenset({VerifyPeer}))

    def answer(question: VerifyPeer) -> object:
        asked.append(question)
        return DEFAULT_ANSWERS[VerifyPeer](config, question)

    with serving(world, echo) as listener:
        tls = handclasp.connect(
            ("127.0.0.1", listener.port), config, server_name="localhost", answer=answer, timeout=10
        )
        tls.sendall(b"x")
        assert tls.recv() == b"x"
        tls.close()
    assert isinstance(asked[0], VerifyPeer)


def test_a_question_without_anybody_to_answer_is_the_callers_mistake(world: World) -> None:
    config = world.client_config(ask_caller=frozenset({VerifyPeer}))
    with (
        pytest.raises((OSError, handclasp.HandclaspError)),
        serving(world, echo) as listener,
        pytest.raises(QuestionUnanswered, match="VerifyPeer"),
    ):
        handclasp.connect(("127.0.0.1", listener.port), config, server_name="localhost", timeout=10)


def test_keys_are_renewed_over_a_socket(world: World) -> None:
    with serving(world, echo) as listener, connect(world, listener) as tls:
        tls.update_keys()
        tls.sendall(b"new keys")
        assert tls.recv() == b"new keys"
        assert len(tls.export(b"label", None, 16)) == 16


def test_a_peer_that_has_us_answer_and_takes_no_answers_fills_no_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for a new key again and again and reads nothing: once the network is full, one answer waits for all.

    Over a local socket: TCP with so small a buffer drops acknowledgements with what finds no room in it.
    """
    monkeypatch.setattr("handclasp.io.transport.RECEIVE_SIZE", 100)
    wishes = 1000
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)

    def demand() -> TlsSocket:
        tls = Listener(theirs, world.server_config()).wrap(theirs)
        tls.do_handshake(timeout=10)
        for _ in range(wishes):
            tls.connection.update_keys(request_peer=True)
            tls.connection.send_data(b"x")
            theirs.sendall(tls.connection.data_to_send())
        return tls

    demanding = Working(demand)
    with ours, theirs:
        tls = handclasp.connect(ours, world.client_config(), server_name="localhost", timeout=10)
        tls.settimeout(20)
        most = 0
        for _ in range(wishes):
            assert tls.recv() == b"x"
            most = max(most, tls.unsent)
        assert 0 < most < 100
        tls.abort()
        demanding.result().abort()


def test_a_socket_of_the_callers_needs_a_name(world: World) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(handclasp.UsageError, match="server_name"):
        handclasp.connect(ours, world.client_config())


@pytest.mark.parametrize("name", ["", "bad name", "a..b", "a" * 70 + ".example"])
def test_a_name_that_is_none_is_refused_before_anybody_is_called(world: World, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.settimeout(0)
        with pytest.raises(handclasp.UsageError, match="no host name"):
            handclasp.connect((name, nobody.getsockname()[1]), world.client_config())
        with pytest.raises(handclasp.UsageError, match="no host name"):
            handclasp.connect(nobody.getsockname(), world.client_config(), server_name=name)
        with pytest.raises(BlockingIOError):
            nobody.accept()


def test_flags_have_no_meaning(world: World) -> None:
    with serving(world, echo) as listener, connect(world, listener) as tls:
        with pytest.raises(handclasp.UsageError):
            tls.recv(1, socket.MSG_PEEK)
        tls.sendall(b"x")
        assert tls.recv() == b"x"


def test_the_system_s_authorities_do_not_know_ours(world: World) -> None:
    with (
        pytest.raises(PeerAlert, match="unknown_ca"),
        serving(world, echo) as listener,
        pytest.raises(UnknownAuthority),
    ):
        handclasp.connect(("127.0.0.1", listener.port), server_name="localhost", timeout=10)


@BOTH
def test_a_key_log_has_the_lines_that_others_read(world: World, version: ProtocolVersion, tmp_path: Path) -> None:
    """RFC 9850."""
    log = tmp_path / "keys"
    seen: list[object] = []
    with serving(world, echo) as listener:
        tls = handclasp.connect(
            ("127.0.0.1", listener.port),
            world.client_config(versions=(version,)),
            server_name="localhost",
            observer=observe_with(key_log_to(log), seen.append),
            timeout=10,
        )
        tls.close()
    labels = [line.split()[0] for line in log.read_text().splitlines()]
    if version == TLS12:
        assert labels == ["CLIENT_RANDOM"]
    else:
        assert labels[:2] == ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"]
        assert set(labels[2:]) == {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET"}
    assert log.stat().st_mode & 0o077 == 0
    assert len(seen) > 10
