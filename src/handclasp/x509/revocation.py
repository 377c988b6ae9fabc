"""Was a certificate taken back? CRLs and OCSP responses from memory, files and directories (RFC 5280, 6.3).

All lists that tell of the certificate are found, checked and asked, by its distribution points and its issuer.
The answer is GOOD only when lists for all reasons were, and none that counts revokes.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509

from handclasp.errors import ConfigError
from handclasp.values import checked
from handclasp.x509.answers import MalformedResponse, begins_of_signers, single_responses
from handclasp.x509.certificate import Certificate
from handclasp.x509.crl import ALL_REASONS, HOLD, REMOVED, Crl, Entry, MalformedCrl, is_meant
from handclasp.x509.files import files_in, read_regular
from handclasp.x509.policy import DEFAULT
from handclasp.x509.scopes import Name, points_of, told_of

__all__ = [
    "MalformedResponse",
    "RevocationSources",
    "RevocationStatus",
    "Status",
    "check_revocation",
    "has_signed",
]

Scope = x509.IssuingDistributionPoint | None
Signers = Callable[[Crl], Iterable[Certificate]]
"""From a list to those who signed it and may have, beside the issuer of the certificate in question."""


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

    Raises `MalformedResponse` for bytes that are no OCSP response, `UsageError` for what is no list.
    """

    __slots__ = ("__weakref__", "_begins", "_by_issuer", "_by_serial", "crls", "responses", "token")

    @checked
    def __init__(self, crls: Iterable[Crl], responses: Iterable[bytes] = ()) -> None:
        self.token = object()
        """Stands for these sources where only being the same matters."""
        self.crls = tuple(crls)
        self.responses = tuple(responses)
        """OCSP responses in DER, each judged anew when it is asked."""
        self._by_issuer: dict[Name, dict[Scope, list[Crl]]] = {}
        self._by_serial: dict[int, list[bytes]] = {}
        for crl in self.crls:
            self._by_issuer.setdefault(crl.issuer, {}).setdefault(crl.scope, []).append(crl)
        begins = {crl.this_update.timestamp() for crl in self.crls}
        for response in self.responses:
            for one in single_responses(response):
                self._by_serial.setdefault(one.serial_number, []).append(response)
                begins.add(one.begins)
            begins.update(begins_of_signers(response))
        self._begins = sorted(begins)

    def __repr__(self) -> str:
        return f"<RevocationSources of {len(self.crls)} CRLs and {len(self.responses)} OCSP responses>"

    def __reduce__(self) -> tuple[Any, ...]:
        return RevocationSources, (self.crls, self.responses)

    @classmethod
    @checked
    def of(cls, *crls: Crl | bytes) -> RevocationSources:
        """These lists, parsed or in PEM or DER."""
        found: list[Crl] = []
        for one in crls:
            found += [one] if isinstance(one, Crl) else Crl.load_all(one)
        return cls(found)

    @classmethod
    @checked
    def from_path(cls, *paths: str | os.PathLike[str]) -> RevocationSources:
        """All lists in files, or in the files of directories; raises `ConfigError` where one holds none."""
        found: list[Crl] = []
        for path in map(Path, paths):
            file = path
            try:
                files = files_in(path) if path.is_dir() else [path]
                if not files:
                    raise MalformedCrl("the directory is empty.")
                for file in files:
                    found += Crl.load_all(file.read_bytes() if file is path else read_regular(file))
            except (OSError, MalformedCrl) as error:
                raise ConfigError(f"No CRL could be read from {file}: {error}") from None
        return cls(found)

    def of_issuer(self, issuer: Name) -> Mapping[Scope, list[Crl]]:
        """The lists that this name issued, by their scopes."""
        return self._by_issuer.get(issuer, {})

    def about(self, certificate: Certificate) -> list[bytes]:
        """The OCSP responses that name its serial number."""
        return self._by_serial.get(certificate.serial_number, []) if self._by_serial else []

    def steady_until(self, at: float) -> float:
        """The last moment before one of them begins to count that does not yet; in seconds since 1970."""
        index = bisect_right(self._begins, at)
        return math.nextafter(self._begins[index], 0) if index < len(self._begins) else math.inf


def check_revocation(
    certificate: Certificate,
    issuer: Certificate,
    sources: RevocationSources,
    at: datetime,
    signers: Signers,
    hashes: frozenset[str] = DEFAULT.hashes,
) -> RevocationStatus:
    """Ask the lists about one certificate; in which order they come changes nothing.

    `signers` finds who may have signed a list beside the certificate's own issuer; lists signed over other `hashes`
    than these say nothing. Of the lists of one issuer, scope and signer the one with the highest number counts, and
    of all that count, one that revokes is enough. Raises `BudgetExceeded`.
    """
    pending = set(ALL_REASONS)
    until = math.inf
    question = _Question(certificate, issuer, at, signers, hashes)
    said: dict[tuple[Name, Scope], list[_Word]] = {}
    for point in points_of(certificate):
        for name in point.issuers:
            for scope, lists in sources.of_issuer(name).items():
                covered = told_of(scope, name, point, certificate)
                if not covered:
                    continue
                words = said.get((name, scope))
                if words is None:
                    words = said[name, scope] = _words(lists, question)
                for word in words:
                    if word.revoked is not None:
                        return RevocationStatus(Status.REVOKED, f"revoked: {word.revoked}")
                    until = min(until, word.until)
                    if word.clears:
                        pending -= covered
    if not pending:
        return RevocationStatus(Status.GOOD, "not on its issuer's list", until)
    missing = "no current list speaks of it" if pending == ALL_REASONS else "no list speaks of every reason"
    return RevocationStatus(Status.UNKNOWN, missing, until)


