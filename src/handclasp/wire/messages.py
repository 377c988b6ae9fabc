"""Handshake messages of TLS 1.3 (RFC 8446, 4) and those that TLS 1.2 shares with it.

A received message keeps its raw bytes: transcripts and binders cover what was sent, not a
re-encoding of what we understood.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Self

from handclasp.wire.codec import (
    U8,
    U16,
    U24,
    U32,
    DecodeError,
    Extensions,
    Fixed,
    Opaque,
    Rest,
    Struct,
    Vector,
)
from handclasp.wire.iana import (
    CipherSuite,
    CompressionMethod,
    ExtensionType,
    HandshakeType,
    KeyUpdateRequest,
    ProtocolVersion,
    SignatureScheme,
)

__all__ = [
    "DOWNGRADE_TLS11",
    "DOWNGRADE_TLS12",
    "HEADER_SIZE",
    "RETRY_RANDOM",
    "Certificate",
    "CertificateEntry",
    "CertificateRequest",
    "CertificateVerify",
    "ClientHello",
    "EncryptedExtensions",
    "EndOfEarlyData",
    "ExtensionMap",
    "Finished",
    "HandshakeMessage",
    "KeyUpdate",
    "NewSessionTicket",
    "ServerHello",
    "message_hash",
]

HEADER_SIZE = 4
"""Bytes of type and length before the body of each handshake message."""

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random by which a ServerHello is a HelloRetryRequest: SHA-256 of that name (RFC 8446, 4.1.3)."""

DOWNGRADE_TLS12 = b"DOWNGRD\x01"
DOWNGRADE_TLS11 = b"DOWNGRD\x00"

ExtensionMap = Annotated[dict[ExtensionType, bytes], Extensions()]
OptionalExtensions = Annotated[dict[ExtensionType, bytes], Extensions(optional=True)]


@dataclass(slots=True)
class HandshakeMessage(Struct):
    """The base of all handshake messages."""

    handshake_type: ClassVar[HandshakeType]

    raw: bytes = field(default=b"", kw_only=True, repr=False, compare=False, metadata={"off_wire": True})
    """The message as it was received or sent, its four-byte header included; empty before that."""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The message whose header and body `raw` is; raises `DecodeError`."""
        message, at = cls._read(raw, HEADER_SIZE, len(raw))
        if at != len(raw):
            raise DecodeError(f"{cls.__name__} is followed by {len(raw) - at} bytes that belong to nothing.")
        message.raw = raw
        return message

    def to_bytes(self) -> bytes:
        """Header and body; remembered in `raw`."""
        body = self._write()
        self.raw = raw = (self.handshake_type << 24 | len(body)).to_bytes(4, "big") + body
        return raw


@dataclass(slots=True)
class ClientHello(HandshakeMessage):
    """What the client offers (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.CLIENT_HELLO

    legacy_version: ProtocolVersion
    random: Annotated[bytes, Fixed(32)]
    legacy_session_id: Annotated[bytes, Opaque(U8, high=32)]
    cipher_suites: Annotated[list[CipherSuite], Vector(U16, low=2, high=0xFFFE)]
    legacy_compression_methods: Annotated[list[CompressionMethod], Vector(U8, low=1)]
    extensions: OptionalExtensions


@dataclass(slots=True)
class ServerHello(HandshakeMessage):
    """What the server took, or its wish for another ClientHello (RFC 8446, 4.1.3 and 4.1.4)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.SERVER_HELLO

    legacy_version: ProtocolVersion
    random: Annotated[bytes, Fixed(32)]
    legacy_session_id_echo: Annotated[bytes, Opaque(U8, high=32)]
    cipher_suite: CipherSuite
    legacy_compression_method: CompressionMethod
    extensions: OptionalExtensions

    @property
    def is_retry(self) -> bool:
        """Whether this is a HelloRetryRequest."""
        return self.random == RETRY_RANDOM


@dataclass(slots=True)
class EncryptedExtensions(HandshakeMessage):
    """The server's extensions that keys do not depend on (RFC 8446, 4.3.1)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.ENCRYPTED_EXTENSIONS

    extensions: ExtensionMap


@dataclass(slots=True)
class CertificateRequest(HandshakeMessage):
    """The server asks who the client is (RFC 8446, 4.3.2)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_REQUEST

    certificate_request_context: Annotated[bytes, Opaque(U8)]
    extensions: ExtensionMap


@dataclass(slots=True)
class CertificateEntry(Struct):
    """One certificate and what was said of it (RFC 8446, 4.4.2)."""

    cert_data: Annotated[bytes, Opaque(U24, low=1)]
    extensions: ExtensionMap


@dataclass(slots=True)
class Certificate(HandshakeMessage):
    """A party's certificates, its own first (RFC 8446, 4.4.2)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE

    certificate_request_context: Annotated[bytes, Opaque(U8)]
    certificate_list: Annotated[list[CertificateEntry], Vector(U24)]


@dataclass(slots=True)
class CertificateVerify(HandshakeMessage):
    """Proof that a party has the key of its certificate (RFC 8446, 4.4.3; RFC 5246, 7.4.8)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_VERIFY

    algorithm: SignatureScheme
    signature: Annotated[bytes, Opaque(U16)]


@dataclass(slots=True)
class Finished(HandshakeMessage):
    """A MAC over the whole handshake (RFC 8446, 4.4.4; RFC 5246, 7.4.9)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.FINISHED

    verify_data: Annotated[bytes, Rest()]


@dataclass(slots=True)
class EndOfEarlyData(HandshakeMessage):
    """No more 0-RTT data follows (RFC 8446, 4.5)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.END_OF_EARLY_DATA


@dataclass(slots=True)
class NewSessionTicket(HandshakeMessage):
    """A ticket to resume this session with (RFC 8446, 4.6.1)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.NEW_SESSION_TICKET

    ticket_lifetime: Annotated[int, U32]
    ticket_age_add: Annotated[int, U32]
    ticket_nonce: Annotated[bytes, Opaque(U8)]
    ticket: Annotated[bytes, Opaque(U16, low=1)]
    extensions: ExtensionMap


@dataclass(slots=True)
class KeyUpdate(HandshakeMessage):
    """The sender's next records use its next key (RFC 8446, 4.6.3)."""

    handshake_type: ClassVar[HandshakeType] = HandshakeType.KEY_UPDATE

    request_update: KeyUpdateRequest


def message_hash(digest: bytes) -> bytes:
    """The message that stands for the first ClientHello after a retry (RFC 8446, 4.4.1)."""
    return (HandshakeType.MESSAGE_HASH << 24 | len(digest)).to_bytes(4, "big") + digest
