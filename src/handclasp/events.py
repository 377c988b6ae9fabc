"""What a connection tells its caller, in the order it happened."""

from __future__ import annotations

from dataclasses import dataclass, field

from handclasp.handshake.established import Established
from handclasp.questions import Question
from handclasp.sessions import Session
from handclasp.text import in_a_line

__all__ = ["Asked", "DataReceived", "Event", "HandshakeCompleted", "PeerClosed", "TicketReceived"]


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """The session is established; data may go both ways."""

    session: Established

    __repr__ = in_a_line


@dataclass(slots=True)
class DataReceived:
    """Authentic data from the peer: the content of one record, never empty.

    There is one for each record, and a frozen class would take longer to make.
    """

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """The handshake waits until `connection.answer(question, ...)` or `refuse` is called."""

    question: Question

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class TicketReceived:
    """The server gave a ticket; the session resumes a later connection."""

    session: Session

    __repr__ = in_a_line


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The peer's close_notify: it sends no more, and all it sent has arrived."""


Event = HandshakeCompleted | DataReceived | Asked | TicketReceived | PeerClosed
