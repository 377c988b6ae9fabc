"""Bodies of extensions (RFC 8446, 4.2; RFC 6066; RFC 7301; RFC 8422; RFC 5746).

A hello keeps its extensions as bytes; `find` decodes the one that is asked for. Extensions
whose body is empty, or is bytes that we only carry, have no structure here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar

from handclasp.wire.codec import U8, U16, U24, U32, Opaque, Rest, Struct, Vector
from handclasp.wire.iana import (
    CertificateStatusType,
    CertificateType,
    ECPointFormat,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    PskKeyExchangeMode,
    ServerNameType,
    SignatureScheme,
)

__all__ = [
    "ALPN",
    "CertificateAuthorities",
    "CertificateStatusRequest",
    "ClientCertificateTypes",
    "Cookie",
    "ECPointFormats",
    "EarlyDataLimit",
    "ExtensionBody",
    "Heartbeat",
    "KeyShareClientHello",
    "KeyShareEntry",
    "KeyShareHelloRetryRequest",
    "KeyShareServerHello",
    "MaxFragmentLength",
    "OCSPStatus",
    "OfferedPsks",
    "OidFilter",
    "OidFilters",
    "Padding",
    "PskIdentity",
    "PskKeyExchangeModes",
    "RecordSizeLimit",
    "RenegotiationInfo",
    "SelectedCertificateType",
    "SelectedPsk",
    "ServerCertificateTypes",
    "ServerName",
    "ServerNameList",
    "SessionTicket",
    "SignatureAlgorithms",
    "SignatureAlgorithmsCert",
    "SignedCertificateTimestamps",
    "SupportedGroups",
    "SupportedVersions",
    "SupportedVersionsServerHello",
    "UseSRTP",
    "find",
    "pack",
]


@dataclass(slots=True)
class ExtensionBody(Struct):
    """The base of the bodies: each knows the extension that carries it."""

    extension_type: ClassVar[ExtensionType]


Body = TypeVar("Body", bound=ExtensionBody)


def find(extensions: Mapping[ExtensionType, bytes], kind: type[Body]) -> Body | None:
    """The decoded body of one extension, None where it is absent; raises `DecodeError`."""
    data = extensions.get(kind.extension_type)
    return None if data is None else kind.decode(data)


def pack(*bodies: ExtensionBody) -> dict[ExtensionType, bytes]:
    """The block of these extensions, in this order."""
    return {body.extension_type: body._write() for body in bodies}


@dataclass(slots=True)
class ServerName(Struct):
    """One name of a server; only host names exist (RFC 6066, 3)."""

    name_type: ServerNameType
    host_name: Annotated[bytes, Opaque(U16, low=1)]


@dataclass(slots=True)
class ServerNameList(ExtensionBody):
    """The server that the client means (RFC 6066, 3)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SERVER_NAME

    server_name_list: Annotated[list[ServerName], Vector(U16, low=1)]


@dataclass(slots=True)
class CertificateStatusRequest(ExtensionBody):
    """The client would like an OCSP response (RFC 6066, 8)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.STATUS_REQUEST

    status_type: CertificateStatusType
    responder_id_list: Annotated[list[bytes], Vector(U16, item=Opaque(U16, low=1))]
    request_extensions: Annotated[bytes, Opaque(U16)]


@dataclass(slots=True)
class OCSPStatus(ExtensionBody):
    """A stapled OCSP response, in TLS 1.3's Certificate (RFC 8446, 4.4.2.1)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.STATUS_REQUEST

    status_type: CertificateStatusType
    response: Annotated[bytes, Opaque(U24, low=1)]


@dataclass(slots=True)
class SignedCertificateTimestamps(ExtensionBody):
    """Proofs that a certificate is logged, each a TLS structure of its own (RFC 6962, 3.3)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SIGNED_CERTIFICATE_TIMESTAMP

    sct_list: Annotated[list[bytes], Vector(U16, low=1, item=Opaque(U16, low=1))]


@dataclass(slots=True)
class SupportedGroups(ExtensionBody):
    """Groups for key exchange, the dearest first (RFC 8446, 4.2.7)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SUPPORTED_GROUPS

    named_group_list: Annotated[list[NamedGroup], Vector(U16, low=2)]


