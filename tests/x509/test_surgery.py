"""Any certificate, list, response or staple: a report that accepts or refuses, never another exception."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.x509.chains import DAY, HOST, NOW, key_of
from tests.x509.papers import CA, SIGNS_LISTS, certificate, crl, name_of, response, scope
from tests.x509.surgery import changed, changed_response, changed_signed

from handclasp.x509 import (
    DEFAULT,
    DEPLOYMENT,
    RFC5280,
    WEB,
    Purpose,
    Report,
    RevocationMode,
    RevocationSources,
    TrustStore,
    verify,
)
from handclasp.x509.crl import Crl, MalformedCrl
from handclasp.x509.errors import CertificateError
from handclasp.x509.http import Fetch, FetchFailed
from handclasp.x509.ocsp import is_about
from handclasp.x509.online import Online
from handclasp.x509.revocation import MalformedResponse


def place(path: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(f"http://127.0.0.1:1/{path}")]


def directory(text: str) -> x509.DirectoryName:
    return x509.DirectoryName(name_of(text))


RELATIVE = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "relative")])
STOLEN = x509.ReasonFlags.key_compromise
FRESHEST = x509.FreshestCRL([x509.DistributionPoint(place("delta"), None, None, None)])
LEAF_SAYS: list[x509.ExtensionType] = [
    x509.SubjectAlternativeName(
        [
            x509.DNSName(HOST),
            x509.IPAddress(ip_address("192.0.2.1")),
            x509.RFC822Name("a@b.example"),
            x509.UniformResourceIdentifier("http://u.example:80/x"),
            directory("x"),
            x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), b"\x0c\x03abc"),
        ]
    ),
    x509.KeyUsage(True, False, False, False, True, False, False, True, False),
    x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
    x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), ["http://cps"])]),
    x509.CRLDistributionPoints(
        [
            x509.DistributionPoint(place("list"), None, None, None),
            x509.DistributionPoint(None, RELATIVE, frozenset({STOLEN}), [directory("Lister")]),
        ]
    ),
    FRESHEST,
    x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place("ocsp")[0]),
            x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place("issuer")[0]),
        ]
    ),
    x509.SubjectKeyIdentifier(b"leaf"),
    x509.AuthorityKeyIdentifier(b"key 1", [directory("Root")], 501),
    x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.1"), b"\x03\x02\x00\xf7"),
]
ISSUER_SAYS: list[x509.ExtensionType] = [
    CA,
    x509.KeyUsage(True, False, False, False, False, True, True, False, False),
    x509.NameConstraints(
        [x509.DNSName("a.example"), x509.RFC822Name("b.example"), x509.IPAddress(ip_network("192.0.2.0/24"))],
        [x509.DNSName("bad.example"), directory("Bad"), x509.UniformResourceIdentifier("bad.example")],
    ),
    x509.PolicyConstraints(5, 5),
    x509.InhibitAnyPolicy(3),
    x509.SubjectKeyIdentifier(b"key 1"),
    x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.33"), bytes.fromhex("3010300e06062a030405060706042a030405")
    ),
]
ROOT = certificate("Root", 0, "Root", 0, CA)
ISSUER = certificate("Issuer", 1, "Root", 0, *ISSUER_SAYS)
LEAF = certificate("Leaf", 2, "Issuer", 1, *LEAF_SAYS)
PROMISING = certificate("Leaf", 2, "Issuer", 1, *LEAF_SAYS, x509.TLSFeature([x509.TLSFeatureType.status_request]))
LISTER = certificate("Lister", 11, "Root", 0, CA, SIGNS_LISTS, x509.NameConstraints([directory("Lister")], None))
RESPONDER = certificate("Responder", 4, "Issuer", 1, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]))


def full_list(number: int, base: int | None = None, of: x509.IssuingDistributionPoint | None = None) -> bytes:
    """With every extension that lists and their entries have."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(name_of("Issuer")).last_update(NOW - DAY)
    builder = builder.next_update(NOW + DAY).add_extension(x509.CRLNumber(number), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier(b"key 1", [directory("Root")], 501), critical=False)
    builder = builder.add_extension(FRESHEST, critical=False)
    if of is not None:
        builder = builder.add_extension(of, critical=True)
    if base is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
    for serial in (77, LEAF.serial_number):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY)
        entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.certificate_hold), critical=False)
        entry = entry.add_extension(x509.InvalidityDate(NOW.replace(tzinfo=None)), critical=False)
        if of is not None and of.indirect_crl:
            entry = entry.add_extension(x509.CertificateIssuer([directory("Issuer")]), critical=True)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key_of(1), hashes.SHA256()).public_bytes(Encoding.DER)


