"""TLS over sockets: connect, listen, accept.

with handclasp.connect(("example.com", 443)) as tls:
    tls.sendall(b"...")
    tls.recv(4096)
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any, NoReturn, Self

from handclasp.config import ClientConfig, ServerConfig
from handclasp.connection import ClientConnection, ServerConnection
from handclasp.errors import UsageError
from handclasp.facts import Observer
from handclasp.io.tls_socket import TlsSocket
from handclasp.pickling import refuse_copies
from handclasp.x509 import TrustStore
from handclasp.x509.names import PeerName, normalize_host

__all__ = ["Listener", "connect", "listen"]

Address = tuple[Any, ...]


class Listener:
    """A listening socket whose connections are TLS."""

    def __init__(
        self, sock: socket.socket, config: ServerConfig, *, answer: Callable[[Any], Any] | None = None
    ) -> None:
        self._sock = sock
        self.config = config
        self._answer = answer

    def __reduce__(self) -> NoReturn:
        refuse_copies(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._sock.getsockname()[1]
        return port

    def getsockname(self) -> Any:
        """The address that it listens on."""
        return self._sock.getsockname()

    def accept_raw(self, *, observer: Observer | None = None) -> tuple[TlsSocket, Any]:
        """The next connection, its handshake yet to be done: call `do_handshake` in a thread of its own.

        So no client that is slow in its handshake keeps the others waiting, as with `accept` it does.
        """
        sock, address = self._sock.accept()
        return self.wrap(sock, observer=observer), address

    def accept(self, *, timeout: float | None = 30.0, observer: Observer | None = None) -> tuple[TlsSocket, Any]:
        """The next connection, its handshake done; raises the error that ended it.

        `timeout` in seconds is for the handshake as a whole; after it there is none. A server of many clients
        uses `accept_raw`.
        """
        sock, address = self._sock.accept()
        return _shaken(self.wrap(sock, observer=observer), timeout), address

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
    given; over a socket of yours it has to be. `timeout` in seconds is for the connection to each
    address of the host, and for the handshake as a whole; after it there is none. Raises `OSError`
    for the network, the error of the handshake for TLS, and `UsageError` for a name that is none.
    """
    if server_name is None:
        if isinstance(address, socket.socket):
            raise UsageError("server_name: name the server when you bring the socket yourself.")
        server_name = str(address[0])
    PeerName.of(server_name)  # what is wrong here is told before anybody is called
    config = config or ClientConfig(trust=TrustStore.system())
    connection = ClientConnection(config, server_name=server_name, observer=observer)
    sock = address if isinstance(address, socket.socket) else _connected(address, timeout)
    _no_delay(sock)
    return _shaken(TlsSocket(sock, connection, answer=answer), timeout)


def _shaken(tls: TlsSocket, timeout: float | None) -> TlsSocket:
    """The connection with its handshake done; where that fails, the socket is closed."""
    try:
        tls.settimeout(None)
        tls.do_handshake(timeout=timeout)
    except BaseException:
        tls.abort()
        raise
    return tls


def _connected(address: Address, timeout: float | None) -> socket.socket:
    host = str(address[0])
    return socket.create_connection((host if host.isascii() else normalize_host(host), address[1]), timeout)


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
        with contextlib.suppress(OSError):  # a broken socket says so when it is used
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
