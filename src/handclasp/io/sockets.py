"""TLS over blocking sockets, with the methods that socket users know.

    with handclasp.connect(("example.com", 443)) as tls:
        tls.sendall(b"...")
        tls.recv(4096)

A peer that goes away without close_notify is a `Truncated` error, never an end of file. Reading
and writing may go on in two threads at once; two readers or two writers may not.
"""

from __future__ import annotations

import io
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from handclasp.config import ClientConfig, ServerConfig
from handclasp.connection import ClientConnection, Connection, ServerConnection
from handclasp.errors import UsageError
from handclasp.events import Asked, DataReceived, Event
from handclasp.facts import Observer
from handclasp.handshake.established import Established
from handclasp.wire.iana import CipherSuite, NamedGroup, ProtocolVersion
from handclasp.x509 import Report, TrustStore

__all__ = ["Listener", "TlsSocket", "connect", "listen"]

Address = tuple[Any, ...]
RECEIVE_SIZE = 1 << 18
"""Bytes asked of the transport at once: about sixteen full records."""
SEND_SIZE = 1 << 17
"""Bytes protected at once; more of them at a time make the allocator give memory back and fetch it anew."""


class QuestionUnanswered(UsageError):
    """The config leaves a question to the caller and `answer` was not given."""


class TlsSocket:
    """A TLS connection over a connected stream socket.

    `answer` is asked the questions that the config leaves to its caller (`ask_caller`).
    """

    def __init__(
        self, sock: socket.socket, connection: Connection, *, answer: Callable[[Any], Any] | None = None
    ) -> None:
        self._sock = sock
        self.connection = connection
        """The engine; its facts are the truth behind this object."""
        self._answer = answer
        self._received: deque[bytes] = deque()
        self._offset = 0
        self._ended = False
        self._engine = threading.RLock()
        self._io_refs = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<TlsSocket {self.connection!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The handshake.

    def do_handshake(self) -> None:
        """Run the handshake to its end; raises the error that ended it, after the alert went out."""
        try:
            self._take(self._step(self.connection.start))
            while self.connection.handshaking:
                self._receive()
        except Exception:
            self._send_pending_alert()
            raise

    @property
    def session(self) -> Established:
        """What the handshake agreed on; raises `UsageError` before it is done."""
        established = self.connection.established
        if established is None:
            raise UsageError("The handshake is not done.")
        return established

    @property
    def version(self) -> ProtocolVersion:
        """The protocol's version."""
        return self.session.version

    @property
    def cipher_suite(self) -> CipherSuite:
        """The cipher suite."""
        return self.session.cipher_suite

    @property
    def group(self) -> NamedGroup | None:
        """The key exchange's group; None where a session was resumed without one."""
        return self.session.group

    @property
    def alpn(self) -> str | None:
        """The application protocol, where one was agreed on."""
        return self.session.alpn

    @property
    def resumed(self) -> bool:
        """Whether an earlier session was resumed."""
        return self.session.resumed

    @property
    def peer_report(self) -> Report | None:
        """The verdict on the peer's certificates; None where it showed none."""
        return self.session.peer_report

    def export(self, label: bytes, context: bytes | None, length: int) -> bytes:
        """Keying material for others (RFC 8446, 7.5; RFC 5705)."""
        return self.connection.export(label, context, length)

    def update_keys(self, *, request_peer: bool = True) -> None:
        """Renew our key, and ask the peer to renew its own (RFC 8446, 4.6.3)."""
        with self._engine:
            self.connection.update_keys(request_peer=request_peer)
            self._flush()

    # Reading.

    def recv(self, size: int = 1 << 16, flags: int = 0) -> bytes:
        """At least one byte, at most `size`; b"" once the peer has said that it sends no more.

        Raises `Truncated` if the connection ends otherwise, and `TimeoutError` after the timeout.
        """
        _no_flags(flags)
        if size <= 0 or not self._wait_for_data():
            return b""
        first, offset = self._received[0], self._offset
        if len(first) - offset <= size:
            self._received.popleft()
            self._offset = 0
            return first[offset:] if offset else first
        self._offset = offset + size
        return first[offset : offset + size]

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """The same into a writable buffer; the answer is the number of bytes, 0 at the end."""
        _no_flags(flags)
        view = memoryview(buffer).cast("B")
        size = nbytes or len(view)
        filled = 0
        while filled < size and (self._received or (not filled and self._wait_for_data())):
            first = self._received[0]
            part = min(len(first) - self._offset, size - filled)
            view[filled : filled + part] = memoryview(first)[self._offset : self._offset + part]
            filled += part
            self._offset += part
            if self._offset == len(first):
                self._received.popleft()
                self._offset = 0
        return filled

    def pending(self) -> int:
        """Bytes that can be read without waiting."""
        return sum(map(len, self._received)) - self._offset

    def _wait_for_data(self) -> bool:
        while not self._received:
            if self._ended:
                return False
            self._receive()
        return True

    def _receive(self) -> None:
        data = self._sock.recv(RECEIVE_SIZE)
        try:
            if data:
                self._take(self._step(lambda: self.connection.receive_data(data)))
            else:
                self._take(self._step(self.connection.receive_eof))
        except Exception:
            self._send_pending_alert()
            raise

    def _step(self, step: Callable[[], list[Event]]) -> list[Event]:
        with self._engine:
            events = step()
            self._flush()
            return events

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is DataReceived:
                self._received.append(event.data)
            elif type(event) is Asked:
                if self._answer is None:
                    raise QuestionUnanswered(
                        f"The config leaves {type(event.question).__name__} to the caller; pass `answer`."
                    )
                question, reply = event.question, self._answer(event.question)
                self._take(self._step(lambda: self.connection.answer(question, reply)))  # noqa: B023
        if self.connection.peer_closed:
            self._ended = True

    # Writing.

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Send all of `data`."""
        _no_flags(flags)
        view = memoryview(data).cast("B")
        for at in range(0, len(view), SEND_SIZE):
            with self._engine:
                self.connection.send_data(view[at : at + SEND_SIZE])
                self._flush()

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Send all of `data`; the answer is its size in bytes."""
        self.sendall(data, flags)
        return memoryview(data).nbytes

    def _flush(self) -> None:
        data = self.connection.data_to_send()
        if data:
            self._sock.sendall(data)

    def _send_pending_alert(self) -> None:
        try:
            with self._engine:
                self._flush()
        except OSError:
            pass  # the peer is gone already; the error that led here tells more

    # Ending.

    def shutdown(self, how: int = socket.SHUT_WR) -> None:
        """Say close_notify: we send no more. Reading goes on with `SHUT_WR`."""
        with self._engine:
            self.connection.close()
            self._flush()
        if how == socket.SHUT_WR:
            self._sock.shutdown(socket.SHUT_WR)
        else:
            self._ended = True
            self._sock.shutdown(how)

    def close(self) -> None:
        """Say close_notify and close the socket, once the files made of it are closed too."""
        self._closed = True
        if self._io_refs <= 0:
            self._really_close()

    def _really_close(self) -> None:
        if self._sock.fileno() < 0:
            return
        try:
            with self._engine:
                self.connection.close()
                self._flush()
        except OSError:
            pass  # the peer is gone; there is nobody to say it to
        self._sock.close()

    def makefile(
        self, mode: str = "r", buffering: int = -1, *, encoding: str | None = None, newline: str | None = None
    ) -> Any:
        """A file over the connection, as `socket.makefile` makes it."""
        raw = socket.SocketIO(self, "".join(sorted(set(mode) & {"r", "w"})))  # type: ignore[arg-type]
        self._io_refs += 1
        size = io.DEFAULT_BUFFER_SIZE if buffering < 0 else buffering
        if size == 0:
            return raw
        buffered: Any
        if "r" in mode and "w" in mode:
            buffered = io.BufferedRWPair(raw, raw, size)
        else:
            buffered = io.BufferedReader(raw, size) if "r" in mode else io.BufferedWriter(raw, size)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding=encoding, newline=newline)

    def _decref_socketios(self) -> None:
        """Called by `socket.SocketIO` when a file is closed."""
        self._io_refs -= 1
        if self._closed and self._io_refs <= 0:
            self._really_close()

    # As sockets have it.

    def settimeout(self, seconds: float | None) -> None:
        """Seconds that one wait for the peer may last; None: for ever."""
        self._sock.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """The timeout in seconds."""
        return self._sock.gettimeout()

    def fileno(self) -> int:
        """The descriptor of the socket below, -1 once closed."""
        return self._sock.fileno()

    def getpeername(self) -> Any:
        """The peer's address."""
        return self._sock.getpeername()

    def getsockname(self) -> Any:
        """Our own address."""
        return self._sock.getsockname()

    def setsockopt(self, *arguments: Any) -> None:
        """Set an option of the socket below."""
        self._sock.setsockopt(*arguments)


