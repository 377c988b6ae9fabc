"""What was fetched and is kept: long where an authority vouches for it, within so many bytes of memory.

Anybody between us and the authority can put a document in another's place: garbage, or a list of its own that was
replaced since. So nothing is kept for long, and nothing takes the place of what is, before a signature of somebody
with a good path was found on it; and of an older list or response nobody learns less than the newer one said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from handclasp.x509.answers import MalformedResponse, single_responses
from handclasp.x509.crl import Crl
from handclasp.x509.kept import Kept

__all__ = ["DAY", "MINUTE", "Document", "Documents", "Key"]

DAY, MINUTE = 86400.0, 60.0
STRANGERS = 4 << 20
"""Bytes of memory for what nobody vouches for, failures among it."""
LEAST = 1 << 10
"""Bytes that the smallest document takes with its place."""
PARSED = 16
"""How many times as much memory as its bytes a certificate takes when it is parsed, about."""
TOO_LARGE = "a document of no known authority, and too large to be kept"

Key = tuple[str, str, bytes]
"""What a document is, where it is, and which certificate it is about: a peer that names a CRL's place as its issuer's
must not spoil the list for others."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that came, or the reason why no newer one did, and the times of judging that go by it."""

    value: Any
    """A `Crl`, a response's bytes, or an issuer's certificates; None where it did not come."""
    error: str | None
    since: float
    until: float
    newer: Crl | bytes | None = None
    """One that came from there before, and is newer than what comes now."""

    def counts(self, now: float) -> bool:
        """Whether it is not to be asked for anew; a clock that was set back long ago makes nothing last."""
        return self.since - MINUTE <= now <= self.until

    @property
    def told(self) -> tuple[Crl | bytes, ...]:
        """The lists or responses in it."""
        return tuple(one for one in (self.value, self.newer) if isinstance(one, Crl | bytes))

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, about."""
        if isinstance(self.value, tuple | list):
            return LEAST + PARSED * sum(len(one.der) for one in self.value)
        return LEAST + sum(one.size if isinstance(one, Crl) else len(one) for one in self.told)

    def for_a_minute(self) -> Document:
        """The same, to be asked for again in a minute."""
        return replace(self, until=min(self.until, self.since + MINUTE))


class Documents:
    """Those at hand, by what they are and where they come from; one object serves all threads."""

    def __init__(self, list_size: int) -> None:
        self._vouched: Kept[Key, Document] = Kept(8 * list_size)
        self._strange: Kept[Key, Document] = Kept(STRANGERS)

    def __len__(self) -> int:
        return len(self._vouched) + len(self._strange)

    def vouched_for(self, key: Key) -> Document | None:
        """The one that an authority vouches for, however old it is."""
        return self._vouched.get(key)

    def at_hand(self, key: Key, now: float) -> Document | None:
        """The one that need not be asked for anew."""
        known = (self._vouched.get(key), self._strange.get(key))
        return next((one for one in known if one is not None and one.counts(now)), None)

    def keep(self, key: Key, document: Document) -> None:
        """Keep for a minute what nobody vouches for yet, and of what is large only that it came."""
        short = document.for_a_minute()
        if short.size > STRANGERS // 4:
            short = replace(short, value=None, newer=None, error=TOO_LARGE)
        self._strange.keep(key, short, short.size)

    def vouch(self, key: Key, document: Document) -> None:
        """Keep what an authority vouches for, and what it said before where that is newer."""
        old = self._vouched.get(key)
        for one in () if old is None else old.told:
            if one is not document.value and _is_newer(one, document.newer or document.value):
                document = replace(document, newer=one)
        self._vouched.keep(key, document, document.size)

    def doubt(self, keys: Iterable[Key]) -> None:
        """Ask for these again in a minute: they tell nothing, however long they say that they hold."""
        for key in keys:
            known = self._vouched.get(key)
            if known is not None and known.until > known.since + MINUTE:
                self._vouched.keep(key, known.for_a_minute(), known.size)


def _is_newer(one: Crl | bytes, other: Any) -> bool:
    """Whether a list has a higher number than another of its issuer and scope, or a response is of a later time."""
    if isinstance(one, Crl):
        same = isinstance(other, Crl) and (one.issuer, one.scope, one.base_number is None) == (
            other.issuer,
            other.scope,
            other.base_number is None,
        )
        return same and one.has_number and other.has_number and (one.number or 0) > (other.number or 0)
    return isinstance(other, bytes) and _made(one) > _made(other)


def _made(response: bytes) -> float:
    try:
        return max((one.begins for one in single_responses(response)), default=0.0)
    except MalformedResponse:
        return 0.0
