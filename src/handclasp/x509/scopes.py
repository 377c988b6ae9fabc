"""Of which certificates, and for which reasons, a list tells: its scope and a certificate's distribution points.

RFC 5280, 4.2.1.13, 5.2.5 and 6.3.3 (b).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography import x509

from handclasp.x509.certificate import Certificate, canonical_name
from handclasp.x509.crl import ALL_REASONS
from handclasp.x509.errors import BudgetExceeded

__all__ = ["MOST_POINTS", "Point", "points_of", "told_of"]

MOST_POINTS = 64
"""Distribution points of a certificate; one with more is not looked into."""

Name = tuple[Any, ...]
"""A name in canonical form."""
Reasons = frozenset[x509.ReasonFlags]


@dataclass(frozen=True, slots=True)
class Point:
    """One place where a certificate says that its revocation is told."""

    names: frozenset[Any]
    """Full names of the point in canonical form; empty where it has none."""
    issuers: tuple[Name, ...]
    """Who issues the list: the certificate's own issuer where it says none."""
    indirect: bool
    reasons: Reasons


def points_of(certificate: Certificate) -> list[Point]:
    """A certificate's distribution points, and its issuer; raises `BudgetExceeded` for too many."""
    own = certificate.issuer_canonical
    extension = certificate.extension(x509.CRLDistributionPoints)
    points = []
    if extension is not None and len(extension) > MOST_POINTS:
        raise BudgetExceeded(f"The certificate of {certificate.subject_text} has {len(extension)} distribution points.")
    for one in extension or ():
        named = (canonical_name(n.value) for n in one.crl_issuer or () if isinstance(n, x509.DirectoryName))
        issuers = tuple(dict.fromkeys(named))
        points.append(
            Point(
                names=_full_names(one.full_name, one.relative_name, issuers[0] if issuers else own),
                issuers=issuers or (own,),
                indirect=bool(issuers),
                reasons=frozenset(one.reasons) if one.reasons is not None else ALL_REASONS,
            )
        )
    # Lists of the issuer that no point names are asked, too (RFC 5280, 6.3.3).
    points.append(Point(frozenset(), (own,), False, ALL_REASONS))
    return points


def told_of(
    scope: x509.IssuingDistributionPoint | None, issuer: Name, point: Point, certificate: Certificate
) -> Reasons:
    """The reasons for which this issuer's lists of this scope tell of the certificate; none where they do not."""
    nothing: Reasons = frozenset()
    if scope is None:
        return point.reasons if not point.indirect else nothing
    if point.indirect and not scope.indirect_crl:
        return nothing
    if not _same_point(scope, issuer, point):
        return nothing
    basic = certificate.extension(x509.BasicConstraints)
    authority = basic is not None and basic.ca
    if (
        (scope.only_contains_user_certs and authority)
        or (scope.only_contains_ca_certs and not authority)
        or scope.only_contains_attribute_certs
    ):
        return nothing
    only = scope.only_some_reasons
    return point.reasons & (ALL_REASONS if only is None else frozenset(only))


def _same_point(scope: x509.IssuingDistributionPoint, issuer: Name, point: Point) -> bool:
    """RFC 5280, 6.3.3 (b)(2)(i)."""
    named = _full_names(scope.full_name, scope.relative_name, issuer)
    if not named:
        return True
    return bool(named & (point.names or frozenset(point.issuers)))


def _full_names(full: Any, relative: Any, base: Name) -> frozenset[Any]:
    if full:
        return frozenset(
            canonical_name(one.value) if isinstance(one, x509.DirectoryName) else one.value for one in full
        )
    if relative is not None:
        return frozenset({(*base, *canonical_name(x509.Name([relative])))})
    return frozenset()
