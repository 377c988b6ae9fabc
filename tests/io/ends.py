"""Two ends of a connection of ours, for the tests of sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.conftest import World

from handclasp import TlsSocket
from handclasp.connection import ClientConnection, ServerConnection


class Working(threading.Thread):
    """A thread whose result, or error, is asked for at its end."""

    def __init__(self, run: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self._work, self._arguments = run, arguments
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._work(*self._arguments)
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self.join(30)
        assert not self.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._result


@contextlib.contextmanager
def over_tcp(
    world: World, *, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None, room: int = 0
) -> Iterator[tuple[TlsSocket, TlsSocket]]:
    """A client and a server over TCP, their handshake done; `room`: bytes that the server's system takes unread."""
    ours, theirs = tcp_pair(room)
    first = TlsSocket(ours, ClientConnection(world.client_config(**(client or {})), server_name="localhost"))
    second = TlsSocket(theirs, ServerConnection(world.server_config(**(server or {}))))
    shake(first, second)
    with ours, theirs:
        yield first, second
        end_of_closing()


def end_of_closing() -> None:
    """Wait for those that are closed and have not come to their end."""
    for thread in threading.enumerate():
        if thread.name == "handclasp-closing":
            thread.join(40)


def tcp_pair(room: int = 0) -> tuple[socket.socket, socket.socket]:
    """Two connected TCP sockets."""
    with socket.socket() as listener:
        if room:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


def shake(client: TlsSocket, server: TlsSocket) -> None:
    """Do the handshake of both."""
    other = Working(server.do_handshake)
    client.do_handshake()
    other.result()


def read_to_end(tls: TlsSocket, size: int = 1 << 16) -> tuple[int, str]:
    """How many bytes came, and how it ended."""
    got = 0
    try:
        while data := tls.recv(size):
            got += len(data)
    except OSError as error:
        return got, type(error).__name__
    return got, "end"


def read_and_close(tls: TlsSocket) -> tuple[int, str]:
    """The same, and then close."""
    read = read_to_end(tls)
    if read[1] == "end":
        tls.close()
    else:
        tls.abort()
    return read
