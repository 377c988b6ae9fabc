"""What a connection has in common with a socket, beside its bytes: options, timeouts, addresses, files."""

from __future__ import annotations

import socket
from typing import Any

from handclasp.errors import UsageError

__all__ = ["SocketShape"]


class SocketShape:
    """Over `_sock`, a socket or something that behaves like one; what that has not cannot be asked for."""

    _sock: Any
    _io_refs = 0
    _closed = False

    def _really_close(self) -> None:
        raise NotImplementedError

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
        return socket.socket.makefile(  # type: ignore[call-overload]  # a socket in all that the function asks for
            self,
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

    def settimeout(self, seconds: float | None) -> None:
        """Seconds that one call may last; None: for ever; 0: it does not wait."""
        if not hasattr(self._sock, "settimeout"):
            raise UsageError(f"{type(self._sock).__name__} has no timeouts, so what is over it has none either.")
        self._sock.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """The timeout in seconds."""
        found: float | None = self._sock.gettimeout() if hasattr(self._sock, "gettimeout") else None
        return found

    def setblocking(self, flag: bool) -> None:
        """Whether to wait for the peer at all; see docs/sockets.md for what a socket does that does not."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Whether calls wait for the peer."""
        return self.gettimeout() != 0

    def fileno(self) -> int:
        """The descriptor of the socket below, -1 once closed, or where there is none."""
        if self._closed and self._io_refs <= 0:
            return -1
        number: int = self._sock.fileno() if hasattr(self._sock, "fileno") else -1
        return number

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
        found: int = self._sock.family
        return found
