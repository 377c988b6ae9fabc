"""Each way a certificate can be refused, with the alert that says so (RFC 8446, 6.2; RFC 5280, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handclasp.errors import PeerError
from handclasp.wire.iana import AlertDescription

if TYPE_CHECKING:
    from handclasp.x509.report import Report

__all__ = [
    "BadStaple",
    "BudgetExceeded",
    "CertificateError",
    "CertificateExpired",
    "CertificateNotYetValid",
    "CertificateRevoked",
    "ClientNotAllowed",
    "ConstraintViolation",
    "FormViolation",
    "HostNameMismatch",
    "MalformedCertificate",
    "PolicyViolation",
    "RevocationUnknown",
    "SignatureInvalid",
    "StapleMissing",
    "UnknownAuthority",
    "UnwantedCertificate",
    "WeakKey",
    "WeakSignatureHash",
    "WrongPurpose",
]


class CertificateError(PeerError):
    """The peer's certificate was refused; `report` has every check that was made."""

    alert = AlertDescription.BAD_CERTIFICATE
    section = "RFC 5280, 6"
    step = 13

    def __init__(self, message: str, report: Report | None = None) -> None:
        super().__init__(message)
        self.report = report


class MalformedCertificate(CertificateError):
    """Bytes that are no certificate (RFC 5280, 4.1)."""

    section = "RFC 5280, 4.1"
    mend = "Have the certificate issued again; its bytes are not DER as RFC 5280 wants it."


class CertificateExpired(CertificateError):
    """The certificate's last day is over (RFC 5280, 4.1.2.5)."""

    alert = AlertDescription.CERTIFICATE_EXPIRED
    section = "RFC 5280, 4.1.2.5"
    mend = "Renew the certificate, or set this machine's clock right."


class CertificateNotYetValid(CertificateError):
    """The certificate's first day is to come; TLS has one alert for both ends (RFC 8446, 6.2)."""

    alert = AlertDescription.CERTIFICATE_EXPIRED
    section = "RFC 5280, 4.1.2.5"
    mend = "Set this machine's clock right, or wait until the certificate's first day."


class UnknownAuthority(CertificateError):
    """No path from the certificate to an authority that is trusted here (RFC 5280, 6.1)."""

    alert = AlertDescription.UNKNOWN_CA
    section = "RFC 5280, 6.1"
    mend = "Add the issuing root to the trusted authorities, or have the peer send its intermediates."


class SignatureInvalid(CertificateError):
    """A certificate whose signature its issuer's key did not make (RFC 5280, 6.1.3)."""

    section = "RFC 5280, 6.1.3"
    mend = "The certificate was changed, or another authority of the same name issued it."


class HostNameMismatch(CertificateError):
    """The certificate is for other names; bad_certificate is what most stacks send (RFC 9525, 6)."""

    section = "RFC 9525, 6"
    mend = "Connect by a name in the certificate, or issue one that has the name you connect by."


class ClientNotAllowed(CertificateError):
    """A client whose certificate is good and whose name is not among those let in."""

    alert = AlertDescription.ACCESS_DENIED
    section = "RFC 8446, 6.2"
    step = 17
    mend = "Add one of the client's names to `allowed_clients`, or give it a certificate with such a name."


class UnwantedCertificate(CertificateError):
    """A client's certificate without what the server's oid_filters want of it (RFC 8446, 4.2.5)."""

    alert = AlertDescription.UNSUPPORTED_CERTIFICATE
    section = "RFC 8446, 4.2.5"
    mend = "Show a certificate with the extensions that the server asks for, or change the server's oid_filters."
    step = 17


class WrongPurpose(CertificateError):
    """The certificate is not for this use (RFC 5280, 4.2.1.3 and 4.2.1.12)."""

    alert = AlertDescription.UNSUPPORTED_CERTIFICATE
    section = "RFC 5280, 4.2.1.12"
    mend = "Issue a certificate whose key usage and extended key usage allow this."


class CertificateRevoked(CertificateError):
    """The authority took the certificate back (RFC 5280, 6.3)."""

    alert = AlertDescription.CERTIFICATE_REVOKED
    section = "RFC 5280, 6.3"
    mend = "Have a new certificate issued, with a new key."


class RevocationUnknown(CertificateError):
    """Whether the certificate was revoked cannot be told, and the policy wants to know (RFC 5280, 6.3)."""

    alert = AlertDescription.CERTIFICATE_UNKNOWN
    section = "RFC 5280, 6.3"
    mend = "Give the verifier a fresh CRL or OCSP response of the issuing authority."


class BadStaple(CertificateError):
    """A stapled OCSP response that is not to be believed (RFC 6066, 8; RFC 6960)."""

    alert = AlertDescription.BAD_CERTIFICATE_STATUS_RESPONSE
    section = "RFC 6066, 8"
    mend = "Have the server fetch its OCSP response anew; compare the clocks of both machines."


class StapleMissing(CertificateError):
    """The certificate says that its server staples, and it did not (RFC 7633)."""

    alert = AlertDescription.BAD_CERTIFICATE_STATUS_RESPONSE
    section = "RFC 7633, 4"
    mend = "Have the server staple its OCSP response, or issue a certificate without must-staple."


class WeakSignatureHash(CertificateError):
    """A signature over a hash that is broken or phased out (RFC 9155; mission row S14)."""

    section = "RFC 9155, 2"
    mend = "Have the certificate issued again, signed with SHA-256 or stronger."


class WeakKey(CertificateError):
    """A key too short, too long to be worked with, or of a kind that the policy leaves out."""

    section = "RFC 8446, 4.4.2.2"
    mend = "Issue a certificate for an RSA key of 2048 to 8192 bits, or an elliptic curve key."


class ConstraintViolation(CertificateError):
    """A path that breaks what an authority in it may issue (RFC 5280, 4.2.1.9 and 4.2.1.10)."""

    section = "RFC 5280, 6.1.4"
    mend = "Have the certificate issued by an authority that may issue it."


class FormViolation(CertificateError):
    """A certificate that no conforming authority issues (RFC 5280, 4)."""

    section = "RFC 5280, 4"
    mend = "Have the certificate issued again, as the standard wants it, or choose a wider profile."


class PolicyViolation(CertificateError):
    """A path without a certificate policy that is wanted (RFC 5280, 6.1.5)."""

    section = "RFC 5280, 6.1.5"
    mend = "Have a certificate issued under one of the policies that are wanted, or want fewer."


class BudgetExceeded(CertificateError):
    """Judging this chain would take more work than the policy allows."""

    section = "RFC 5280, 8"
    mend = "Send only the certificates of the path, or raise the budget in the policy."
