"""Which of several identities to show: by name, key, accepted authorities, purpose and dates (mission row S11).

A hello costs the same whether there are two identities or two thousand: of those that it cannot tell apart the first in
force stands for all, and these are found by name, by authority and by kind. What a peer lists is gone through once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from handclasp.wire.iana import NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.x509.authorities import comparable
from handclasp.x509.filters import NOTHING, Wanted
from handclasp.x509.policy import Purpose
from handclasp.x509.traits import Kind, NameKey, name_keys, traits_of

if TYPE_CHECKING:
    from handclasp.x509.identity import Identity

__all__ = ["MOST_AUTHORITIES", "Demand", "IdentityIndex"]

MOST_AUTHORITIES = 512
"""Authorities of a peer's list that are compared as RFC 5280, 7.1 has it; beyond them only bytes are."""

Authority = object
"""An authority's name in a form to compare, or its bytes where it has none."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a peer asks for, to choose an identity by."""

    purpose: Purpose
    """Ours: SERVER_AUTH where we are the server."""
    version: ProtocolVersion
    server_name: str | None
    schemes: frozenset[SignatureScheme]
    """What both sides can do."""
    at: datetime
    authorities: Sequence[bytes] = ()
    """Names in DER of those that the peer trusts; empty where it did not say."""
    wanted: Wanted = NOTHING
    """What the peer wants a certificate's extensions to hold."""
    groups: frozenset[NamedGroup] = frozenset()
    """Curves that an ECDSA key has to be on (RFC 8422, 5.3); empty: on any."""


class IdentityIndex:
    """Some identities, found by what peers ask for."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        self.identities = tuple(identities)
        self._entries: tuple[_Entry, ...] = ()
        self._names: dict[bytes, Authority] = {}
        self._shelves: _Shelves | None = None
        self._fingerprints: frozenset[bytes] | None = None

    @property
    def fingerprints(self) -> frozenset[bytes]:
        """SHA-256 of each identity's own certificate."""
        if self._fingerprints is None:
            self._fingerprints = frozenset(one.leaf.fingerprint for one in self.identities)
        return self._fingerprints

    def select(self, demand: Demand) -> Identity | None:
        """What to show; None where nothing fits.

        A server shows the identity whose certificate has the name asked for, else its first; a client one of an
        authority that the server names, else that of the only party whom the server's list does not rule out. What
        is not in force comes last rather than never: the peer's refusal tells more than our silence.
        """
        if not self.identities:
            return None
        if len(self.identities) == 1 and demand.purpose is Purpose.SERVER_AUTH:
            [only] = self._all()
            return only.identity if _key_fits(only, demand) else None
        shelves = self._shelves
        if shelves is None or not shelves.begin <= demand.at < shelves.end:
            self._shelves = shelves = _Shelves(self._all(), demand.at)
        choose = _for_server if demand.purpose is Purpose.SERVER_AUTH else _for_client
        best = choose(shelves, demand, self._named(demand))
        return None if best is None else best.identity

    def passed_over(self, demand: Demand) -> Iterator[tuple[Identity, str]]:
        """Where none is shown, each identity and why."""
        named = self._named(demand)
        for one in self._all():
            yield one.identity, _why_not(one, demand, named)

    def schemes(self, version: ProtocolVersion) -> tuple[SignatureScheme, ...]:
        """All that the keys sign with in handshakes of this version."""
        kinds = dict.fromkeys(one.kind for one in self._all())
        return tuple(dict.fromkeys(scheme for kind in kinds for scheme in kind.schemes(version)))

    def _all(self) -> tuple[_Entry, ...]:
        if not self._entries:
            entries = tuple(_Entry(position, one) for position, one in enumerate(self.identities))
            # First, for another thread that finds the entries looks for the names at once.
            self._names = {der: name for one in entries for der, name in one.issuers.items()}
            self._entries = entries
        return self._entries

    def _named(self, demand: Demand) -> frozenset[Authority]:
        """The authorities that the peer names, in a form to compare."""
        listed = dict.fromkeys(demand.authorities)
        if not listed:
            return frozenset()
        self._all()
        ours = self._names
        found = {ours[der] for der in listed if der in ours}
        for der, _ in zip(listed, range(MOST_AUTHORITIES), strict=False):
            found.add(comparable(der) or der)
        return frozenset(found)


