"""What an anchor counts for: as a certificate like the others, or by its name and key alone (RFC 5280, 6.1.1 (d))."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.x509.chains import HOST, NOBODY_KNOWS, NOW, Link, key_of, leaf, make_chain

from handclasp.x509 import DEFAULT, RFC5280, Certificate, Purpose, Report, TrustStore, VerificationPolicy, verify
from handclasp.x509 import errors as e

GOOD = make_chain(leaf(), Link())
DAY = timedelta(days=1)
BY_NAME = replace(DEFAULT, anchors_by_name_and_key=True)


def anchor(*extensions: x509.ExtensionType, last: int = 1, key: Any = None, critical: bool = True) -> Certificate:
    """The root's name and key, and whatever else."""
    old = x509.load_der_x509_certificate(GOOD.root)
    builder = x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.subject).serial_number(1)
    builder = (
        builder.public_key(key or old.public_key()).not_valid_before(NOW - 9 * DAY).not_valid_after(NOW + last * DAY)
    )
    for one in extensions:
        builder = builder.add_extension(one, critical)
    return Certificate(builder.sign(key_of(0), hashes.SHA256()).public_bytes(Encoding.DER))


def judge(
    root: Certificate, policy: VerificationPolicy, chain: tuple[bytes, ...] = GOOD.chain, **changes: Any
) -> Report:
    arguments: dict[str, Any] = {"purpose": Purpose.SERVER_AUTH, "at": NOW, "name": HOST, **changes}
    return verify(chain, trust=TrustStore.of(root), policy=policy, **arguments)


CA = x509.BasicConstraints(True, None)
FAULTS = {
    "expired": (anchor(CA, last=-1), e.CertificateExpired),
    "no authority": (anchor(), e.ConstraintViolation),
    "of version 1, as it were": (anchor(x509.BasicConstraints(False, None)), e.ConstraintViolation),
    "with too short paths": (anchor(x509.BasicConstraints(True, 0)), e.ConstraintViolation),
    "for other purposes": (anchor(CA, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])), e.WrongPurpose),
    "for other names": (anchor(CA, x509.NameConstraints([x509.DNSName("b.example")], None)), e.ConstraintViolation),
    "with something that nobody knows": (anchor(CA, NOBODY_KNOWS), e.ConstraintViolation),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_anchor_is_judged_whole_or_counts_by_name_and_key(fault: str) -> None:
    root, error = FAULTS[fault]
    assert type(judge(root, DEFAULT).error) is error
    report = judge(root, BY_NAME)
    assert report.accepted
    assert report.path is not None
    assert report.path[-1] == root


def test_what_an_anchor_says_counts_where_all_of_it_does_and_not_how_it_is_numbered() -> None:
    """Its serial number and key identifier are of nobody's use; what is critical has to be seen to be."""
    assert judge(anchor(CA), RFC5280).accepted
    mild = anchor(CA, critical=False)
    assert type(judge(mild, RFC5280).error) is e.FormViolation
    assert judge(mild, replace(RFC5280, anchors_by_name_and_key=True)).accepted


def test_a_verdict_does_not_end_with_an_anchor_whose_dates_do_not_count() -> None:
    report = judge(anchor(CA, last=-1), BY_NAME)
    assert report.valid_until == (NOW + DAY).timestamp(), "as the leaf's do"


def test_a_weak_key_is_weak_in_an_anchor_too() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    root = anchor(CA, key=weak.public_key())
    old = x509.load_der_x509_certificate(GOOD.chain[1])
    builder = x509.CertificateBuilder(extensions=list(old.extensions)).subject_name(old.subject).issuer_name(old.issuer)
    builder = builder.public_key(old.public_key()).serial_number(2)
    builder = builder.not_valid_before(old.not_valid_before_utc).not_valid_after(old.not_valid_after_utc)
    authority = builder.sign(weak, hashes.SHA256()).public_bytes(Encoding.DER)
    for policy in (DEFAULT, BY_NAME):
        assert type(judge(root, policy, (GOOD.chain[0], authority)).error) is e.WeakKey


def test_a_peer_s_own_certificate_is_judged_whole_even_as_an_anchor() -> None:
    old = Certificate(make_chain(leaf(dates="past"), Link()).chain[0])
    assert type(judge(old, BY_NAME, (old.der,)).error) is e.CertificateExpired


def test_what_is_between_leaf_and_anchor_is_judged_whole_in_any_case() -> None:
    made = make_chain(leaf(), Link(dates="past"))
    assert type(judge(anchor(CA), BY_NAME, made.chain).error) is e.CertificateExpired


def test_anchors_of_a_name_are_found_however_it_is_written() -> None:
    """A new key of the same authority, whose name has another type of string (RFC 5280, 7.1)."""
    upper = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ROOT", _ASN1Type.PrintableString)])
    builder = x509.CertificateBuilder(extensions=[x509.Extension(x509.BasicConstraints.oid, True, CA)])
    builder = builder.subject_name(upper).issuer_name(upper).serial_number(1).not_valid_before(NOW - DAY)
    builder = builder.not_valid_after(NOW + DAY).public_key(key_of(0).public_key())
    meant = builder.sign(key_of(0), hashes.SHA256()).public_bytes(Encoding.DER)
    other = anchor(CA, key=key_of(50).public_key())
    trust = TrustStore.of(other, meant)
    report = verify(GOOD.chain, trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST)
    assert report.accepted
