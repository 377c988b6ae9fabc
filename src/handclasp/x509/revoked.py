"""The checks of a path that ask whether a certificate in it was taken back (RFC 5280, 6.3; RFC 6960; RFC 7633)."""

from __future__ import annotations

from itertools import pairwise

from handclasp.x509.certificate import Certificate
from handclasp.x509.checks import Findings
from handclasp.x509.errors import BadStaple, CertificateRevoked, RevocationUnknown, StapleMissing
from handclasp.x509.ocsp import check_response, must_staple
from handclasp.x509.policy import RevocationMode
from handclasp.x509.revocation import RevocationSources, RevocationStatus, Signers, Status, check_revocation

__all__ = ["check_must_staple", "check_revoked"]

NO_SOURCES = RevocationSources(())


def check_revoked(
    findings: Findings,
    path: tuple[Certificate, ...],
    sources: RevocationSources | None,
    signers: Signers,
    staple: bytes | None = None,
) -> None:
    """Whether a certificate of a path that is good otherwise was taken back (RFC 5280, 6.3)."""
    policy = findings.policy
    required = policy.revocation is RevocationMode.REQUIRED
    if policy.revocation is RevocationMode.OFF:
        findings.skipped("revocation", path[0], "the policy leaves it out", "RFC 5280, 6.3")
        return
    if sources is None and staple is None and not required:
        findings.skipped("revocation", path[0], "no revocation source was given", "RFC 5280, 6.3")
        return
    pairs = list(pairwise(path))
    if not pairs:
        findings.skipped("revocation", path[0], "it is an anchor itself: nobody revokes it", "RFC 5280, 6.3")
    if policy.revocation_of_leaf_alone or (sources is None and not required):
        pairs = pairs[:1]
    told: list[tuple[Certificate, Certificate, RevocationStatus]] = []
    for one, issuer in reversed(pairs):
        try:
            own = staple if one is path[0] else None
            told.append((one, issuer, _told_of(findings, one, issuer, sources or NO_SOURCES, signers, own)))
        except BadStaple as error:
            findings.failed("revocation", one, "an OCSP response to be believed", str(error), error)
    # What is revoked leads: it tells more than what is not known.
    for one, issuer, status in sorted(told, key=lambda entry: entry[2].status is not Status.REVOKED):
        _note_status(findings, one, issuer, status, required=required)


def _note_status(
    findings: Findings, one: Certificate, issuer: Certificate, status: RevocationStatus, *, required: bool
) -> None:
    findings.until = min(findings.until, status.until or findings.until)
    if status.status is Status.REVOKED:
        revoked = CertificateRevoked(f"The certificate of {one.subject_text} was {status.why}.")
        findings.failed("revocation", one, "not revoked", status.why, revoked)
        return
    if status.status is Status.GOOD:
        findings.passed("revocation", one, "not revoked", status.why, "RFC 5280, 6.3")
        return
    findings.unsettled.append((one, issuer))
    if required:
        unknown = RevocationUnknown(
            f"Whether the certificate of {one.subject_text} was revoked is not known: {status.why}."
        )
        findings.failed("revocation", one, "a current list", status.why, unknown)
    else:
        findings.skipped("revocation", one, status.why, "RFC 5280, 6.3")


def _told_of(
    findings: Findings,
    one: Certificate,
    issuer: Certificate,
    sources: RevocationSources,
    signers: Signers,
    staple: bytes | None,
) -> RevocationStatus:
    """All that is said of a certificate: revoked where any source says so, good where one does, else not known.

    Raises `BadStaple` for a stapled response that says nothing; another such response is passed over.
    """
    policy = findings.policy
    said = [] if staple is None else [check_response(staple, one, issuer, findings.at, policy=policy)]
    if said and said[0].status is Status.UNKNOWN and must_staple(one):
        raise BadStaple(f"The certificate of {one.subject_text} promises an OCSP response, and {said[0].why}.")
    for response in sources.about(one):
        try:
            said.append(check_response(response, one, issuer, findings.at, policy=policy))
        except BadStaple:
            continue
    said.append(check_revocation(one, issuer, sources, findings.at, signers, hashes=policy.hashes))
    for status in (Status.REVOKED, Status.GOOD):
        for answer in said:
            if answer.status is status:
                return answer
    return said[-1]


def check_must_staple(findings: Findings, leaf: Certificate, staple: bytes | None) -> None:
    """A certificate that promises a staple comes with one, where it was asked for (RFC 7633)."""
    if staple is None and must_staple(leaf):
        error = StapleMissing(f"The certificate of {leaf.subject_text} promises an OCSP response, and none came.")
        findings.failed("revocation", leaf, "a stapled OCSP response", "none", error)
