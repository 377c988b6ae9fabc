"""The answers of an OCSP response, each read whole: what goes wrong in reading goes wrong here (RFC 6960, 4.2.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cryptography.x509 import ocsp

from handclasp.errors import UsageError

__all__ = ["MOST_DAYS", "SKEW", "Answer", "MalformedResponse", "begins_of_signers", "read_answers", "single_responses"]

SKEW = timedelta(minutes=5)
"""How far the clock of an OCSP responder that answers at once may be ahead of ours."""
MOST_DAYS = timedelta(days=7)
"""How long an OCSP response without an end is believed."""
LAST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
"""The last moment that is reckoned with."""


class MalformedResponse(UsageError):
    """Bytes that are no successful OCSP response."""


class Answer(NamedTuple):
    """What a response says of one certificate."""

    serial_number: int
    hash_name: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    status: ocsp.OCSPCertStatus
    reason: str
    """As RFC 5280 names it, "unspecified" where there is none."""
    this_update: datetime
    until: datetime
    """Its nextUpdate, or the end of the days for which one without is believed."""

    @property
    def begins(self) -> float:
        """From when on it is believed, in seconds since 1970."""
        return self.this_update.timestamp() - SKEW.total_seconds()


def read_answers(response: ocsp.OCSPResponse) -> list[Answer]:
    """The answers of a parsed response; raises whatever the parser does."""
    return [_answer(one) for one in response.responses]


def single_responses(response: bytes) -> list[Answer]:
    """The answers of an OCSP response in DER, one for each certificate; raises `MalformedResponse`."""
    try:
        return read_answers(ocsp.load_der_ocsp_response(response))
    except Exception as error:  # the parser's own errors have no common class
        raise MalformedResponse(f"An OCSP response does not parse, or says nothing: {error}") from None


def begins_of_signers(response: bytes) -> list[float]:
    """When the certificates in a response begin, by one of which it may count then; none of what does not parse."""
    try:
        certificates = ocsp.load_der_ocsp_response(response).certificates
        return [one.not_valid_before_utc.timestamp() for one in certificates]
    except Exception:  # the parser's own errors have no common class
        return []


def _answer(one: Any) -> Answer:
    reason, first = one.revocation_reason, one.this_update_utc
    _ = first.timestamp()
    return Answer(
        serial_number=one.serial_number,
        hash_name=one.hash_algorithm.name,
        issuer_name_hash=one.issuer_name_hash,
        issuer_key_hash=one.issuer_key_hash,
        status=one.certificate_status,
        reason="unspecified" if reason is None else reason.value,
        this_update=first,
        until=one.next_update_utc or min(first, LAST - MOST_DAYS) + MOST_DAYS,
    )
