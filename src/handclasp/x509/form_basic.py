"""The form of a certificate's basic fields (RFC 5280, 4.1, and the RFCs of the algorithms that it points to)."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa
from cryptography.x509.oid import NameOID

from handclasp.x509.certificate import Certificate
from handclasp.x509.der import content_of, elements, oid_text
from handclasp.x509.rule import ANY, BOTH, EVERY, ISSUED, Place, Rule
from handclasp.x509.text import shortened

__all__ = ["RULES"]

SERIAL_LIMIT = 1 << 159
"""Serial numbers are positive and have at most 20 octets (RFC 5280, 4.1.2.2)."""
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
RSA_ENCRYPTION, EC_PUBLIC_KEY = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
PSS = "1.2.840.113549.1.1.10"
NULL = (0x05, b"")
LENGTHS = {
    NameOID.COMMON_NAME: (1, 64),
    NameOID.SERIAL_NUMBER: (1, 64),
    NameOID.COUNTRY_NAME: (2, 2),
    NameOID.LOCALITY_NAME: (1, 128),
    NameOID.STATE_OR_PROVINCE_NAME: (1, 128),
    NameOID.ORGANIZATION_NAME: (1, 64),
    NameOID.ORGANIZATIONAL_UNIT_NAME: (1, 64),
    NameOID.TITLE: (1, 64),
    NameOID.PSEUDONYM: (1, 128),
    NameOID.EMAIL_ADDRESS: (1, 255),
}
"""Characters of an attribute (RFC 5280, appendix A.1)."""
NO_ENCIPHERMENT = (ec.EllipticCurvePublicKey,)
SIGNATURES_ALONE = (
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    mldsa.MLDSA44PublicKey,
    mldsa.MLDSA65PublicKey,
    mldsa.MLDSA87PublicKey,
)


def _version(one: Certificate) -> str | None:
    if one.fields.extensions is not None and one.fields.version != 3:
        return f"it has extensions and is of version {one.fields.version}"
    return None


def _serial(one: Certificate) -> str | None:
    serial = one.serial_number
    if serial <= 0:
        return "its serial number is not positive"
    return None if serial < SERIAL_LIMIT else f"its serial number has {serial.bit_length()} bits"


def _issuer(one: Certificate) -> str | None:
    return None if one.parsed.issuer.rdns else "its issuer has an empty name"


def _dates(one: Certificate) -> str | None:
    for (tag, _), moment in zip(one.fields.dates, (one.not_before, one.not_after), strict=True):
        if (tag == GENERALIZED_TIME) != (moment.year >= 2050):
            return f"a date of {moment.year} is written as {'Generalized' if tag == GENERALIZED_TIME else 'UTC'}Time"
    return None


def _empty_subject(one: Certificate) -> str | None:
    if one.subject_name.rdns or one.extension_critical(x509.SubjectAlternativeName):
        return None
    return "its subject is empty and its subject alternative name not critical"


def _authority_subject(one: Certificate) -> str | None:
    return None if one.subject_name.rdns else "it is an authority and its subject is empty"


def _lengths(one: Certificate) -> str | None:
    for attribute in one.subject_name:
        low, high = LENGTHS.get(attribute.oid, (0, 1 << 15))
        if not low <= len(attribute.value) <= high:
            return f"{attribute.rfc4514_attribute_name} in its subject has {len(attribute.value)} characters"
    return None


def _key_parameters(one: Certificate) -> str | None:
    algorithm, *parameters = elements(one.fields.key_algorithm[content_of(one.fields.key_algorithm, 0)[0] :])
    oid = oid_text(algorithm[1])
    if oid == RSA_ENCRYPTION:
        good = parameters == [NULL]
    elif oid == EC_PUBLIC_KEY:
        good = len(parameters) == 1 and parameters[0][0] == 0x06
    else:
        good = not parameters or oid == PSS
    return None if good else f"the parameters of its key, of algorithm {shortened(oid)}, are other ones"


def _usage_of_key(one: Certificate) -> str | None:
    usage, key = one.extension(x509.KeyUsage), one.public_key
    if usage is None:
        return None
    enciphers = usage.key_encipherment or usage.data_encipherment
    if isinstance(key, (*NO_ENCIPHERMENT, *SIGNATURES_ALONE)) and enciphers:
        return "its key usage has it encipher, which such a key can't"
    if isinstance(key, SIGNATURES_ALONE) and usage.key_agreement:
        return "its key usage has it agree on keys, which such a key can't"
    return None


def _unique_identifiers(one: Certificate) -> str | None:
    return "it has a unique identifier" if one.fields.has_unique_identifiers else None


def _some_extensions(one: Certificate) -> str | None:
    return "it has an empty list of extensions" if one.fields.extensions == {} else None


RULES: tuple[Rule, ...] = (
    Rule("RFC 5280, 4.1", "DER, with default values left out", ANY, EVERY),
    Rule("RFC 5280, 4.1.1.2", "the outer signature algorithm is the signed one, byte for byte", ISSUED, EVERY),
    Rule(
        "RFC 5280, 4.1.1.2",
        "the signature algorithm's parameters are as its RFC has them (4055, 3 and 5; 5758, 3.2; 8410, 3; 9881, 2)",
        ISSUED,
        EVERY,
    ),
    Rule("RFC 5280, 4.1.2.1", "version 1 or 3", ANY, EVERY),
    Rule("RFC 5280, 4.1.2.1", "version 3 where there are extensions", ISSUED, BOTH, _version),
    Rule("RFC 5280, 4.1.2.2", "a positive serial number of at most 20 octets", ISSUED, BOTH, _serial),
    Rule("RFC 5280, 4.1.2.4", "an issuer whose name is not empty", ISSUED, BOTH, _issuer),
    Rule("RFC 5280, 4.1.2.4", "no relative distinguished name without an attribute", ANY, EVERY),
    Rule("RFC 5280, 4.1.2.5", "dates with seconds, without fractions, in Z", ANY, EVERY),
    Rule("RFC 5280, 4.1.2.5", "dates to 2049 as UTCTime, later ones as GeneralizedTime", ISSUED, BOTH, _dates),
    Rule(
        "RFC 5280, 4.1.2.6",
        "a subject, or a critical subject alternative name",
        Place.LEAF,
        BOTH,
        _empty_subject,
    ),
    Rule(
        "RFC 5280, 4.1.2.6",
        "a subject that is not empty, of an authority",
        Place.AUTHORITY | Place.ANCHOR,
        BOTH,
        _authority_subject,
    ),
    Rule("RFC 5280, A.1", "attributes of the subject no longer than their bounds", ISSUED, BOTH, _lengths),
    Rule(
        "RFC 5280, 4.1.2.7",
        "the key's parameters: NULL of RSA (RFC 3279, 2.3.1), a named curve (5480, 2.1.1), none of others (8410, 3)",
        ISSUED,
        BOTH,
        _key_parameters,
    ),
    Rule(
        "RFC 5280, 4.2.1.3",
        "a key usage that the key can have (RFC 5480, 3; RFC 8410, 5; RFC 9881, 5)",
        ISSUED,
        BOTH,
        _usage_of_key,
    ),
    Rule("RFC 5280, 4.1.2.8", "no unique identifiers", ISSUED, BOTH, _unique_identifiers),
    Rule(
        "RFC 5280, 4.1.2.9", "at least one extension in the list, where there is a list", ISSUED, BOTH, _some_extensions
    ),
)
