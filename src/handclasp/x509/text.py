"""What a certificate says, put so that it can stand in a sentence: a peer chose it, and logs and terminals show it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from handclasp.text import printable

__all__ = ["listed", "printable", "shortened"]

LONGEST = 256
"""Characters of one name that are shown."""
MOST = 8
"""Names of one list that are shown."""


def shortened(text: str) -> str:
    """As much as somebody reads, printable."""
    return printable(text if len(text) <= LONGEST else text[:LONGEST] + "…")


def listed(names: Iterable[object], most: int = MOST) -> str:
    """The first of some names, and how many more there are."""
    rest = iter(names)
    first = ", ".join([shortened(str(name)) for name in islice(rest, most)])
    more = sum(1 for _ in rest)
    return f"{first} and {more} more" if more else first
