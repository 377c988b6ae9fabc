"""Names that an authority may not issue for, in the places where they are easily overlooked."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from tests.x509.chains import HOST, NOW, Link, key_of, leaf, make_chain

from handclasp.x509 import DEFAULT, DEPLOYMENT, Certificate, Purpose, Report, TrustStore, VerificationPolicy, verify
from handclasp.x509 import errors as e
from handclasp.x509.constraints import forbidden_name

BOUND = Link(permitted="a.example", excluded="b.example")


def judge(
    policy: VerificationPolicy, *links: Link, name: str | None = HOST, purpose: Purpose = Purpose.SERVER_AUTH
) -> Report:
    made = make_chain(*links)
    trust = TrustStore.of(made.root)
    return verify(made.chain, trust=trust, policy=policy, purpose=purpose, at=NOW, name=name)


@pytest.mark.parametrize("outside", ["www.c.example", "www.b.example", "*.example"])
def test_a_common_name_that_counts_as_a_host_is_held_to_constraints(outside: str) -> None:
    """Else an authority bound to some names could vouch for any other, by leaving the SAN out."""
    report = judge(DEPLOYMENT, leaf(sans=None, common_name=outside), BOUND, name=outside.replace("*", "www"))
    assert not report.accepted
    within = judge(DEPLOYMENT, leaf(sans=None, common_name=HOST), BOUND)
    assert within.accepted
    report = judge(DEPLOYMENT, leaf(sans=None, common_name=outside), BOUND, name=None)
    assert type(report.error) is e.ConstraintViolation


def test_a_common_name_that_is_only_a_title_is_not() -> None:
    assert judge(DEFAULT, leaf(common_name="The web server of somebody"), BOUND).accepted
    assert judge(DEPLOYMENT, leaf(common_name="www.c.example"), BOUND).accepted, "it has a SAN, so this is no host"
    client = leaf(use="client", sans=None, common_name="alice")
    assert judge(DEPLOYMENT, client, BOUND, name=None, purpose=Purpose.CLIENT_AUTH).accepted


def test_a_common_name_that_is_ascii_in_lower_case_alone_matches_nothing() -> None:
    """The Kelvin sign's lower case is "k"."""
    kelvin = leaf(sans=None, common_name="\u212aelvin.c.example")
    assert type(judge(DEPLOYMENT, kelvin, BOUND, name="kelvin.c.example").error) is e.HostNameMismatch


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("https://a.example/x", True),
        ("https://A.EXAMPLE:8443/x", True),
        ("https://www.a.example/x", False),
        ("https://c.example?@a.example", False),
        ("https://c.example#@a.example", False),
        ("https://c.example\\@a.example", False),
        ("https://10.0.0.1/", False),
        ("https://[::1]/", False),
        ("urn:isbn:1", False),
        ("https://a.example%00.c.example", False),
    ],
)
def test_a_uri_is_held_to_constraints_by_its_host(uri: str, good: bool) -> None:
    """RFC 5280, 4.2.1.10: the authority ends where RFC 3986 says, and one without a host's name is refused."""
    assert allowed([x509.UniformResourceIdentifier(uri)], [x509.UniformResourceIdentifier("a.example")]) == good


def allowed(
    names: list[x509.GeneralName],
    permitted: list[x509.GeneralName] | None = None,
    excluded: list[x509.GeneralName] | None = None,
    subject: x509.Name | None = None,
) -> bool:
    """Whether an authority under these constraints may issue for these names."""
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    issuer = signed(root, x509.NameConstraints(permitted, excluded))
    end = signed(subject or x509.Name([]), *([x509.SubjectAlternativeName(names)] if names else []))
    return forbidden_name(issuer, end, lambda: None) is None


def signed(subject: x509.Name, *extensions: x509.ExtensionType) -> Certificate:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).serial_number(4)
    builder = builder.public_key(key_of(1).public_key()).not_valid_before(NOW).not_valid_after(NOW)
    for one in extensions:
        builder = builder.add_extension(one, critical=True)
    return Certificate(builder.sign(key_of(1), hashes.SHA256()).public_bytes(Encoding.DER))


DNS, MAIL, URI = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier


def ip(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))


