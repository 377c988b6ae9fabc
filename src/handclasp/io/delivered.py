"""What the peer's system has of the bytes that were sent, as ours knows it."""

from __future__ import annotations

import socket
import sys
import time

__all__ = ["LONG", "SHORT", "acknowledged_in_time", "can_reset", "late_acknowledgement", "unacknowledged"]

SHORT, LONG = 0.001, 0.05
"""Seconds between two looks at what the peer has acknowledged, of which nothing tells; first, and in the end."""
SIOCOUTQNSD = 0x894B
"""Linux: bytes not yet sent (tcp(7)); Python has no name for it."""


def can_reset(sock: socket.socket) -> bool:
    """Whether bytes that come after the end would reset the connection; a local socket's are in the peer's hands."""
    return sock.family in (socket.AF_INET, socket.AF_INET6)


def unacknowledged(sock: socket.socket) -> int | None:
    """Bytes sent that the peer's system has not acknowledged, the end counted as one; None where that can't be told."""
    return _count(sock, sent=True) if can_reset(sock) else 0


def late_acknowledgement(sock: socket.socket) -> int:
    """Bytes that a peer's system may have and not have acknowledged when it resets the connection: two segments.

    (RFC 5681, 4.2.) So ends a client that closes with our close_notify unread, right after it has read an answer.
    """
    if not can_reset(sock) or _count(sock, sent=False):
        return 0
    try:
        return 2 * sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    except (OSError, AttributeError):
        return 0


def acknowledged_in_time(sock: socket.socket, control: int, deadline: float) -> bool:
    """Wait until the peer's system has all but the last `control` bytes that were sent; whether it has."""
    pause = SHORT
    while (known := unacknowledged(sock)) is not None and known > control:
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, LONG)
    return True


def _count(sock: socket.socket, *, sent: bool) -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    import fcntl
    import termios

    try:
        found = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ if sent else SIOCOUTQNSD, bytes(4))
    except OSError:
        return None
    return int.from_bytes(found, sys.byteorder)
