"""The engine over a transport: what readers and writers of one connection do with both.

The engine works under a lock and never waits; whoever waits for the network holds no lock that the other direction
needs. `TlsSocket` is what callers see of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from handclasp.connection import Connection
from handclasp.endings import Truncated
from handclasp.errors import HandclaspError, UsageError
from handclasp.events import Asked, DataReceived, Event
from handclasp.io.outgoing import Outgoing
from handclasp.io.transport import Deadline, SocketTransport, deadline_after, transport_over, wait_for

__all__ = ["Driver", "QuestionUnanswered"]


class QuestionUnanswered(UsageError):
    """The config leaves a question to the caller and `answer` was not given."""


class Driver:
    """One connection's engine, its transport, and what is on its way between them."""

    def __init__(self, sock: Any, connection: Connection, answer: Callable[[Any], Any] | None) -> None:
        self._sock = sock
        self._transport = transport_over(sock)
        self.connection = connection
        self._answer = answer
        self._received: deque[bytes] = deque()
        self._ended = False
        """Whether nothing more is read."""
        self._told = False
        """Whether the caller knows that the peer takes no more."""
        self._trailing = 0
        """Bytes behind the last of the caller's data: of the handshake, KeyUpdates, our close_notify."""
        self._outgoing = Outgoing(self._transport)
        self._engine = threading.RLock()
        """Held while the engine works, never while the network is waited for."""
        self._reading = threading.Lock()
        """Held by the one who waits for the peer, once the handshake is done."""

    # In.

    def _receive(self, deadline: Deadline, fresh: bool, size: int = 0) -> None:
        """Wait for bytes and let the engine have them; what waits to go out goes meanwhile."""
        transport = self._transport
        if self._outgoing.waiting and isinstance(transport, SocketTransport):
            while self._outgoing.stuck:
                readable, writable = transport.wait(deadline)
                fresh = False
                if writable:
                    self._send_what_goes()
                if readable:
                    break
        try:
            data = transport.receive(deadline, fresh, size)
        except ConnectionError:
            self._told = True
            raise
        if data:
            self._take(self._step(lambda: self.connection.receive_data(data)))
        elif not self._ended:
            self._take(self._step(self.connection.receive_eof))

    def _step(self, step: Callable[[], Any]) -> Any:
        """Let the engine do something, and send what comes of it; an alert too, where it fails."""
        try:
            with self._engine:
                try:
                    return step()
                finally:
                    # An answer to a KeyUpdate waits in the engine while others wait: one does for all.
                    if not self._outgoing.waiting or self.connection.error is not None:
                        self._collect()
        finally:
            self._send_what_goes()

    def _collect(self) -> None:
        data = self.connection.data_to_send()
        if data:
            self._outgoing.put(data)
            self._trailing += len(data)

    def _send_what_goes(self) -> None:
        try:
            if not self._outgoing.waiting:
                return
            if isinstance(self._transport, SocketTransport):
                self._outgoing.flush_some()
                if not self._outgoing.waiting:
                    with self._engine:
                        self._collect()
                    self._outgoing.flush_some()
            elif self.connection.error is not None:
                self._outgoing.flush(self._deadline())
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

    # Out.

    def _flush(self, deadline: Deadline, fresh: bool = True) -> None:
        try:
            self._outgoing.flush(deadline, fresh)
        except ConnectionError:
            self._outgoing.clear()
            self._told = True
            self._hear_why(deadline)
            raise

    def _flush_all(self, deadline: Deadline, fresh: bool = True) -> None:
        """The same, with what waits in the engine because others waited before it."""
        with self._engine:
            self._collect()
        self._flush(deadline, fresh)

    def _hear_why(self, deadline: Deadline) -> None:
        """The peer takes no more: raise the reason that it gave, if it gave one and nobody else is reading."""
        if not isinstance(self._transport, SocketTransport) or not self._reading.acquire(blocking=False):
            return
        try:
            while not self._ended and wait_for(self._sock, write=False, timeout=0)[0]:
                self._receive(deadline, fresh=False)
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
            self._trailing = 0

    def _say_goodbye(self) -> None:
        with self._engine:
            self.connection.close()
            self._collect()

    def _raise_if_failed(self) -> None:
        error = self.connection.error
        if error is not None:
            raise error

    def _deadline(self) -> Deadline:
        return deadline_after(self._transport.gettimeout())
