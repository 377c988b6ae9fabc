"""Certificate, CertificateVerify, Finished: the three by which a party proves itself (RFC 8446, 4.4).

Both roles do the same here, so both use this.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

from handclasp.crypto import signatures
from handclasp.crypto.schedule13 import TrafficSecret
from handclasp.handshake.answers import why_none
from handclasp.handshake.authenticate import check_chain_size, check_verify_data, common_schemes, ocsp_of, signed
from handclasp.handshake.errors import IllegalValue, NoCommonSignatureScheme
from handclasp.handshake.extensions import check_answers
from handclasp.handshake.flow import Steps, ask, expect
from handclasp.handshake.recall import mark_of
from handclasp.questions import ChooseCertificate
from handclasp.wire.extensions import OCSPStatus, SignedCertificateTimestamps, find, pack
from handclasp.wire.iana import (
    CertificateStatusType,
    ExtensionType,
    ProtocolVersion,
    SignatureScheme,
)
from handclasp.wire.messages import Certificate, CertificateEntry, CertificateVerify, Finished
from handclasp.wire.places import Place
from handclasp.x509 import Certificate as X509Certificate
from handclasp.x509.text import listed

if TYPE_CHECKING:
    from handclasp.facts import Role
    from handclasp.handshake.side import Side
    from handclasp.x509 import Report
    from handclasp.x509.identity import Identity

__all__ = [
    "check_chain_limits",
    "check_finished",
    "check_signature",
    "choose_scheme",
    "present_certificate",
    "show_certificate",
    "stapled",
]

TLS13 = ProtocolVersion.TLS13


def check_chain_limits(side: Side[Any], message: Certificate, asked: Container[ExtensionType]) -> tuple[bytes, ...]:
    """The chain in DER, where it is within limits and comes with no extension but such as we asked for."""
    chain = check_chain_size(side, [entry.cert_data for entry in message.certificate_list])
    for entry in message.certificate_list:
        if entry.extensions:
            check_answers(Place.CERTIFICATE, entry.extensions, asked)
    return chain


def stapled(message: Certificate) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The OCSP response and the SCTs that came with the peer's own certificate."""
    extensions = message.certificate_list[0].extensions
    if not extensions:
        return None, ()
    status = find(extensions, OCSPStatus)
    scts = find(extensions, SignedCertificateTimestamps)
    return None if status is None else ocsp_of(status), () if scts is None else tuple(scts.sct_list)


def check_signature(
    side: Side[Any], role: Role, leaf: bytes, report: Report | None, covered: bytes
) -> Steps[SignatureScheme]:
    """The peer has the key of its certificate: its signature covers the transcript (RFC 8446, 4.4.3)."""
    verify = yield from expect(CertificateVerify)
    scheme = verify.algorithm
    if scheme not in side.config.signature_schemes:
        raise IllegalValue(f"The {role} signed with {scheme}, which was not offered.")
    certificate = report.path[0] if report is not None and report.path else X509Certificate(leaf)
    key = certificate.public_key
    if scheme not in signatures.schemes_for(key, TLS13, rsa_pss_key=certificate.is_rsa_pss_key):
        raise IllegalValue(f"The {role} signed with {scheme}, which its certificate's key cannot make.")
    content = signatures.certificate_verify_content(role, covered)
    signatures.verify(scheme, key, verify.signature, content)
    side.note_check("CertificateVerify", True, f"signed with {scheme} over the transcript")
    return scheme


def present_certificate(
    side: Side[Any],
    question: ChooseCertificate,
    context: bytes,
    asked: Mapping[ExtensionType, bytes],
) -> Steps[Identity | None]:
    """Ask for our identity, and show it; a client without one shows an empty list (RFC 8446, 4.4.2)."""
    identity: Identity | None = yield from ask(side, question)
    if identity is None:
        if side.observer is not None:
            side.note_choice("certificate", side.role, (), (), None, why_none(side.config, question))
        side.send(Certificate(context, []))
        return None
    scheme = choose_scheme(side, identity, question.signature_schemes)
    yield from show_certificate(side, identity, scheme, context, asked)
    return identity


def choose_scheme(side: Side[Any], identity: Identity, schemes: tuple[SignatureScheme, ...]) -> SignatureScheme:
    """How this identity's key will sign: the first of what the peer verifies that it can make."""
    ours = identity.schemes(TLS13)
    possible = common_schemes(schemes, ours)
    if not possible:
        raise NoCommonSignatureScheme(
            f"Our key can sign with {listed(ours) or 'nothing of TLS 1.3'};"
            f" the peer verifies {listed(schemes) or 'none of ours'}."
        )
    scheme = possible[0]
    side.note_choice("certificate", side.role, (), (), identity, "it fits what the peer accepts best")
    side.note_choice("signature_scheme", side.role, schemes, possible, scheme, "the first that our key can make")
    return scheme


def show_certificate(
    side: Side[Any],
    identity: Identity,
    scheme: SignatureScheme,
    context: bytes,
    asked: Mapping[ExtensionType, bytes],
) -> Steps[None]:
    """Certificate and CertificateVerify of this identity."""
    entries = [CertificateEntry(certificate.der, {}) for certificate in identity.chain]
    if identity.ocsp_response is not None and ExtensionType.STATUS_REQUEST in asked:
        entries[0].extensions |= pack(OCSPStatus(CertificateStatusType.OCSP, identity.ocsp_response))
    if identity.scts and ExtensionType.SIGNED_CERTIFICATE_TIMESTAMP in asked:
        entries[0].extensions |= pack(SignedCertificateTimestamps(list(identity.scts)))
    side.bound.own_certificate = mark_of(side, identity)
    side.send(Certificate(context, entries))
    content = signatures.certificate_verify_content(side.role, side.transcript.digest())
    signature = yield from signed(side, identity, scheme, content)
    side.send(CertificateVerify(scheme, signature))


def check_finished(side: Side[Any], secret: TrafficSecret) -> Steps[None]:
    """The peer saw the handshake that we saw (RFC 8446, 4.4.4)."""
    wanted = secret.verify_data(side.transcript.digest())
    finished = yield from expect(Finished)
    check_verify_data(side, finished, wanted)
