"""Certificates that no conforming authority issues (RFC 5280, 4; CA/Browser Forum baseline requirements, 7.1).

Section 6 of RFC 5280 would accept these; whoever wants certificates as they should be asks for the profile
RFC5280, or for WEB with the rules of browsers on top. All rules are one table, from which docs/rules.md is made.
"""

from __future__ import annotations

from collections.abc import Iterator

from handclasp.x509 import form_basic, form_extensions, form_web
from handclasp.x509.certificate import Certificate
from handclasp.x509.policy import Profile, Purpose, VerificationPolicy
from handclasp.x509.rule import Place, Rule

__all__ = ["RULES", "misshapen"]

RULES: tuple[Rule, ...] = (*form_basic.RULES, *form_extensions.RULES, *form_web.RULES)

Broken = tuple[tuple[Rule, str], ...]


def misshapen(
    path: tuple[Certificate, ...], policy: VerificationPolicy, purpose: Purpose
) -> Iterator[tuple[Certificate, str, str]]:
    """Each certificate of a path that breaks a rule of the profile: itself, what is wrong, and the section."""
    for index, (one, issuer) in enumerate(zip(path, (*path[1:], path[-1]), strict=True)):
        if index == 0:
            place = Place.LEAF | Place.SERVER if purpose is Purpose.SERVER_AUTH else Place.LEAF
        else:
            place = Place.ANCHOR if one is path[-1] else Place.AUTHORITY
        for rule, wrong in _broken(one, issuer, place, policy.profile):
            if rule is not form_web.COMMON_NAME or policy.common_name_in_san:
                yield one, wrong, rule.section


def _broken(one: Certificate, issuer: Certificate, place: Place, profile: Profile) -> Broken:
    """By all rules, whatever is switched off; kept for each certificate but for what is about its issuer."""
    alone, pairs = _RULES[place, profile]
    name = f"form of {place.value} {profile.value}"
    found: Broken = one.once(name, lambda: _tried(alone, one, issuer))
    return found + one.made(lambda: _tried(pairs, one, issuer))


def _tried(rules: tuple[Rule, ...], one: Certificate, issuer: Certificate) -> Broken:
    return tuple([(rule, wrong) for rule in rules if (wrong := rule.broken_by(one, issuer)) is not None])


def _of(place: Place, profile: Profile) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """The rules about a certificate alone, and those about it and its issuer."""
    found = [one for one in RULES if one.check is not None and one.places & place and profile in one.profiles]
    return tuple([one for one in found if not one.with_issuer]), tuple([one for one in found if one.with_issuer])


_RULES = {
    (place, profile): _of(place, profile)
    for place in (Place.LEAF, Place.LEAF | Place.SERVER, Place.AUTHORITY, Place.ANCHOR)
    for profile in (Profile.RFC5280, Profile.WEB)
}