def mail_anywhere() -> x509.RFC822Name:
    """Without text, which only others write."""
    return x509.RFC822Name._init_without_validation("")


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        (DNS("b.example"), DNS("b.example.")),
        (DNS("b.example."), DNS("www.b.example")),
        (DNS("B.example"), DNS("b.EXAMPLE")),
        (DNS(".b.example"), DNS("www.b.example")),
        (DNS(""), DNS("b.example")),
        (DNS("www.b.example"), DNS("*.b.example")),
        (DNS("www.b.example"), DNS("*.b.example.")),
        (MAIL("root@b.example"), MAIL("ROOT@B.example")),
        (MAIL("b.example"), MAIL("root@b.example.")),
        (MAIL(".b.example"), MAIL("root@www.b.example")),
        (mail_anywhere(), MAIL("root@b.example")),
        (URI("b.example"), URI("https://b.example./x")),
        (URI(".b.example"), URI("https://www.b.example:443/x")),
        (URI("b.example"), URI("https://somebody@b.example/x")),
        (URI("b.example"), URI("https://b%2eexample/x")),
        (ip("10.0.0.0/8"), ip("10.1.2.3")),
        (ip("10.0.0.0/8"), ip("::ffff:10.1.2.3")),
        (ip("fd00::/8"), ip("fd00::1")),
    ],
    ids=str,
)
def test_what_is_excluded_is_excluded_however_it_is_written(tree: x509.GeneralName, name: x509.GeneralName) -> None:
    assert not allowed([name], excluded=[tree])


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        (DNS("www.b.example"), DNS("*.b.example")),
        (DNS(".b.example"), DNS("b.example")),
        (DNS("b.example"), DNS("xb.example")),
        (MAIL("root@b.example"), MAIL("ROOT@b.example")),
        (MAIL("b.example"), MAIL("root@www.b.example")),
        (MAIL(".b.example"), MAIL("root@b.example")),
        (URI(".b.example"), URI("https://b.example/x")),
        (ip("10.0.0.0/8"), ip("::ffff:10.1.2.3")),
        (ip("10.0.0.0/8"), ip("fd00::1")),
    ],
    ids=str,
)
def test_what_is_permitted_is_no_more_than_was_meant(tree: x509.GeneralName, name: x509.GeneralName) -> None:
    assert not allowed([name], permitted=[tree])


@pytest.mark.parametrize("kind", [_ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString], ids=str)
@pytest.mark.parametrize("written", ["Example  Ltd", "EXAMPLE LTD"])
def test_directory_names_compare_whatever_type_their_strings_have(kind: _ASN1Type, written: str) -> None:
    """RFC 5280, 7.1."""
    tree = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Ltd")]))
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, written, kind)]
    subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    assert allowed([], permitted=[tree], subject=subject)
    assert not allowed([], excluded=[tree], subject=subject)


def test_letters_that_unicode_can_write_in_two_ways_are_the_same() -> None:
    """RFC 4518, 2.3."""
    composed, apart = "B\u00fccher", "Bu\u0308cher"
    tree = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, composed)]))
    assert not allowed([], excluded=[tree], subject=x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, apart)]))


def test_a_name_of_another_form_is_nobody_s_business() -> None:
    assert allowed([MAIL("root@b.example")], permitted=[DNS("a.example")])


@pytest.mark.parametrize("address", ["no address", "<x@a.example>", "", "a@b@c", "\x00@a.example"])
def test_a_subject_s_mail_address_that_is_none_ends_the_path_by_name(address: str) -> None:
    made = make_chain(leaf(), Link())
    old = x509.load_der_x509_certificate(made.chain[0])
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    if address:
        names = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, address)])
    bound = x509.load_der_x509_certificate(made.chain[1])
    authority = (
        x509.CertificateBuilder(extensions=list(bound.extensions))
        .subject_name(bound.subject)
        .issuer_name(bound.issuer)
        .public_key(bound.public_key())
        .serial_number(3)
        .not_valid_before(bound.not_valid_before_utc)
        .not_valid_after(bound.not_valid_after_utc)
        .add_extension(x509.NameConstraints([x509.RFC822Name("b.example")], None), critical=True)
        .sign(key_of(0), hashes.SHA256())
    )
    end = (
        x509.CertificateBuilder(extensions=list(old.extensions))
        .subject_name(names)
        .issuer_name(bound.subject)
        .public_key(old.public_key())
        .serial_number(4)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
        .sign(key_of(1), hashes.SHA256())
    )
    chain = [one.public_bytes(Encoding.DER) for one in (end, authority)]
    report = verify(chain, trust=TrustStore.of(made.root), purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST)
    assert report.accepted == (address == "")
    assert report.accepted or type(report.error) in (e.MalformedCertificate, e.ConstraintViolation)
