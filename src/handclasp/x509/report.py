"""The verdict on a peer's certificates: every check by name, for which certificate, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from handclasp.errors import anew
from handclasp.text import in_a_line, printable
from handclasp.wire.iana import AlertDescription
from handclasp.x509.certificate import Certificate
from handclasp.x509.errors import CertificateError
from handclasp.x509.names import Identities

__all__ = ["Check", "Fetched", "PathTried", "Report", "Verdict"]


NAME, CELL = 56, 40
"""Characters of a name in a line, and of a cell in a table."""


class Verdict(Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(NamedTuple):
    """One check of one certificate; a judgement makes sixteen or more, and a tuple is made in a quarter of the time."""

    name: str
    """One of "signature", "expiration", "authority", "purpose", "host name", "signature hash",
    "key strength", "constraints", "revocation", "policies", "identity" (of a client), and "form" (mission row S16)."""
    verdict: Verdict
    of: Certificate
    """The certificate it was made of."""
    expected: str
    presented: str
    section: str
    alert: AlertDescription | None = None
    """What a peer is told of a failure; None where the check did not fail."""

    @property
    def subject(self) -> str:
        """The name of the certificate's subject."""
        return self.of.subject_text

    def to_dict(self) -> dict[str, str | None]:
        """For JSON."""
        return {
            "check": self.name,
            "verdict": self.verdict.value,
            "certificate": self.subject,
            "expected": self.expected,
            "presented": self.presented,
            "section": self.section,
            "alert": None if self.alert is None else str(self.alert),
        }


@dataclass(frozen=True, slots=True)
class PathTried:
    """One path, from the leaf towards an anchor, and what was found on it."""

    certificates: tuple[Certificate, ...]
    checks: tuple[Check, ...]
    error: CertificateError | None
    unsettled: tuple[tuple[Certificate, Certificate], ...] = ()
    """Certificates of which no source told whether they were revoked, each with its issuer."""

    __repr__ = in_a_line

    def __post_init__(self) -> None:
        _without_frames(self.error)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the certificates, their checks, and why this path was not taken, null where it was."""
        return {
            "certificates": [one.subject_text for one in self.certificates],
            "checks": [check.to_dict() for check in self.checks],
            "error": None if self.error is None else str(self.error),
        }


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document that was asked for."""

    what: str
    """One of "issuer", "OCSP response" and "CRL"."""
    url: str
    error: str | None
    """Why it did not come, or was of no use; None where it was."""

    __repr__ = in_a_line

    def to_dict(self) -> dict[str, str | None]:
        """For JSON."""
        return {"what": self.what, "url": self.url, "error": self.error}


@dataclass(slots=True)
class Report:
    """What `verify` found."""

    leaf: Certificate | None
    path: tuple[Certificate, ...] | None
    """The accepted path, leaf to anchor; None where there is none."""
    checks: tuple[Check, ...]
    """Those of the accepted path, or of the one that is nearest to good."""
    paths: tuple[PathTried, ...]
    error: CertificateError | None
    identities: Identities | None
    valid_from: float = 0.0
    valid_until: float = 0.0
    """Between these, in seconds since 1970, the answer stays the same."""
    fetched: tuple[Fetched, ...] = ()
    """What was asked of the network for it."""

    def __post_init__(self) -> None:
        _without_frames(self.error)

    def __repr__(self) -> str:
        who = "nothing that can be read" if self.leaf is None else cut(self.leaf.subject_text, NAME)
        verdict = "accepted" if self.error is None else f"refused ({type(self.error).__name__})"
        return f"<Report: {who} {verdict}, {len(self.checks)} checks>"

    def __str__(self) -> str:
        """A table of the checks, and the verdict below it."""
        rows = [("check", "verdict", "certificate", "expected", "presented")]
        rows += [(one.name, one.verdict.value, one.subject, one.expected, one.presented) for one in self.checks]
        cells = [[cut(cell, CELL) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        if self.error is None:
            lines.append(printable("accepted: " + " < ".join(one.subject_text for one in self.path or ())))
        else:
            lines.append(printable(f"refused: {self.error} {self.error.mend or ''}".strip()))
        return "\n".join(lines)

    @property
    def accepted(self) -> bool:
        """Whether the peer is who it should be."""
        return self.error is None

    def raise_if_refused(self) -> None:
        """Raise the `CertificateError` of a refusal."""
        if self.error is not None:
            raise anew(self.error)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        error = self.error
        return {
            "accepted": self.accepted,
            "path": None if self.path is None else [one.subject_text for one in self.path],
            "identities": None if self.identities is None else self.identities.to_dict(),
            "checks": [check.to_dict() for check in self.checks],
            "paths": [path.to_dict() for path in self.paths],
            "fetched": [one.to_dict() for one in self.fetched],
            "error": None
            if error is None
            else {
                "kind": type(error).__name__,
                "message": str(error),
                "mend": error.mend,
                "section": error.section,
                "alert": str(AlertDescription(error.alert)),
            },
        }


def cut(text: str, width: int) -> str:
    """As much of a text as a cell holds, printable."""
    text = printable(text[: width + 1])
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _without_frames(error: CertificateError | None) -> None:
    """Reports are kept, and frames hold all that they worked on."""
    if error is not None:
        error.__traceback__ = error.__context__ = None
