"""Bytes on their way out of one socket, in order, whoever brings them.

A reader has to answer now and then (a KeyUpdate, an alert), and must never wait for that: where both sides
send much at once, two readers that wait for the other to read wait for ever. So a writer waits until all is
sent, while a reader sends what goes at once and leaves the rest to whoever comes next.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque

__all__ = ["Outgoing", "wait_for"]

AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)


class Outgoing:
    """The bytes that wait to be sent over a socket."""

    __slots__ = ("_queue", "_sock", "_turn")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._queue: deque[memoryview] = deque()
        self._turn = threading.Lock()
        """Held by the one who sends; only it changes the head of the queue."""

    def __len__(self) -> int:
        return sum(map(len, self._queue))

    @property
    def stuck(self) -> bool:
        """Whether bytes wait and nobody is sending them."""
        return bool(self._queue) and not self._turn.locked()

    def put(self, data: bytes) -> None:
        """Add bytes; the caller holds what keeps the order."""
        self._queue.append(memoryview(data))

    def clear(self) -> None:
        """Forget what waits: the peer takes no more."""
        self._queue.clear()

    def flush(self) -> None:
        """Send all, and wait for it as long as the socket's timeout says; what is left then stays."""
        while self._queue:
            with self._turn:
                while self._queue:
                    self._send_first(0)

    def flush_some(self) -> None:
        """Send what goes without waiting. Another who is sending takes ours along."""
        # Whoever gives its turn back looks again, so that nothing is left which came in between.
        while self._queue and self._turn.acquire(blocking=False):
            try:
                while self._queue:
                    if not wait_for(self._sock, write=True, timeout=0)[1]:
                        return
                    self._send_first(AT_ONCE)
            finally:
                self._turn.release()

    def _send_first(self, flags: int) -> None:
        first = self._queue[0]
        sent = self._sock.send(first, flags)
        if sent == len(first):
            self._queue.popleft()
        else:
            self._queue[0] = first[sent:]


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
    found = poller.poll(None if timeout is None else timeout * 1000)
    flags = found[0][1] if found else 0
    broken = bool(flags & (select.POLLERR | select.POLLHUP | select.POLLNVAL))
    return broken or bool(flags & select.POLLIN), broken or bool(flags & select.POLLOUT)
