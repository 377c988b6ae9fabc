"""For each rule of the CA/Browser Forum's baseline requirements, chains that break it; of server certificates most."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from tests.x509.chains import HOST, key_of
from tests.x509.changes import (
    AIA,
    EKU,
    POINTS,
    Case,
    access,
    alternative,
    both,
    by_the_wrong_hash,
    case,
    directory,
    drop,
    field,
    key,
    name,
    named,
    other_key_identifier,
    otherwise_written,
    point,
    policies,
    policy,
    purposes,
    put,
    rsa_exponent,
    san,
    url,
    usage,
    with_issuer_and_serial,
)
from tests.x509.parts import ED25519, RSA_SHA256, oid, sequence, tlv

__all__ = ["CASES"]

WEB_KEY = ("CA/Browser BR, 7.1.3.1",)
DN = name((NameOID.COMMON_NAME, HOST))

_WEB: dict[tuple[str, str], Case] = {
    ("6.1.5", "an RSA"): case(lambda chain, place: chain.rekeyed(place, key_of(72, "rsa2055"), RSA_SHA256)),
    ("6.1.6", "an RSA"): case(rsa_exponent(b"\x01"), rsa_exponent(b"\x04")),
    ("7.1.1", "version"): case(field(version=b""), with_it=("RFC 5280, 4.1.2.1",)),
    ("7.1.2.1.2", "no extended"): case(purposes(EKU.SERVER_AUTH)),
    ("7.1.2.1.3", "authority key"): case(with_issuer_and_serial, other_key_identifier, put("2.5.29.35", sequence())),
    ("7.1.2.10.6", "extended"): case(purposes(EKU.SERVER_AUTH, critical=True)),
    ("7.1.2.7.6", "extended key usage: not"): case(purposes(EKU.SERVER_AUTH, critical=True)),
    ("7.1.2.7.6", "an extended"): case(drop(x509.ExtendedKeyUsage)),
    ("7.1.2.7.7", "authority"): case(
        put(AIA, access(AuthorityInformationAccessOID.CA_ISSUERS, "URI", "ldap://a.example/x")),
        put(AIA, access(x509.ObjectIdentifier("1.2.3"), "URI", "http://a.example/x")),
    ),
    ("7.1.2.7.8", "basic"): case(put("2.5.29.19", x509.BasicConstraints(True, None), True)),
    ("7.1.2.7.9", "certificate policies: not"): case(policies(policy("2.5.29.32.0"))),
    ("7.1.2.7.9", "certificate policies: no qual"): case(
        policies(policy("1.2.3", sequence(sequence(oid("1.3.6.1.5.5.7.2.2"), sequence()))))
    ),
    ("7.1.2.7.10", "extended key usage: not any"): case(purposes(EKU.SERVER_AUTH, EKU.ANY_EXTENDED_KEY_USAGE)),
    ("7.1.2.7.10", "extended key usage: not for"): case(
        *(
            purposes(EKU.SERVER_AUTH, one)
            for one in (EKU.CODE_SIGNING, EKU.EMAIL_PROTECTION, EKU.TIME_STAMPING, EKU.OCSP_SIGNING)
        ),
        purposes(EKU.SERVER_AUTH, x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.4")),
    ),
    ("7.1.2.7.11", "key usage"): case(
        usage(content_commitment=True),
        usage(crl_sign=True),
        both(key("rsa2048", RSA_SHA256), usage(key_agreement=True)),
    ),
    ("7.1.2.7.12", "subject alternative name: at least"): case(
        alternative("2.5.29.17", ("URI", "https://a.example/")),
        both(named(DN), drop(x509.SubjectAlternativeName)),
        with_it=("CA/Browser BR, 7.1.4.3",),
    ),
    ("7.1.2.7.12", "subject alternative name: hosts"): case(
        san("mail", "a@a.example"),
        san("URI", "https://a.example/"),
        san("other", oid("1.2.3") + tlv(0xA0, b"\x05\0")),
        san("directory", name((NameOID.COMMON_NAME, "x"))),
    ),
    ("7.1.2.7.12", "subject alternative name: no res"): case(
        san("", "ab--cd.example"), san("", "1.2.0.192.in-addr.arpa"), san("", "8.b.d.0.ip6.arpa")
    ),
    ("7.1.2.7.12", "subject alternative name: not"): case(both(named(DN), san("", HOST))),
    ("7.1.2.11.1", "authority"): case(with_issuer_and_serial),
    ("7.1.2.11.2", "distribution"): case(
        put(POINTS, point(full_name=[url("https://a.example/crl")])),
        put(
            POINTS, point(full_name=[url("http://a.example/crl")], reasons=frozenset({x509.ReasonFlags.key_compromise}))
        ),
        put(POINTS, point(full_name=[url("http://a.example/crl")], crl_issuer=[directory("A")])),
    ),
    ("7.1.3.1", "a key"): case(key("ed25519", ED25519), with_it=("CA/Browser BR, 7.1.3.2",)),
    ("7.1.3.2", "a signature"): case(
        lambda chain, place: chain.rekeyed(place + 1, key_of(71, "ed25519"), ED25519), with_it=WEB_KEY
    ),
    ("7.1.3.2.2", "an ECDSA"): case(by_the_wrong_hash),
    ("7.1.4.1", "an issuer"): case(otherwise_written),
    ("7.1.4.1", "a subject"): case(
        named(name((NameOID.COMMON_NAME, HOST), (NameOID.COMMON_NAME, HOST))),
        named(
            sequence(
                tlv(0x31, b"".join(sequence(oid(one), tlv(0x0C, HOST.encode())) for one in ("2.5.4.3", "2.5.4.10")))
            )
        ),
    ),
    ("7.1.4.2", "a subject"): case(
        named(name((NameOID.COMMON_NAME, HOST), tag=0x16)), named(name((NameOID.COUNTRY_NAME, "GB")))
    ),
    ("7.1.4.3", "a common name"): case(
        named(name((NameOID.COMMON_NAME, "other.example"))), named(name((NameOID.COMMON_NAME, HOST.upper())))
    ),
}
CASES = {(f"CA/Browser BR, {section}", text): one for (section, text), one in _WEB.items()}
