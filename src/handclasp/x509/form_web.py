"""The form that the CA/Browser Forum's baseline requirements want on top (CA/Browser BR, 6.1 and 7.1)."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import AuthorityInformationAccessOID, CertificatePoliciesOID, ExtendedKeyUsageOID, NameOID

from handclasp.x509.certificate import Certificate
from handclasp.x509.form_extensions import is_authority
from handclasp.x509.names import Identities
from handclasp.x509.policies import ANY_POLICY
from handclasp.x509.rule import ANY, BOTH, EVERY, ISSUED, WEB, Place, Rule
from handclasp.x509.text import shortened

__all__ = ["COMMON_NAME", "RULES"]

KEYS = frozenset(
    map(
        bytes.fromhex,
        (
            "300d06092a864886f70d0101010500",
            "301306072a8648ce3d020106082a8648ce3d030107",
            "301006072a8648ce3d020106052b81040022",
            "301006072a8648ce3d020106052b81040023",
        ),
    )
)
"""RSA, P-256, P-384 and P-521, byte for byte (7.1.3.1)."""
SIGNATURES = frozenset(
    [bytes.fromhex(f"300d06092a864886f70d0101{last}0500") for last in ("0b", "0c", "0d")]
    + [bytes.fromhex(f"300a06082a8648ce3d0403{last}") for last in ("02", "03", "04")]
    + [
        bytes.fromhex(
            f"304106092a864886f70d01010a3034a00f300d06096086480165030402{last}0500a11c301a06092a864886f70d010108"
            f"300d06096086480165030402{last}0500a2030201{salt}"
        )
        for last, salt in (("01", "20"), ("02", "30"), ("03", "40"))
    ]
)
"""PKCS #1, ECDSA and PSS over SHA-256, SHA-384 and SHA-512, byte for byte (7.1.3.2)."""
HASHES = {"secp256r1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}
OTHER_PURPOSES = (
    ExtendedKeyUsageOID.CODE_SIGNING,
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ExtendedKeyUsageOID.TIME_STAMPING,
    ExtendedKeyUsageOID.OCSP_SIGNING,
    x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.4"),
)
"""What a server's certificate is not for besides (7.1.2.7.10); the last signs precertificates."""
ACCESS_METHODS = (AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS)
SEVERAL = (NameOID.DOMAIN_COMPONENT, NameOID.STREET_ADDRESS, NameOID.ORGANIZATIONAL_UNIT_NAME)
"""Attributes that a name may have more than once (7.1.2.7.4)."""
REVERSE_ZONES = (".in-addr.arpa", ".ip6.arpa")
TEXT = (_ASN1Type.UTF8String, _ASN1Type.PrintableString)
STRINGS = {
    NameOID.DOMAIN_COMPONENT: (_ASN1Type.IA5String,),
    **dict.fromkeys((NameOID.COUNTRY_NAME, NameOID.JURISDICTION_COUNTRY_NAME, NameOID.SERIAL_NUMBER), TEXT[1:]),
    **dict.fromkeys(
        (
            NameOID.COMMON_NAME,
            NameOID.STATE_OR_PROVINCE_NAME,
            NameOID.LOCALITY_NAME,
            NameOID.POSTAL_CODE,
            NameOID.STREET_ADDRESS,
            NameOID.ORGANIZATION_NAME,
            NameOID.SURNAME,
            NameOID.GIVEN_NAME,
            NameOID.ORGANIZATIONAL_UNIT_NAME,
            NameOID.BUSINESS_CATEGORY,
            NameOID.ORGANIZATION_IDENTIFIER,
        ),
        TEXT,
    ),
}
"""Types of string that an attribute may have (7.1.4.2)."""


def _version(one: Certificate) -> str | None:
    return None if one.fields.version == 3 else f"it is of version {one.fields.version}"


def _modulus(one: Certificate) -> str | None:
    key = one.public_key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size % 8:
        return f"its RSA key has {key.key_size} bits, which are not whole bytes"
    return None


def _key(one: Certificate) -> str | None:
    return None if one.fields.key_algorithm in KEYS else "its key is neither RSA nor of P-256, P-384 or P-521"


def _signature(one: Certificate) -> str | None:
    return None if one.fields.signature_algorithm in SIGNATURES else "its signature algorithm is none of the web's"


def _signature_hash(one: Certificate, issuer: Certificate) -> str | None:
    key = issuer.public_key
    wanted = HASHES.get(key.curve.name) if isinstance(key, ec.EllipticCurvePublicKey) else None
    if wanted is None or one.signature_hash == wanted:
        return None
    return f"it is signed over {one.signature_hash} by a key that goes with {wanted}"


def _same_name(one: Certificate, issuer: Certificate) -> str | None:
    return None if one.issuer == issuer.subject else "its issuer is written otherwise than that one's subject"


def _root_usage(one: Certificate) -> str | None:
    return "it is a root with an extended key usage" if one.extension(x509.ExtendedKeyUsage) is not None else None


def _root_identifier(one: Certificate) -> str | None:
    found, own = one.extension(x509.AuthorityKeyIdentifier), one.extension(x509.SubjectKeyIdentifier)
    if found is None:
        return None
    if found.key_identifier is None or found.authority_cert_issuer is not None:
        return "it is a root whose authority key identifier names an issuer, or no key"
    if one.is_self_issued and own is not None and found.key_identifier != own.digest:
        return "it is a root whose authority key identifier is not its subject key identifier"
    return None


def _identifier(one: Certificate) -> str | None:
    found = one.extension(x509.AuthorityKeyIdentifier)
    if found is not None and found.authority_cert_issuer is not None:
        return "its authority key identifier names an issuer"
    return None


def _other_purposes(one: Certificate) -> str | None:
    usage = one.extension(x509.ExtendedKeyUsage) or ()
    if ExtendedKeyUsageOID.SERVER_AUTH in usage and any(oid in usage for oid in OTHER_PURPOSES):
        return "it is for servers and for what a server's certificate may not be for"
    return None


def _no_authority(one: Certificate) -> str | None:
    return "it is an authority itself" if is_authority(one) else None


def _purpose(one: Certificate) -> str | None:
    usage = one.extension(x509.ExtendedKeyUsage)
    if usage is not None and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage:
        return "it is for any purpose"
    return None


def _uncritical_purpose(one: Certificate) -> str | None:
    return "its extended key usage is critical" if one.extension_critical(x509.ExtendedKeyUsage) else None


def _has_purpose(one: Certificate) -> str | None:
    return "it has no extended key usage" if one.extension(x509.ExtendedKeyUsage) is None else None


def _usage(one: Certificate) -> str | None:
    usage = one.extension(x509.KeyUsage)
    if usage is None:
        return None
    is_rsa = isinstance(one.public_key, rsa.RSAPublicKey)
    enciphers = usage.key_encipherment or usage.data_encipherment
    if (
        usage.content_commitment
        or usage.key_cert_sign
        or usage.crl_sign
        or (usage.key_agreement if is_rsa else enciphers)
    ):
        return "its key usage has more than a server's key is for"
    return None


def _policy(one: Certificate) -> str | None:
    found = [policy.policy_identifier.dotted_string for policy in one.extension(x509.CertificatePolicies) or ()]
    return "it is issued under anyPolicy" if ANY_POLICY in found else None


def _qualifiers(one: Certificate) -> str | None:
    for policy in one.extension(x509.CertificatePolicies) or ():
        if any(isinstance(one, x509.UserNotice) for one in policy.policy_qualifiers or ()):
            return f"a policy of it has a qualifier other than {CertificatePoliciesOID.CPS_QUALIFIER.dotted_string}"
    return None


def _has_names(one: Certificate) -> str | None:
    names = one.extension(x509.SubjectAlternativeName)
    if any(isinstance(name, (x509.DNSName, x509.IPAddress)) for name in names or ()):
        return None
    return "it has no alternative name that is a host's or an address"


def _other_names(one: Certificate) -> str | None:
    for name in one.extension(x509.SubjectAlternativeName) or ():
        if not isinstance(name, (x509.DNSName, x509.IPAddress)):
            return f"it has an alternative name that is neither a host's nor an address, {type(name).__name__}"
    return None


def _labels(one: Certificate) -> str | None:
    for host in Identities.of(one).dns:
        for label in host.lower().split("."):
            if label[2:4] == "--" and not label.startswith("xn--"):
                return f"the label {shortened(label)!r} of a host is reserved"
        if host.lower().endswith(REVERSE_ZONES):
            return f"{shortened(host)!r} is an address backwards"
    return None


def _uncritical_names(one: Certificate) -> str | None:
    if one.subject_name.rdns and one.extension_critical(x509.SubjectAlternativeName):
        return "its subject alternative name is critical beside a subject"
    return None


def _access(one: Certificate) -> str | None:
    for access in one.extension(x509.AuthorityInformationAccess) or ():
        if access.access_method not in ACCESS_METHODS:
            return "it has access to information other than on issuers and by OCSP"
        if not _is_http(access.access_location):
            return "the place of information is no HTTP URL"
    return None


def _points(one: Certificate) -> str | None:
    for point in one.extension(x509.CRLDistributionPoints) or ():
        if point.reasons is not None or point.crl_issuer is not None:
            return "a distribution point has reasons or an issuer"
        if not all(map(_is_http, point.full_name or (None,))):
            return "a distribution point is no HTTP URL"
    return None


def _is_http(name: x509.GeneralName | None) -> bool:
    return isinstance(name, x509.UniformResourceIdentifier) and name.value.lower().startswith("http://")


def _subject(one: Certificate) -> str | None:
    seen = set()
    for rdn in one.subject_name.rdns:
        if len(rdn) > 1:
            return "a part of its subject has several attributes"
        for attribute in rdn:
            if attribute.oid in seen:
                return f"its subject has {attribute.rfc4514_attribute_name} twice"
            if attribute.oid not in SEVERAL:
                seen.add(attribute.oid)
    return None


def _strings(one: Certificate) -> str | None:
    for attribute in one.subject_name:
        wanted = STRINGS.get(attribute.oid)
        if wanted is not None and attribute._type not in wanted:
            return f"{attribute.rfc4514_attribute_name} in its subject is a {attribute._type.name}"
    return None


def _common_name(one: Certificate) -> str | None:
    names = Identities.of(one)
    presented = {*names.dns, *map(str, names.addresses)}
    for common in names.common_names:
        if common not in presented:
            return f"its common name {shortened(common)!r} is none of its alternative names"
    return None


COMMON_NAME = Rule(
    "CA/Browser BR, 7.1.4.3", "a common name that is one of the alternative names", Place.SERVER, BOTH, _common_name
)
"""A switch of its own (`VerificationPolicy.common_name_in_san`)."""

RULES: tuple[Rule, ...] = (
    Rule("CA/Browser BR, 6.1.5", "an RSA modulus of whole bytes", ANY, WEB, _modulus),
    Rule("CA/Browser BR, 6.1.6", "an RSA exponent that is odd and at least 3", ANY, EVERY),
    Rule("CA/Browser BR, 7.1.1", "version 3", ISSUED, WEB, _version),
    Rule("CA/Browser BR, 7.1.2.1.2", "no extended key usage, of a root", Place.ANCHOR, WEB, _root_usage),
    Rule(
        "CA/Browser BR, 7.1.2.1.3",
        "authority key identifier of a root: its own key identifier, and no issuer",
        Place.ANCHOR,
        WEB,
        _root_identifier,
    ),
    Rule("CA/Browser BR, 7.1.2.10.6", "extended key usage: not critical", Place.AUTHORITY, WEB, _uncritical_purpose),
    Rule("CA/Browser BR, 7.1.2.7.6", "extended key usage: not critical", Place.LEAF, WEB, _uncritical_purpose),
    Rule("CA/Browser BR, 7.1.2.7.6", "an extended key usage", Place.SERVER, WEB, _has_purpose),
    Rule(
        "CA/Browser BR, 7.1.2.7.7",
        "authority information access: of issuers and OCSP alone, by HTTP",
        Place.SERVER,
        WEB,
        _access,
    ),
    Rule("CA/Browser BR, 7.1.2.7.8", "basic constraints: no authority", Place.LEAF, WEB, _no_authority),
    Rule("CA/Browser BR, 7.1.2.7.9", "certificate policies: not anyPolicy", Place.SERVER, WEB, _policy),
    Rule(
        "CA/Browser BR, 7.1.2.7.9",
        "certificate policies: no qualifier but where the practice statement is",
        Place.SERVER,
        WEB,
        _qualifiers,
    ),
    Rule("CA/Browser BR, 7.1.2.7.10", "extended key usage: not anyExtendedKeyUsage", Place.LEAF, WEB, _purpose),
    Rule(
        "CA/Browser BR, 7.1.2.7.10",
        "extended key usage: not for code, mail, time stamps, OCSP or precertificates",
        Place.SERVER,
        WEB,
        _other_purposes,
    ),
    Rule(
        "CA/Browser BR, 7.1.2.7.11",
        "key usage: digitalSignature; of RSA encipherment, of others keyAgreement",
        Place.SERVER,
        WEB,
        _usage,
    ),
    Rule(
        "CA/Browser BR, 7.1.2.7.12",
        "subject alternative name: at least one host or address",
        Place.SERVER,
        WEB,
        _has_names,
    ),
    Rule(
        "CA/Browser BR, 7.1.2.7.12",
        "subject alternative name: hosts and addresses alone",
        Place.SERVER,
        WEB,
        _other_names,
    ),
    Rule(
        "CA/Browser BR, 7.1.2.7.12",
        "subject alternative name: no reserved labels, no names of reverse zones",
        Place.SERVER,
        WEB,
        _labels,
    ),
    Rule(
        "CA/Browser BR, 7.1.2.7.12",
        "subject alternative name: not critical beside a subject",
        Place.LEAF,
        WEB,
        _uncritical_names,
    ),
    Rule(
        "CA/Browser BR, 7.1.2.11.1",
        "authority key identifier: no issuer and serial number",
        Place.LEAF,
        WEB,
        _identifier,
    ),
    Rule("CA/Browser BR, 7.1.2.11.2", "distribution points: HTTP URLs alone", Place.SERVER, WEB, _points),
    Rule("CA/Browser BR, 7.1.3.1", "a key of RSA, P-256, P-384 or P-521, byte for byte", ANY, WEB, _key),
    Rule(
        "CA/Browser BR, 7.1.3.2",
        "a signature of PKCS #1, PSS or ECDSA over SHA-2, byte for byte",
        ISSUED,
        WEB,
        _signature,
    ),
    Rule(
        "CA/Browser BR, 7.1.3.2.2",
        "an ECDSA signature over the hash that goes with the curve",
        Place.LEAF,
        WEB,
        _signature_hash,
        with_issuer=True,
    ),
    Rule(
        "CA/Browser BR, 7.1.4.1",
        "an issuer written as that one's subject, byte for byte",
        ISSUED,
        WEB,
        _same_name,
        with_issuer=True,
    ),
    Rule(
        "CA/Browser BR, 7.1.4.1",
        "a subject with one attribute in each part, and none twice",
        Place.SERVER,
        WEB,
        _subject,
    ),
    Rule(
        "CA/Browser BR, 7.1.4.2",
        "a subject in the types of string that its attributes have",
        Place.SERVER,
        WEB,
        _strings,
    ),
    COMMON_NAME,
)
