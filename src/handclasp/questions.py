"""Decisions that the engine leaves to others.

Each question is a frozen dataclass. A function in the config answers it at once; where the
config says that the caller answers, the connection hands the question out as an event and goes
on when it is answered. The engine never knows whether an answer took a microsecond or a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from handclasp.facts import Role
from handclasp.sessions import Session
from handclasp.wire.extensions import OidFilter
from handclasp.wire.iana import NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.x509.identity import Identity

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
]


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


@dataclass(frozen=True, slots=True)
class Sign:
    """A signature over `content` by the key of `identity`. Answer: its bytes (RFC 8446, 4.4.3)."""

    identity: Identity
    scheme: SignatureScheme
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifyPeer:
    """Is this the peer we want? Answer: a `Report`; refuse by raising a `CertificateError` or by `refuse`."""

    role: Role
    """The peer's."""
    chain: tuple[bytes, ...]
    """DER, the peer's own certificate first."""
    server_name: str | None
    ocsp_response: bytes | None
    scts: tuple[bytes, ...]
    at: datetime
    resumed: bool = False
    """The chain is that of an earlier connection, whose session is resumed; nothing is stapled to it."""


@dataclass(frozen=True, slots=True)
class ChooseALPN:
    """Which of the client's protocols do we speak? Answer: one of `offered`, or None (RFC 7301, 3.2)."""

    offered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindSession:
    """Do we have a session? Answer: a `Session` or None.

    A client asks by `server_name`; a TLS 1.2 server by `session_id`.
    """

    server_name: str | None
    session_id: bytes | None
    now_ms: int


@dataclass(frozen=True, slots=True)
class KeepSession:
    """Keep this session for later. Answer: anything.

    A client keeps by `server_name`; a TLS 1.2 server by `session_id`.
    """

    session: Session
    server_name: str | None
    session_id: bytes | None


@dataclass(frozen=True, slots=True)
class SealTicket:
    """A ticket for this session, at most 65,535 bytes. Answer: its bytes, or None to issue none."""

    session: Session
    now_ms: int


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """Which session is in this ticket? Answer: a `Session`, or None if the ticket is not good."""

    ticket: bytes = field(repr=False)
    now_ms: int


Question = ChooseCertificate | Sign | VerifyPeer | ChooseALPN | FindSession | KeepSession | SealTicket | OpenTicket
