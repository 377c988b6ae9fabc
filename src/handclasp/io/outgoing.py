"""Bytes on their way out of one connection, in order, whoever brings them.

A reader has to answer now and then (a KeyUpdate, an alert), and must never wait for that: where both sides
send much at once, two readers that wait for the other to read wait for ever. So a writer waits until all is
sent, while a reader sends what goes at once and leaves the rest to whoever comes next.
"""

from __future__ import annotations

import threading
from collections import deque

from handclasp.io.transport import DONT_WAIT, Deadline, SocketTransport, StreamTransport, out_of_time, time_left

__all__ = ["Outgoing", "take_turn"]


class Outgoing:
    """The bytes that wait to be sent."""

    __slots__ = ("_queue", "_transport", "_turn")

    def __init__(self, transport: SocketTransport | StreamTransport) -> None:
        self._transport = transport
        self._queue: deque[memoryview] = deque()
        self._turn = threading.Lock()
        """Held by the one who sends; only it changes the head of the queue."""

    def __len__(self) -> int:
        return sum(map(len, self._queue))

    @property
    def waiting(self) -> bool:
        """Whether bytes wait, be it that somebody is sending them."""
        return bool(self._queue)

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

    def take_all(self, deadline: Deadline) -> list[memoryview]:
        """Hand what waits over to somebody else, once nobody is sending it."""
        take_turn(self._turn, deadline)
        try:
            waiting = list(self._queue)
            self._queue.clear()
            return waiting
        finally:
            self._turn.release()

    def flush(self, deadline: Deadline, fresh: bool = True) -> None:
        """Send all, and wait for it until the deadline; what is left then stays.

        `fresh`: the call has not waited yet, so that the socket's own timeout holds for the first wait.
        """
        queue, turn = self._queue, self._turn
        while queue:
            if not turn.acquire(blocking=False):
                take_turn(turn, deadline)
            try:
                while queue:
                    first = queue[0]
                    self._sent(first, self._transport.send(first, deadline, fresh))
                    fresh = False
            finally:
                turn.release()

    def flush_some(self) -> None:
        """Send what goes without waiting. Another who is sending takes ours along."""
        transport = self._transport
        if isinstance(transport, StreamTransport):
            return
        # Whoever gives its turn back looks again, so that nothing is left which came in between.
        while self._queue and self._turn.acquire(blocking=False):
            try:
                while self._queue:
                    first = self._queue[0]
                    sent = transport.send_at_once(first)
                    if not sent:
                        return
                    self._sent(first, sent)
            finally:
                self._turn.release()

    def _sent(self, first: memoryview, sent: int) -> None:
        if not self._queue or self._queue[0] is not first:
            return  # given up meanwhile
        if sent == len(first):
            self._queue.popleft()
        else:
            self._queue[0] = first[sent:]


def take_turn(turn: threading.Lock, deadline: Deadline) -> None:
    """Acquire a lock that another thread may hold while it waits for the peer; raises when the deadline comes first."""
    if turn.acquire(blocking=False):
        return
    left = time_left(deadline)
    if deadline == DONT_WAIT or not turn.acquire(timeout=-1 if left is None else left):
        raise out_of_time(deadline)
