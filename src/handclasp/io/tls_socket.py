"""One TLS connection over a socket, with the methods that socket users know.

A peer that goes away without close_notify is a `Truncated` error, never an end of file. Reading
and writing may go on in two threads at once, however much both sides send; two readers or two
writers may not. Timeouts and non-blocking sockets are described in docs/sockets.md.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Self

from handclasp.connection import Connection
from handclasp.endings import Truncated
from handclasp.errors import HandclaspError, PeerError, UsageError
from handclasp.events import Asked, DataReceived, Event
from handclasp.handshake.established import Established
from handclasp.io.outgoing import Outgoing, wait_for
from handclasp.pickling import refuse_copies
from handclasp.record_layer import NotTLS
from handclasp.wire.iana import CipherSuite, NamedGroup, ProtocolVersion
from handclasp.x509 import Report

__all__ = ["QuestionUnanswered", "TlsSocket"]

RECEIVE_SIZE = 1 << 18
"""Bytes asked of the transport at once: about sixteen full records."""
MOST_WAITING = 1 << 20
"""Bytes that may wait to be sent before no more are read."""
LINGER = 1.0
"""Seconds that a peer has to take our alert before the socket is closed."""
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
        self._started = False
        self._deadline: float | None = None
        self._outgoing = Outgoing(sock)
        self._engine = threading.RLock()
        """Held while the engine works, never while the network is waited for."""
        self._reading = threading.Lock()
        """Held by the one who waits for the peer."""
        self._io_refs = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<TlsSocket {self.connection!r}>"

    def __reduce__(self) -> NoReturn:
        refuse_copies(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    # The handshake.

    def do_handshake(self, *, timeout: float | None = None) -> None:
        """Run the handshake to its end; raises the error that ended it, after the alert went out.

        `timeout` in seconds is for the handshake as a whole, however often the peer sends a byte; None leaves
        each wait to the socket's own timeout. After a `TimeoutError` or `BlockingIOError` call it again to go on.
        """
        before = self._sock.gettimeout()
        self._deadline = None if timeout is None else time.monotonic() + timeout
        try:
            if not self._started:
                self._started = True
                self._take(self._step(self.connection.start))
            while self.connection.handshaking:
                self._receive()
            self._heed_deadline()
            self._flush()
        finally:
            if self._deadline is not None:
                self._deadline = None
                if self._sock.fileno() >= 0:
                    self._sock.settimeout(before)

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
        self._step(lambda: self.connection.update_keys(request_peer=request_peer))
        self._flush()

    # Reading.

    def recv(self, size: int = 1 << 16, flags: int = 0) -> bytes:
        """At least one byte, at most `size`; b"" once the peer has said that it sends no more.

        Raises `Truncated` if the connection ends otherwise, and `TimeoutError` after the timeout.
        """
        _no_flags(flags)
        if size < 0:
            raise ValueError("negative buffersize in recv")
        if size == 0 or not self._wait_for_data():
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
        if not 0 <= nbytes <= len(view):
            raise ValueError(f"nbytes is {nbytes}; the buffer has {len(view)} bytes.")
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
        with self._reading:
            while not self._received:
                if self._ended:
                    return False
                if self.connection.error is not None:
                    raise self.connection.error  # it came with data, which was read first
                self._receive()
            return True

    def _receive(self) -> None:
        """Wait for bytes and let the engine have them; what waits to go out goes meanwhile.

        While much waits nothing is read: a peer that has us answer and takes no answer would fill our memory.
        """
        self._heed_deadline()
        while (full := len(self._outgoing) > MOST_WAITING) or self._outgoing.stuck:
            timeout = self._sock.gettimeout()
            readable, writable = wait_for(self._sock, read=not full, write=True, timeout=timeout)
            if writable:
                self._send_what_goes()
            elif full and timeout == 0:
                raise BlockingIOError(errno.EAGAIN, "Too many bytes wait to be sent.")
            elif not readable and timeout != 0:
                raise TimeoutError("timed out")
            if readable or not writable:
                break
        data = self._sock.recv(RECEIVE_SIZE)
        if data:
            self._take(self._step(lambda: self.connection.receive_data(data)))
        elif not self._ended:
            self._take(self._step(self.connection.receive_eof))

    def _heed_deadline(self) -> None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("The handshake took too long.")
            self._sock.settimeout(left)

    def _step(self, step: Callable[[], Any]) -> Any:
        """Let the engine do something, and send what comes of it; an alert too, where it fails."""
        try:
            with self._engine:
                try:
                    return step()
                finally:
                    self._collect()
        finally:
            self._send_what_goes()

    def _collect(self) -> None:
        data = self.connection.data_to_send()
        if data:
            self._outgoing.put(data)

    def _send_what_goes(self) -> None:
        try:
            self._outgoing.flush_some()
        except OSError:
            self._outgoing.clear()  # the peer takes no more; what it said before tells more than this does

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
                self._take(self._step(lambda: self.connection.answer(question, reply)))  # noqa: B023  # called at once
        if self.connection.peer_closed:
            self._ended = True

    # Writing.

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Send all of `data`. A peer that takes no more and said why is a `PeerAlert`, else a `ConnectionError`.

        After a `TimeoutError` some of it was sent and some is waiting; how much cannot be told, as with any
        socket. The connection stays in order: what waits goes first when more is sent.
        """
        _no_flags(flags)
        view = memoryview(data).cast("B")
        for at in range(0, len(view), SEND_SIZE):
            self._seal(view[at : at + SEND_SIZE])
            self._flush()

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Send `data`; the answer is how many bytes of it were taken: all, where the socket blocks.

        A non-blocking socket takes them once nothing waits any more, else raises `BlockingIOError`; what the
        network does not take at once then waits in `unsent`, to go with the next call or with `flush`.
        """
        if self._sock.gettimeout() != 0:
            self.sendall(data, flags)
            return memoryview(data).nbytes
        _no_flags(flags)
        self._outgoing.flush_some()
        if self._outgoing.stuck:
            raise BlockingIOError(errno.EAGAIN, "Bytes of an earlier call wait to be sent.")
        part = memoryview(data).cast("B")[:SEND_SIZE]
        self._seal(part)
        self._outgoing.flush_some()
        return len(part)

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent: after a timeout, or because the socket does not block."""
        return len(self._outgoing)

    def flush(self) -> None:
        """Send what waits."""
        self._flush()

    def _flush(self) -> None:
        try:
            self._outgoing.flush()
        except ConnectionError:
            self._outgoing.clear()
            self._hear_why()
            raise

    def _hear_why(self) -> None:
        """The peer takes no more: raise the reason that it gave, if it gave one and nobody else is reading."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            while not self._ended and wait_for(self._sock, write=False, timeout=0)[0]:
                self._receive()
        except HandclaspError as error:
            if not isinstance(error, Truncated):
                raise
        except OSError:
            return
        finally:
            self._reading.release()

    def _seal(self, data: memoryview) -> None:
        with self._engine:
            self.connection.send_data(data)
            self._collect()

    # Ending.

    def shutdown(self, how: int = socket.SHUT_WR) -> None:
        """End one direction or both. `SHUT_WR` says close_notify, and reading goes on; `SHUT_RD` reads no more."""
        if how != socket.SHUT_WR:
            self._ended = True
        if how != socket.SHUT_RD:
            self._step(self.connection.close)
        if how == socket.SHUT_WR:
            self._flush()
        try:
            self._sock.shutdown(how)
        except OSError:
            self._hear_why()
            raise

    def close(self) -> None:
        """Say close_notify and close the socket, once the files made of it are closed too."""
        self._closed = True
        if self._io_refs <= 0:
            self._really_close()

    def abort(self) -> None:
        """Close the socket and say nothing: the peer sees that something is missing. So ends `with` on an error.

        Where our alert is on its way, the peer has up to a second to take it and go.
        """
        self._closed = True
        if isinstance(self.connection.error, PeerError) and not isinstance(self.connection.error, NotTLS):
            self._let_alert_arrive()
        self._sock.close()

    def _let_alert_arrive(self) -> None:
        """Read off what still comes: a socket closed over unread bytes resets the connection, and the alert is lost."""
        deadline = time.monotonic() + LINGER
        try:
            self._sock.shutdown(socket.SHUT_WR)
            while self._sock.gettimeout() != 0 and (left := deadline - time.monotonic()) > 0:
                self._sock.settimeout(left)
                if not self._sock.recv(RECEIVE_SIZE):
                    return
        except OSError:
            pass  # the peer is gone, or has not gone in time

    def _really_close(self) -> None:
        if self._sock.fileno() < 0:
            return
        try:
            self._step(self.connection.close)
            if self._outgoing.stuck:
                self._outgoing.flush()
        except OSError:
            pass  # the peer is gone, or takes nothing in time; there is nobody to say it to
        self._sock.close()

    def makefile(
        self,
        mode: str = "r",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """A file over the connection; the very function of `socket.socket`."""
        return socket.socket.makefile(
            self,  # type: ignore[call-overload]  # a socket in all that the function asks for
            mode,
            buffering,
            encoding=encoding,
            errors=errors,
            newline=newline,
        )

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

    def setblocking(self, flag: bool) -> None:
        """Whether to wait for the peer at all; see docs/sockets.md for what a socket does that does not."""
        self._sock.setblocking(flag)

    def getblocking(self) -> bool:
        """Whether calls wait for the peer."""
        return self._sock.getblocking()

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

    def getsockopt(self, *arguments: Any) -> Any:
        """An option of the socket below."""
        return self._sock.getsockopt(*arguments)

    @property
    def family(self) -> int:
        """The address family of the socket below."""
        return self._sock.family


def _no_flags(flags: int) -> None:
    if flags:
        raise UsageError("Flags have no meaning for TLS.")
