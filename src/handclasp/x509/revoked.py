"""The checks of a path that ask whether a certificate in it was taken back (RFC 5280, 6.3; RFC 6960; RFC 7633)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from handclasp.x509 import checks
from handclasp.x509.certificate import Certificate
from handclasp.x509.checks import Findings
from handclasp.x509.crl import Crl
from handclasp.x509.errors import BadStaple, CertificateRevoked, RevocationUnknown, StapleMissing
from handclasp.x509.ocsp import check_response, must_staple
from handclasp.x509.policy import RevocationMode
from handclasp.x509.revocation import RevocationSources, RevocationStatus, Status, check_revocation
from handclasp.x509.signers import NOBODY, Others, signers_of

__all__ = ["check_must_staple", "check_revoked"]

NO_SOURCES = RevocationSources(())


def check_revoked(
    findings: Findings,
    path: tuple[Certificate, ...],
    sources: RevocationSources | None,
    others: Others = NOBODY,
    staple: bytes | None = None,
    tainted: frozenset[bytes] = frozenset(),
) -> None:
    """Whether a certificate of a path that is good otherwise was taken back (RFC 5280, 6.3).

    `others` are certificates that may have signed lists, beside the path's own; none does over a `tainted` key.
    """
    policy = findings.policy
    required = policy.revocation is RevocationMode.REQUIRED
    if policy.revocation is RevocationMode.OFF:
        findings.skipped("revocation", path[0], "the policy leaves it out", "RFC 5280, 6.3")
        return
    if sources is None and staple is None and not required:
        findings.skipped("revocation", path[0], "no revocation source was given", "RFC 5280, 6.3")
        return
    judged = path[:-1]
    if not judged:
        findings.skipped("revocation", path[0], "it is an anchor itself: nobody revokes it", "RFC 5280, 6.3")
    if policy.revocation_of_leaf_alone or (sources is None and not required):
        judged = judged[:1]
    asking = _Asking(findings, path, sources or NO_SOURCES, others, tainted)
    told: list[tuple[int, RevocationStatus]] = []
    for index in reversed(range(len(judged))):
        try:
            told.append((index, asking.of(index, None if index else staple)))
        except BadStaple as error:
            findings.failed("revocation", path[index], "an OCSP response to be believed", str(error), error)
    # What is revoked leads: it tells more than what is not known.
    for index, status in sorted(told, key=lambda entry: entry[1].status is not Status.REVOKED):
        _note_status(findings, path[index], path[index + 1], status, required=required)


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


class _Asking(NamedTuple):
    """Whom the sources are asked about, and what has to hold of those who answer."""

    findings: Findings
    path: tuple[Certificate, ...]
    sources: RevocationSources
    others: Others
    tainted: frozenset[bytes]

    def of(self, index: int, staple: bytes | None) -> RevocationStatus:
        """All that is said of a certificate: revoked where anybody says so, good where one does, else not known.

        Raises `BadStaple` for a stapled response that says nothing; another such response is passed over.
        """
        findings, one = self.findings, self.path[index]
        said: list[RevocationStatus] = []
        for response in self.sources.about(one):
            try:
                said.append(self._response(index, response))
            except BadStaple:
                continue
        signers = partial(self._signers, index)
        hashes = findings.policy.hashes
        said.append(check_revocation(one, self.path[index + 1], self.sources, findings.at, signers, hashes))
        revoked = next((answer for answer in said if answer.status is Status.REVOKED), None)
        if staple is not None and revoked is None:
            said.insert(0, self._response(index, staple))
            if said[0].status is Status.UNKNOWN and must_staple(one):
                raise BadStaple(f"The certificate of {one.subject_text} promises an OCSP response, and {said[0].why}.")
        for status in (Status.REVOKED, Status.GOOD):
            for answer in said:
                if answer.status is status:
                    return answer
        return said[-1]

    def _response(self, index: int, response: bytes) -> RevocationStatus:
        one, issuer, *above = self.path[index:]
        findings = self.findings
        return check_response(
            response, one, issuer, findings.at, policy=findings.policy, above=tuple(above), tainted=self.tainted
        )

    def _signers(self, index: int, crl: Crl) -> Iterator[Certificate]:
        tainted = self.tainted | {self.path[index].key_bytes}
        return signers_of(crl, self.path, index, self.others, tainted, partial(self._vouches, tainted))

    def _vouches(self, tainted: frozenset[bytes], way: tuple[Certificate, ...]) -> bool:
        """Whether a signer beside the path is good itself, by the word of the authorities above it alone."""
        branch = Findings(self.findings.policy, self.findings.at, self.findings.budget)
        checks.check_signer_path(branch, way)
        if branch.error is None:
            check_revoked(branch, way, self.sources, tainted=tainted)
        return branch.error is None


def check_must_staple(findings: Findings, leaf: Certificate, staple: bytes | None) -> None:
    """A certificate that promises a staple comes with one, where it was asked for (RFC 7633)."""
    if staple is None and must_staple(leaf):
        error = StapleMissing(f"The certificate of {leaf.subject_text} promises an OCSP response, and none came.")
        findings.failed("revocation", leaf, "a stapled OCSP response", "none", error)
