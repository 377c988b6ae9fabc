"""Is this chain good, for this use, at this time, under this policy? (RFC 5280, 6).

Paths are built from the leaf upwards, depth first, likely issuers before unlikely ones. Each
finished path is checked whole, and the first that passes is taken; if none does, the failure
of the path that is nearest to good leads. Work is counted, and stops at the policy's budgets.
A chain already judged is remembered until a date in it comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from types import NoneType
from typing import Any, NamedTuple

from cryptography import x509

from handclasp.errors import UsageError
from handclasp.values import check_type
from handclasp.x509 import checks
from handclasp.x509.certificate import MAX_SIZE, Certificate, interned, keep_accepted
from handclasp.x509.checks import Findings
from handclasp.x509.errors import CertificateError, MalformedCertificate, SignatureInvalid, UnknownAuthority
from handclasp.x509.kept import Kept
from handclasp.x509.names import Address, Identities, PeerName
from handclasp.x509.no_path import why_no_path
from handclasp.x509.policy import DEFAULT, NamePolicy, Purpose, VerificationPolicy
from handclasp.x509.report import PathTried, Report, Verdict
from handclasp.x509.revocation import RevocationSources
from handclasp.x509.revoked import check_must_staple, check_revoked
from handclasp.x509.signers import Others
from handclasp.x509.trust import TrustStore

__all__ = ["verify"]

REMEMBERED = 1 << 21
"""Bytes of chains and staples whose verdicts are kept; the oldest goes first."""
VERDICT = 1 << 12
"""Bytes that a verdict takes itself, at least."""
REMEMBERED_SIZE = 1 << 15
"""Bytes of chain and staple up to which a verdict is kept; no path needs more."""
REMEMBERED_PATHS = 8
"""Paths tried up to which a verdict is kept; each has its checks."""

_Key = tuple[tuple[bytes, ...], object, object, int, Purpose, str | Address | PeerName | None, bytes | None, bool]
"""Tokens stand for trust and lists: sources that were replaced are not kept in memory by verdicts of old."""
_memory: Kept[_Key, tuple[Report, VerificationPolicy]] = Kept(REMEMBERED)
"""The policy is kept with a verdict: while it lives, nothing else has the id that stands for it in the key."""


def verify(
    chain: Sequence[Certificate | bytes],
    *,
    trust: TrustStore,
    policy: VerificationPolicy = DEFAULT,
    purpose: Purpose,
    at: datetime,
    name: str | Address | PeerName | None,
    revocation: RevocationSources | None = None,
    staple: bytes | None = None,
    staple_asked: bool = False,
) -> Report:
    """Judge `chain`: the peer's own certificate, then others in any order.

    `revocation` are the lists to ask, as `policy.revocation` says. `staple` is the
    OCSP response that came with the leaf, `staple_asked` whether one was asked for (a certificate may
    promise one). `name` is the server we mean;
    None leaves the name unchecked, as a server does with its
    clients (mission row S20). Never raises for what the peer sent: the report has the error. Raises
    `UsageError` for an empty chain, a name that no server can have, and an `at` without a time zone.
    """
    _check_arguments(chain, trust, policy, purpose, at, name, revocation, staple)
    ders = tuple([one if type(one) is bytes else one.der for one in chain])  # type: ignore[union-attr]
    if not ders:
        raise UsageError("verify() takes a chain of at least one certificate.")
    lists = None if revocation is None else revocation.token
    key = (ders, trust.token, lists, id(policy), purpose, name, staple, staple_asked)
    known = _memory.get(key)
    if known is not None and known[0].valid_from <= at.timestamp() <= known[0].valid_until:
        return known[0]
    wanted = None if name is None else PeerName.of(name)
    sources = _Sources(trust, revocation, staple, staple_asked)
    try:
        leaf = interned(ders[0])
    except MalformedCertificate as error:
        return _unread(error)
    report = _judge((leaf, *_readable(ders[1:])), sources, policy, purpose, at, wanted)
    if report.path is not None:
        keep_accepted(report.path[:-1])
        size = sum(map(len, ders)) + len(staple or b"")
        if size <= REMEMBERED_SIZE and len(report.paths) <= REMEMBERED_PATHS:
            _memory.keep(key, (report, policy), max(size, VERDICT))
    return report


_ARGUMENTS: tuple[tuple[str, Any], ...] = (
    ("chain", tuple[Certificate | bytes, ...]),
    ("trust", TrustStore),
    ("policy", VerificationPolicy),
    ("purpose", Purpose),
    ("at", datetime),
    ("name", str | Address | PeerName | None),
    ("revocation", RevocationSources | None),
    ("staple", bytes | None),
)


def _check_arguments(*values: object) -> None:
    """Raise `UsageError` for what is of another type; each handshake comes by here, so the usual is fast."""
    chain, trust, policy, purpose, at, name, revocation, staple = values
    if not (
        isinstance(chain, (tuple, list))
        and all(isinstance(one, (bytes, Certificate)) for one in chain)
        and isinstance(trust, TrustStore)
        and isinstance(policy, VerificationPolicy)
        and isinstance(purpose, Purpose)
        and isinstance(at, datetime)
        and at.tzinfo is not None
        and isinstance(name, (str, NoneType, PeerName))
        and isinstance(revocation, (RevocationSources, NoneType))
        and isinstance(staple, (bytes, NoneType))
    ):
        for (argument, kind), value in zip(_ARGUMENTS, values, strict=True):
            check_type(argument, value, kind)


def _unread(error: MalformedCertificate) -> Report:
    report = Report(leaf=None, path=None, checks=(), paths=(), error=error, identities=None)
    error.report = report
    return report


def _readable(ders: tuple[bytes, ...]) -> Iterator[Certificate]:
    """Those that are not too long to look at; no path goes through the others."""
    for der in ders:
        if len(der) <= MAX_SIZE:
            yield interned(der)


class _Sources(NamedTuple):
    """Whom and what the judgement rests on."""

    trust: TrustStore
    revocation: RevocationSources | None
    staple: bytes | None
    staple_asked: bool


def _judge(
    chain: tuple[Certificate, ...],
    sources: _Sources,
    policy: VerificationPolicy,
    purpose: Purpose,
    at: datetime,
    name: PeerName | None,
) -> Report:
    trust, revocation, staple, staple_asked = sources
    tried: list[PathTried] = []
    identities: Identities | None = None
    leaf = chain[0]
    findings = Findings(policy, at)
    try:
        identities = Identities.of(leaf)
        checks.check_leaf(findings, leaf, identities, purpose, None if policy.names is NamePolicy.OFF else name)
        if purpose is Purpose.CLIENT_AUTH:
            checks.check_client(findings, leaf, identities)
        if staple_asked:
            check_must_staple(findings, leaf, staple)
        pool = _by_name(chain[1:])
        others = Others(
            lambda name: pool.get(name, ()), lambda one: _extend((one,), pool, trust, findings), findings.affords
        )
        for path in _paths(leaf, pool, trust, findings):
            branch = findings.branch()
            try:
                checks.check_path(branch, path, purpose)
                if branch.error is None:
                    check_revoked(branch, path, revocation, others, staple)
            except MalformedCertificate as error:  # another path may do without it
                branch.failed("form", leaf, "certificates that can be read", str(error), error)
            tried.append(PathTried(path, tuple(branch.checks), branch.error, tuple(branch.unsettled)))
            if branch.error is None:
                ends = (one.not_after.timestamp() for one in checks.whole(policy, path))
                until = min(branch.until, _steady_until(chain, revocation, at.timestamp()), *ends)
                return _report(leaf, path, tried, identities, at, until)
        if not tried:
            raise why_no_path(leaf, pool, trust, findings)
    except (SignatureInvalid, UnknownAuthority) as missing:
        check = "authority" if isinstance(missing, UnknownAuthority) else "signature"
        findings.failed(check, leaf, "a path to a trusted root", str(missing), missing)
        tried.append(PathTried((leaf,), tuple(findings.checks), missing))
    except CertificateError as error:
        findings.error = error
        tried.append(PathTried((leaf,), tuple(findings.checks), error))
    return _refusal(leaf, tried, identities)


def _report(
    leaf: Certificate,
    path: tuple[Certificate, ...],
    tried: list[PathTried],
    identities: Identities,
    at: datetime,
    until: float,
) -> Report:
    return Report(
        leaf=leaf,
        path=path,
        checks=tried[-1].checks,
        paths=tuple(tried),
        error=None,
        identities=identities,
        valid_from=at.timestamp(),
        valid_until=until,
    )


def _steady_until(chain: tuple[Certificate, ...], revocation: RevocationSources | None, at: float) -> float:
    """Until when no source of revocation begins to count, and no date comes of who may have signed one."""
    if revocation is None:
        return math.inf
    until = revocation.steady_until(at)
    for one in chain:
        try:
            first, last = one.not_before.timestamp(), one.not_after.timestamp()
        except MalformedCertificate:
            continue
        until = min(until, *(moment for moment in (math.nextafter(first, 0), last) if moment >= at), math.inf)
    return until


def _refusal(leaf: Certificate, tried: list[PathTried], identities: Identities | None) -> Report:
    """The path that is nearest to good leads, whatever ended the search after it.

    That is the one that fails the fewest checks, and of those the one that passes the most.
    """

    def nearness(path: PathTried) -> tuple[bool, int, int]:
        verdicts = [check.verdict for check in path.checks]
        return len(path.certificates) > 1, -verdicts.count(Verdict.FAILED), verdicts.count(Verdict.PASSED)

    best = max(tried, key=nearness)
    error = best.error
    report = Report(leaf=leaf, path=None, checks=best.checks, paths=tuple(tried), error=error, identities=identities)
    if error is not None:
        error.report = report
    return report


def _paths(
    leaf: Certificate, pool: dict[tuple[Any, ...], list[Certificate]], trust: TrustStore, findings: Findings
) -> Iterator[tuple[Certificate, ...]]:
    """Every path from the leaf to an anchor, the shortest and likeliest first."""
    if leaf in trust:
        yield (leaf,)
    yield from _extend((leaf,), pool, trust, findings)


def _by_name(pool: tuple[Certificate, ...]) -> dict[tuple[Any, ...], list[Certificate]]:
    """Certificates by their names, in an order of their own: in which they came changes nothing."""
    by_subject: dict[tuple[Any, ...], list[Certificate]] = {}
    for one in sorted(set(pool), key=lambda one: one.der):
        try:
            by_subject.setdefault(one.subject_canonical, []).append(one)
        except MalformedCertificate:
            continue  # no path goes through what cannot be read
    return by_subject


def _extend(
    path: tuple[Certificate, ...],
    pool: dict[tuple[Any, ...], list[Certificate]],
    trust: TrustStore,
    findings: Findings,
) -> Iterator[tuple[Certificate, ...]]:
    last = path[-1]
    for anchor in _likely(last, trust.issuers_of(last)):
        findings.step()
        if anchor not in path and findings.signed_by(last, anchor):
            yield (*path, anchor)
    depth = sum(not one.is_self_issued for one in path[1:])
    most = findings.policy.max_chain_depth
    if depth >= most or len(path) > 2 * most:
        return
    for issuer in _likely(last, tuple(pool.get(last.issuer_canonical, ()))):
        findings.step()
        if any(issuer.subject_canonical == one.subject_canonical and _same_key(issuer, one) for one in path):
            continue
        if findings.signed_by(last, issuer):
            with suppress(MalformedCertificate):  # no path goes through what cannot be read
                yield from _extend((*path, issuer), pool, trust, findings)


def _same_key(one: Certificate, other: Certificate) -> bool:
    try:
        return one.der == other.der or one.key_bytes == other.key_bytes
    except MalformedCertificate:
        return False


def _likely(child: Certificate, candidates: tuple[Certificate, ...]) -> list[Certificate]:
    """Those whose key identifier is the one the child names come first; the newest of equals."""
    if len(candidates) < 2:
        return list(candidates)
    authority = child.extension(x509.AuthorityKeyIdentifier)
    wanted = None if authority is None else authority.key_identifier

    def rank(candidate: Certificate) -> tuple[int, float]:
        try:
            own = candidate.extension(x509.SubjectKeyIdentifier)
        except MalformedCertificate:
            return 3, 0.0
        match = 1 if wanted is None or own is None else 0 if own.digest == wanted else 2
        return match, -candidate.not_after.timestamp()

    return sorted(sorted(candidates, key=lambda one: one.der), key=rank)
