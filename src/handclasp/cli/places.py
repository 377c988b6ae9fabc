"""Who is served and who makes room: what one address may hold of a server, and how long each thing may take."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from enum import Enum

from handclasp.errors import UsageError
from handclasp.explain import StepTrace

__all__ = ["Limits", "Place", "Places", "Stage"]

MOST = 86400
"""Of each limit."""
GRACE = 1.0
"""Seconds in which nobody who has said something makes room for another."""
PATIENCE = 5.0
"""Seconds in which nobody does whose bytes we have yet to read: we may be slow, or it takes none of ours."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may hold, and how many seconds each thing may take them."""

    max_connections: int = 512
    """Connections at a time."""
    max_per_address: int = 128
    """Connections at a time of one address; of one network of 64 bits in IPv6, which is what one client gets."""
    max_handshakes: int = 64
    """Handshakes at a time of one address."""
    handshake_timeout: float = 10.0
    """For the handshake as a whole."""
    request_timeout: float = 10.0
    """For a request's head as a whole, from its first byte."""
    answer_timeout: float = 600.0
    """For taking the answer to a request as a whole."""
    idle_timeout: float = 30.0
    """For saying something at all, and for taking each piece of an answer."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 < value <= MOST:
                raise UsageError(f"--{one.name.replace('_', '-')} {value:g}: more than 0 and at most {MOST}.")


class Stage(Enum):
    """What is going on with a connection."""

    HANDSHAKE = "its handshake"
    IDLE = "waiting for a request"
    REQUEST = "its request"
    ANSWER = "taking the answer"


@dataclass(eq=False, slots=True)
class Place:
    """One connection, and how far it is."""

    sock: socket.socket
    group: str
    limits: Limits
    clock: Callable[[], float]
    steps: StepTrace = field(default_factory=StepTrace)
    stage: Stage = Stage.HANDSHAKE
    since: float = field(init=False)
    """When the stage began."""
    moved: float = field(init=False)
    """When the client last did what it has to do in this stage."""
    ended: str = ""
    """Why it was ended, where the server did that."""

    def __post_init__(self) -> None:
        self.since = self.moved = self.clock()

    def enter(self, stage: Stage) -> None:
        """The connection is in another stage now, or in the same anew."""
        self.stage = stage
        self.since = self.moved = self.clock()

    def move(self) -> None:
        """The client took another piece of the answer."""
        self.moved = self.clock()

    @property
    def seconds(self) -> float:
        """How long the stage may last."""
        return {
            Stage.HANDSHAKE: self.limits.handshake_timeout,
            Stage.IDLE: self.limits.idle_timeout,
            Stage.REQUEST: self.limits.request_timeout,
            Stage.ANSWER: self.limits.answer_timeout,
        }[self.stage]

    @property
    def silent(self) -> bool:
        """Whether its client has yet to say anything."""
        return self.stage is Stage.HANDSHAKE and not self.steps.steps


class Places:
    """All connections of a server.

    One more than an address may have takes the place of that address's slowest: one that waits for its client to say
    something or to take its answer, those first that never said anything, and of these the one that has waited longest.
    Where all are full, the address that holds the most makes room. Where nobody waits, the newest is refused: whom we
    keep waiting ourselves is not slow.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._groups: dict[str, dict[Place, None]] = {}
        """Of each address its connections, the oldest first."""

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def take(self, sock: socket.socket, address: str) -> Place | None:
        """A place for a new connection, or None where there is none."""
        group = _group_of(address)
        with self._lock:
            own = self._groups.get(group, {})
            shaking = [one for one in own if one.stage is Stage.HANDSHAKE]
            if len(shaking) >= self.limits.max_handshakes and not self._end_slowest(shaking):
                return None
            if len(own) >= self.limits.max_per_address and not self._end_slowest(own):
                return None
            if len(self) >= self.limits.max_connections and not self._end_one():
                return None
            place = Place(sock, group, self.limits, self._clock)
            self._groups.setdefault(group, {})[place] = None
            return place

    def make_room(self) -> bool:
        """End one connection of the address that has the most; False where nobody waits."""
        with self._lock:
            return self._end_one()

    def release(self, place: Place) -> None:
        """A connection is over."""
        with self._lock:
            self._forget(place)

    def end_late(self) -> None:
        """End all whose time is over."""
        with self._lock:
            now = self._clock()
            late = [one for group in self._groups.values() for one in group if now - one.since > one.seconds]
            for one in late:
                self._end(one, f"{one.stage.value} took longer than {one.seconds:g} seconds")

    def _end_one(self) -> bool:
        """Of the address that has the most, or of the next one where nobody there waits."""
        return any(map(self._end_slowest, sorted(self._groups.values(), key=len, reverse=True)))

    def _end_slowest(self, places: Iterable[Place]) -> bool:
        now = self._clock()
        waiting = [one for one in places if one.silent or now - one.moved >= GRACE]
        perhaps = [one for one in waiting if one.stage is not Stage.ANSWER and now - one.moved < PATIENCE]
        heard = _with_something_to_read(perhaps)
        slow = [one for one in waiting if one not in heard]
        if not slow:
            return False
        self._end(min(slow, key=lambda one: (not one.silent, one.moved)), "its place was needed for another client")
        return True

    def _end(self, place: Place, why: str) -> None:
        """Its thread finds the connection at its end."""
        self._forget(place)
        place.ended = why
        with contextlib.suppress(OSError):  # it may have ended by itself
            place.sock.shutdown(socket.SHUT_RDWR)

    def _forget(self, place: Place) -> None:
        group = self._groups.get(place.group, {})
        group.pop(place, None)
        if not group:
            self._groups.pop(place.group, None)


def _group_of(address: str) -> str:
    """Whom an address counts for: itself in IPv4, its network of 64 bits in IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.IPv6Network((found, 64), strict=False))


def _with_something_to_read(places: Iterable[Place]) -> set[Place]:
    """Those whose client has said something that we have yet to read."""
    if not hasattr(select, "poll"):  # Windows
        return set()
    poll, by_number = select.poll(), {}
    for one in places:
        if (number := one.sock.fileno()) >= 0:
            by_number[number] = one
            poll.register(number, select.POLLIN)
    return {by_number[number] for number, _ in poll.poll(0)}