def has_signed(signer: Certificate, crl: Crl) -> bool:
    """Whether a certificate's key made a list's signature and may have (RFC 5280, 6.3.3 (f) and (g))."""
    usage = signer.extension(x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        return False
    return is_meant(crl.extension(x509.AuthorityKeyIdentifier), signer) and crl.signed_by(signer)


class _Question(NamedTuple):
    """What lists are asked."""

    certificate: Certificate
    issuer: Certificate
    at: datetime
    signers: Signers
    hashes: frozenset[str]

    def entry_in(self, crl: Crl) -> Entry | None:
        """What a list says of the certificate."""
        return crl.find(self.certificate.serial_number, self.certificate.issuer_canonical)

    def signer_of(self, crl: Crl) -> bytes | None:
        """The key of who signed a list and may have, None where nobody is found."""
        if crl.signature_hash not in (None, *self.hashes):
            return None
        if self.issuer.subject_canonical == crl.issuer and has_signed(self.issuer, crl):
            return self.issuer.key_bytes
        # Finding other signers takes work, so they are looked for last.
        return next((one.key_bytes for one in self.signers(crl)), None)


class _Word(NamedTuple):
    """What the lists of one issuer, scope and signer say of a certificate."""

    revoked: str | None
    """Why it was revoked, None where it was not."""
    clears: bool
    """Whether one of them is in force, complete and numbered."""
    until: float
    """Until when, in seconds since 1970."""


def _words(lists: list[Crl], question: _Question) -> list[_Word]:
    """What these lists of one issuer and scope say, by the keys that signed them: each counts its own."""
    by_signer: dict[bytes, list[Crl]] = {}
    for crl in lists:
        if crl.this_update > question.at or not crl.is_understood:
            continue
        signer = question.signer_of(crl)  # first: what nobody signed is not worth being read
        if signer is None:
            continue
        try:
            crl.read()
        except MalformedCrl:
            continue
        crl.is_believed = True
        by_signer.setdefault(signer, []).append(crl)
    return [_word(one, question) for one in by_signer.values()]


def _word(lists: list[Crl], question: _Question) -> _Word:
    in_force = [one for one in lists if one.is_current(question.at)]
    until = min((one.next_update.timestamp() for one in in_force if one.next_update is not None), default=math.inf)
    complete = _newest(one for one in in_force if one.base_number is None)
    counted = list(complete)
    for one in complete:
        deltas = _newest(delta for delta in in_force if _goes_with(delta, one))
        counted += deltas
        for delta in deltas or (None,):
            reason = _reason(question.entry_in(one), None if delta is None else question.entry_in(delta))
            if reason is not None:
                return _Word(reason, False, until)
    for one in lists:
        if one not in counted and not any(_supersedes(other, one) for other in counted):
            reason = _alone(one, question)
            if reason is not None:
                return _Word(reason, False, until)
    return _Word(None, bool(complete), until)


def _newest(lists: Iterable[Crl]) -> list[Crl]:
    """Those with the highest number: one, or several that give the same; one without a number clears nobody."""
    numbered = [(one.number or 0, one) for one in lists if one.has_number]
    highest = max((number for number, _ in numbered), default=0)
    return [one for number, one in numbered if number == highest]


def _goes_with(delta: Crl, complete: Crl) -> bool:
    """Whether a delta list tells what changed since a complete one (RFC 5280, 5.2.4 and 6.3.3 (c))."""
    if delta.base_number is None or delta.number is None or complete.number is None:
        return False
    return delta.base_number <= complete.number <= delta.number and (
        delta.extension(x509.AuthorityKeyIdentifier) == complete.extension(x509.AuthorityKeyIdentifier)
    )


def _supersedes(one: Crl, other: Crl) -> bool:
    """Whether what the other says was said anew: by number, or by date where one of them has no number."""
    if one.has_number and other.has_number:
        return (one.number or 0) >= (other.number or 0)
    return one.this_update >= other.this_update


def _reason(entry: Entry | None, change: Entry | None) -> str | None:
    """Why a complete list and the delta that goes with it call a certificate revoked, None where they do not.

    A delta's word is the newer one; but only a hold is ever lifted (RFC 5280, 5.3.1).
    """
    if change is not None and not (change.understood and change.reason == REMOVED):
        return change.word
    if entry is None or (change is not None and entry.understood and entry.reason == HOLD):
        return None
    return entry.word


def _alone(crl: Crl, question: _Question) -> str | None:
    """Why a list that clears nobody calls a certificate revoked: it has ended, has no number, or is a lone delta.

    But for a hold on one that has ended, which may have been lifted (RFC 5280, 5.3.1).
    """
    entry = question.entry_in(crl)
    if entry is None or (crl.base_number is not None and entry.reason == REMOVED):
        return None
    if crl.is_current(question.at):
        return entry.word if crl.has_number else f"{entry.word}, by a list that has no number"
    return None if entry.reason == HOLD else f"{entry.word}, by a list that has ended"
