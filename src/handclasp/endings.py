"""How a connection ends other than by a mistake of the peer's that we found ourselves."""

from __future__ import annotations

from handclasp.errors import HandclaspError, UsageError
from handclasp.wire.iana import AlertDescription

__all__ = ["ConnectionClosed", "HandshakePending", "PeerAlert", "QuestionMismatch", "Truncated"]


class PeerAlert(HandclaspError):
    """The peer ended the connection by an alert; `description` is its reason (RFC 8446, 6.2)."""

    def __init__(self, description: AlertDescription, during_handshake: bool) -> None:
        self.description = description
        self.during_handshake = during_handshake
        when = "during the handshake" if during_handshake else "after the handshake"
        super().__init__(f"The peer ended the connection {when} with the alert {description}.")


class Truncated(HandclaspError):
    """The connection ended without close_notify: what came may not be all (RFC 8446, 6.1)."""


class ConnectionClosed(UsageError):
    """Something was to be sent after we had closed our side."""


class HandshakePending(UsageError):
    """Something that needs an established session was asked for before there was one."""


class QuestionMismatch(UsageError):
    """An answer to a question that is not open."""
