"""How a connection ends other than by a mistake of the peer's that we found ourselves."""

from __future__ import annotations

import errno

from handclasp.errors import HandclaspError, UsageError
from handclasp.wire.iana import AlertDescription

__all__ = [
    "DECLINED",
    "ONE_HANDSHAKE",
    "AlreadyStarted",
    "ConnectionClosed",
    "DeliveryUncertain",
    "DeliveryWarning",
    "HandshakePending",
    "NotStarted",
    "PeerAlert",
    "QuestionMismatch",
    "Truncated",
]


DECLINED = (
    "Before, it asked for a second handshake on the connection (renegotiation), which is never made here; a server of "
    "TLS 1.2 asks so where a page needs the client's certificate."
)
ONE_HANDSHAKE = (
    "Have the server ask for the certificate in the first handshake (IIS: clientcertnegotiation=enable; Apache httpd: "
    "SSLVerifyClient for the whole host and not for a directory), or speak TLS 1.3 with it."
)


class PeerAlert(HandclaspError):
    """The peer ended the connection by an alert; `description` is its reason (RFC 8446, 6.2)."""

    section = "RFC 8446, 6.2"

    def __init__(self, description: AlertDescription, during_handshake: bool, declined: bool = False) -> None:
        self.description = self.alert = description
        self.during_handshake = during_handshake
        self.declined = declined
        """Whether it had asked for a renegotiation, which we declined."""
        when = "during the handshake" if during_handshake else "after the handshake"
        why = f" {DECLINED}" if declined else ""
        super().__init__(f"The peer ended the connection {when} with the alert {description}.{why}")
        if declined:
            self.mend = ONE_HANDSHAKE


class Truncated(HandclaspError, ConnectionResetError):
    """The connection ended without close_notify: what came may not be all (RFC 8446, 6.1).

    For programs that try again it is what a reset is: the peer is gone and has not said why.
    """

    section = "RFC 8446, 6.1"
    mend = "Look into the peer's log; a firewall or load balancer may have cut the connection."

    def __init__(self, message: str = "", declined: bool = False) -> None:
        super().__init__(f"{message} {DECLINED}" if declined else message)
        self.errno = errno.ECONNRESET
        self.declined = declined
        """Whether the peer had asked for a renegotiation, which we declined."""
        if declined:
            self.mend = ONE_HANDSHAKE


class DeliveryUncertain(HandclaspError, ConnectionError):
    """A connection was closed, and the peer's system has not acknowledged all that was sent before."""

    mend = "Give close more time (settimeout), or let the peer say in its protocol that it has all."


class DeliveryWarning(RuntimeWarning):
    """The same where no call is left that could raise it: a socket that does not block, one that nobody closed."""


class ConnectionClosed(UsageError):
    """Something was to be sent, or read, after we had closed our side."""


class HandshakePending(UsageError):
    """Something that needs an established session was asked for before there was one."""


class QuestionMismatch(UsageError):
    """An answer to a question that is not open."""


class NotStarted(HandshakePending):
    """A connection was used before `start`; the peer hears nothing of it."""


class AlreadyStarted(UsageError):
    """A connection was started a second time."""
