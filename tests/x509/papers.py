"""Certificates, lists and OCSP responses made to order, about who was taken back and who may say so."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID
from tests.x509.chains import DAY, HOST, NOW, key_of

from handclasp.x509 import Certificate
from handclasp.x509.crl import Crl
from handclasp.x509.der import after, content_of

__all__ = ["CA", "NAMES", "SIGNS_LISTS", "certificate", "crl", "name_of", "response", "scope"]

CA = x509.BasicConstraints(True, None)
NAMES = x509.SubjectAlternativeName([x509.DNSName(HOST)])
SIGNS_LISTS = x509.KeyUsage(True, False, False, False, False, False, True, False, False)
CRITICAL = x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints
HOUR = timedelta(hours=1)
PERIODS: dict[str, tuple[timedelta, timedelta | None]] = {
    "in force": (-HOUR, DAY),
    "without end": (-HOUR, None),
    "ended": (-2 * DAY, -HOUR),
    "short": (-HOUR, HOUR),
    "long": (-2 * HOUR, 9 * DAY),
    "not begun": (HOUR, DAY),
}


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@cache
def certificate(
    subject: str, key: int, issuer: str, by: int, *extensions: x509.ExtensionType, serial: int = 0
) -> Certificate:
    """The keys are numbers: `by` is the one that signs. The serial number is the key's, where none is given."""
    builder = x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(name_of(issuer))
    builder = builder.public_key(key_of(key).public_key()).serial_number(serial or 500 + key)
    builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    for one in extensions:
        builder = builder.add_extension(one, critical=isinstance(one, CRITICAL))
    return Certificate(builder.sign(key_of(by), hashes.SHA256()).public_bytes(Encoding.DER))


def scope(**changes: Any) -> x509.IssuingDistributionPoint:
    """A list's scope where it is not all that its issuer issued."""
    fields: dict[str, Any] = dict.fromkeys(("full_name", "relative_name", "only_some_reasons"))
    fields |= dict.fromkeys(
        ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs"), False
    )
    return x509.IssuingDistributionPoint(**(fields | changes))


@cache
def crl(
    issuer: str,
    by: int,
    *revoked: tuple[Certificate, x509.ReasonFlags],
    number: int | None = 1,
    base: int | None = None,
    of: x509.IssuingDistributionPoint | None = None,
    period: str = "in force",
    identifier: x509.AuthorityKeyIdentifier | None = None,
) -> Crl:
    """A list in this name, signed by the key `by`."""
    first, last = PERIODS[period]
    builder = x509.CertificateRevocationListBuilder().issuer_name(name_of(issuer)).last_update(NOW + first)
    builder = builder.next_update(NOW + (last or DAY))
    for extension, critical in ((of, True), (identifier, False)):
        if extension is not None:
            builder = builder.add_extension(extension, critical=critical)
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if base is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
    for one, reason in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(NOW - DAY)
        entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    der = builder.sign(key_of(by), hashes.SHA256()).public_bytes(Encoding.DER)
    return Crl(der if last is not None else endless(der, by))


def endless(der: bytes, by: int) -> bytes:
    """The list without nextUpdate, which RFC 5280 wants and X.509 does not, signed anew."""
    tbs, algorithm, _ = parts(content(der))
    fields = parts(content(tbs))
    fields.pop(4)
    return signed(b"".join(fields), algorithm, by)


def signed(fields: bytes, algorithm: bytes, by: int) -> bytes:
    """What these fields are when a key has signed them."""
    tbs = element(0x30, fields)
    return element(0x30, tbs + algorithm + element(0x03, b"\0" + key_of(by).sign(tbs, ec.ECDSA(hashes.SHA256()))))


def element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes((size,)) if size < 128 else bytes((0x81, size)) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    return bytes((tag,)) + length + content


def content(der: bytes) -> bytes:
    return der[slice(*content_of(der, 0))]


def parts(contents: bytes) -> list[bytes]:
    """The elements in a row of them."""
    found, at = [], 0
    while at < len(contents):
        end = after(contents, at)
        found.append(contents[at:end])
        at = end
    return found


@cache
def response(
    of: Certificate,
    issuer: Certificate,
    by: int,
    status: str = "good",
    *,
    reason: x509.ReasonFlags | None = None,
    period: str = "in force",
    responder: Certificate | None = None,
) -> bytes:
    """An OCSP response by the issuer, or by a responder whose certificate goes with it."""
    first, last = PERIODS[period]
    revoked = NOW - DAY if status == "revoked" else None
    kind = ocsp.OCSPCertStatus[status.upper()]
    builder = ocsp.OCSPResponseBuilder().add_response(
        of.parsed,
        issuer.parsed,
        hashes.SHA256(),
        kind,
        NOW + first,
        None if last is None else NOW + last,
        revoked,
        reason,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, (responder or issuer).parsed)
    if responder is not None:
        builder = builder.certificates([responder.parsed])
    return builder.sign(key_of(by), hashes.SHA256()).public_bytes(Encoding.DER)
