"""One TLS connection over a socket, with the methods that socket users know.

A peer that goes away without close_notify is a `Truncated` error, never an end of file, unless the config allows it.
Threads may read and write at once, several of each too. A timeout is how long a call may last. What every way to end
does, and sockets that do not block, is described in docs/sockets.md.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Self

from handclasp.connection import Connection
from handclasp.endings import ConnectionClosed, DeliveryUncertain, DeliveryWarning
from handclasp.errors import PeerError, UsageError
from handclasp.io import closing, left_open
from handclasp.io.delivered import acknowledged_in_time
from handclasp.io.driver import Driver, QuestionUnanswered
from handclasp.io.outgoing import take_turn
from handclasp.io.plain_socket import PlainSocket
from handclasp.io.session_view import SessionView
from handclasp.io.shape import SocketShape
from handclasp.io.transport import DONT_WAIT, Deadline, SocketTransport
from handclasp.pickling import refuse_copies
from handclasp.record_layer import NotTLS

__all__ = ["QuestionUnanswered", "TlsSocket", "UnreadData"]

SEND_SIZE = 1 << 17
"""Bytes protected at once; more of them at a time make the allocator give memory back and fetch it anew."""
MOST_UNREAD = 1 << 20
"""Bytes that `unwrap` reads and keeps for `recv` while it waits for the peer's close_notify."""


class UnreadData(UsageError):
    """The peer still sends where `unwrap` waits for its end."""

    mend = 'Read until recv gives b"", then call unwrap again.'