class Listener:
    """A listening socket whose connections are TLS."""

    def __init__(
        self, sock: socket.socket, config: ServerConfig, *, answer: Callable[[Any], Any] | None = None
    ) -> None:
        self._sock = sock
        self.config = config
        self._answer = answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._sock.getsockname()[1]
        return port

    def accept_raw(self) -> tuple[TlsSocket, Any]:
        """The next connection, its handshake yet to be done: `do_handshake`, best in a thread of its own."""
        sock, address = self._sock.accept()
        return self.wrap(sock), address

    def accept(self, *, timeout: float | None = 30.0, observer: Observer | None = None) -> tuple[TlsSocket, Any]:
        """The next connection, its handshake done; raises the error that ended it.

        `timeout` in seconds is for each wait of the handshake, and taken off after it.
        """
        sock, address = self._sock.accept()
        sock.settimeout(timeout)
        tls = self.wrap(sock, observer=observer)
        try:
            tls.do_handshake()
        except BaseException:
            sock.close()
            raise
        tls.settimeout(None)
        return tls, address

    def wrap(self, sock: socket.socket, *, observer: Observer | None = None) -> TlsSocket:
        """TLS over an accepted socket, its handshake yet to be done."""
        _no_delay(sock)
        return TlsSocket(sock, ServerConnection(self.config, observer=observer), answer=self._answer)

    def settimeout(self, seconds: float | None) -> None:
        """Seconds that `accept` waits for a connection; None: for ever."""
        self._sock.settimeout(seconds)

    def fileno(self) -> int:
        """The descriptor of the socket below."""
        return self._sock.fileno()

    def close(self) -> None:
        """Take no more connections."""
        self._sock.close()


