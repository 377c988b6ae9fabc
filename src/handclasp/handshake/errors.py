"""Each way a peer can be wrong in a handshake, with the alert that answers it (RFC 8446, 6.2)."""

from __future__ import annotations

from handclasp.errors import HandclaspError, PeerError
from handclasp.wire.iana import AlertDescription

__all__ = [
    "BinderMismatch",
    "CertificateMissing",
    "CertificateMissing12",
    "CertificateUnwanted",
    "ChainTooLong",
    "CookieMismatch",
    "DowngradeDetected",
    "ExtendedMasterSecretChanged",
    "ExtendedMasterSecretMissing",
    "ExtensionMissing",
    "ExtensionNotAllowed",
    "ExtensionUnasked",
    "FinishedMismatch",
    "IllegalChange",
    "IllegalValue",
    "InappropriateFallback",
    "LimitExceeded",
    "NoCommonCipherSuite",
    "NoCommonGroup",
    "NoCommonProtocol",
    "NoCommonSignatureScheme",
    "NoCommonVersion",
    "NoSuitableCertificate",
    "RenegotiationMismatch",
    "SecondRetry",
    "SecureRenegotiationMissing",
    "SignerFailed",
    "UnexpectedMessage",
    "VersionUnasked",
]


class UnexpectedMessage(PeerError):
    """A message that has no place at this point (RFC 8446, 6.2)."""

    alert = AlertDescription.UNEXPECTED_MESSAGE
    section = "RFC 8446, 6.2"
    mend = "The peer's TLS software is out of step; look at the trace for the message before this one."


class SecondRetry(UnexpectedMessage):
    """A second HelloRetryRequest (RFC 8446, 4.1.4)."""

    section = "RFC 8446, 4.1.4"


class IllegalValue(PeerError):
    """A field whose value is well-formed and not allowed (RFC 8446, 6.2)."""

    alert = AlertDescription.ILLEGAL_PARAMETER
    section = "RFC 8446, 6.2"


class IllegalChange(IllegalValue):
    """A second ClientHello, or a ServerHello after a retry, that changed what has to stay (RFC 8446, 4.1.2)."""

    section = "RFC 8446, 4.1.2"


class CookieMismatch(IllegalValue):
    """The cookie that came back is not the one that was sent (RFC 8446, 4.2.2)."""

    section = "RFC 8446, 4.2.2"


class VersionUnasked(IllegalValue):
    """The server chose a version that the client did not offer (RFC 8446, D.1)."""

    alert = AlertDescription.PROTOCOL_VERSION
    section = "RFC 8446, D.1"
    step = 8
    mend = "Enable that version on the client if it is acceptable, or a newer one on the server."


class DowngradeDetected(IllegalValue):
    """The server says it speaks a newer version than the one agreed on (RFC 8446, 4.1.3)."""

    section = "RFC 8446, 4.1.3"
    step = 8
    mend = "Something between the two removes versions from the hello; find and repair that device."


class ExtensionMissing(PeerError):
    """An extension that this message must have (RFC 8446, 9.2)."""

    alert = AlertDescription.MISSING_EXTENSION
    section = "RFC 8446, 9.2"


class ExtensionUnasked(PeerError):
    """An extension in answer to nothing we sent (RFC 8446, 4.2)."""

    alert = AlertDescription.UNSUPPORTED_EXTENSION
    section = "RFC 8446, 4.2"


class ExtensionNotAllowed(IllegalValue):
    """A known extension in a message that may not have it (RFC 8446, 4.2)."""

    section = "RFC 8446, 4.2"


class NoCommonVersion(PeerError):
    """No version that both sides speak (RFC 8446, 4.2.1)."""

    alert = AlertDescription.PROTOCOL_VERSION
    section = "RFC 8446, 4.2.1"
    step = 7
    mend = "Enable a version on one side that the other has; TLS 1.2 and 1.3 are what should be spoken."


class InappropriateFallback(PeerError):
    """The client came back with a lower version, which this server need not have been asked for (RFC 7507, 3)."""

    alert = AlertDescription.INAPPROPRIATE_FALLBACK
    section = "RFC 7507, 3"
    step = 7
    mend = "Find what made the client's first attempt fail; the server speaks the higher version."


class NoCommonCipherSuite(PeerError):
    """No cipher suite that both sides, and the server's keys, can use (RFC 8446, 4.1.1)."""

    alert = AlertDescription.HANDSHAKE_FAILURE
    section = "RFC 8446, 4.1.1"
    step = 7
    mend = "Add one of the peer's cipher suites, or give the server a certificate whose key fits them."


class NoCommonGroup(PeerError):
    """No group for the key exchange that both sides have (RFC 8446, 4.1.1)."""

    alert = AlertDescription.HANDSHAKE_FAILURE
    section = "RFC 8446, 4.1.1"
    step = 7
    mend = "Enable a group on one side that the other has; X25519 and secp256r1 are the widest known."