class TlsSocket(Driver, SessionView, SocketShape):
    """A TLS connection over a connected stream socket, which is this object's from now on.

    Anything else with `recv`, `sendall` and `close` will do. `answer` is asked the questions that the config leaves
    to its caller (`ask_caller`). Without a `do_handshake` the first call that reads or writes does the handshake,
    and has `handshake_timeout` seconds for it as a whole, None: as long as the call may last.
    """

    def __init__(
        self,
        sock: Any,
        connection: Connection,
        *,
        answer: Callable[[Any], Any] | None = None,
        handshake_timeout: float | None = None,
    ) -> None:
        super().__init__(sock, connection, answer)
        self._gone = self._started = False
        self._handshake_timeout = handshake_timeout
        self._handshake_end: Deadline = None
        self._offset = 0
        """Bytes of the first in `_received` that were taken."""
        self._shaking, self._writing = threading.Lock(), threading.Lock()
        """Held by the one who does the handshake, or writes, and may wait for the peer."""
        self._generation = left_open.Generation.now
        left_open.register(self, self._sock)

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

    def __del__(self) -> None:
        if getattr(self, "_gone", True) or self.fileno() < 0:
            return
        farewell = self.left_open()
        if farewell is not None and not farewell.advance():
            left_open.later(farewell)
        if self._generation == left_open.Generation.now:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)

    # The handshake.

    def do_handshake(self, *, timeout: float | None = None) -> None:
        """Run the handshake to its end; raises the error that ended it, after the alert went out.

        `timeout` in seconds is for the handshake as a whole, however often the peer sends a byte, and whether the
        socket blocks or not; None: as long as a call may last. After a `TimeoutError` or `BlockingIOError` call it
        again to go on.
        """
        self._shake(self._deadline() if timeout is None else time.monotonic() + timeout)

    def _shake(self, deadline: Deadline) -> None:
        try:
            take_turn(self._shaking, deadline)
            try:
                if self.connection.established is not None:
                    return
                self._raise_if_failed()
                if not self._started:
                    self._started = True
                    self._take(self._step(self.connection.start))
                while self.connection.handshaking:
                    self._flush_all(deadline, fresh=False)
                    self._receive(deadline, fresh=False)
                self._flush_all(deadline, fresh=False)
            finally:
                self._shaking.release()
        except TimeoutError:
            raise TimeoutError("The handshake took too long.") from None

    def _shake_first(self, deadline: Deadline) -> None:
        """The handshake within another call."""
        if self.connection.established is not None:
            return
        if self._handshake_timeout is not None:
            if self._handshake_end is None:
                self._handshake_end = time.monotonic() + self._handshake_timeout
            elif time.monotonic() >= self._handshake_end:
                raise TimeoutError("The handshake took too long.")
            deadline = self._handshake_end if deadline is None else min(deadline, self._handshake_end)
        self._shake(deadline)

    def update_keys(self, *, request_peer: bool = True) -> None:
        """Renew our key, and ask the peer to renew its own (RFC 8446, 4.6.3)."""
        with self._writer() as deadline:
            self._step(lambda: self.connection.update_keys(request_peer=request_peer))
            self._flush_all(deadline)

    # Reading.

    def recv(self, size: int = 1 << 16, flags: int = 0) -> bytes:
        """At least one byte, at most `size`; b"" once the peer has said that it sends no more.

        Raises `Truncated` if the connection ends otherwise, and `TimeoutError` after the timeout.
        """
        _no_flags(flags)
        if size < 0:
            raise ValueError("negative buffersize in recv")
        if size == 0:
            return b""
        if not self._reading.acquire(blocking=False):
            take_turn(self._reading, self._deadline())
        try:
            if not self._received and not self._wait_for_data():
                return b""
            first, offset = self._received[0], self._offset
            if len(first) - offset <= size:
                self._received.popleft()
                self._offset = 0
                return first[offset:] if offset else first
            self._offset = offset + size
            return first[offset : offset + size]
        finally:
            self._reading.release()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """The same into a writable buffer; the answer is the number of bytes, 0 at the end."""
        _no_flags(flags)
        view = memoryview(buffer).cast("B")
        if not 0 <= nbytes <= len(view):
            raise ValueError(f"nbytes is {nbytes}; the buffer has {len(view)} bytes.")
        size = nbytes or len(view)
        filled = 0
        if not self._reading.acquire(blocking=False):
            take_turn(self._reading, self._deadline())
        try:
            while filled < size and (self._received or (not filled and self._wait_for_data())):
                first = self._received[0]
                part = min(len(first) - self._offset, size - filled)
                view[filled : filled + part] = memoryview(first)[self._offset : self._offset + part]
                filled += part
                self._offset += part
                if self._offset == len(first):
                    self._received.popleft()
                    self._offset = 0
        finally:
            self._reading.release()
        return filled

    def pending(self) -> int:
        """Bytes that can be read without waiting."""
        return sum(map(len, self._received)) - self._offset

    def _wait_for_data(self) -> bool:
        """Whether there is data, and not the end; the caller reads alone."""
        if self._ended:
            return self._at_the_end()
        deadline = self._deadline()
        fresh = self.connection.established is not None
        if not fresh:
            self._shake_first(deadline)
        while not self._received:
            if self._ended:
                return self._at_the_end()
            self._raise_if_failed()  # it came with data, which was read first
            self._receive(deadline, fresh)
            fresh = False
        return True

    def _at_the_end(self) -> bool:
        """False; a reader whose connection was closed by us has not seen the peer's end."""
        if self._gone and not self.connection.peer_closed:
            raise ConnectionClosed("The connection was closed before its data had come to an end.")
        return False

    # Writing.

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Send all of `data`, in one piece. A peer that takes no more and said why is a `PeerAlert`.

        After a `TimeoutError` some of it was sent and some is waiting; how much cannot be told, as with any
        socket. The connection stays in order: what waits goes first when more is sent, or with `flush` or `close`.
        """
        _no_flags(flags)
        view = memoryview(data).cast("B")
        deadline = self._deadline()
        if not self._writing.acquire(blocking=False):
            take_turn(self._writing, deadline)
        try:
            if self.connection.established is None:
                self._shake_first(deadline)
            for at in range(0, len(view), SEND_SIZE):
                self._seal(view[at : at + SEND_SIZE])
                self._flush(deadline, fresh=not at)
        finally:
            self._writing.release()

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Send `data`; the answer is how many bytes of it were taken: all, where the socket has no timeout.

        Where it has one, or does not block, up to 128 KiB are taken once nothing of an earlier call waits any more;
        else that is a `TimeoutError` or `BlockingIOError`. What the network does not take in time waits in `unsent`,
        and goes with the next call, with `flush` or with `close`.
        """
        if self.gettimeout() is None:
            self.sendall(data, flags)
            return memoryview(data).nbytes
        _no_flags(flags)
        part = memoryview(data).cast("B")[:SEND_SIZE]
        with self._writer() as deadline:
            self._flush(deadline)
            self._seal(part)
            with contextlib.suppress(TimeoutError, BlockingIOError):
                self._flush(deadline, fresh=False)
        return len(part)

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent: after a timeout, or because the socket does not block."""
        return len(self._outgoing)

    def flush(self) -> None:
        """Send what waits."""
        with self._writer() as deadline:
            self._flush_all(deadline)

    @contextlib.contextmanager
    def _writer(self) -> Iterator[Deadline]:
        """Write alone, until the deadline of this call."""
        deadline = self._deadline()
        take_turn(self._writing, deadline)
        try:
            self._shake_first(deadline)
            yield deadline
        finally:
            self._writing.release()

    # Ending.

    def shutdown(self, how: int = socket.SHUT_WR) -> None:
        """End one direction or both, in TLS: the socket below stays open until `close`.

        `SHUT_WR` says close_notify, and reading goes on; `SHUT_RD` reads no more. `SHUT_RDWR` does both. Threads that
        wait in the direction that ends wake up.
        """
        deadline = self._deadline()
        if how != socket.SHUT_WR:
            self._ended = True
        if how != socket.SHUT_RD:
            self._say_goodbye()
            if not self._writing.locked():
                self._flush(deadline)
        if how == socket.SHUT_WR or not isinstance(self._transport, SocketTransport):
            return
        if self._reading.locked() or (how == socket.SHUT_RDWR and self._writing.locked()):
            self._wake(how, deadline)

    def _wake(self, how: int, deadline: Deadline) -> None:
        """Shut the socket itself, which wakes whoever waits for it.

        Once it reads no more, what comes resets the connection: so what was sent before has to be with the peer.
        """
        if not self._writing.locked():
            end = time.monotonic() + closing.PATIENCE if deadline is None else deadline
            if not acknowledged_in_time(self._sock, self._trailing, end):
                raise DeliveryUncertain("The peer has not yet taken all that was sent; call shutdown again, or close.")
        try:
            self._sock.shutdown(how)
        except OSError:
            self._hear_why(deadline)
            raise

    def unwrap(self) -> Any:
        """End TLS and give the socket back, to go on in clear text (RFC 4217, CCC; the way back from STARTTLS).

        Says close_notify and waits for the peer's; what the peer sent before is still there for `recv`. Where the
        peer went on in clear text at once, the answer is a `PlainSocket`, which gives those bytes first; else it is
        the socket itself. Raises `Truncated` where the connection ends instead.
        """
        with self._writer() as deadline:
            self._say_goodbye()
            self._flush(deadline)
        take_turn(self._reading, deadline)
        try:
            while not self.connection.peer_closed:
                self._raise_if_failed()
                if self.pending() > MOST_UNREAD:
                    raise UnreadData("The peer goes on sending; its close_notify has not come.")
                # No more than this record: what is behind the last one is not ours to read.
                self._receive(deadline, fresh=False, size=self.connection.bytes_wanted)
        finally:
            self._reading.release()
        self._closed = True
        self._go()
        rest = self.connection.unused_data
        return PlainSocket(self._sock, rest) if rest else self._sock

    def detach(self) -> int:
        """The descriptor of the socket below, which stays open; this object is closed and nothing is said."""
        self._closed = True
        self._go()
        number: int = self._sock.detach()
        return number

    def close(self) -> None:
        """Say close_notify, and close the socket once the peer has taken all, and no file of `makefile` needs it.

        Waits for that as long as the timeout says, or until the peer has taken nothing for 30 seconds, and raises
        `DeliveryUncertain` where something may have been lost (after a `shutdown`, or of a socket that does not block,
        it is a `DeliveryWarning`). A peer that has all has another 2 seconds to end as well.
        """
        self._closed = True
        if self._io_refs <= 0:
            self._really_close()

    def abort(self) -> None:
        """Close the socket and say nothing: the peer sees that something is missing. So ends `with` on an error.

        What was sent, or our alert, has up to 2 seconds to arrive.
        """
        self._closed = True
        if self._gone:
            return
        error = self.connection.error
        alerting = isinstance(error, PeerError) and not isinstance(error, NotTLS)
        self._end(linger=closing.LINGER if alerting else 0.0, patience=closing.LINGER, most=closing.LINGER)

    def left_open(self) -> closing.Farewell | None:
        """What ends a connection that nobody closed; None: nothing to do, or done.

        What was sent arrives, and no close_notify is said: who forgets a connection may have been cut short himself.
        """
        if self._gone:
            return None
        self._closed = True
        self._go()
        if not isinstance(self._sock, socket.socket):
            return None
        if not self._started or self._generation != left_open.Generation.now:
            self._sock.close()
            return None
        waiting: list[memoryview] = []
        if isinstance(self._transport, SocketTransport):
            with contextlib.suppress(BlockingIOError):  # a thread that nobody waits for is sending them
                waiting = self._outgoing.take_all(DONT_WAIT)
        return closing.Farewell(
            self._sock,
            waiting,
            control=self._trailing,
            linger=closing.LINGER,
            patience=closing.PATIENCE,
            most=closing.MOST_PATIENCE,
        )

    def _go(self) -> None:
        self._gone = self._ended = True
        left_open.forget(self)

    def _really_close(self) -> None:
        if self._gone:
            return
        stepwise = self.connection.write_closed
        self._say_goodbye()
        error = self._end(linger=closing.LINGER, patience=closing.PATIENCE, most=closing.MOST_PATIENCE)
        if error is None or self._told or self.connection.error is not None:
            return
        if stepwise:
            warnings.warn(str(error), DeliveryWarning, stacklevel=3)
        else:
            raise error

    def _end(self, *, linger: float, patience: float, most: float) -> DeliveryUncertain | None:
        self._go()
        if not self._started:
            self._sock.close()  # of this process: whoever has it from a fork goes on
            return None

        def end() -> DeliveryUncertain | None:
            farewell, error = closing.end(
                self._transport, self._outgoing, control=self._trailing, linger=linger, patience=patience, most=most
            )
            if farewell is not None:
                left_open.later(farewell)
            return error

        if self._transport.gettimeout() != 0 or isinstance(self._transport, SocketTransport):
            return end()
        left_open.in_background(end)
        return None


def _no_flags(flags: int) -> None:
    if flags:
        raise UsageError("Flags have no meaning for TLS.")
