"""One rule of the form of certificates: which it is about, where it stands, and how it is seen to be broken."""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto
from typing import Any, NamedTuple

from handclasp.x509.certificate import Certificate
from handclasp.x509.policy import Profile

__all__ = ["ANY", "BOTH", "EVERY", "ISSUED", "STRICT", "WEB", "Place", "Rule"]


class Place(Flag):
    """Where in a path a certificate stands."""

    LEAF = auto()
    """The peer's own."""
    SERVER = auto()
    """The peer's own, where it is to be a server's."""
    AUTHORITY = auto()
    """Between the peer's own and the anchor."""
    ANCHOR = auto()


ISSUED = Place.LEAF | Place.AUTHORITY
"""Those that somebody in the path issued: why an anchor is trusted is our own affair."""
ANY = ISSUED | Place.ANCHOR

EVERY = frozenset(Profile)
STRICT = frozenset({Profile.RFC5280})
WEB = frozenset({Profile.WEB})
BOTH = STRICT | WEB


class Rule(NamedTuple):
    """A rule of a standard. `check` says what is wrong with a certificate, None where nothing is.

    It may be None itself: what every profile wants is seen to where certificates are parsed and paths are checked.
    """

    section: str
    wants: str
    """What a certificate is or has, for a sentence and for the documentation."""
    places: Place
    profiles: frozenset[Profile]
    check: Callable[..., str | None] | None = None
    with_issuer: bool = False
    """Whether `check` takes the certificate above in the path, too."""

    def broken_by(self, one: Certificate, issuer: Certificate) -> str | None:
        """What is wrong, None where nothing is; raises whatever a certificate that can't be read has it raise."""
        check: Any = self.check
        if check is None:
            return None
        found: str | None = check(one, issuer) if self.with_issuer else check(one)
        return found
