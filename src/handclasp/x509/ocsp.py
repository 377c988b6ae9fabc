"""An OCSP response: is it about this certificate, by who may say so, and of today? (RFC 6960)

It comes stapled by the peer, from a file, or in answer to a request of ours.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from handclasp.x509.answers import Answer, read_answers, single_responses
from handclasp.x509.certificate import Certificate, canonical_name, interned
from handclasp.x509.checks import Findings, check_signer_path
from handclasp.x509.crl import HOLD, is_meant
from handclasp.x509.errors import BadStaple
from handclasp.x509.policy import DEFAULT, VerificationPolicy
from handclasp.x509.quiet import quietly
from handclasp.x509.revocation import RevocationStatus, Status

__all__ = ["check_response", "is_about", "make_request", "must_staple"]

MAX_SIZE = 1 << 15
"""Bytes of the longest response that is looked at; the parser takes time that grows with the square of it."""
MOST_CERTIFICATES = 16
"""Certificates in a response that are looked at."""
MOST_DELEGATES = 4
"""Those of them whose signatures are verified."""


def must_staple(certificate: Certificate) -> bool:
    """Whether the certificate says that its server staples (RFC 7633)."""
    feature = certificate.extension(x509.TLSFeature)
    return feature is not None and x509.TLSFeatureType.status_request in feature


def make_request(certificate: Certificate, issuer: Certificate, nonce: bytes | None = None) -> bytes:
    """A request in DER for the status of one certificate (RFC 6960, 4.1.1), with a nonce where given (RFC 9654).

    The names in it are hashed by SHA-1, which is all that some responders know (RFC 5019, 2.1.1).
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate.parsed, issuer.parsed, hashes.SHA1())  # noqa: S303  # RFC 5019, 2.1.1
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def check_response(
    der: bytes,
    certificate: Certificate,
    issuer: Certificate,
    at: datetime,
    nonce: bytes | None = None,
    policy: VerificationPolicy = DEFAULT,
    above: tuple[Certificate, ...] = (),
    tainted: frozenset[bytes] = frozenset(),
) -> RevocationStatus:
    """What a response says of a certificate; raises `BadStaple` for one that says nothing to be believed.

    With a `nonce` the response has to have it too. The `policy` says which hashes and keys count. `above` are the
    authorities between the issuer and the anchor: their constraints hold for whom the issuer named to answer, which
    is nobody whose key is being judged: the certificate's, or one that is `tainted`.
    """
    if len(der) > MAX_SIZE:
        raise BadStaple(f"An OCSP response of {len(der)} bytes; at most {MAX_SIZE} are looked at.")
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise BadStaple(f"The OCSP response says {response.response_status.name.lower()}.")
        delegates = _Delegates((issuer, *above), at, policy, tainted | {certificate.key_bytes})
        signer = _signer(response, delegates)
        if nonce is not None and not _has_nonce(response, nonce):
            raise BadStaple("The OCSP response has not the nonce of the request: it may be an old one.")
        status = _worst([one for one in read_answers(response) if _is_about(one, certificate, issuer)], at)
        return replace(status, until=min(status.until, signer.not_after.timestamp()))
    except BadStaple:
        raise
    except Exception as error:  # the parser's own errors have no common class
        raise BadStaple(f"The OCSP response does not parse: {error}") from None


def is_about(der: bytes, certificate: Certificate) -> bool:
    """Whether a response answers for a certificate, whoever signed it; raises `MalformedResponse`."""
    return any(
        one.serial_number == certificate.serial_number
        and one.issuer_name_hash == _hashed(one.hash_name, certificate.issuer)
        for one in single_responses(der)
    )


def _has_nonce(response: ocsp.OCSPResponse, nonce: bytes) -> bool:
    try:
        found = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return False
    # A nonce is known to all who see the request; what protects it is the signature.
    return found in (nonce, b"\x04" + bytes((len(nonce),)) + nonce)


def _worst(answers: list[Answer], at: datetime) -> RevocationStatus:
    """Of several answers about one certificate the worst, in any order; raises `BadStaple` where none counts."""
    found, outdated = [], BadStaple("The OCSP response is about another certificate.")
    for one in answers:
        try:
            found.append(_status(one, at))
        except BadStaple as error:
            outdated = error
    for status in (Status.REVOKED, Status.UNKNOWN, Status.GOOD):
        for told in found:
            if told.status is status:
                return told
    raise outdated


