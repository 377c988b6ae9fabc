"""Certificates that no conforming authority issues (RFC 5280, 4; CA/Browser Forum baseline requirements, 7.1.2).

Section 6 of RFC 5280 would accept these; whoever wants certificates as they should be asks for the
profile RFC5280, or for WEB with the rules of browsers on top. Each rule is a function that says
what is wrong, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from handclasp.x509.certificate import Certificate
from handclasp.x509.names import Identities
from handclasp.x509.policy import Profile, Purpose, VerificationPolicy
from handclasp.x509.text import shortened

__all__ = ["misshapen"]

SERIAL_LIMIT = 1 << 159
"""Serial numbers are positive and have at most 20 octets (RFC 5280, 4.1.2.2)."""

Rule = Callable[[Certificate], str | None]


def misshapen(
    path: tuple[Certificate, ...], policy: VerificationPolicy, purpose: Purpose
) -> Iterator[tuple[Certificate, str, str]]:
    """Each certificate of a path that breaks a rule of the profile: itself, what is wrong, and the section."""
    leaf, above = path[0], path[1:]
    for one in path:
        yield from _broken(one, _EVERY)
    yield from _broken(leaf, _LEAF)
    for one in above:
        yield from _broken(one, _AUTHORITY)
    for one in path[:-1]:
        yield from _broken(one, _ISSUED)
    for one in above[:-1]:
        yield from _broken(one, _INTERMEDIATE)
    if policy.profile is Profile.WEB:
        yield from _broken(leaf, _WEB_LEAF)
        if above:
            yield from _broken(above[-1], _WEB_ROOT)
    if policy.common_name_in_san and purpose is Purpose.SERVER_AUTH:
        yield from _broken(leaf, _COMMON_NAME)


def _broken(one: Certificate, rules: tuple[tuple[Rule, str], ...]) -> Iterator[tuple[Certificate, str, str]]:
    for rule, section in rules:
        wrong = rule(one)
        if wrong is not None:
            yield one, wrong, section


def _serial(one: Certificate) -> str | None:
    serial = one.serial_number
    if serial <= 0:
        return "its serial number is not positive"
    return None if serial < SERIAL_LIMIT else f"its serial number has {serial.bit_length()} bits"


def _authority_key(one: Certificate) -> str | None:
    if one.extension_critical(x509.AuthorityKeyIdentifier):
        return "its authority key identifier is critical"
    return None


def _has_authority_key(one: Certificate) -> str | None:
    found = one.extension(x509.AuthorityKeyIdentifier)
    if found is None:
        return None if one.is_self_issued else "it has no authority key identifier"
    return None if found.key_identifier is not None else "its authority key identifier has no key identifier"


def _subject_key(one: Certificate) -> str | None:
    if one.extension_critical(x509.SubjectKeyIdentifier):
        return "its subject key identifier is critical"
    return None


def _dns_constraints(one: Certificate) -> str | None:
    constraints = one.extension(x509.NameConstraints)
    if constraints is None:
        return None
    trees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    if any(isinstance(tree, x509.DNSName) and tree.value.startswith(".") for tree in trees):
        return "a DNS name constraint begins with a period"
    return None


def _empty_subject(one: Certificate) -> str | None:
    if one.subject_name.rdns or one.extension_critical(x509.SubjectAlternativeName):
        return None
    return "its subject is empty and its subject alternative name not critical"


def _leaf_constraints(one: Certificate) -> str | None:
    if one.extension(x509.NameConstraints) is not None and not _is_authority(one):
        return "it has name constraints and is no authority"
    return None


def _leaf_usage(one: Certificate) -> str | None:
    usage = one.extension(x509.KeyUsage)
    if usage is not None and usage.key_cert_sign and not _is_authority(one):
        return "its key may sign certificates and it is no authority"
    return None


def _has_subject_key(one: Certificate) -> str | None:
    return "it has no subject key identifier" if one.extension(x509.SubjectKeyIdentifier) is None else None


def _critical_basic(one: Certificate) -> str | None:
    return None if one.extension_critical(x509.BasicConstraints) else "its basic constraints are not critical"


def _has_usage(one: Certificate) -> str | None:
    return "it is an authority without a key usage" if one.extension(x509.KeyUsage) is None else None


def _web_authority(one: Certificate) -> str | None:
    return "it is an authority itself" if _is_authority(one) else None


def _web_purpose(one: Certificate) -> str | None:
    usage = one.extension(x509.ExtendedKeyUsage)
    if usage is not None and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage:
        return "it is for any purpose"
    if one.extension_critical(x509.ExtendedKeyUsage):
        return "its extended key usage is critical"
    return None


def _web_names(one: Certificate) -> str | None:
    if one.subject_name.rdns and one.extension_critical(x509.SubjectAlternativeName):
        return "its subject alternative name is critical beside a subject"
    return None


def _common_name(one: Certificate) -> str | None:
    names = Identities.of(one)
    presented = {*names.dns, *map(str, names.addresses)}
    for common in names.common_names:
        if common not in presented:
            return f"its common name {shortened(common)!r} is none of its alternative names"
    return None


def _web_root(one: Certificate) -> str | None:
    if one.extension(x509.ExtendedKeyUsage) is not None:
        return "it is a root with an extended key usage"
    identifier = one.extension(x509.AuthorityKeyIdentifier)
    if identifier is not None and identifier.authority_cert_issuer is not None:
        return "it is a root whose authority key identifier names an issuer"
    return None


def _is_authority(one: Certificate) -> bool:
    basic = one.extension(x509.BasicConstraints)
    return basic is not None and bool(basic.ca)


_EVERY: tuple[tuple[Rule, str], ...] = (
    (_authority_key, "RFC 5280, 4.2.1.1"),
    (_subject_key, "RFC 5280, 4.2.1.2"),
    (_dns_constraints, "RFC 5280, 4.2.1.10"),
    (_empty_subject, "RFC 5280, 4.1.2.6"),
)
_ISSUED: tuple[tuple[Rule, str], ...] = (
    (_serial, "RFC 5280, 4.1.2.2"),
    (_has_authority_key, "RFC 5280, 4.2.1.1"),
)
"""Of all below the anchor: why we trust that one is our own affair."""
_INTERMEDIATE: tuple[tuple[Rule, str], ...] = (
    (_has_subject_key, "RFC 5280, 4.2.1.2"),
    (_has_usage, "RFC 5280, 4.2.1.3"),
)
_LEAF: tuple[tuple[Rule, str], ...] = (
    (_leaf_constraints, "RFC 5280, 4.2.1.10"),
    (_leaf_usage, "RFC 5280, 4.2.1.9"),
)
_AUTHORITY: tuple[tuple[Rule, str], ...] = ((_critical_basic, "RFC 5280, 4.2.1.9"),)
_WEB_LEAF: tuple[tuple[Rule, str], ...] = (
    (_web_authority, "CA/Browser BR, 7.1.2.7.8"),
    (_web_purpose, "CA/Browser BR, 7.1.2.7.10"),
    (_web_names, "CA/Browser BR, 7.1.2.7.12"),
)
_COMMON_NAME: tuple[tuple[Rule, str], ...] = ((_common_name, "CA/Browser BR, 7.1.4.3"),)
_WEB_ROOT: tuple[tuple[Rule, str], ...] = ((_web_root, "CA/Browser BR, 7.1.2.1.2"),)