@dataclass(slots=True)
class ECPointFormats(ExtensionBody):
    """How points may be written (RFC 8422, 5.1.2)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.EC_POINT_FORMATS

    ec_point_format_list: Annotated[list[ECPointFormat], Vector(U8, low=1)]


@dataclass(slots=True)
class SignatureAlgorithms(ExtensionBody):
    """Signatures the sender can verify (RFC 8446, 4.2.3)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SIGNATURE_ALGORITHMS

    supported_signature_algorithms: Annotated[list[SignatureScheme], Vector(U16, low=2, high=0xFFFE)]


@dataclass(slots=True)
class SignatureAlgorithmsCert(ExtensionBody):
    """Signatures the sender can verify in certificates (RFC 8446, 4.2.3)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SIGNATURE_ALGORITHMS_CERT

    supported_signature_algorithms: Annotated[list[SignatureScheme], Vector(U16, low=2, high=0xFFFE)]


@dataclass(slots=True)
class ALPN(ExtensionBody):
    """Application protocols: a client's list, or the one the server took (RFC 7301, 3.1)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION

    protocol_name_list: Annotated[list[bytes], Vector(U16, low=2, item=Opaque(U8, low=1))]


@dataclass(slots=True)
class SupportedVersions(ExtensionBody):
    """Versions the client speaks (RFC 8446, 4.2.1)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SUPPORTED_VERSIONS

    versions: Annotated[list[ProtocolVersion], Vector(U8, low=2, high=254)]


@dataclass(slots=True)
class SupportedVersionsServerHello(ExtensionBody):
    """The version the server took (RFC 8446, 4.2.1)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SUPPORTED_VERSIONS

    selected_version: ProtocolVersion


@dataclass(slots=True)
class KeyShareEntry(Struct):
    """One offered key (RFC 8446, 4.2.8)."""

    group: NamedGroup
    key_exchange: Annotated[bytes, Opaque(U16, low=1)]


@dataclass(slots=True)
class KeyShareClientHello(ExtensionBody):
    """The client's keys, for some of its groups (RFC 8446, 4.2.8)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.KEY_SHARE

    client_shares: Annotated[list[KeyShareEntry], Vector(U16)]


@dataclass(slots=True)
class KeyShareServerHello(ExtensionBody):
    """The server's key (RFC 8446, 4.2.8)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.KEY_SHARE

    server_share: KeyShareEntry


@dataclass(slots=True)
class KeyShareHelloRetryRequest(ExtensionBody):
    """The group the server wants a key for (RFC 8446, 4.2.8)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.KEY_SHARE

    selected_group: NamedGroup


@dataclass(slots=True)
class Cookie(ExtensionBody):
    """What the server wants back in the next ClientHello (RFC 8446, 4.2.2)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.COOKIE

    cookie: Annotated[bytes, Opaque(U16, low=1)]


@dataclass(slots=True)
class PskKeyExchangeModes(ExtensionBody):
    """How the client would use a pre-shared key (RFC 8446, 4.2.9)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.PSK_KEY_EXCHANGE_MODES

    ke_modes: Annotated[list[PskKeyExchangeMode], Vector(U8, low=1)]


@dataclass(slots=True)
class PskIdentity(Struct):
    """The name of a pre-shared key, mostly a ticket (RFC 8446, 4.2.11)."""

    identity: Annotated[bytes, Opaque(U16, low=1)]
    obfuscated_ticket_age: Annotated[int, U32]


@dataclass(slots=True)
class OfferedPsks(ExtensionBody):
    """Pre-shared keys of the client, with a MAC by each over the hello (RFC 8446, 4.2.11)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.PRE_SHARED_KEY

    identities: Annotated[list[PskIdentity], Vector(U16, low=7)]
    binders: Annotated[list[bytes], Vector(U16, low=33, item=Opaque(U8, low=32))]

    @property
    def binders_size(self) -> int:
        """Bytes at the end of the hello that binders do not cover: the list and its length."""
        return 2 + sum(1 + len(binder) for binder in self.binders)


