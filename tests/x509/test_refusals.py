"""What a refusal says: the failure that helps most leads, in a sentence that a person can act on."""

from __future__ import annotations

import datetime
from datetime import UTC, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from tests.x509.chains import HOST, Link, leaf, make_chain
from tests.x509.chains import NOW as THEN

from handclasp.ca import Authority
from handclasp.x509 import Certificate, Purpose, Report, TrustStore, verify
from handclasp.x509 import errors as e

NOW = datetime.datetime.now(UTC) + timedelta(hours=1)
"""After all that is issued in the hour that follows: certificates begin five minutes before they are made."""
DAY = timedelta(days=1)
OLD, NEW = Authority.root("Old Root"), Authority.root("New Root")
ISSUING = NEW.intermediate("Issuing CA")
SERVER = ISSUING.server("localhost")


def judge(chain: Any, *anchors: Certificate, at: datetime.datetime = NOW, name: str = "localhost") -> Report:
    return verify(chain, trust=TrustStore(anchors), purpose=Purpose.SERVER_AUTH, at=at, name=name)


def cross(of: Authority, by: Authority, *extensions: x509.ExtensionType, last: int = 9) -> Certificate:
    """An authority's name and key, signed by another."""
    builder = x509.CertificateBuilder().subject_name(of.certificate.subject_name).serial_number(9)
    builder = builder.issuer_name(by.certificate.subject_name).public_key(of.certificate.public_key)
    builder = builder.not_valid_before(NOW - 20 * DAY).not_valid_after(NOW + last * DAY)
    for one in (x509.BasicConstraints(True, None), *extensions):
        builder = builder.add_extension(one, critical=True)
    return Certificate(builder.sign(by._private_key, hashes.SHA256()).public_bytes(Encoding.DER))


def test_one_fault_leads_over_several_on_a_longer_path() -> None:
    """The longer one passes more checks, and is further from good."""
    bound = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
    long = cross(NEW, OLD, bound, last=-1)
    late = SERVER.certificate.not_after + timedelta(seconds=1)
    report = judge([*SERVER.chain, long], OLD.certificate, NEW.certificate, at=late)
    assert len(report.paths) == 2
    assert {check.subject for check in report.checks} == {"CN=localhost", "CN=Issuing CA", "CN=New Root"}
    assert str(report.error).startswith("The certificate of CN=localhost expired on")


@pytest.mark.parametrize("order", [1, -1])
def test_an_expired_cross_certificate_leads_over_one_to_nowhere(order: int) -> None:
    """Whoever trusts the old root alone has to hear of that, and not that the new one is unknown."""
    pool = [cross(NEW, OLD, last=-1), NEW.certificate][::order]
    report = judge([*SERVER.chain, *pool], OLD.certificate)
    assert type(report.error) is e.CertificateExpired
    assert "CN=New Root expired on" in str(report.error)


def test_a_fault_that_was_found_leads_over_the_end_of_the_budget() -> None:
    decoys = [Authority.root("New Root").certificate for _ in range(80)]
    late = SERVER.certificate.not_after + timedelta(seconds=1)
    report = judge([*SERVER.chain, *decoys], NEW.certificate, at=late)
    assert type(report.error) is e.CertificateExpired


def told(report: Report) -> str:
    assert report.error is not None
    assert report.error.report is report
    return str(report.error)


def test_whoever_forgot_the_intermediate_is_told_which() -> None:
    report = judge(SERVER.chain[:1], NEW.certificate)
    assert type(report.error) is e.UnknownAuthority
    assert told(report) == (
        "The certificate of CN=localhost leads to CN=Issuing CA, which is not the one authority trusted here, "
        "and whose certificate was not sent."
    )


def test_what_else_comes_with_a_chain_is_not_where_it_leads() -> None:
    stray = Authority.root("Stray").intermediate("Something else").certificate
    report = judge([SERVER.certificate, stray], NEW.certificate, OLD.certificate)
    assert "leads to CN=Issuing CA, which is not among the 2 authorities trusted here" in told(report)


def test_a_root_that_is_sent_and_not_trusted_is_named() -> None:
    report = judge([*SERVER.chain, NEW.certificate], OLD.certificate)
    assert type(report.error) is e.UnknownAuthority
    assert told(report) == (
        "The certificate of CN=localhost leads to CN=New Root, which is not the one authority trusted here."
    )


def test_an_authority_of_the_same_name_is_told_from_the_one_trusted() -> None:
    report = judge(SERVER.chain, Authority.root("New Root").certificate)
    assert type(report.error) is e.UnknownAuthority
    assert "issued by another CN=New Root than the one trusted here" in told(report)


@pytest.mark.parametrize("forged", [0, 1])
def test_a_changed_certificate_is_no_unknown_authority(forged: int) -> None:
    """RFC 8446, 6.2: bad_certificate is for signatures that do not verify."""
    made = make_chain(leaf(forged=forged == 0), Link(forged=forged == 1))
    report = judge(made.chain, Certificate(made.root), at=THEN, name=HOST)
    assert type(report.error) is e.SignatureInvalid
    assert "whose key did not sign it" in told(report)
    assert [check.name for check in report.checks if check.alert is not None] == ["signature"]


def test_a_certificate_without_a_subject_is_called_by_its_first_alternative_name() -> None:
    made = make_chain(leaf(dates="past"), Link())
    report = judge(made.chain, Certificate(made.root), at=THEN, name=HOST)
    assert told(report).startswith(f"The certificate of {HOST} expired on")
