"""Certificates and signatures of TLS 1.2 (RFC 5246, 7.4.2 to 7.4.8; RFC 8422, 5); both roles use this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa

from handclasp.crypto import signatures
from handclasp.handshake.errors import IllegalValue
from handclasp.wire.iana import ClientCertificateType, ProtocolVersion, SignatureScheme
from handclasp.x509 import Certificate as X509Certificate

if TYPE_CHECKING:
    from handclasp.facts import Role
    from handclasp.handshake.side import Side
    from handclasp.x509 import Report

__all__ = [
    "SIGNING_TYPES",
    "authentication_by",
    "authentication_of",
    "check_signed",
    "leaf_of",
    "signing_type",
]

TLS12 = ProtocolVersion.TLS12

SIGNING_TYPES = [ClientCertificateType.ECDSA_SIGN, ClientCertificateType.RSA_SIGN]
"""Kinds of client certificate that we ask for; Ed25519 and Ed448 count as ECDSA (RFC 8422, 5.5)."""


def leaf_of(chain: tuple[bytes, ...], report: Report | None) -> X509Certificate:
    """The peer's own certificate, parsed already where a report has it."""
    return report.path[0] if report is not None and report.path else X509Certificate(chain[0])


def authentication_of(key: object) -> str:
    """Which suites a public key authenticates: "RSA", or "ECDSA" for all others (RFC 8422, 5.10)."""
    return "RSA" if isinstance(key, rsa.RSAPublicKey) else "ECDSA"


def authentication_by(scheme: SignatureScheme) -> str:
    """The same for the key behind a signature."""
    return "RSA" if scheme.name.startswith("RSA") else "ECDSA"


def signing_type(scheme: SignatureScheme) -> ClientCertificateType:
    """Which kind of client certificate makes these signatures."""
    return ClientCertificateType.RSA_SIGN if authentication_by(scheme) == "RSA" else ClientCertificateType.ECDSA_SIGN


def check_signed(
    side: Side[Any], role: Role, leaf: X509Certificate, scheme: SignatureScheme, signature: bytes, content: bytes
) -> None:
    """The peer has the key of its certificate: the signature covers `content`."""
    if scheme not in side.config.signature_schemes:
        raise IllegalValue(f"The {role} signed with {scheme}, which was not offered.")
    if scheme not in signatures.schemes_for(leaf.public_key, TLS12, rsa_pss_key=leaf.is_rsa_pss_key):
        raise IllegalValue(f"The {role} signed with {scheme}, which its certificate's key cannot make.")
    signatures.verify(scheme, leaf.public_key, signature, content)
    side.note_check("signature", True, f"the {role} signed with {scheme}")