def _status(one: Answer, at: datetime) -> RevocationStatus:
    """What an answer says at this time: one that has ended clears nobody, and whom it revokes is revoked.

    But for a hold, which may have been lifted (RFC 5280, 5.3.1).
    """
    revoked, until, ended = one.status is ocsp.OCSPCertStatus.REVOKED, one.until, at > one.until
    if at.timestamp() < one.begins or (ended and not (revoked and one.reason != HOLD)):
        span = f"{one.this_update:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC"
        raise BadStaple(f"The OCSP response is of {span}; it is {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} now.")
    if revoked:
        why = f"revoked: {one.reason}" + (", by a response that has ended" if ended else "")
        return RevocationStatus(Status.REVOKED, why, until.timestamp())
    if one.status is ocsp.OCSPCertStatus.GOOD:
        return RevocationStatus(Status.GOOD, "good by an OCSP response", until.timestamp())
    return RevocationStatus(Status.UNKNOWN, "its OCSP responder does not know it", until.timestamp())


def _is_about(one: Answer, certificate: Certificate, issuer: Certificate) -> bool:
    if one.serial_number != certificate.serial_number:
        return False
    # The same name may be written otherwise above and below; the hash is of the one below (RFC 6960, 4.1.1).
    names = [_hashed(one.hash_name, der) for der in (certificate.issuer, issuer.subject)]
    return one.issuer_name_hash in names and one.issuer_key_hash == _hashed(one.hash_name, _key_bits(issuer))


def _hashed(name: str, data: bytes) -> bytes | None:
    """None where this machine has no such hash."""
    try:
        return hashlib.new(name, data).digest()
    except ValueError:
        return None


def _key_bits(certificate: Certificate) -> bytes:
    """The public key without its algorithm, as responder and certificate IDs hash it."""
    key = certificate.public_key
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    raw: bytes = key.public_bytes_raw()
    return raw


class _Delegates(NamedTuple):
    """What has to hold of whom an issuer named to answer in its place."""

    issuers: tuple[Certificate, ...]
    """The issuer, and those above it."""
    at: datetime
    policy: VerificationPolicy
    tainted: frozenset[bytes]
    """Keys that are being judged."""


def _signer(response: ocsp.OCSPResponse, delegates: _Delegates) -> Certificate:
    """The issuer itself, or whom it named for this by a certificate of its own (RFC 6960, 4.2.2.2)."""
    issuer, policy = delegates.issuers[0], delegates.policy
    if _is_named(response, issuer) and _is_signed(response, issuer, policy):
        return issuer
    found = (interned(one.public_bytes(Encoding.DER)) for one in response.certificates[:MOST_CERTIFICATES])
    for delegate in islice((one for one in found if _is_named(response, one)), MOST_DELEGATES):
        if _is_delegate(delegate, delegates) and _is_signed(response, delegate, policy):
            return delegate
    raise BadStaple("The OCSP response is not signed by the certificate's issuer, nor by whom it named.")


def _is_named(response: ocsp.OCSPResponse, signer: Certificate) -> bool:
    if response.responder_key_hash is not None:
        return response.responder_key_hash == hashlib.sha1(_key_bits(signer)).digest()  # noqa: S324  # RFC 6960 names it so
    with quietly():
        name = response.responder_name
    return name is not None and canonical_name(name) == signer.subject_canonical


def _is_delegate(delegate: Certificate, delegates: _Delegates) -> bool:
    issuer, policy = delegates.issuers[0], delegates.policy
    uses = delegate.extension(x509.ExtendedKeyUsage)
    if uses is None or ExtendedKeyUsageOID.OCSP_SIGNING not in uses or delegate.key_bytes in delegates.tainted:
        return False
    usage = delegate.extension(x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        return False
    if not is_meant(delegate.extension(x509.AuthorityKeyIdentifier), issuer):
        return False
    findings = Findings(policy, delegates.at)
    if delegate.issuer_canonical != issuer.subject_canonical or not findings.signed_by(delegate, issuer):
        return False
    check_signer_path(findings, (delegate, *delegates.issuers))
    return findings.error is None


def _is_signed(response: ocsp.OCSPResponse, signer: Certificate, policy: VerificationPolicy) -> bool:
    key, algorithm = signer.public_key, response.signature_hash_algorithm
    if algorithm is not None and algorithm.name not in policy.hashes:
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        else:
            key.verify(response.signature, response.tbs_response_bytes)
    except Exception:  # a signature that is false, or a key that no signature can be made with
        return False
    return True
