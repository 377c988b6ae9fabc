"""The socket that is left when TLS over it has ended, with bytes that came right behind its end."""

from __future__ import annotations

from typing import Any, Self

from handclasp.io.shape import SocketShape

__all__ = ["PlainSocket"]


class PlainSocket(SocketShape):
    """A socket whose first bytes were read already: `recv` gives them first, all else is the socket's own.

    `TlsSocket.unwrap` gives it where the peer went on in clear text at once. A socket that is not readable may
    have bytes: look at `pending()` first.
    """

    def __init__(self, sock: Any, first: bytes) -> None:
        self._sock = sock
        self._first = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pending(self) -> int:
        """Bytes that can be read without waiting."""
        return len(self._first)

    def recv(self, size: int, *flags: int) -> bytes:
        """As `socket.recv`."""
        if not self._first:
            data: bytes = self._sock.recv(size, *flags)
            return data
        data, self._first = self._first[:size], self._first[size:]
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, *flags: int) -> int:
        """As `socket.recv_into`."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), *flags)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """As `socket.close`."""
        self._closed = True
        if self._io_refs <= 0:
            self._really_close()

    def _really_close(self) -> None:
        self._sock.close()
