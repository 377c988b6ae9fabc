"""What a connection did, told once, typed, to whoever observes it.

The 22 steps, the key log and the explanation of a failure are all made from these. With no
observer none is built, so observing costs nothing until somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from handclasp.text import in_a_line
from handclasp.wire.iana import AlertDescription, AlertLevel, ProtocolVersion
from handclasp.wire.messages import HandshakeMessage

if TYPE_CHECKING:
    from handclasp.x509 import Report

__all__ = [
    "AlertSeen",
    "ChangeCipherSpecSeen",
    "Checked",
    "Choice",
    "Closed",
    "Fact",
    "Failed",
    "Finish",
    "KeyInstalled",
    "MessageSeen",
    "Observer",
    "PeerChecked",
    "Role",
    "SecretMade",
    "Started",
]

Role = Literal["client", "server"]
Direction = Literal["sent", "received"]


@dataclass(frozen=True, slots=True)
class Started:
    """A connection begins: our role, and as a client the server's name."""

    role: Role
    server_name: str | None

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class MessageSeen:
    """A handshake message went out or came in; `message.raw` has its bytes."""

    direction: Direction
    message: HandshakeMessage
    version: ProtocolVersion | None
    """The version agreed on when it was seen; None before there was one."""

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class ChangeCipherSpecSeen:
    """A change_cipher_spec record: in TLS 1.3 only for middleboxes (RFC 8446, D.4)."""

    direction: Direction


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert went out or came in."""

    direction: Direction
    level: AlertLevel
    description: AlertDescription


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the parties' decisions that we made or were told of.

    `what` is one of "version", "cipher_suite", "group", "signature_scheme", "alpn",
    "certificate", "session". `offered` is what the other side put up, `possible` what both can
    do, `taken` the choice (None: none), `why` half a sentence.
    """

    what: str
    by: Role
    offered: tuple[object, ...]
    possible: tuple[object, ...]
    taken: object
    why: str

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class SecretMade:
    """A secret of the key schedule, under its name in key logs (RFC 9850)."""

    label: str
    client_random: bytes
    secret: bytes = field(repr=False)

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class KeyInstalled:
    """From here on, records in this direction are protected by the named key."""

    direction: Direction
    label: str
    """One of "handshake", "application", "application 2" after a key update, and so on."""
    suite: object


@dataclass(frozen=True, slots=True)
class Checked:
    """A check of the handshake itself, such as "Finished" or "CertificateVerify"."""

    what: str
    passed: bool
    why: str

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class PeerChecked:
    """The peer's certificates were judged; None where the judge left no report."""

    report: Report | None

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class Finish:
    """The handshake is over and the session established."""

    version: ProtocolVersion
    resumed: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection ended by an error; `by_peer` where the peer said so by an alert."""

    error: Exception
    by_peer: bool

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class Closed:
    """A close_notify went out or came in."""

    direction: Direction


Fact = (
    Started
    | MessageSeen
    | ChangeCipherSpecSeen
    | AlertSeen
    | Choice
    | SecretMade
    | KeyInstalled
    | Checked
    | PeerChecked
    | Finish
    | Failed
    | Closed
)

Observer = Callable[[Fact], None]