def connect(
    address: Address | socket.socket,
    config: ClientConfig | None = None,
    *,
    server_name: str | None = None,
    timeout: float | None = 30.0,
    observer: Observer | None = None,
    answer: Callable[[Any], Any] | None = None,
) -> TlsSocket:
    """Connect to `(host, port)`, or use a connected socket, and do the handshake.

    Without a config the system's authorities are trusted. `server_name` is the host unless it is
    given; over a socket of yours it has to be. `timeout` in seconds is for each wait while
    connecting; after the handshake there is none. Raises `OSError` for the network and the error
    of the handshake for TLS.
    """
    if isinstance(address, socket.socket):
        sock = address
        if server_name is None:
            raise UsageError("server_name: name the server when you bring the socket yourself.")
    else:
        host = str(address[0])
        server_name = host if server_name is None else server_name
        sock = socket.create_connection((host, int(address[1])), timeout)
    try:
        _no_delay(sock)
        config = config or ClientConfig(trust=TrustStore.system())
        connection = ClientConnection(config, server_name=server_name, observer=observer)
        tls = TlsSocket(sock, connection, answer=answer)
        sock.settimeout(timeout)
        tls.do_handshake()
    except BaseException:
        sock.close()
        raise
    tls.settimeout(None)
    return tls


def listen(
    address: Address,
    config: ServerConfig,
    *,
    backlog: int = 128,
    answer: Callable[[Any], Any] | None = None,
) -> Listener:
    """Listen on `(host, port)`; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in str(address[0]) else socket.AF_INET
    sock = socket.create_server((str(address[0]), int(address[1])), family=family, backlog=backlog)
    return Listener(sock, config, answer=answer)


def _no_delay(sock: socket.socket) -> None:
    """Handshake flights are whole messages; waiting to fill packets only delays them."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _no_flags(flags: int) -> None:
    if flags:
        raise UsageError("Flags have no meaning for TLS.")
