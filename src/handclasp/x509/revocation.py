"""Was a certificate taken back? CRLs and OCSP responses from memory, files and directories (RFC 5280, 6.3).

For each distribution point of the certificate (or its issuer, where it has none) the lists that
speak of it are found, checked and asked. The answer is GOOD only when lists for all reasons were.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509 import ocsp

from handclasp.errors import ConfigError, UsageError
from handclasp.x509.certificate import Certificate, canonical_name
from handclasp.x509.crl import ALL_REASONS, Crl, MalformedCrl
from handclasp.x509.errors import BudgetExceeded
from handclasp.x509.policy import DEFAULT

__all__ = [
    "MalformedResponse",
    "RevocationSources",
    "RevocationStatus",
    "Status",
    "check_revocation",
    "single_responses",
]

SKEW = timedelta(minutes=5)
"""How far the clock of an OCSP responder that answers at once may be ahead of ours."""
MOST_DAYS = timedelta(days=7)
"""How long an OCSP response without an end is believed."""

MOST_POINTS = 64
"""Distribution points of a certificate; one with more is not looked into."""

Reasons = frozenset[x509.ReasonFlags]
Signers = Callable[[tuple[Any, ...]], Iterable[Certificate]]
"""From a canonical name to certificates of that name that lead to the path's anchor."""


class MalformedResponse(UsageError):
    """Bytes that are no successful OCSP response."""


class Status(Enum):
    """What is known of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RevocationStatus:
    """The answer, a reason to show, and until when it holds (seconds since 1970)."""

    status: Status
    why: str
    until: float = 0.0


class RevocationSources:
    """The lists and OCSP responses that a verifier may ask; one object serves all connections.

    Raises `MalformedResponse` for bytes that are no OCSP response.
    """

    __slots__ = ("__weakref__", "_begins", "_by_issuer", "_by_serial", "crls", "responses", "token")

    def __init__(self, crls: Iterable[Crl], responses: Iterable[bytes] = ()) -> None:
        self.token = object()
        """Stands for these sources where only being the same matters."""
        self.crls = tuple(crls)
        self.responses = tuple(responses)
        """OCSP responses in DER, each judged anew when it is asked."""
        self._by_issuer: dict[tuple[Any, ...], list[Crl]] = {}
        self._by_serial: dict[int, list[bytes]] = {}
        for crl in self.crls:
            self._by_issuer.setdefault(crl.issuer, []).append(crl)
        begins = {crl.this_update.timestamp() for crl in self.crls}
        for response in self.responses:
            for one in single_responses(response):
                self._by_serial.setdefault(one.serial_number, []).append(response)
                begins.add((one.this_update_utc - SKEW).timestamp())
        self._begins = sorted(begins)

    def __repr__(self) -> str:
        return f"<RevocationSources of {len(self.crls)} CRLs and {len(self.responses)} OCSP responses>"

    @classmethod
    def of(cls, *crls: Crl | bytes) -> RevocationSources:
        """These lists, parsed or in PEM or DER."""
        found: list[Crl] = []
        for one in crls:
            found += [one] if isinstance(one, Crl) else Crl.load_all(one)
        return cls(found)

    @classmethod
    def from_path(cls, *paths: str | os.PathLike[str]) -> RevocationSources:
        """All lists in files, or in the files of directories; raises `ConfigError` where one holds none."""
        found: list[Crl] = []
        for path in map(Path, paths):
            file = path
            try:
                files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
                if not files:
                    raise MalformedCrl("the directory is empty.")
                for file in files:
                    found += Crl.load_all(file.read_bytes())
            except (OSError, MalformedCrl) as error:
                raise ConfigError(f"No CRL could be read from {file}: {error}") from None
        return cls(found)

    def of_issuer(self, issuer: tuple[Any, ...]) -> list[Crl]:
        """The lists that this name issued."""
        return self._by_issuer.get(issuer, [])

    def about(self, certificate: Certificate) -> list[bytes]:
        """The OCSP responses that name its serial number."""
        return self._by_serial.get(certificate.serial_number, []) if self._by_serial else []

    def steady_until(self, at: float) -> float:
        """The last moment before one of them begins to count that does not yet; in seconds since 1970."""
        index = bisect_right(self._begins, at)
        return math.nextafter(self._begins[index], 0) if index < len(self._begins) else math.inf


def single_responses(response: bytes) -> list[Any]:
    """The answers of an OCSP response, one for each certificate; raises `MalformedResponse`."""
    try:
        return list(ocsp.load_der_ocsp_response(response).responses)
    except Exception as error:  # the parser's own errors have no common class
        raise MalformedResponse(f"An OCSP response does not parse, or says nothing: {error}") from None


@dataclass(frozen=True, slots=True)
class _Point:
    """One place where a certificate says that its revocation is told."""

    names: frozenset[Any]
    """Full names of the point in canonical form; empty where it has none."""
    issuers: tuple[tuple[Any, ...], ...]
    """Canonical names of those who issue the list; of the certificate's own issuer where it says none."""
    indirect: bool
    reasons: Reasons


