"""Who is the peer: stores, paths, checks, names, reports, identities. Knows no TLS."""

from handclasp.x509.certificate import Certificate
from handclasp.x509.clients import AllowedClient
from handclasp.x509.errors import CertificateError
from handclasp.x509.names import Identities, PeerName
from handclasp.x509.policies import PolicyInputs
from handclasp.x509.policy import (
    DEFAULT,
    DEPLOYMENT,
    RFC5280,
    WEB,
    NamePolicy,
    Profile,
    Purpose,
    RevocationMode,
    VerificationPolicy,
)
from handclasp.x509.report import Check, PathTried, Report, Verdict
from handclasp.x509.revocation import RevocationSources
from handclasp.x509.trust import TrustStore
from handclasp.x509.verify import verify

__all__ = [
    "DEFAULT",
    "DEPLOYMENT",
    "RFC5280",
    "WEB",
    "AllowedClient",
    "Certificate",
    "CertificateError",
    "Check",
    "Identities",
    "NamePolicy",
    "PathTried",
    "PeerName",
    "PolicyInputs",
    "Profile",
    "Purpose",
    "Report",
    "RevocationMode",
    "RevocationSources",
    "TrustStore",
    "Verdict",
    "VerificationPolicy",
    "verify",
]
