"""What carries the bytes below TLS: a socket of the system's, or anything with `recv` and `sendall`.

Of a socket it can be asked without waiting whether it can be read or written, so that one thread may do both and
a reader never waits to write. Of another TLS connection, an `ssl.SSLSocket`, an SSH channel or a pair of pipes it
cannot: what its descriptor says is not what it holds. There what a reader has to say waits for the next writer.
"""

from __future__ import annotations

import contextlib
import errno
import math
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

from handclasp.errors import UsageError

__all__ = [
    "DONT_WAIT",
    "Deadline",
    "SocketTransport",
    "StreamTransport",
    "deadline_after",
    "out_of_time",
    "time_left",
    "transport_over",
    "wait_for",
]

Deadline = float | None
"""When a call has to be over, by `time.monotonic`; None: never."""
DONT_WAIT = -math.inf
"""The deadline of a call on a socket that does not block."""
RECEIVE_SIZE = 1 << 18
"""Bytes asked of the transport at once: about sixteen full records."""
STREAM_SIZE = 1 << 16
"""Bytes given at once to a transport that is no socket."""
AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)


def deadline_after(seconds: float | None) -> Deadline:
    """The deadline of a call that begins now and may last so long; 0: it may not wait at all."""
    if seconds is None:
        return None
    return time.monotonic() + seconds if seconds else DONT_WAIT


def time_left(deadline: Deadline) -> float | None:
    """Seconds that are left, 0 where none are; None: as many as one likes."""
    return None if deadline is None else max(deadline - time.monotonic(), 0)


def out_of_time(deadline: Deadline, what: str = "timed out") -> OSError:
    """What a call raises that cannot wait, or not any longer."""
    if deadline == DONT_WAIT:
        return BlockingIOError(errno.EAGAIN, "It would have to wait, and the socket does not block.")
    return TimeoutError(what)


class SocketTransport:
    """A stream socket of the system's."""

    __slots__ = ("gettimeout", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.gettimeout = sock.gettimeout

    def receive(self, deadline: Deadline, fresh: bool, size: int = 0) -> bytes:
        """Some bytes, at most `size` where it is given, b"" at the end.

        `fresh`: the call has not waited yet, so that the socket's own timeout will do.
        """
        if deadline is not None and not fresh:
            self.wait(deadline, write=False)
        return self.sock.recv(size or RECEIVE_SIZE)

    def send(self, data: memoryview, deadline: Deadline, fresh: bool) -> int:
        """Send some of the bytes; how many."""
        if deadline is None:
            return self.sock.send(data)
        if not fresh:
            self.wait(deadline, read=False)
        return self.sock.send(data, AT_ONCE)

    def send_at_once(self, data: memoryview) -> int:
        """Send what goes without waiting; how many bytes did."""
        if not wait_for(self.sock, write=True, read=False, timeout=0)[1]:
            return 0
        return self.sock.send(data, AT_ONCE)

    def wait(self, deadline: Deadline, *, read: bool = True, write: bool = True) -> tuple[bool, bool]:
        """Wait until it can be read or written, as asked; raises once the deadline has come."""
        left = time_left(deadline)
        if left != 0 or deadline == DONT_WAIT:
            ready = wait_for(self.sock, read=read, write=write, timeout=left)
            if any(ready):
                return ready
        raise out_of_time(deadline)


class StreamTransport:
    """Anything with `recv` and `sendall`, and `close`; `send`, `pending` and timeouts are used where there are any."""

    __slots__ = ("sock",)

    def __init__(self, stream: Any) -> None:
        self.sock = stream
        if missing := [name for name in ("recv", "sendall", "close") if not callable(getattr(stream, name, None))]:
            raise UsageError(
                f"{type(stream).__name__} cannot carry TLS: it has no {' and no '.join(missing)}."
                " Give a connected socket, or an object with recv, sendall and close."
            )

    def gettimeout(self) -> float | None:
        """Its timeout in seconds; None where it has none."""
        found: float | None = self.sock.gettimeout() if hasattr(self.sock, "gettimeout") else None
        return found

    def receive(self, deadline: Deadline, fresh: bool, size: int = 0) -> bytes:
        """Some bytes, and all that it holds beyond them, so that whoever waits for its descriptor misses nothing."""
        with self._within(deadline, fresh):
            data: bytes = self.sock.recv(size or RECEIVE_SIZE)
            pending = None if size else getattr(self.sock, "pending", None)
            while data and pending is not None and len(data) < RECEIVE_SIZE and (more := pending()):
                data += self.sock.recv(more)
        return data

    def send(self, data: memoryview, deadline: Deadline, fresh: bool) -> int:
        """Send some of the bytes; how many. Without a `send` of its own nobody can tell how many before a timeout."""
        part = bytes(data[:STREAM_SIZE])
        with self._within(deadline, fresh):
            if not hasattr(self.sock, "send"):
                self.sock.sendall(part)
                return len(part)
            sent: int = self.sock.send(part)
            return sent

    @contextlib.contextmanager
    def _within(self, deadline: Deadline, fresh: bool) -> Iterator[None]:
        """Let one call of its own last until the deadline."""
        before = self.gettimeout()
        limited = not fresh and deadline is not None and deadline != DONT_WAIT and hasattr(self.sock, "settimeout")
        if limited:
            left = time_left(deadline)
            if not left:
                raise out_of_time(deadline)
            self.sock.settimeout(left)
        try:
            yield
        except OSError as error:
            if type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError"):
                raise out_of_time(DONT_WAIT) from None  # so an `ssl.SSLSocket` that does not block says it
            raise
        finally:
            if limited:
                with contextlib.suppress(OSError):  # closed meanwhile
                    self.sock.settimeout(before)


def transport_over(sock: Any) -> SocketTransport | StreamTransport:
    """The way to carry bytes over a socket, or over something that behaves like one."""
    kind = type(sock)
    if isinstance(sock, socket.socket) and kind.recv is socket.socket.recv and kind.send is socket.socket.send:
        return SocketTransport(sock)
    return StreamTransport(sock)


def wait_for(sock: socket.socket, *, read: bool = True, write: bool, timeout: float | None) -> tuple[bool, bool]:
    """Wait until a socket can be read or written, as asked; (readable, writable), neither after the timeout.

    A closed or broken socket is both: the call that follows tells what is wrong with it.
    """
    if sock.fileno() < 0:
        return True, True
    if not hasattr(select, "poll"):
        ready = select.select([sock] if read else [], [sock] if write else [], [], timeout)
        return bool(ready[0]), bool(ready[1])
    poller = select.poll()
    poller.register(sock, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
    found = poller.poll(None if timeout is None else math.ceil(timeout * 1000))
    flags = found[0][1] if found else 0
    broken = bool(flags & (select.POLLERR | select.POLLHUP | select.POLLNVAL))
    return broken or bool(flags & select.POLLIN), broken or bool(flags & select.POLLOUT)
