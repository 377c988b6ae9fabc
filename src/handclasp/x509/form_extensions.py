"""The form of a certificate's extensions (RFC 5280, 4.2): which are critical, which are there, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from handclasp.x509.certificate import POLICY_MAPPINGS, Certificate
from handclasp.x509.der import element
from handclasp.x509.policies import ANY_POLICY
from handclasp.x509.rule import ANY, BOTH, EVERY, ISSUED, STRICT, Place, Rule
from handclasp.x509.syntax import constraint_fault, location_fault, name_fault

__all__ = ["RULES", "is_authority"]

Check = Callable[[Certificate], str | None]
ABOVE = Place.AUTHORITY | Place.ANCHOR
PERMITTED_QUALIFIERS = (x509.UserNotice, str)
"""What `cryptography` makes of user notices, and of where a certification practice statement is found."""


def is_authority(one: Certificate) -> bool:
    """Whether a certificate says that its subject may issue others."""
    basic = one.extension(x509.BasicConstraints)
    return basic is not None and bool(basic.ca)


def _uncritical(oid: x509.ObjectIdentifier, name: str) -> Check:
    return lambda one: f"critical is what must not be, its {name}" if oid in one.critical_extensions else None


def _critical(oid: x509.ObjectIdentifier, name: str) -> Check:
    def check(one: Certificate) -> str | None:
        there = oid.dotted_string in (one.fields.extensions or {})
        return f"not critical is what has to be, its {name}" if there and oid not in one.critical_extensions else None

    return check


def _not_empty(oid: x509.ObjectIdentifier, name: str) -> Check:
    def check(one: Certificate) -> str | None:
        value = (one.fields.extensions or {}).get(oid.dotted_string)
        return f"nothing is in its {name}" if value is not None and not element(value, 0, 0x30) else None

    return check


def _has_authority_key(one: Certificate) -> str | None:
    found = one.extension(x509.AuthorityKeyIdentifier)
    if found is None:
        return None if one.is_self_issued else "it has no authority key identifier"
    return None if found.key_identifier is not None else "its authority key identifier has no key identifier"


def _same_key(one: Certificate, issuer: Certificate) -> str | None:
    named, own = one.extension(x509.AuthorityKeyIdentifier), issuer.extension(x509.SubjectKeyIdentifier)
    if named is None or own is None or named.key_identifier in (None, own.digest):
        return None
    return "its authority key identifier is not the subject key identifier of its issuer"


def _has_subject_key(one: Certificate) -> str | None:
    return "it has no subject key identifier" if one.extension(x509.SubjectKeyIdentifier) is None else None


def _has_usage(one: Certificate) -> str | None:
    return "it is an authority without a key usage" if one.extension(x509.KeyUsage) is None else None


def _some_usage(one: Certificate) -> str | None:
    value = (one.fields.extensions or {}).get(x509.KeyUsage.oid.dotted_string)
    return "its key usage allows nothing" if value is not None and not any(element(value, 0, 0x03)[1:]) else None


def _leaf_usage(one: Certificate) -> str | None:
    usage = one.extension(x509.KeyUsage)
    if usage is not None and usage.key_cert_sign and not is_authority(one):
        return "its key may sign certificates and it is no authority"
    return None


def _path_length(one: Certificate) -> str | None:
    basic, usage = one.extension(x509.BasicConstraints), one.extension(x509.KeyUsage)
    if basic is None or basic.path_length is None or (usage is not None and usage.key_cert_sign):
        return None
    return "it has a path length and no key usage to sign certificates"


def _critical_basic(one: Certificate) -> str | None:
    return None if one.extension_critical(x509.BasicConstraints) else "its basic constraints are not critical"


def _policies_once(one: Certificate) -> str | None:
    found = [policy.policy_identifier.dotted_string for policy in one.extension(x509.CertificatePolicies) or ()]
    return "it has a certificate policy twice" if len(found) != len(set(found)) else None


def _qualifiers(one: Certificate) -> str | None:
    for policy in one.extension(x509.CertificatePolicies) or ():
        if policy.policy_qualifiers is not None and not policy.policy_qualifiers:
            return "the qualifiers of a certificate policy are empty"
    return None


def _mapped_any(one: Certificate) -> str | None:
    if any(ANY_POLICY in pair for pair in one.policy_mappings):
        return "it maps anyPolicy"
    return None


def _names(kind: type[x509.SubjectAlternativeName | x509.IssuerAlternativeName]) -> Check:
    def check(one: Certificate) -> str | None:
        return next((fault for name in one.extension(kind) or () if (fault := name_fault(name))), None)

    return check


def _subtrees(one: Certificate) -> Iterator[x509.GeneralName]:
    constraints = one.extension(x509.NameConstraints)
    if constraints is not None:
        yield from constraints.permitted_subtrees or ()
        yield from constraints.excluded_subtrees or ()


def _subtree_syntax(one: Certificate) -> str | None:
    return next((fault for tree in _subtrees(one) if (fault := constraint_fault(tree))), None)


def _leaf_constraints(one: Certificate) -> str | None:
    if one.extension(x509.NameConstraints) is not None and not is_authority(one):
        return "it has name constraints and is no authority"
    return None


def _relative_point(one: Certificate) -> str | None:
    for kind in (x509.CRLDistributionPoints, x509.FreshestCRL):
        for point in one.extension(kind) or ():
            if point.relative_name is not None and len(point.crl_issuer or ()) > 1:
                return "a distribution point is relative to more than one issuer"
    return None


def _point_names(one: Certificate) -> str | None:
    for kind in (x509.CRLDistributionPoints, x509.FreshestCRL):
        for point in one.extension(kind) or ():
            for name in (*(point.full_name or ()), *(point.crl_issuer or ())):
                if fault := location_fault(name):
                    return f"a distribution point: {fault}"
    return None


def _access_names(one: Certificate) -> str | None:
    for kind in (x509.AuthorityInformationAccess, x509.SubjectInformationAccess):
        for access in one.extension(kind) or ():
            fault = location_fault(access.access_location)
            if fault is not None:
                return f"information access: {fault}"
    return None


def _issuers_place(one: Certificate) -> str | None:
    for access in one.extension(x509.AuthorityInformationAccess) or ():
        if access.access_method == AuthorityInformationAccessOID.OCSP and not isinstance(
            access.access_location, x509.UniformResourceIdentifier
        ):
            return "the place of its OCSP responder is no URI"
    return None


_ACCESS, _SUBJECT_ACCESS = x509.AuthorityInformationAccess.oid, x509.SubjectInformationAccess.oid
_ATTRIBUTES = x509.ObjectIdentifier("2.5.29.9")
_NEVER_CRITICAL = (
    ("4.2.1.1", x509.AuthorityKeyIdentifier.oid, "authority key identifier"),
    ("4.2.1.2", x509.SubjectKeyIdentifier.oid, "subject key identifier"),
    ("4.2.1.8", _ATTRIBUTES, "subject directory attributes"),
    ("4.2.1.15", x509.FreshestCRL.oid, "freshest CRL"),
    ("4.2.2.1", _ACCESS, "authority information access"),
    ("4.2.2.2", _SUBJECT_ACCESS, "subject information access"),
)
_ALWAYS_CRITICAL = (
    ("4.2.1.10", x509.NameConstraints.oid, "name constraints", ABOVE, STRICT),
    ("4.2.1.11", x509.PolicyConstraints.oid, "policy constraints", ISSUED, BOTH),
    ("4.2.1.14", x509.InhibitAnyPolicy.oid, "inhibit anyPolicy", ISSUED, BOTH),
)
"""Name constraints may be uncritical on the web (CA/Browser BR, 7.1.2.10.8)."""
_NEVER_EMPTY = (
    ("4.2.1.4", x509.CertificatePolicies.oid, "certificate policies"),
    ("4.2.1.5", POLICY_MAPPINGS, "policy mappings"),
    ("4.2.1.6", x509.SubjectAlternativeName.oid, "subject alternative name"),
    ("4.2.1.7", x509.IssuerAlternativeName.oid, "issuer alternative name"),
    ("4.2.1.8", _ATTRIBUTES, "subject directory attributes"),
    ("4.2.1.13", x509.CRLDistributionPoints.oid, "CRL distribution points"),
    ("4.2.1.15", x509.FreshestCRL.oid, "freshest CRL"),
    ("4.2.2.1", _ACCESS, "authority information access"),
    ("4.2.2.2", _SUBJECT_ACCESS, "subject information access"),
)

RULES: tuple[Rule, ...] = (
    Rule("RFC 5280, 4.2", "each extension once", ANY, EVERY),
    Rule("RFC 5280, 4.2", "no critical extension that is not understood here", ANY, EVERY),
    *(
        Rule(f"RFC 5280, {section}", f"{name}: not critical", ANY, BOTH, _uncritical(oid, name))
        for section, oid, name in _NEVER_CRITICAL
    ),
    *(
        Rule(f"RFC 5280, {section}", f"{name}: critical", places, profiles, _critical(oid, name))
        for section, oid, name, places, profiles in _ALWAYS_CRITICAL
    ),
    *(
        Rule(f"RFC 5280, {section}", f"{name}: not empty", ISSUED, BOTH, _not_empty(oid, name))
        for section, oid, name in _NEVER_EMPTY
    ),
    Rule("RFC 5280, 4.2.1.1", "an authority key identifier with a key identifier", ISSUED, BOTH, _has_authority_key),
    Rule("RFC 5280, 4.2.1.1", "authority key identifier: issuer and serial number both or neither", ANY, EVERY),
    Rule(
        "RFC 5280, 4.2.1.2",
        "authority key identifier: the issuer's subject key identifier",
        ISSUED,
        BOTH,
        _same_key,
        with_issuer=True,
    ),
    Rule("RFC 5280, 4.2.1.2", "a subject key identifier, of an authority", Place.AUTHORITY, BOTH, _has_subject_key),
    Rule("RFC 5280, 4.2.1.3", "a key usage, of an authority", Place.AUTHORITY, BOTH, _has_usage),
    Rule("RFC 5280, 4.2.1.3", "key usage: at least one", ANY, BOTH, _some_usage),
    Rule("RFC 5280, 4.2.1.9", "key usage: keyCertSign for authorities alone", Place.LEAF, BOTH, _leaf_usage),
    Rule("RFC 5280, 4.2.1.4", "certificate policies: each once", ISSUED, BOTH, _policies_once),
    Rule(
        "RFC 5280, 4.2.1.4",
        "certificate policies: qualifiers, where there are any, not empty",
        ISSUED,
        BOTH,
        _qualifiers,
    ),
    Rule("RFC 5280, 4.2.1.5", "policy mappings: not from or to anyPolicy", ISSUED, BOTH, _mapped_any),
    Rule(
        "RFC 5280, 4.2.1.6",
        "subject alternative name: hosts in preferred name syntax, mailboxes, absolute URIs, nothing empty",
        ISSUED,
        BOTH,
        _names(x509.SubjectAlternativeName),
    ),
    Rule("RFC 5280, 4.2.1.6", "subject alternative name: addresses of 4 or 16 octets", ANY, EVERY),
    Rule("RFC 5280, 4.2.1.7", "issuer alternative name: the same", ISSUED, BOTH, _names(x509.IssuerAlternativeName)),
    Rule("RFC 5280, 4.2.1.9", "basic constraints, critical, of an authority", ABOVE, BOTH, _critical_basic),
    Rule("RFC 5280, 4.2.1.9", "basic constraints: a path length of authorities alone", ANY, EVERY),
    Rule("RFC 5280, 4.2.1.9", "basic constraints: a path length with keyCertSign alone", ISSUED, BOTH, _path_length),
    Rule("RFC 5280, 4.2.1.10", "name constraints: of authorities alone", Place.LEAF, BOTH, _leaf_constraints),
    Rule(
        "RFC 5280, 4.2.1.10",
        "name constraints: not empty, no wildcards, address ranges with a mask from the left",
        ANY,
        EVERY,
    ),
    Rule("RFC 5280, 4.2.1.10", "name constraints: no minimum, no maximum, for names that are there", ABOVE, EVERY),
    Rule(
        "RFC 5280, 4.2.1.10",
        "name constraints: domains without a period first, mailboxes or domains of mail, hosts or domains of URIs",
        ABOVE,
        BOTH,
        _subtree_syntax,
    ),
    Rule("RFC 5280, 4.2.1.11", "policy constraints: not empty", ANY, EVERY),
    Rule("RFC 5280, 4.2.1.12", "extended key usage: not empty", ANY, EVERY),
    Rule("RFC 5280, 4.2.1.13", "distribution points: each with a name or an issuer", ANY, EVERY),
    Rule(
        "RFC 5280, 4.2.1.13", "distribution points: no name relative to several issuers", ISSUED, BOTH, _relative_point
    ),
    Rule("RFC 5280, 4.2.1.13", "distribution points: names of good syntax", ISSUED, BOTH, _point_names),
    Rule("RFC 5280, 4.2.2.1", "information access: names of good syntax", ISSUED, BOTH, _access_names),
    Rule("RFC 6960, 3.1", "authority information access: the OCSP responder by a URI", ISSUED, BOTH, _issuers_place),
)