class _Entry:
    """One identity, with what it is chosen by."""

    __slots__ = ("begin", "end", "identity", "issuers", "kind", "names", "position", "subject")

    def __init__(self, position: int, identity: Identity) -> None:
        traits = traits_of(identity.leaf)
        self.position = position
        self.identity = identity
        self.subject: object = identity.leaf.subject_canonical or identity.leaf.subject_text
        self.kind, self.names = traits.kind, traits.names
        self.begin, self.end = traits.begin, traits.end
        self.issuers: dict[bytes, Authority] = {
            one.issuer: comparable(one.issuer) or one.issuer for one in identity.chain
        }

    def in_force(self, at: datetime) -> bool:
        return self.begin <= at <= self.end

    def of(self, named: frozenset[Authority]) -> bool:
        """Whether an authority above it is among these."""
        return any(one in named for one in self.issuers.values())


ANY = None
"""Stands for whatever authority."""
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class _Shelves:
    """Identities in the order in which they are taken, from one date that matters to the next."""

    __slots__ = ("begin", "by_authority", "by_name", "end", "not_ruled_out")

    def __init__(self, entries: tuple[_Entry, ...], at: datetime) -> None:
        dates = {one.begin for one in entries} | {one.end + timedelta(microseconds=1) for one in entries}
        self.begin = max((date for date in dates if date <= at), default=FIRST)
        self.end = min((date for date in dates if date > at), default=LAST)
        self.by_name: dict[NameKey, dict[object, _Entry]] = {}
        self.by_authority: dict[Authority, dict[Kind, _Entry]] = {ANY: {}}
        """The first of each kind below each authority."""
        self.not_ruled_out: dict[Kind, dict[object, _Entry]] = {}
        """Of each kind the first of a party, and of one other, whose roots nobody knows."""
        for one in sorted(entries, key=lambda one: not one.in_force(at)):
            authorities = one.issuers.values()
            for authority in (ANY, *authorities):
                self.by_authority.setdefault(authority, {}).setdefault(one.kind, one)
            told_apart = (one.kind, frozenset(authorities))
            for name in one.names:
                self.by_name.setdefault(name, {}).setdefault(told_apart, one)
            if one.identity.root is None and len(group := self.not_ruled_out.setdefault(one.kind, {})) < 2:
                group.setdefault(one.subject, one)


def _for_server(shelves: _Shelves, demand: Demand, named: frozenset[Authority]) -> _Entry | None:
    keys = name_keys(demand.server_name)
    found = [one for key in keys for one in shelves.by_name.get(key, {}).values() if _key_fits(one, demand)]
    if not any(one.in_force(demand.at) for one in found):
        for authority in (ANY, *named):
            found += [one for one in shelves.by_authority.get(authority, {}).values() if _key_fits(one, demand)]
    return min(found, key=lambda one: _rank(one, demand, keys, named), default=None)


def _rank(one: _Entry, demand: Demand, keys: tuple[NameKey, ...], named: frozenset[Authority]) -> tuple[int, int]:
    """The smaller, the better: in force, of the name asked for, of an authority that the peer trusts, the first."""
    rank = 0 if one.in_force(demand.at) else 8
    if keys:
        rank += 0 if keys[0] in one.names else 4 if one.names.isdisjoint(keys) else 1
    if named and not one.of(named):
        rank += 2
    return rank, one.position


def _for_client(shelves: _Shelves, demand: Demand, named: frozenset[Authority]) -> _Entry | None:
    found = [
        one
        for authority in (named or (ANY,))
        for one in shelves.by_authority.get(authority, {}).values()
        if _key_fits(one, demand) and _unwanted(one, demand) is None
    ]
    if not found and named:
        left = [one for group in shelves.not_ruled_out.values() for one in group.values()]
        left = [one for one in left if _key_fits(one, demand) and _unwanted(one, demand) is None]
        found = left if len({one.subject for one in left}) == 1 else []
    return min(found, key=lambda one: (not one.in_force(demand.at), one.position), default=None)


def _key_fits(one: _Entry, demand: Demand) -> bool:
    kind = one.kind
    if demand.groups and kind.curve is not None and kind.curve not in demand.groups:
        return False
    return not demand.schemes.isdisjoint(kind.schemes(demand.version))


def _unwanted(one: _Entry, demand: Demand) -> str | None:
    """Why a client's certificate is not what the server asks for, by what stands in it."""
    if not one.kind.for_clients:
        return "it is not for clients"
    if not demand.wanted.fit(one.kind.usage, one.kind.uses):
        return "it lacks an extension that the server wants"
    return None


def _why_not(one: _Entry, demand: Demand, named: frozenset[Authority]) -> str:
    if not _key_fits(one, demand):
        return "the peer verifies no signature that its key makes"
    if demand.purpose is Purpose.CLIENT_AUTH:
        if named and one.identity.root is not None and not one.of(named):
            return "the server does not trust its authority"
        if (why := _unwanted(one, demand)) is not None:
            return why
    return "the server names other authorities, and others of ours might be meant as well"
