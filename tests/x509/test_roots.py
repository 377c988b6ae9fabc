"""Every root that browsers hold (Mozilla's list, as the package certifi has it) is an anchor in each profile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.x509.chains import HOST, key_of

from handclasp.x509 import (
    DEFAULT,
    DEPLOYMENT,
    RFC5280,
    WEB,
    Certificate,
    Purpose,
    TrustStore,
    VerificationPolicy,
    checks,
    verify,
)

with open(certifi.where(), "rb") as _file:
    ROOTS = Certificate.load_all(_file.read())
POLICIES = {"DEFAULT": DEFAULT, "RFC5280": RFC5280, "WEB": WEB, "DEPLOYMENT": DEPLOYMENT}
KNOWN: dict[tuple[str, str], str] = {}
"""Roots that a policy refuses, each with its reason; one that it takes all the same fails the test."""


def issued_by(root: Certificate) -> Certificate:
    """A server's certificate as it should be in the root's name, of the middle of its validity."""
    own = root.parsed
    middle = own.not_valid_before_utc + (own.not_valid_after_utc - own.not_valid_before_utc) / 2
    key = own.public_key()
    kind = f"p{key.key_size}" if isinstance(key, ec.EllipticCurvePublicKey) else "rsa2048"
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign"), False
    )
    usage |= {"crl_sign": False, "encipher_only": False, "decipher_only": False}
    found = root.extension(x509.SubjectKeyIdentifier)
    identifier = found or x509.SubjectKeyIdentifier.from_public_key(key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(own.subject)
        .public_key(key_of(2).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(middle - timedelta(days=1))
        .not_valid_after(middle + timedelta(days=1))
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    digests: dict[str, Any] = {"p384": hashes.SHA384(), "p521": hashes.SHA512()}
    return Certificate(builder.sign(key_of(50, kind), digests.get(kind, hashes.SHA256())).public_bytes(Encoding.DER))


@pytest.fixture
def signed_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody outside has these roots' keys, so their signatures alone are taken for good."""
    monkeypatch.setattr(checks, "is_signed_by", lambda child, issuer: True)


@pytest.mark.usefixtures("signed_by_all")
@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.fingerprint.hex()[:8])
def test_a_root_that_browsers_hold_is_an_anchor(root: Certificate, name: str) -> None:
    policy: VerificationPolicy = POLICIES[name]
    leaf = issued_by(root)
    at = leaf.not_before + timedelta(days=1)
    report = verify([leaf], trust=TrustStore.of(root), policy=policy, purpose=Purpose.SERVER_AUTH, at=at, name=HOST)
    known = (root.subject_text, name) in KNOWN
    assert report.accepted != known, f"{root.subject_text}: {report.error}"


def test_mozilla_s_list_is_there() -> None:
    assert len(ROOTS) > 100