def check_revocation(
    certificate: Certificate,
    issuer: Certificate,
    sources: RevocationSources,
    at: datetime,
    signers: Signers,
    hashes: frozenset[str] = DEFAULT.hashes,
) -> RevocationStatus:
    """Ask the sources about one certificate.

    `signers` finds who may have signed a list; lists signed over other `hashes` than these say nothing.
    """
    pending = set(ALL_REASONS)
    until = float("inf")
    points = _points(certificate, issuer)
    for point in points:
        for name in point.issuers:
            for crl in sources.of_issuer(name):
                covered = _speaks_of(crl, point, certificate)
                if not covered & pending or not (crl.is_understood and crl.has_number and crl.is_current(at)):
                    continue
                if not _is_signed(crl, issuer, signers, hashes):
                    continue
                delta = _delta_of(crl, sources, at, issuer, signers, hashes)
                reason = _asked(certificate, crl, delta)
                if reason is not None:
                    return RevocationStatus(Status.REVOKED, f"revoked: {reason}")
                pending -= covered
                ends = (one.next_update for one in (crl, delta) if one is not None)
                until = min(until, *(end.timestamp() for end in ends if end is not None))
                if not pending:
                    return RevocationStatus(Status.GOOD, "not on its issuer's list", until)
    old = _revoked_before(certificate, issuer, points, sources, at, signers, hashes)
    if old is not None:
        return RevocationStatus(Status.REVOKED, old)
    missing = "no current list speaks of it" if pending == ALL_REASONS else "no list speaks of every reason"
    return RevocationStatus(Status.UNKNOWN, missing)


def _revoked_before(
    certificate: Certificate,
    issuer: Certificate,
    points: list[_Point],
    sources: RevocationSources,
    at: datetime,
    signers: Signers,
    hashes: frozenset[str],
) -> str | None:
    """What a list says that clears nobody: one that has ended, or has no number. Who was revoked on it still is.

    But for a hold, which may have been lifted (RFC 5280, 5.3.1).
    """
    for point in points:
        for crl in (one for name in point.issuers for one in sources.of_issuer(name)):
            if crl.this_update > at or not crl.is_understood or not _speaks_of(crl, point, certificate):
                continue
            reason = _asked(certificate, crl, None)
            if reason not in (None, "certificateHold") and _is_signed(crl, issuer, signers, hashes):
                ended = crl.next_update is not None and crl.next_update < at
                return f"revoked: {reason}, by a list that " + ("has ended" if ended else "has no number")
    return None


