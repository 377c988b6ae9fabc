"""For each rule of RFC 5280, section 4, chains that break it."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from tests.x509.chains import HOST
from tests.x509.changes import (
    AIA,
    ATTRIBUTES,
    FRESHEST,
    MAPPINGS,
    POINTS,
    SDA,
    SIA,
    Case,
    access,
    alternative,
    case,
    directory,
    drop,
    field,
    later,
    name,
    named,
    no_issuer,
    once_more,
    other_key_identifier,
    path_length_alone,
    point,
    policies,
    policy,
    put,
    rsa_without_parameters,
    san,
    subtree,
    url,
    usage,
    utc,
)
from tests.x509.parts import ECDSA_SHA384, oid, sequence, tlv

__all__ = ["CASES"]

HOSTS: tuple[str, ...] = (
    "",
    " ",
    "a b.example",
    "under_score.example",
    "-a.example",
    "a-.example",
    "a..example",
    ".a.example",
)
HOSTS += (
    "a.example.",
    f"{'a' * 64}.example",
    ".".join(["a" * 60] * 5),
    "192.0.2.1",
    "x.1",
    "*.*.a.example",
    "a.*.example",
)
HOSTS += ("\u00e4.example", "a/b.example", "w*.a.example")
MAILBOXES: tuple[str, ...] = (
    "",
    "nobody",
    "a@",
    "@a.example",
    "a b@a.example",
    "<a@a.example>",
    "a@b@c.example",
    ".a@a.example",
)
MAILBOXES += (
    "a..b@a.example",
    "a@a_b.example",
    f"{'a' * 65}@a.example",
    "a@[300.1.1.1]",
    "\u00e4@a.example",
    "A (x) <a@b.example>",
)
URIS: tuple[str, ...] = (
    "",
    "/relative",
    "www.a.example",
    "//a.example/x",
    "https:",
    "https://",
    "https:///x",
    "1http://a.example/",
)
URIS += (
    "https://a b.example/",
    "https://a_b.example/",
    "https://[::1/",
    "https://a.example:x/",
    "https://a.example/%zz",
    "https://\u00e4.example/",
)
WEB_SAN = ("CA/Browser BR, 7.1.2.7.12",)
WEB_KEY = ("CA/Browser BR, 7.1.3.1",)
SUBJECT = "RFC 5280, 4.1.2.6"

CASES: dict[tuple[str, str], Case] = {
    ("RFC 5280, 4.1", "DER"): case(once_more(sequence(oid("1.2.3"), b"\x01\x01\0", tlv(0x04, b"\x05\0")))),
    ("RFC 5280, 4.1.1.2", "the outer"): case(field(outer_algorithm=ECDSA_SHA384)),
    ("RFC 5280, 4.1.1.2", "the signature algorithm's"): case(
        field(algorithm=bytes.fromhex("300c06082a8648ce3d0403020500"))
    ),
    ("RFC 5280, 4.1.2.1", "version 1 or 3"): case(
        field(version=tlv(0xA0, b"\x02\x01\x01")), field(version=tlv(0xA0, b"\x02\x01\x03"))
    ),
    ("RFC 5280, 4.1.2.1", "version 3 where"): case(field(version=b""), with_it=("CA/Browser BR, 7.1.1",)),
    ("RFC 5280, 4.1.2.2", "a positive"): case(
        field(serial=tlv(0x02, b"\0")), field(serial=tlv(0x02, b"\xff")), field(serial=tlv(0x02, b"\x01" * 21))
    ),
    ("RFC 5280, 4.1.2.4", "an issuer"): case(no_issuer, with_it=(SUBJECT,)),
    ("RFC 5280, 4.1.2.4", "no relative"): case(field(subject=sequence(tlv(0x31, b"")))),
    ("RFC 5280, 4.1.2.5", "dates with"): case(
        field(validity=sequence(utc("2501010000Z"), later("20590101000000Z"))),
        field(validity=sequence(utc("250101000000Z"), later("20590101000000.5Z"))),
        field(validity=sequence(utc("250101000000+0000"), later("20590101000000Z"))),
    ),
    ("RFC 5280, 4.1.2.5", "dates to"): case(
        field(validity=sequence(later("20250101000000Z"), later("20590101000000Z"))),
        field(validity=sequence(utc("250101000000Z"), later("20490101000000Z"))),
    ),
    (SUBJECT, "a subject, or"): case(san("", HOST, critical=False)),
    (SUBJECT, "a subject that"): case(
        lambda chain, place: chain.renamed(place, sequence()), with_it=("RFC 5280, 4.1.2.4",)
    ),
    ("RFC 5280, A.1", "attributes"): case(
        named(name((NameOID.ORGANIZATION_NAME, "x" * 65))),
        named(name((NameOID.LOCALITY_NAME, ""))),
        named(name((NameOID.COUNTRY_NAME, "GBR"), tag=0x13)),
    ),
    ("RFC 5280, 4.1.2.7", "the key's"): case(rsa_without_parameters, with_it=WEB_KEY),
    ("RFC 5280, 4.2.1.3", "a key usage that"): case(
        usage(key_encipherment=True),
        usage(data_encipherment=True),
        with_it=("CA/Browser BR, 7.1.2.7.11",),
    ),
    ("RFC 5280, 4.1.2.8", "no unique"): case(field(unique=tlv(0x81, b"\0\xaa")), field(unique=tlv(0x82, b"\0\xaa"))),
    ("RFC 5280, 4.1.2.9", "at least"): case(
        lambda chain, place: setattr(chain.parts[place], "extensions", {}),
        with_it=(
            SUBJECT,
            "RFC 5280, 4.2.1.1",
            "RFC 5280, 4.2.1.2",
            "RFC 5280, 4.2.1.3",
            "RFC 5280, 4.2.1.9",
            "CA/Browser BR, 7.1.2.7.6",
            *WEB_SAN,
        ),
    ),
    ("RFC 5280, 4.2", "each"): case(once_more(sequence(oid("2.5.29.14"), tlv(0x04, b"\x04\x01\0")))),
    ("RFC 5280, 4.2", "no critical"): case(put("1.2.3", b"\x05\0", True)),
    ("RFC 5280, 4.2.1.1", "authority key identifier: not critical"): case(
        lambda chain, place: put("2.5.29.35", chain.parts[place].extensions["2.5.29.35"][1], True)(chain, place)  # type: ignore[index]
    ),
    ("RFC 5280, 4.2.1.2", "subject key identifier: not critical"): case(
        lambda chain, place: put("2.5.29.14", chain.parts[place].extensions["2.5.29.14"][1], True)(chain, place)  # type: ignore[index]
    ),
    ("RFC 5280, 4.2.1.8", "subject directory attributes: not critical"): case(put(SDA, ATTRIBUTES, True)),
    ("RFC 5280, 4.2.1.15", "freshest CRL: not critical"): case(
        put(FRESHEST, point(full_name=[url("http://a.example/")]), True)
    ),
    ("RFC 5280, 4.2.2.1", "authority information access: not critical"): case(
        put(AIA, access(AuthorityInformationAccessOID.CA_ISSUERS, "URI", "http://a.example/"), True)
    ),
    ("RFC 5280, 4.2.2.2", "subject information access: not critical"): case(
        put(SIA, access(AuthorityInformationAccessOID.CA_ISSUERS, "URI", "http://a.example/"), True)
    ),
    ("RFC 5280, 4.2.1.10", "name constraints: critical"): case(
        put("2.5.29.30", x509.NameConstraints([x509.DNSName("a.example")], None))
    ),
    ("RFC 5280, 4.2.1.11", "policy constraints: critical"): case(put("2.5.29.36", x509.PolicyConstraints(None, 0))),
    ("RFC 5280, 4.2.1.14", "inhibit anyPolicy: critical"): case(put("2.5.29.54", x509.InhibitAnyPolicy(0))),
    ("RFC 5280, 4.2.1.4", "certificate policies: not empty"): case(policies()),
    ("RFC 5280, 4.2.1.5", "policy mappings: not empty"): case(put(MAPPINGS, sequence(), True)),
    ("RFC 5280, 4.2.1.6", "subject alternative name: not empty"): case(alternative("2.5.29.17"), with_it=WEB_SAN),
    ("RFC 5280, 4.2.1.7", "issuer alternative name: not empty"): case(alternative("2.5.29.18", critical=False)),
    ("RFC 5280, 4.2.1.8", "subject directory attributes: not empty"): case(put(SDA, sequence())),
    ("RFC 5280, 4.2.1.13", "CRL distribution points: not empty"): case(put(POINTS, sequence())),
    ("RFC 5280, 4.2.1.15", "freshest CRL: not empty"): case(put(FRESHEST, sequence())),
    ("RFC 5280, 4.2.2.1", "authority information access: not empty"): case(put(AIA, sequence())),
    ("RFC 5280, 4.2.2.2", "subject information access: not empty"): case(put(SIA, sequence())),
    ("RFC 5280, 4.2.1.1", "an authority key"): case(drop(x509.AuthorityKeyIdentifier), put("2.5.29.35", sequence())),
    ("RFC 5280, 4.2.1.1", "authority key identifier: issuer"): case(put("2.5.29.35", sequence(tlv(0x82, b"\x07")))),
    ("RFC 5280, 4.2.1.2", "authority key identifier: the issuer's"): case(other_key_identifier),
    ("RFC 5280, 4.2.1.2", "a subject key"): case(drop(x509.SubjectKeyIdentifier)),
    ("RFC 5280, 4.2.1.3", "a key usage, of"): case(drop(x509.KeyUsage)),
    ("RFC 5280, 4.2.1.3", "key usage: at least"): case(
        put("2.5.29.15", b"\x03\x02\x07\0", True), put("2.5.29.15", b"\x03\x01\0", True)
    ),
    ("RFC 5280, 4.2.1.9", "key usage: keyCertSign"): case(
        usage(key_cert_sign=True), with_it=("CA/Browser BR, 7.1.2.7.11",)
    ),
    ("RFC 5280, 4.2.1.4", "certificate policies: each"): case(
        policies(policy("1.2.3"), policy("1.2.4"), policy("1.2.3"))
    ),
    ("RFC 5280, 4.2.1.4", "certificate policies: qualifiers"): case(policies(policy("1.2.3", sequence()))),
    ("RFC 5280, 4.2.1.5", "policy mappings: not from"): case(
        put(MAPPINGS, sequence(sequence(oid("2.5.29.32.0"), oid("1.2.3"))), True),
        put(MAPPINGS, sequence(sequence(oid("1.2.3"), oid("2.5.29.32.0"))), True),
    ),
    ("RFC 5280, 4.2.1.6", "subject alternative name: hosts"): case(
        *(san("", host) for host in HOSTS),
        *(san("mail", one) for one in MAILBOXES),
        *(san("URI", one) for one in URIS),
        san("directory", sequence()),
        with_it=WEB_SAN,
    ),
    ("RFC 5280, 4.2.1.6", "subject alternative name: addresses"): case(san("IP", b"12345"), san("IP", b"")),
    ("RFC 5280, 4.2.1.7", "issuer alternative name: the"): case(
        alternative("2.5.29.18", ("", "a_b.example"), critical=False),
        alternative("2.5.29.18", ("URI", ""), critical=False),
    ),
    ("RFC 5280, 4.2.1.9", "basic constraints, critical"): case(put("2.5.29.19", x509.BasicConstraints(True, None))),
    ("RFC 5280, 4.2.1.9", "basic constraints: a path length of"): case(
        put("2.5.29.19", bytes.fromhex("3003020100"), True)
    ),
    ("RFC 5280, 4.2.1.9", "basic constraints: a path length with"): case(
        path_length_alone, with_it=("CA/Browser BR, 7.1.2.7.8",)
    ),
    ("RFC 5280, 4.2.1.10", "name constraints: of"): case(subtree("", "b.example")),
    ("RFC 5280, 4.2.1.10", "name constraints: not empty"): case(
        put("2.5.29.30", sequence(), True),
        put("2.5.29.30", sequence(tlv(0xA0, b"")), True),
        subtree("", "*.b.example"),
        subtree("IP", bytes.fromhex("0a000000ff00ff00")),
        subtree("IP", b"12345"),
    ),
    ("RFC 5280, 4.2.1.10", "name constraints: no minimum"): case(
        subtree("", "a.example", tlv(0x80, b"\x01"), excluded=False),
        subtree("", "b.example", tlv(0x81, b"\x01")),
    ),
    ("RFC 5280, 4.2.1.10", "name constraints: domains"): case(
        *(subtree("", one) for one in (".b.example", "b_c.example", "b.example.", "192.0.2.1")),
        *(subtree("mail", one) for one in ("a@b@c.example", "@b.example", "*.b.example", "..b.example", "a b")),
        *(
            subtree("URI", one)
            for one in ("https://b.example", "b.example/", "b.example:443", "*.b.example", "10.0.0.1")
        ),
    ),
    ("RFC 5280, 4.2.1.11", "policy constraints: not empty"): case(put("2.5.29.36", sequence(), True)),
    ("RFC 5280, 4.2.1.12", "extended key usage: not empty"): case(put("2.5.29.37", sequence())),
    ("RFC 5280, 4.2.1.13", "distribution points: each"): case(
        put(POINTS, sequence(sequence())), put(POINTS, sequence(sequence(tlv(0x81, b"\x06\x40"))))
    ),
    ("RFC 5280, 4.2.1.13", "distribution points: no name"): case(
        put(
            POINTS,
            point(
                relative_name=x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "x")]),
                crl_issuer=[directory("A"), directory("B")],
            ),
        ),
        with_it=("CA/Browser BR, 7.1.2.11.2",),
    ),
    ("RFC 5280, 4.2.1.13", "distribution points: names"): case(
        put(POINTS, point(full_name=[url("/crl")])),
        put(FRESHEST, point(full_name=[url("crl")])),
        with_it=("CA/Browser BR, 7.1.2.11.2",),
    ),
    ("RFC 5280, 4.2.2.1", "information access: names"): case(
        put(AIA, access(AuthorityInformationAccessOID.CA_ISSUERS, "URI", "/issuer")),
        put(SIA, access(AuthorityInformationAccessOID.CA_ISSUERS, "URI", "x")),
        with_it=("CA/Browser BR, 7.1.2.7.7",),
    ),
    ("RFC 6960, 3.1", "authority information access: the"): case(
        put(AIA, access(AuthorityInformationAccessOID.OCSP, "", "a.example")), with_it=("CA/Browser BR, 7.1.2.7.7",)
    ),
}
