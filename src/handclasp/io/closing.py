"""How a connection ends below TLS: what was accepted arrives, or somebody is told.

A socket that is closed over bytes that nobody read resets the connection (RFC 1122, 4.2.2.13), and what was on its way
to the peer is lost; a server's tickets, which a client that only writes never reads, are enough. So an end is a
`Farewell`: send what waits, shut the write side, read on and throw away until the peer has taken all and ended too.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections import deque
from typing import Any

from handclasp.endings import DeliveryUncertain
from handclasp.io.delivered import LONG, SHORT, can_reset, late_acknowledgement, unacknowledged
from handclasp.io.outgoing import Outgoing
from handclasp.io.shape import SocketShape
from handclasp.io.transport import AT_ONCE, RECEIVE_SIZE, SocketTransport, StreamTransport, deadline_after

__all__ = ["LINGER", "PATIENCE", "Farewell", "end", "finish"]

PATIENCE, MOST_PATIENCE = 30.0, 300.0
"""Seconds in which a peer has to take some more of what was sent, and all of it, where the socket has no timeout."""
LINGER = 2.0
"""Seconds without a byte, after which a peer that has taken all is waited for no longer."""
MOST_DISCARDED = 1 << 24
"""Bytes that are read and thrown away; after them the peer has to live with a reset."""


class Farewell:
    """The end of one connection over a socket of the system's; `advance` it until it is done, then look at `error`.

    `waiting` is what has yet to be sent, `control` how many of the last bytes are no data of the caller's. After
    `most` seconds it is given up, and after `patience` seconds in which the peer took nothing; a peer that has all has
    `linger` seconds to end as well.
    """

    __slots__ = (
        "_control",
        "_deadline",
        "_discarded",
        "_ended",
        "_linger",
        "_lost",
        "_patience",
        "_progress",
        "_quiet",
        "_shut",
        "_waiting",
        "sock",
    )

    def __init__(
        self,
        sock: socket.socket,
        waiting: list[memoryview],
        *,
        control: int,
        linger: float,
        patience: float,
        most: float,
    ) -> None:
        self.sock = sock
        self._waiting = deque(waiting)
        self._control = control + 1  # the end itself takes a number in TCP's count
        self._linger, self._patience = linger, patience
        self._shut = self._ended = False
        self._discarded = self._lost = 0
        self._quiet = self._progress = time.monotonic()
        self._deadline = self._quiet + most
        if sock.fileno() >= 0:
            sock.setblocking(False)

    def advance(self) -> bool:
        """Do what can be done without waiting; whether all is done, and the socket closed."""
        if self.sock.fileno() < 0:
            return True
        broken = False
        try:
            self._send()
            self._read_off()
        except OSError:
            broken = True  # the peer is gone
        now, before = time.monotonic(), self._lost
        self._lost = self._undelivered()
        if broken and self._lost <= late_acknowledgement(self.sock) and not self._waiting:
            self._lost = 0
        if self._lost:
            self._quiet = now
            if self._lost != before:
                self._progress = now
            over = broken or now >= self._deadline or now - self._progress >= self._patience
        else:
            served = self._ended or self._discarded >= MOST_DISCARDED or not can_reset(self.sock)
            over = broken or served or now - self._quiet >= self._linger or now >= self._deadline
        if over:
            self.close()
        return over

    @property
    def error(self) -> DeliveryUncertain | None:
        """What the caller has to know."""
        if not self._lost:
            return None
        return DeliveryUncertain(
            f"The connection ended before the peer had all that was sent: up to {self._lost} bytes may be missing."
        )

    @property
    def events(self) -> int:
        """What of its socket has to be waited for."""
        read = not self._ended and self._discarded < MOST_DISCARDED
        return (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if self._waiting else 0)

    @property
    def pause(self) -> float:
        """Seconds after which to look again in any case."""
        return LONG if self._lost else min(max(self._quiet + self._linger - time.monotonic(), SHORT), LONG)

    def hurry(self) -> None:
        """Be done with the next step, whatever that means."""
        self._deadline = 0.0

    def close(self) -> None:
        """Close the socket; a thread that reads from it wakes up."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        socket.socket.close(self.sock)

    # The methods of `socket.socket` itself: an `ssl.SSLSocket` below is ended as the socket that it is.

    def _send(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            try:
                sent = socket.socket.send(self.sock, first, AT_ONCE)
            except BlockingIOError:
                return
            if sent == len(first):
                self._waiting.popleft()
            else:
                self._waiting[0] = first[sent:]
        if not self._shut:
            self._shut = True
            socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def _read_off(self) -> None:
        while not self._ended and self._discarded < MOST_DISCARDED:
            try:
                size = len(socket.socket.recv(self.sock, RECEIVE_SIZE))
            except BlockingIOError:
                return
            self._ended = not size
            self._discarded += size
            self._quiet = time.monotonic()

    def _undelivered(self) -> int:
        known = unacknowledged(self.sock)
        if known is None:  # then only the peer's own end tells that it had ours
            known = 0 if self._ended else self._control + 1
        return max(sum(map(len, self._waiting)) + known - self._control, 0)


def finish(farewells: list[Farewell]) -> None:
    """Wait until all are done; closes their sockets whatever happens."""
    pause = SHORT
    going = farewells
    try:
        while going := [one for one in going if not one.advance()]:
            pause = min(pause * 2, min(one.pause for one in going))
            wait_for_any(going, pause)
    finally:
        for one in farewells:
            one.close()


def wait_for_any(farewells: list[Farewell], seconds: float) -> None:
    """Wait until one of them can go on, or for so long."""
    with selectors.DefaultSelector() as selector:
        for one in farewells:
            if one.events and one.sock.fileno() >= 0:
                selector.register(one.sock, one.events)
        if selector.get_map():
            selector.select(seconds)
        else:
            time.sleep(seconds)


def end(
    transport: SocketTransport | StreamTransport,
    outgoing: Outgoing,
    *,
    control: int,
    linger: float,
    patience: float,
    most: float,
) -> tuple[Farewell | None, DeliveryUncertain | None]:
    """End a connection after its last byte, and wait for it as its timeout says, else as a `Farewell` does.

    The answer is the farewell that has yet to be finished, where the transport does not block, and what was lost.
    """
    timeout = transport.gettimeout()
    seconds = timeout or patience
    sock: Any = transport.sock
    error: DeliveryUncertain | None = None
    waiting: list[memoryview] = []
    try:
        if isinstance(transport, SocketTransport):
            waiting = outgoing.take_all(deadline_after(0 if timeout == 0 else min(seconds, patience)))
        else:
            outgoing.flush(deadline_after(seconds), fresh=False)
    except OSError as problem:
        if len(outgoing) > control:
            error = DeliveryUncertain(f"Not all was sent before the connection was closed: {problem}")
    if not isinstance(sock, socket.socket):
        _end_stream(sock, linger, time.monotonic() + seconds)
        return None, error
    control += 0 if isinstance(transport, SocketTransport) else 256  # what the layer between added to them
    farewell = Farewell(
        sock,
        waiting,
        control=control,
        linger=linger,
        patience=timeout or patience,
        most=min(timeout, most) if timeout else most,
    )
    if timeout == 0 and not farewell.advance():
        return farewell, error
    finish([farewell])
    return None, error or farewell.error


def _end_stream(stream: Any, linger: float, deadline: float) -> None:
    """Close what is no socket, once its peer has ended too: whatever is below it may reset its connection.

    TLS of ours sees to that itself, and from what has no timeouts nobody can read for a while only.
    """
    discarded = 0
    try:
        if linger and hasattr(stream, "settimeout") and not isinstance(stream, SocketShape):
            while discarded < MOST_DISCARDED and (left := deadline - time.monotonic()) > 0:
                stream.settimeout(min(linger, left))
                size = len(stream.recv(RECEIVE_SIZE))
                if not size:
                    break
                discarded += size
    except OSError:
        pass  # it is over, or nothing more comes
    stream.close()