def _points(certificate: Certificate, issuer: Certificate) -> list[_Point]:
    own = certificate.issuer_canonical
    extension = certificate.extension(x509.CRLDistributionPoints)
    points = []
    if extension is not None and len(extension) > MOST_POINTS:
        raise BudgetExceeded(f"The certificate of {certificate.subject_text} has {len(extension)} distribution points.")
    for one in extension or ():
        named = (canonical_name(n.value) for n in one.crl_issuer or () if isinstance(n, x509.DirectoryName))
        issuers = tuple(dict.fromkeys(named))
        base = issuers[0] if issuers else own
        points.append(
            _Point(
                names=_full_names(one.full_name, one.relative_name, base),
                issuers=issuers or (own,),
                indirect=bool(issuers),
                reasons=frozenset(one.reasons) if one.reasons is not None else ALL_REASONS,
            )
        )
    # Lists of the issuer that no point names are asked last (RFC 5280, 6.3.3).
    points.append(_Point(frozenset(), (own,), False, ALL_REASONS))
    return points


def _full_names(full: Any, relative: Any, base: tuple[Any, ...]) -> frozenset[Any]:
    if full:
        return frozenset(
            canonical_name(one.value) if isinstance(one, x509.DirectoryName) else one.value for one in full
        )
    if relative is not None:
        return frozenset({(*base, *canonical_name(x509.Name([relative])))})
    return frozenset()


def _speaks_of(crl: Crl, point: _Point, certificate: Certificate) -> Reasons:
    """The reasons for which this complete list tells of the certificate; none where it does not."""
    nothing: Reasons = frozenset()
    if crl.base_number is not None:
        return nothing
    scope = crl.scope
    if scope is None:
        return point.reasons if not point.indirect else nothing
    if point.indirect and not scope.indirect_crl:
        return nothing
    if not _same_point(scope, point, crl):
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


def _same_point(scope: x509.IssuingDistributionPoint, point: _Point, crl: Crl) -> bool:
    """RFC 5280, 6.3.3 (b)(2)(i)."""
    named = _full_names(scope.full_name, scope.relative_name, crl.issuer)
    if not named:
        return True
    return bool(named & (point.names or frozenset(point.issuers)))


def _is_signed(crl: Crl, issuer: Certificate, signers: Signers, hashes: frozenset[str]) -> bool:
    """By the certificate's own issuer, or by another certificate of the list's issuer that leads to the same anchor."""
    if crl.signature_hash not in (None, *hashes):
        return False
    own = [issuer] if issuer.subject_canonical == crl.issuer else []
    # Finding other signers takes work, so they are looked for last.
    return any(
        ((usage := one.extension(x509.KeyUsage)) is None or usage.crl_sign) and crl.signed_by(one)
        for one in chain(own, signers(crl.issuer))
    )


def _delta_of(
    crl: Crl, sources: RevocationSources, at: datetime, issuer: Certificate, signers: Signers, hashes: frozenset[str]
) -> Crl | None:
    """The newest delta list that goes with a complete one (RFC 5280, 5.2.4 and 6.3.3 (c))."""
    found = [
        one
        for one in sources.of_issuer(crl.issuer)
        if one.base_number is not None
        and one.is_understood
        and one.has_number
        and one.is_current(at)
        and one.scope == crl.scope
        and one.extension(x509.AuthorityKeyIdentifier) == crl.extension(x509.AuthorityKeyIdentifier)
        and crl.number is not None
        and one.number is not None
        and one.base_number <= crl.number <= one.number
        and _is_signed(one, issuer, signers, hashes)
    ]
    return max(found, key=lambda one: one.number or 0, default=None)


def _asked(certificate: Certificate, crl: Crl, delta: Crl | None) -> str | None:
    """Why the lists call the certificate revoked, None where they do not; the newer word counts."""
    serial, issuer = certificate.serial_number, certificate.issuer_canonical
    for one in (delta, crl):
        entry = None if one is None else one.find(serial, issuer)
        if entry is not None:
            if not entry.understood:
                return "in a way that is not understood"
            return None if entry.reason == "removeFromCRL" else entry.reason
    return None