@dataclass(slots=True)
class SelectedPsk(ExtensionBody):
    """Which of the client's keys the server took (RFC 8446, 4.2.11)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.PRE_SHARED_KEY

    selected_identity: Annotated[int, U16]


@dataclass(slots=True)
class EarlyDataLimit(ExtensionBody):
    """How much 0-RTT data a ticket allows, in bytes (RFC 8446, 4.2.10)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.EARLY_DATA

    max_early_data_size: Annotated[int, U32]


@dataclass(slots=True)
class CertificateAuthorities(ExtensionBody):
    """DER names of authorities whose certificates are welcome (RFC 8446, 4.2.4)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.CERTIFICATE_AUTHORITIES

    authorities: Annotated[list[bytes], Vector(U16, low=3, item=Opaque(U16, low=1))]


@dataclass(slots=True)
class OidFilter(Struct):
    """An extension that the client's certificate must have, with these values (RFC 8446, 4.2.5)."""

    certificate_extension_oid: Annotated[bytes, Opaque(U8, low=1)]
    certificate_extension_values: Annotated[bytes, Opaque(U16)]


@dataclass(slots=True)
class OidFilters(ExtensionBody):
    """All that the client's certificate must have (RFC 8446, 4.2.5)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.OID_FILTERS

    filters: Annotated[list[OidFilter], Vector(U16)]


@dataclass(slots=True)
class RenegotiationInfo(ExtensionBody):
    """Binds a renegotiation to its first handshake; empty in the first (RFC 5746, 3.2)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.RENEGOTIATION_INFO

    renegotiated_connection: Annotated[bytes, Opaque(U8)]


@dataclass(slots=True)
class RecordSizeLimit(ExtensionBody):
    """The largest plaintext, in bytes, that the sender wants in one record (RFC 8449, 4)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.RECORD_SIZE_LIMIT

    record_size_limit: Annotated[int, U16]


@dataclass(slots=True)
class MaxFragmentLength(ExtensionBody):
    """The largest plaintext in one record, as a power: 1 to 4 for 2^9 to 2^12 bytes (RFC 6066, 4)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.MAX_FRAGMENT_LENGTH

    max_fragment_length: Annotated[int, U8]


@dataclass(slots=True)
class UseSRTP(ExtensionBody):
    """Profiles for keying SRTP (RFC 5764, 4.1.1)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.USE_SRTP

    srtp_protection_profiles: Annotated[list[int], Vector(U16, low=2, item=U16)]
    srtp_mki: Annotated[bytes, Opaque(U8)]


@dataclass(slots=True)
class Heartbeat(ExtensionBody):
    """Whether the sender takes heartbeats, which handclasp does not send (RFC 6520, 2)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.HEARTBEAT

    mode: Annotated[int, U8]


@dataclass(slots=True)
class ClientCertificateTypes(ExtensionBody):
    """Kinds of certificate that the client can show (RFC 7250, 3)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.CLIENT_CERTIFICATE_TYPE

    client_certificate_types: Annotated[list[CertificateType], Vector(U8, low=1)]


@dataclass(slots=True)
class ServerCertificateTypes(ExtensionBody):
    """Kinds of certificate that the client can judge (RFC 7250, 3)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SERVER_CERTIFICATE_TYPE

    server_certificate_types: Annotated[list[CertificateType], Vector(U8, low=1)]


@dataclass(slots=True)
class SelectedCertificateType(ExtensionBody):
    """The one kind that the server took, of its own certificate or of the client's (RFC 7250, 3)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SERVER_CERTIFICATE_TYPE

    certificate_type: CertificateType


@dataclass(slots=True)
class Padding(ExtensionBody):
    """Zeros that make a hello longer (RFC 7685, 3)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.PADDING

    padding: Annotated[bytes, Rest()]


@dataclass(slots=True)
class SessionTicket(ExtensionBody):
    """A TLS 1.2 ticket; empty to ask for one (RFC 5077, 3.2)."""

    extension_type: ClassVar[ExtensionType] = ExtensionType.SESSION_TICKET

    ticket: Annotated[bytes, Rest()]
