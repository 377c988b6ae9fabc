"""Handshake messages that only TLS 1.2 and earlier have (RFC 5246, 7.4; RFC 8422, 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from handclasp.wire.codec import U8, U16, U24, U32, Opaque, Struct, Vector
from handclasp.wire.iana import (
    CertificateStatusType,
    ClientCertificateType,
    ECCurveType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from handclasp.wire.messages import HandshakeMessage

__all__ = [
    "Certificate12",
    "CertificateRequest12",
    "CertificateStatus",
    "ClientKeyExchangeECDHE",
    "HelloRequest",
    "NewSessionTicket12",
    "ServerECDHParams",
    "ServerHelloDone",
    "ServerKeyExchangeECDHE",
]


@dataclass(slots=True)
class HelloRequest(HandshakeMessage):
    """The server asks for a renegotiation (RFC 5246, 7.4.1.1); no transcript has it."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.HELLO_REQUEST


@dataclass(slots=True)
class Certificate12(HandshakeMessage):
    """A party's certificates, its own first; empty when a client has none (RFC 5246, 7.4.2)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE

    certificate_list: Annotated[list[bytes], Vector(U24, item=Opaque(U24, low=1))]


@dataclass(slots=True)
class CertificateStatus(HandshakeMessage):
    """A stapled OCSP response (RFC 6066, 8); in TLS 1.3 the body of an extension with the same layout."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_STATUS

    status_type: CertificateStatusType
    response: Annotated[bytes, Opaque(U24, low=1)]


@dataclass(slots=True)
class ServerECDHParams(Struct):
    """The server's ephemeral key on a named curve (RFC 8422, 5.4)."""

    curve_type: ECCurveType
    named_curve: NamedGroup
    public: Annotated[bytes, Opaque(U8, low=1)]


@dataclass(slots=True)
class ServerKeyExchangeECDHE(HandshakeMessage):
    """The ephemeral key, signed with both randoms (RFC 8422, 5.4)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.SERVER_KEY_EXCHANGE

    params: ServerECDHParams
    algorithm: SignatureScheme
    signature: Annotated[bytes, Opaque(U16)]


@dataclass(slots=True)
class CertificateRequest12(HandshakeMessage):
    """The server asks who the client is (RFC 5246, 7.4.4)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_REQUEST

    certificate_types: Annotated[list[ClientCertificateType], Vector(U8, low=1)]
    supported_signature_algorithms: Annotated[list[SignatureScheme], Vector(U16, low=2, high=0xFFFE)]
    certificate_authorities: Annotated[list[bytes], Vector(U16, item=Opaque(U16, low=1))]


@dataclass(slots=True)
class ServerHelloDone(HandshakeMessage):
    """The client is next (RFC 5246, 7.4.5)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.SERVER_HELLO_DONE


@dataclass(slots=True)
class ClientKeyExchangeECDHE(HandshakeMessage):
    """The client's ephemeral key (RFC 8422, 5.7)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.CLIENT_KEY_EXCHANGE

    public: Annotated[bytes, Opaque(U8, low=1)]


@dataclass(slots=True)
class NewSessionTicket12(HandshakeMessage):
    """A ticket to resume this session with (RFC 5077, 3.3)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.NEW_SESSION_TICKET

    ticket_lifetime_hint: Annotated[int, U32]
    ticket: Annotated[bytes, Opaque(U16)]