class NoCommonSignatureScheme(PeerError):
    """No signature scheme that our key can make and the peer verifies (RFC 8446, 4.4.2.2)."""

    alert = AlertDescription.HANDSHAKE_FAILURE
    section = "RFC 8446, 4.4.2.2"
    step = 9
    mend = "Use a certificate whose key makes a signature that the peer offers."


class NoSuitableCertificate(PeerError):
    """We have no certificate that this client accepts (RFC 8446, 4.4.2.2)."""

    alert = AlertDescription.HANDSHAKE_FAILURE
    section = "RFC 8446, 4.4.2.2"
    step = 9
    mend = "Give the server a certificate whose key type the client can verify."


class NoCommonProtocol(PeerError):
    """No application protocol that both sides speak (RFC 7301, 3.2)."""

    alert = AlertDescription.NO_APPLICATION_PROTOCOL
    section = "RFC 7301, 3.2"
    step = 7
    mend = "Add one of the client's protocols to the server's `alpn`, or leave ALPN out on one side."


class FinishedMismatch(PeerError):
    """Finished does not cover the handshake we saw (RFC 8446, 4.4.4)."""

    alert = AlertDescription.DECRYPT_ERROR
    section = "RFC 8446, 4.4.4"
    mend = "Something changed the handshake on its way, or one side computes its keys wrongly."


class BinderMismatch(PeerError):
    """A binder does not cover the ClientHello we saw (RFC 8446, 4.2.11.2)."""

    alert = AlertDescription.DECRYPT_ERROR
    section = "RFC 8446, 4.2.11.2"
    mend = (
        "Have the client forget the session and make a full handshake; a shared key has to be the same on both sides."
    )


class CertificateMissing(PeerError):
    """The peer showed no certificate where one is required (RFC 8446, 4.4.2.4)."""

    alert = AlertDescription.CERTIFICATE_REQUIRED
    section = "RFC 8446, 4.4.2.4"
    step = 14
    mend = "Give the client a certificate that one of the server's trusted authorities issued."


class CertificateMissing12(CertificateMissing):
    """The same in TLS 1.2, which has no alert of its own for it (RFC 5246, 7.4.6)."""

    alert = AlertDescription.HANDSHAKE_FAILURE
    section = "RFC 5246, 7.4.6"


class CertificateUnwanted(PeerError):
    """A certificate of a kind that was not agreed on (RFC 8446, 4.4.2.2)."""

    alert = AlertDescription.UNSUPPORTED_CERTIFICATE
    section = "RFC 8446, 4.4.2.2"


class ChainTooLong(PeerError):
    """More certificates, or more bytes of them, than our limits allow."""

    alert = AlertDescription.BAD_CERTIFICATE
    section = "RFC 8446, 4.4.2"
    mend = "Send only the certificates of the path, or raise the limit in `Limits`."


class ExtendedMasterSecretMissing(PeerError):
    """A TLS 1.2 peer without the extended master secret, which we require (RFC 7627, 5.2 and 5.3)."""

    alert = AlertDescription.INSUFFICIENT_SECURITY  # the one alert that says that the version was not the matter
    section = "RFC 7627, 5.2"
    step = 7
    mend = (
        "Update the peer to software with the extended master secret (RFC 7627), or have it speak TLS 1.3; "
        "set require_extended_master_secret=False for this old device alone."
    )


class ExtendedMasterSecretChanged(PeerError):
    """A resumption that changes whether the session has the extended master secret (RFC 7627, 5.3)."""

    alert = AlertDescription.HANDSHAKE_FAILURE
    section = "RFC 7627, 5.3"
    mend = "Something between may have changed the hello; the session is forgotten, so connect again."


class SecureRenegotiationMissing(PeerError):
    """A TLS 1.2 server without renegotiation_info: one may have been put before ours (RFC 5746, 3.4 and 4.1)."""

    alert = AlertDescription.HANDSHAKE_FAILURE
    section = "RFC 5746, 3.4"
    step = 8
    mend = (
        "Update the server to software with secure renegotiation (RFC 5746), or have it speak TLS 1.3; set "
        "allow_servers_without_secure_renegotiation=True for this old server alone."
    )


class RenegotiationMismatch(PeerError):
    """renegotiation_info of a handshake that was never made on this connection (RFC 5746, 3.4 and 3.6)."""

    alert = AlertDescription.HANDSHAKE_FAILURE
    section = "RFC 5746, 3.4"
    mend = "Somebody may have put a handshake of their own before this one; open a new connection."


class LimitExceeded(PeerError):
    """More of something than `Limits` allows."""

    alert = AlertDescription.UNEXPECTED_MESSAGE
    section = "RFC 8446, D"
    mend = "Raise the limit in `Limits` if this peer is to be trusted with more."


class SignerFailed(HandclaspError):
    """Our own key could not sign, or not so that it verifies; nothing the peer did. The cause is attached."""

    alert = AlertDescription.INTERNAL_ERROR
    mend = (
        "Look at the attached cause, and at what holds the key; ECDSA signatures have to be in DER, RSA ones in the "
        "padding asked for."
    )
