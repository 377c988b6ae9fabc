"""How much work certificates can have us do about whether they were revoked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.x509.chains import DAY, HOST, NOW, key_of

from handclasp.x509 import (
    DEFAULT,
    Certificate,
    Purpose,
    Report,
    RevocationMode,
    RevocationSources,
    TrustStore,
    checks,
    verify,
)
from handclasp.x509 import errors as e
from handclasp.x509.crl import Crl
from handclasp.x509.scopes import MOST_POINTS

REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
CA = x509.BasicConstraints(True, None)
NAMES = x509.SubjectAlternativeName([x509.DNSName(HOST)])


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(name: str, key: int, *extensions: x509.ExtensionType) -> Certificate:
    """Issued by the root."""
    builder = x509.CertificateBuilder().subject_name(name_of(name)).issuer_name(name_of("Root"))
    builder = builder.public_key(key_of(key).public_key()).serial_number(500 + key)
    builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    for one in extensions:
        builder = builder.add_extension(one, critical=True)
    return Certificate(builder.sign(key_of(0), hashes.SHA256()).public_bytes(Encoding.DER))


def crl(issuer: str, key: int, *, indirect: bool = False) -> Crl:
    builder = x509.CertificateRevocationListBuilder().issuer_name(name_of(issuer)).last_update(NOW - DAY)
    builder = builder.next_update(NOW + DAY).add_extension(x509.CRLNumber(1), critical=False)
    if indirect:
        scope = x509.IssuingDistributionPoint(None, None, False, False, None, True, False)
        builder = builder.add_extension(scope, critical=True)
    return Crl(builder.sign(key_of(key), hashes.SHA256()).public_bytes(Encoding.DER))


ROOT = certificate("Root", 0, CA)


def judge(leaf: Certificate, *others: Certificate, lists: list[Crl], **changes: Any) -> Report:
    arguments: dict[str, Any] = {"policy": REQUIRED, "purpose": Purpose.SERVER_AUTH, "at": NOW, "name": HOST, **changes}
    return verify([leaf, *others], trust=TrustStore.of(ROOT), revocation=RevocationSources(lists), **arguments)


SIGNS_LISTS = x509.KeyUsage(True, False, False, False, False, False, True, False, False)


def points(count: int) -> x509.CRLDistributionPoints:
    places = [[x509.UniformResourceIdentifier(f"http://example.com/{number}")] for number in range(count)]
    return x509.CRLDistributionPoints([x509.DistributionPoint(place, None, None, None) for place in places])


def test_a_certificate_with_more_distribution_points_than_anybody_has_is_not_looked_into() -> None:
    lists = [crl("Root", 0)]
    assert judge(certificate("Leaf", 1, NAMES, points(MOST_POINTS)), lists=lists).accepted
    many = certificate("Leaf", 1, NAMES, points(MOST_POINTS + 1))
    assert type(judge(many, lists=lists).error) is e.BudgetExceeded
    off = replace(DEFAULT, revocation=RevocationMode.OFF)
    assert judge(many, lists=lists, policy=off).accepted


def test_a_list_is_verified_once_by_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each distribution point it is asked about anew, and in each handshake."""
    made: list[object] = []
    verify_list = Crl._verify

    def counting(crl: Crl, key: object) -> None:
        made.append(key)
        verify_list(crl, key)

    monkeypatch.setattr(Crl, "_verify", counting)
    leaf = certificate("Leaf", 1, NAMES, points(10))
    for lists, error in (([crl("Root", 0)], type(None)), ([crl("Root", 9)], e.RevocationUnknown)):
        made.clear()
        for _ in range(2):
            assert type(judge(leaf, lists=lists).error) is error
        assert len(made) == 1


def test_looking_for_who_signed_lists_ends_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these may have signed the lists, and none did."""
    made: list[object] = []
    verify_list = Crl._verify

    def counting(crl: Crl, key: object) -> None:
        made.append(key)
        verify_list(crl, key)

    monkeypatch.setattr(Crl, "_verify", counting)
    place = [x509.DirectoryName(name_of("Signer"))]
    elsewhere = x509.CRLDistributionPoints([x509.DistributionPoint(place, None, None, place)])
    signers = [certificate("Signer", key, CA, SIGNS_LISTS, elsewhere) for key in range(100, 160)]
    leaf = certificate("Leaf", 1, NAMES, elsewhere)
    lists = [crl("Signer", by, indirect=True) for by in range(90, 99)]
    report = judge(leaf, *signers, lists=lists)
    assert type(report.error) is e.BudgetExceeded
    assert len(made) <= DEFAULT.max_path_steps


def test_whether_a_signer_of_lists_was_revoked_is_not_asked_of_others_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would lead to the next: here each may sign the list that tells of the one before."""
    judged: list[Certificate] = []
    check = checks.check_signer_path

    def counting(findings: checks.Findings, path: tuple[Certificate, ...]) -> None:
        judged.append(path[0])
        check(findings, path)

    monkeypatch.setattr(checks, "check_signer_path", counting)
    signers, lists = [], []
    for key in range(100, 110):
        place = [x509.DirectoryName(name_of(f"Signer {key + 1}"))]
        elsewhere = x509.CRLDistributionPoints([x509.DistributionPoint(place, None, None, place)])
        signers.append(certificate(f"Signer {key}", key, CA, SIGNS_LISTS, elsewhere))
        lists.append(crl(f"Signer {key}", key, indirect=True))
    place = [x509.DirectoryName(name_of("Signer 100"))]
    leaf = certificate("Leaf", 1, NAMES, x509.CRLDistributionPoints([x509.DistributionPoint(place, None, None, place)]))
    report = judge(leaf, *signers, lists=lists)
    assert type(report.error) is e.RevocationUnknown
    assert judged == signers[:1]


def test_lists_of_a_key_that_is_gone_take_nothing_from_the_budget() -> None:
    """As many as an authority made with its old key, in a folder beside those of the new one."""
    old = [crl("Root", 9) for _ in range(DEFAULT.max_path_steps + 1)]
    assert judge(certificate("Leaf", 1, NAMES), ROOT, lists=[*old, crl("Root", 0)]).accepted


def test_a_list_is_not_verified_by_a_key_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer's own certificate says that it signs lists, and a number without primes verifies as slowly as a key."""
    made: list[object] = []
    monkeypatch.setattr(Crl, "_verify", lambda _, key: made.append(key))
    huge = rsa.RSAPublicNumbers(65537, (1 << 16384) - 1).public_key()
    names = name_of("Lister"), name_of("Root")
    builder = x509.CertificateBuilder(names[1], names[0], huge, 9, NOW - DAY, NOW + DAY)
    der = builder.add_extension(SIGNS_LISTS, critical=True).sign(key_of(0), hashes.SHA256()).public_bytes(Encoding.DER)
    place = [x509.DirectoryName(names[0])]
    leaf = certificate("Leaf", 1, NAMES, x509.CRLDistributionPoints([x509.DistributionPoint(place, None, None, place)]))
    report = judge(leaf, Certificate(der), lists=[crl("Lister", 9, indirect=True)])
    assert type(report.error) is e.RevocationUnknown
    assert made == []
