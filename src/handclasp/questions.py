"""Decisions that the engine leaves to others.

Each question is a frozen dataclass. A function in the config answers it at once; where the
config says that the caller answers, the connection hands the question out as an event and goes
on when it is answered. The engine never knows whether an answer took a microsecond or a minute.

Answers are checked, whoever gives them: one that refuses is a refusal, and one of another type than the
question says is a `WrongAnswer`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from handclasp.errors import UsageError
from handclasp.facts import Role
from handclasp.sessions import Session
from handclasp.text import in_a_line
from handclasp.wire.extensions import OidFilter
from handclasp.wire.iana import NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.x509.identity import Identity
from handclasp.x509.report import Report
from handclasp.x509.text import listed

__all__ = [
    "ChooseALPN",
    "ChooseCertificate",
    "FindSession",
    "KeepSession",
    "OpenTicket",
    "Question",
    "SealTicket",
    "Sign",
    "VerifyPeer",
    "WrongAnswer",
]


class WrongAnswer(UsageError):
    """An answer that is none to its question; the connection ends, and the peer learns no more than internal_error."""

    def __init__(self, question: object, wanted: str, answer: object) -> None:
        super().__init__(f"The answer to {type(question).__name__} has to be {wanted}; it is {_told(answer)}.")


def _told(answer: object) -> str:
    """What it is, without what is in it: that may be secret."""
    return str(answer) if answer is None or type(answer) is bool else f"of type {type(answer).__name__}"


@dataclass(frozen=True, slots=True)
class ChooseCertificate:
    """Which identity do we show? Answer: an `Identity`, or None for none (RFC 8446, 4.4.2.2 and 4.4.2.3)."""

    role: Role
    """Ours: a server chooses by the name asked for, a client by what the server accepts."""
    version: ProtocolVersion
    server_name: str | None
    signature_schemes: tuple[SignatureScheme, ...]
    """What both sides can do, ours first."""
    certificate_authorities: tuple[bytes, ...]
    """DER names of authorities that the peer trusts; empty where it did not say."""
    oid_filters: tuple[OidFilter, ...]
    at: datetime
    groups: tuple[NamedGroup, ...] = ()
    """TLS 1.2: the client's groups; an ECDSA key has to be on a curve of theirs (RFC 8422, 5.3). Empty: on any."""

    __repr__ = in_a_line

    def check(self, answer: object) -> None:
        """Raises `WrongAnswer` for what is no answer."""
        if answer is not None and not isinstance(answer, Identity):
            raise WrongAnswer(self, "an Identity or None", answer)


@dataclass(frozen=True, slots=True)
class Sign:
    """A signature over `content` by the key of `identity`. Answer: its bytes (RFC 8446, 4.4.3)."""

    identity: Identity
    scheme: SignatureScheme
    content: bytes = field(repr=False)

    __repr__ = in_a_line

    def check(self, answer: object) -> None:
        """Raises `WrongAnswer` for what is no answer."""
        if not isinstance(answer, (bytes, bytearray, memoryview)) or not 0 < len(answer) <= 0xFFFF:
            raise WrongAnswer(self, "the signature, 1 to 65,535 bytes", answer)


@dataclass(frozen=True, slots=True)
class VerifyPeer:
    """Is this the peer we want? Answer: the `Report` of `verify`, on this chain.

    One that is not accepted refuses the peer by its error, as raising a `CertificateError` does, and `refuse`.
    """

    role: Role
    """The peer's."""
    chain: tuple[bytes, ...]
    """DER, the peer's own certificate first."""
    server_name: str | None
    ocsp_response: bytes | None
    scts: tuple[bytes, ...]
    at: datetime
    resumed: bool = False
    """The chain, and what was stapled to it, are those of an earlier connection, whose session may be resumed now.

    Asked before a client says hello, and before a server takes a session: one that is refused is not resumed."""

    __repr__ = in_a_line

    def check(self, answer: object) -> None:
        """Raises the error of a report that refuses, and `WrongAnswer` for what is no report on this peer."""
        if not isinstance(answer, Report):
            raise WrongAnswer(self, "a Report, as verify() makes it", answer)
        answer.raise_if_refused()
        leaf = answer.path[0].der if answer.path else None
        if leaf is None or answer.leaf is None or not leaf == answer.leaf.der == self.chain[0]:
            raise WrongAnswer(self, "a Report on the peer's own certificate, with the path that was accepted", answer)


@dataclass(frozen=True, slots=True)
class ChooseALPN:
    """Which of the client's protocols do we speak? Answer: one of `offered`, or None (RFC 7301, 3.2)."""

    offered: tuple[str, ...]

    __repr__ = in_a_line

    def check(self, answer: object) -> None:
        """Raises `WrongAnswer` for what is no answer."""
        if answer is not None and (type(answer) is not str or answer not in self.offered):
            raise WrongAnswer(self, f"one of {listed(self.offered)}, or None", answer)


@dataclass(frozen=True, slots=True)
class FindSession:
    """Do we have a session? Answer: a `Session` or None.

    A client asks by `scope`, and takes a session of that scope alone; a TLS 1.2 server by `session_id`. What is
    too old, or would be refused now, is not resumed, whoever finds it.
    """

    server_name: str | None
    session_id: bytes | None
    now_ms: int
    scope: bytes = b""
    """A client's `Session.scope`: stands for server, port, and what else a session has to have been made with."""

    __repr__ = in_a_line

    def check(self, answer: object) -> None:
        """Raises `WrongAnswer` for what is no answer."""
        _check_session(self, answer)


@dataclass(frozen=True, slots=True)
class KeepSession:
    """Keep this session for later. Answer: anything.

    A client keeps by `session.scope`; a TLS 1.2 server by `session_id`.
    """

    session: Session
    server_name: str | None
    session_id: bytes | None

    __repr__ = in_a_line

    def check(self, answer: object) -> None:
        """Anything will do."""


@dataclass(frozen=True, slots=True)
class SealTicket:
    """A ticket for this session, at most 65,535 bytes. Answer: its bytes, or None to issue none."""

    session: Session
    now_ms: int

    __repr__ = in_a_line

    def check(self, answer: object) -> None:
        """Raises `WrongAnswer` for what is no answer."""
        if answer is not None and (type(answer) is not bytes or not 0 < len(answer) <= 0xFFFF):
            raise WrongAnswer(self, "the ticket, 1 to 65,535 bytes, or None", answer)


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """Which session is in this ticket? Answer: a `Session`, or None if the ticket is not good."""

    ticket: bytes = field(repr=False)
    now_ms: int

    __repr__ = in_a_line

    def check(self, answer: object) -> None:
        """Raises `WrongAnswer` for what is no answer."""
        _check_session(self, answer)


def _check_session(question: object, answer: object) -> None:
    if answer is not None and type(answer) is not Session:
        raise WrongAnswer(question, "a Session or None", answer)


Question = ChooseCertificate | Sign | VerifyPeer | ChooseALPN | FindSession | KeepSession | SealTicket | OpenTicket
