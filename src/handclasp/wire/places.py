"""Which extension may be in which message, and what its body is there (RFC 8446, 4.2; RFC 5246, 7.4.1.4).

One row for each extension that handclasp knows, which are those of RFC 8446's table and TLS 1.2's own. What is not here
is unknown, and passed over wherever it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from handclasp.wire.extensions import (
    ALPN,
    CertificateAuthorities,
    CertificateStatusRequest,
    ClientCertificateTypes,
    Cookie,
    EarlyDataLimit,
    ECPointFormats,
    Heartbeat,
    KeyShareClientHello,
    KeyShareHelloRetryRequest,
    KeyShareServerHello,
    MaxFragmentLength,
    OCSPStatus,
    OfferedPsks,
    OidFilters,
    Padding,
    PskKeyExchangeModes,
    RecordSizeLimit,
    RenegotiationInfo,
    SelectedCertificateType,
    SelectedPsk,
    ServerCertificateTypes,
    ServerNameList,
    SessionTicket,
    SignatureAlgorithms,
    SignatureAlgorithmsCert,
    SignedCertificateTimestamps,
    SupportedGroups,
    SupportedVersions,
    SupportedVersionsServerHello,
    UseSRTP,
)
from handclasp.wire.iana import CertificateStatusType, ExtensionType

__all__ = ["PLACES", "Place"]

E = ExtensionType


class Place(StrEnum):
    """A message that carries extensions."""

    CLIENT_HELLO = "ClientHello"
    SERVER_HELLO = "ServerHello"
    SERVER_HELLO_12 = "TLS 1.2 ServerHello"
    HELLO_RETRY_REQUEST = "HelloRetryRequest"
    ENCRYPTED_EXTENSIONS = "EncryptedExtensions"
    CERTIFICATE = "Certificate"
    CERTIFICATE_REQUEST = "CertificateRequest"
    NEW_SESSION_TICKET = "NewSessionTicket"


Decoder = Callable[[bytes], object]
"""Takes a body, and raises `DecodeError` for what is none."""

CH, SH, SH12, HRR = Place.CLIENT_HELLO, Place.SERVER_HELLO, Place.SERVER_HELLO_12, Place.HELLO_RETRY_REQUEST
EE, CT, CR, NST = Place.ENCRYPTED_EXTENSIONS, Place.CERTIFICATE, Place.CERTIFICATE_REQUEST, Place.NEW_SESSION_TICKET


def _status_request(body: bytes) -> object:
    """Only OCSP's requests have a form that we know (RFC 6066, 8)."""
    return body if body and body[0] != CertificateStatusType.OCSP else CertificateStatusRequest.decode(body)


PLACES: dict[ExtensionType, dict[Place, Decoder | None]] = {
    E.SERVER_NAME: {CH: ServerNameList.decode, EE: None, SH12: None},
    E.MAX_FRAGMENT_LENGTH: dict.fromkeys((CH, EE, SH12), MaxFragmentLength.decode),
    E.STATUS_REQUEST: {CH: _status_request, CR: None, CT: OCSPStatus.decode, SH12: None},
    E.SUPPORTED_GROUPS: dict.fromkeys((CH, EE), SupportedGroups.decode),
    E.SIGNATURE_ALGORITHMS: dict.fromkeys((CH, CR), SignatureAlgorithms.decode),
    E.USE_SRTP: dict.fromkeys((CH, EE, SH12), UseSRTP.decode),
    E.HEARTBEAT: dict.fromkeys((CH, EE, SH12), Heartbeat.decode),
    E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION: dict.fromkeys((CH, EE, SH12), ALPN.decode),
    E.SIGNED_CERTIFICATE_TIMESTAMP: {
        CH: None,
        CR: None,
        CT: SignedCertificateTimestamps.decode,
        SH12: SignedCertificateTimestamps.decode,
    },
    E.CLIENT_CERTIFICATE_TYPE: {
        CH: ClientCertificateTypes.decode,
        EE: SelectedCertificateType.decode,
        SH12: SelectedCertificateType.decode,
    },
    E.SERVER_CERTIFICATE_TYPE: {
        CH: ServerCertificateTypes.decode,
        EE: SelectedCertificateType.decode,
        SH12: SelectedCertificateType.decode,
    },
    E.PADDING: {CH: Padding.decode},
    E.KEY_SHARE: {
        CH: KeyShareClientHello.decode,
        SH: KeyShareServerHello.decode,
        HRR: KeyShareHelloRetryRequest.decode,
    },
    E.PRE_SHARED_KEY: {CH: OfferedPsks.decode, SH: SelectedPsk.decode},
    E.PSK_KEY_EXCHANGE_MODES: {CH: PskKeyExchangeModes.decode},
    E.EARLY_DATA: {CH: None, EE: None, NST: EarlyDataLimit.decode},
    E.COOKIE: dict.fromkeys((CH, HRR), Cookie.decode),
    E.SUPPORTED_VERSIONS: {
        CH: SupportedVersions.decode,
        SH: SupportedVersionsServerHello.decode,
        HRR: SupportedVersionsServerHello.decode,
    },
    E.CERTIFICATE_AUTHORITIES: dict.fromkeys((CH, CR), CertificateAuthorities.decode),
    E.OID_FILTERS: {CR: OidFilters.decode},
    E.POST_HANDSHAKE_AUTH: {CH: None},
    E.SIGNATURE_ALGORITHMS_CERT: dict.fromkeys((CH, CR), SignatureAlgorithmsCert.decode),
    E.RECORD_SIZE_LIMIT: dict.fromkeys((CH, EE, SH12), RecordSizeLimit.decode),  # RFC 8449, 4
    E.EC_POINT_FORMATS: dict.fromkeys((CH, SH12), ECPointFormats.decode),  # RFC 8422, 5.1.2
    E.ENCRYPT_THEN_MAC: dict.fromkeys((CH, SH12)),  # RFC 7366, 2
    E.EXTENDED_MASTER_SECRET: dict.fromkeys((CH, SH12)),  # RFC 7627, 5.1
    E.SESSION_TICKET: {CH: SessionTicket.decode, SH12: None},  # RFC 5077, 3.2
    E.RENEGOTIATION_INFO: dict.fromkeys((CH, SH12), RenegotiationInfo.decode),  # RFC 5746, 3.2
}
"""For each known extension the messages that may carry it, and how its body is decoded there; None: it is empty."""
