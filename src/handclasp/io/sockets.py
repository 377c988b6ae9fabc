"""TLS over sockets: connect, listen, accept.

with handclasp.connect(("example.com", 443)) as tls:
    tls.sendall(b"...")
    tls.recv(4096)
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NoReturn, Self

from handclasp.config import ClientConfig, ServerConfig
from handclasp.connection import ClientConnection, ServerConnection
from handclasp.errors import UsageError
from handclasp.facts import Observer
from handclasp.io.tls_socket import TlsSocket
from handclasp.pickling import refuse_copies
from handclasp.values import check_type
from handclasp.x509 import TrustStore
from handclasp.x509.names import normalize_host

__all__ = ["Listener", "connect", "listen"]

Address = tuple[Any, ...]


HANDSHAKE_TIMEOUT = 30.0
"""Seconds for a handshake as a whole, unless others are given."""


class Listener:
    """A listening socket whose connections are TLS.

    Made from a socket of yours, its `accept` does no handshake: the first call on the connection that reads or writes
    does it, in whatever thread that is. So it can take the place of a server's socket, as in
    `server.socket = Listener(server.socket, config)`, and no client keeps the others waiting or ends the server.
    With `handshake_on_accept`, as `listen` has it, `accept` does the handshake and raises what went wrong in it.
    """

    def __init__(
        self,
        sock: socket.socket,
        config: ServerConfig,
        *,
        answer: Callable[[Any], Any] | None = None,
        handshake_on_accept: bool = False,
    ) -> None:
        check_type("config", config, ServerConfig)
        check_type("answer", answer, Callable, None)
        self._sock = sock
        self.config = config
        self._answer = answer
        self.handshake_on_accept = handshake_on_accept

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

    def accept(
        self, *, timeout: float | None = HANDSHAKE_TIMEOUT, observer: Observer | None = None
    ) -> tuple[TlsSocket, Any]:
        """The next connection, and the peer's address.

        `timeout` in seconds is for the handshake as a whole, whenever it is done; after it there is none. With
        `handshake_on_accept` raises the error that ended it, an `OSError`: a server then goes on with the next.
        """
        sock, address = self._sock.accept()
        tls = self.wrap(sock, observer=observer, timeout=timeout)
        return (_shaken(tls, timeout) if self.handshake_on_accept else tls), address

    def accept_raw(
        self, *, timeout: float | None = HANDSHAKE_TIMEOUT, observer: Observer | None = None
    ) -> tuple[TlsSocket, Any]:
        """The next connection, its handshake yet to be done, by `do_handshake` or the first call that needs it."""
        sock, address = self._sock.accept()
        return self.wrap(sock, observer=observer, timeout=timeout), address

    def wrap(
        self, sock: Any, *, observer: Observer | None = None, timeout: float | None = HANDSHAKE_TIMEOUT
    ) -> TlsSocket:
        """TLS over an accepted socket, or whatever carries bytes, its handshake yet to be done."""
        _no_delay(sock)
        connection = ServerConnection(self.config, observer=observer)
        return TlsSocket(sock, connection, answer=self._answer, handshake_timeout=timeout)

    def settimeout(self, seconds: float | None) -> None:
        """Seconds that `accept` waits for a connection; None: for ever."""
        self._sock.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """The same seconds."""
        return self._sock.gettimeout()

    def fileno(self) -> int:
        """The descriptor of the socket below."""
        return self._sock.fileno()

    def close(self) -> None:
        """Take no more connections."""
        self._sock.close()


def connect(
    address: Address | Any,
    config: ClientConfig | None = None,
    *,
    server_name: str | None = None,
    timeout: float | None = HANDSHAKE_TIMEOUT,
    observer: Observer | None = None,
    answer: Callable[[Any], Any] | None = None,
) -> TlsSocket:
    """Connect to `(host, port)`, or use a connected socket, and do the handshake.

    Instead of a socket anything with `recv`, `sendall` and `close` will do, such as another `TlsSocket` that leads to
    a proxy. Without a config the system's authorities are trusted. `server_name` is the host unless it is given; over
    a socket of yours it has to be, unless the policy leaves names out. `timeout` in seconds is for the connection to
    each address of the host, and for the handshake as a whole, which a timeout of your socket may shorten; your socket
    keeps its own, and one made here has none. Raises `OSError` for the network, the error of the handshake for TLS
    (which is an `OSError` too), and `UsageError` for a name that is none. A socket of yours is closed where the
    handshake fails.
    """
    ours = isinstance(address, tuple)
    if ours:
        _check_address(address)
    elif not (hasattr(address, "recv") and hasattr(address, "sendall")):
        raise UsageError(f"{WHERE}, or what has recv and sendall, not {type(address).__name__}.")
    check_type("timeout", timeout, float, None)
    check_type("answer", answer, Callable, None)
    if server_name is None and ours:
        server_name = str(address[0])
    config = ClientConfig(trust=TrustStore.system()) if config is None else config
    # What is wrong here is told before anybody is called.
    connection = ClientConnection(config, server_name=server_name, port=_port_of(address), observer=observer)
    sock: Any = _connected(address, timeout) if ours else address
    _no_delay(sock)
    return _shaken(TlsSocket(sock, connection, answer=answer), timeout)


def _shaken(tls: TlsSocket, timeout: float | None) -> TlsSocket:
    """The connection with its handshake done; where that fails, the socket is closed."""
    own = tls.gettimeout()
    try:
        tls.do_handshake(timeout=min(timeout, own) if timeout and own else timeout or own)
    except BaseException:
        tls.abort()
        raise
    return tls


def _port_of(address: Any) -> int | None:
    """Where the server listens, as far as can be told: sessions are kept by it."""
    if isinstance(address, tuple):
        return int(address[1])
    if isinstance(address, socket.socket) and address.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):  # a socket that is not connected says so when it is used
            return int(address.getpeername()[1])
    return None


def _connected(address: Address, timeout: float | None) -> socket.socket:
    host = str(address[0])
    sock = socket.create_connection((host if host.isascii() else normalize_host(host), address[1]), timeout)
    sock.settimeout(None)
    return sock


def listen(
    address: Address,
    config: ServerConfig,
    *,
    backlog: int = 128,
    answer: Callable[[Any], Any] | None = None,
) -> Listener:
    """Listen on `(host, port)`; port 0 takes a free one. `accept` does the handshake too."""
    _check_address(address)
    check_type("config", config, ServerConfig)
    check_type("backlog", backlog, int)
    family = socket.AF_INET6 if ":" in str(address[0]) else socket.AF_INET
    sock = socket.create_server((str(address[0]), int(address[1])), family=family, backlog=backlog)
    return Listener(sock, config, answer=answer, handshake_on_accept=True)


WHERE = 'address: (host, port) is wanted, as ("example.com", 443)'


def _check_address(address: Any) -> None:
    """Raise `UsageError` for what is no host and port."""
    host, port, *_ = (*address, None, None) if isinstance(address, (tuple, list)) else (None, None)
    if not isinstance(host, (str, IPv4Address, IPv6Address)) or not isinstance(port, int) or isinstance(port, bool):
        raise UsageError(f"{WHERE}.")
    if not 0 <= port < 1 << 16:
        raise UsageError(f"address: a port is 0 to 65535, not {port}.")


def _no_delay(sock: Any) -> None:
    """Handshake flights are whole messages; waiting to fill packets only delays them."""
    if getattr(sock, "family", None) in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, AttributeError):  # a broken socket says so when it is used
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