LISTS = [
    full_list(5),
    full_list(6, 5),
    full_list(7, of=scope(full_name=place("list"), only_some_reasons=frozenset({STOLEN}))),
    full_list(8, of=scope(indirect_crl=True)),
    crl("Lister", 11, of=scope(indirect_crl=True)).der,
    crl("Root", 0).der,
]
RESPONSES = [response(LEAF, ISSUER, 1), response(LEAF, ISSUER, 4, "revoked", reason=STOLEN, responder=RESPONDER)]
TRUST = TrustStore.of(ROOT)
POLICIES = [replace(one, revocation=mode) for one in (DEFAULT, RFC5280, WEB, DEPLOYMENT) for mode in RevocationMode]


def judge(random: Random, chain: list[bytes], lists: list[bytes], responses: list[bytes], staple: bytes | None) -> None:
    """Offline and online; an error of ours may come where something is loaded, and only there."""
    arguments = {"trust": TRUST, "policy": random.choice(POLICIES), "purpose": random.choice(list(Purpose)), "at": NOW}
    name = random.choice((HOST, "192.0.2.1", None))
    parsed = []
    for one in lists:
        try:
            parsed += Crl.load_all(one)
        except MalformedCrl:
            continue
    try:
        sources = RevocationSources(parsed, responses)
        _ = [is_about(one, LEAF) for one in responses]
    except MalformedResponse:
        sources = RevocationSources(parsed)
    asked = random.random() < 0.5
    reports = [verify(chain, name=name, revocation=sources, staple=staple, staple_asked=asked, **arguments)]  # type: ignore[arg-type]

    def transport(fetch: Fetch, _: float) -> bytes:
        found = {"issuer": chain[1:], "CRL": lists}.get(fetch.what, responses)
        if not found:
            raise FetchFailed("nothing there")
        return random.choice(found)

    shown = chain[: random.choice((1, 2))]
    reports.append(Online(transport=transport).verify(shown, name=name, **arguments))  # type: ignore[arg-type]
    for report in reports:
        assert isinstance(report, Report)
        assert report.error is None or isinstance(report.error, CertificateError)
        assert report.to_dict()["accepted"] is report.accepted
        assert str(report.error).isprintable()


def some(random: Random, these: list[bytes]) -> list[bytes]:
    return random.sample(these, random.randrange(len(these) + 1))


@pytest.mark.parametrize("what", ["leaf", "issuer", "root", "signer", "responder"])
@given(random=st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_any_certificate_is_judged(what: str, random: Random) -> None:
    one, key = {
        "leaf": (random.choice((LEAF, PROMISING)), 1),
        "issuer": (ISSUER, 0),
        "root": (ROOT, 0),
        "signer": (LISTER, 0),
        "responder": (RESPONDER, 1),
    }[what]
    der = changed(one.der, random) if random.random() < 0.1 else changed_signed(one.der, random, key)
    chain = {"leaf": [der, ISSUER.der], "issuer": [LEAF.der, der]}.get(what, [LEAF.der, ISSUER.der, der])
    judge(random, chain, some(random, LISTS), some(random, RESPONSES), random.choice((None, *RESPONSES)))


@given(random=st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_any_list_is_asked(random: Random) -> None:
    at = random.randrange(4)
    der = changed(LISTS[at], random) if random.random() < 0.1 else changed_signed(LISTS[at], random, 1)
    judge(random, [LEAF.der, ISSUER.der, LISTER.der], [der, *some(random, LISTS)], some(random, RESPONSES), None)


@given(random=st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_any_response_is_asked(random: Random) -> None:
    one, key = random.choice(((RESPONSES[0], 1), (RESPONSES[1], 4)))
    der = changed(one, random) if random.random() < 0.1 else changed_response(one, random, key)
    judge(random, [LEAF.der, ISSUER.der], some(random, LISTS), [der], random.choice((None, der)))


def test_a_response_of_no_year_is_no_response() -> None:
    der = RESPONSES[0].replace(b"20260531230000Z", b"00000101000000Z")
    assert der != RESPONSES[0]
    with pytest.raises(MalformedResponse):
        RevocationSources((), [der])
    judge(Random(1), [LEAF.der, ISSUER.der], [], [RESPONSES[0]], der)
