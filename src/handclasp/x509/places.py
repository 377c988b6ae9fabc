"""Where a certificate or a list says that its issuer, its responder and lists are, and what is found there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from handclasp.x509.certificate import MAX_SIZE, Certificate, interned
from handclasp.x509.crl import Crl
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.quiet import quietly
from handclasp.x509.scopes import MOST_POINTS
from handclasp.x509.trust import TrustStore

__all__ = ["access", "certificates_in", "is_of", "open_ends", "points"]

MOST_PLACES = 8
"""Addresses of one thing that are asked."""
_VISIBLE_HTTP = re.compile(r"http://[!-~]{1,2048}", re.IGNORECASE)
"""What people are shown as it stands, and a server is sent."""


def open_ends(known: list[bytes], trust: TrustStore) -> tuple[list[Certificate], list[Certificate]]:
    """The certificates between the leaf and nowhere: those whose issuer is not at hand, and the others."""
    pool = [interned(der) for der in known if len(der) <= MAX_SIZE]
    met: dict[Certificate, None] = {}
    missing: list[Certificate] = []
    waiting = pool[:1]
    while waiting:
        one = waiting.pop()
        try:
            if one in met or one.is_self_issued:
                continue
            met[one] = None
            above = [other for other in pool if is_of(other, one.issuer_canonical)]
            if not above and not trust.issuers_of(one):
                missing.append(one)
            waiting += above
        except MalformedCertificate:
            continue
    return missing, [one for one in met if one not in missing]


def is_of(one: Certificate, name: tuple[Any, ...]) -> bool:
    """Whether a certificate has this name; one that cannot be read has none."""
    try:
        return one.subject_canonical == name
    except MalformedCertificate:
        return False


def access(one: Certificate, method: x509.ObjectIdentifier) -> list[str]:
    """The HTTP addresses of an authority's information access (RFC 5280, 4.2.2.1)."""
    try:
        found = one.extension(x509.AuthorityInformationAccess)
    except MalformedCertificate:
        return []
    return list(_http(entry.access_location for entry in found or () if entry.access_method == method))


def points(one: Certificate | Crl, kind: type[x509.CRLDistributionPoints] | type[x509.FreshestCRL]) -> list[list[str]]:
    """The HTTP addresses of each distribution point: any one of a point's will do (RFC 5280, 4.2.1.13)."""
    found = one.extension(kind)
    return [list(_http(point.full_name or ())) for point in islice(found or (), MOST_POINTS)]


def _http(names: Iterable[Any]) -> Iterator[str]:
    found = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    yield from islice(filter(_VISIBLE_HTTP.fullmatch, found), MOST_PLACES)


def certificates_in(data: bytes) -> list[Certificate]:
    """One certificate in DER, several in PEM or in a PKCS #7 bag (RFC 5280, 4.2.2.1)."""
    try:
        return Certificate.load_all(data)
    except MalformedCertificate as error:
        try:
            with quietly():
                return [interned(one.public_bytes(Encoding.DER)) for one in pkcs7.load_der_pkcs7_certificates(data)]
        except Exception:  # the parser's own errors have no common class
            raise error from None
