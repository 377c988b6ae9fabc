"""What one address may hold of a server, and who makes room for whom; time stands still but where a test moves it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from handclasp.cli.places import GRACE, PATIENCE, Limits, Place, Places, Stage
from handclasp.errors import UsageError
from handclasp.explain import Step


class Server:
    """Places, a clock, and sockets whose other ends are the clients."""

    def __init__(self, **limits: int) -> None:
        self.now = 1000.0
        self.places = Places(Limits(**limits), lambda: self.now)
        self.clients: list[socket.socket] = []
        self.sockets: list[socket.socket] = []

    def come(self, address: str = "192.0.2.1") -> Place | None:
        ours, client = socket.socketpair()
        self.sockets += [ours]
        self.clients += [client]
        place = self.places.take(ours, address)
        if place is None:
            ours.close()
        return place

    def client_of(self, place: Place) -> socket.socket:
        return self.clients[self.sockets.index(place.sock)]

    def close(self) -> None:
        for one in self.sockets + self.clients:
            one.close()


def hello(place: Place) -> None:
    place.steps.steps.append(Step(2, "client", "requests TLS", ""))


@pytest.fixture
def made() -> Iterator[list[Server]]:
    servers: list[Server] = []
    yield servers
    for one in servers:
        one.close()


def serve(made: list[Server], **limits: int) -> Server:
    made.append(Server(**limits))
    return made[-1]


def test_the_oldest_silent_client_of_an_address_makes_room(made: list[Server]) -> None:
    server = serve(made, max_handshakes=3)
    first, second, third = (server.come() for _ in range(3))
    assert first is not None
    assert second is not None
    hello(first)
    assert server.come() is not None
    assert second.ended == "its place was needed for another client"
    assert server.client_of(second).recv(1) == b"", "its thread and it see the end"
    assert not first.ended, "it said something, a moment ago"
    assert third is not None
    assert not third.ended
    assert len(server.places) == 3


@pytest.mark.parametrize("stage", [Stage.HANDSHAKE, Stage.IDLE, Stage.REQUEST])
def test_who_has_said_something_makes_room_after_a_while(made: list[Server], stage: Stage) -> None:
    server = serve(made, max_per_address=1, max_handshakes=1)
    slow = server.come()
    assert slow is not None
    hello(slow)
    slow.enter(stage)
    assert server.come() is None
    server.now += GRACE
    assert server.come() is not None
    assert slow.ended


def test_who_takes_an_answer_makes_no_room(made: list[Server]) -> None:
    server = serve(made, max_per_address=1)
    busy = server.come()
    assert busy is not None
    busy.enter(Stage.ANSWER)
    for _ in range(100):
        server.now += GRACE / 2
        busy.move()
        assert server.come() is None
    server.places.release(busy)
    assert server.come() is not None


@pytest.mark.parametrize("says_more", [False, True])
def test_who_takes_no_more_of_an_answer_makes_room(made: list[Server], says_more: bool) -> None:
    """Saying more without taking any is no help."""
    server = serve(made, max_per_address=2)
    taking, stalled = server.come(), server.come()
    assert taking is not None
    assert stalled is not None
    for one in (taking, stalled):
        one.enter(Stage.ANSWER)
    if says_more:
        server.client_of(stalled).send(b"more")
    server.now += GRACE
    taking.move()
    assert server.come() is not None
    assert stalled.ended
    assert not taking.ended


def test_who_waits_for_us_makes_no_room(made: list[Server]) -> None:
    """Its bytes are there, and the server has yet to read them; but not for ever, for it may take none of ours."""
    server = serve(made, max_handshakes=1)
    first = server.come()
    assert first is not None
    server.client_of(first).send(b"hello")
    assert server.come() is None
    server.now += PATIENCE - 0.1
    assert server.come() is None
    assert not first.ended
    server.now += 0.1
    assert server.come() is not None
    assert first.ended


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("no address", "no address", True),
    ],
)
def test_whom_an_address_counts_for(made: list[Server], one: str, other: str, same: bool) -> None:
    server = serve(made, max_per_address=1)
    first = server.come(one)
    assert first is not None
    first.enter(Stage.ANSWER)
    assert (server.come(other) is None) == same


def test_of_a_full_server_the_address_with_the_most_makes_room(made: list[Server]) -> None:
    server = serve(made, max_connections=6)
    few = [server.come("192.0.2.1") for _ in range(2)]
    many = [server.come("198.51.100.1") for _ in range(4)]
    assert server.come("203.0.113.1") is not None
    assert [one is not None and bool(one.ended) for one in few + many] == [False, False, True, False, False, False]
    assert len(server.places) == 6


def test_where_the_address_with_the_most_is_busy_the_next_one_makes_room(made: list[Server]) -> None:
    server = serve(made, max_connections=5)
    many = [server.come("198.51.100.1") for _ in range(3)]
    few = [server.come("192.0.2.1") for _ in range(2)]
    for one in many:
        assert one is not None
        one.enter(Stage.ANSWER)
    assert server.come("203.0.113.1") is not None
    assert [one is not None and bool(one.ended) for one in many + few] == [False, False, False, True, False]


def test_a_full_server_of_busy_clients_refuses_the_newest(made: list[Server]) -> None:
    server = serve(made, max_connections=2)
    for address in ("192.0.2.1", "192.0.2.2"):
        place = server.come(address)
        assert place is not None
        place.enter(Stage.ANSWER)
    assert server.come("192.0.2.3") is None
    assert not server.places.make_room()


def test_a_flood_from_one_address_never_holds_more_than_its_share(made: list[Server]) -> None:
    server = serve(made, max_connections=8, max_per_address=4, max_handshakes=3)
    for _ in range(50):
        server.come("198.51.100.1")
    assert len(server.places) == 3
    assert server.come("192.0.2.1") is not None


@pytest.mark.parametrize(
    ("stage", "limit", "why"),
    [
        (Stage.HANDSHAKE, "handshake_timeout", "its handshake took longer than 5 seconds"),
        (Stage.REQUEST, "request_timeout", "its request took longer than 5 seconds"),
        (Stage.ANSWER, "answer_timeout", "taking the answer took longer than 5 seconds"),
        (Stage.IDLE, "idle_timeout", "waiting for a request took longer than 5 seconds"),
    ],
)
def test_each_stage_has_a_deadline_that_bytes_do_not_move(
    made: list[Server], stage: Stage, limit: str, why: str
) -> None:
    server = serve(made, **{limit: 5})
    place = server.come()
    assert place is not None
    place.enter(stage)
    for _ in range(5):
        server.now += 1
        server.client_of(place).send(b"x")
        server.places.end_late()
        assert not place.ended
    server.now += 0.1
    server.places.end_late()
    assert place.ended == why
    assert len(server.places) == 0


def test_a_client_that_is_gone_already_makes_no_trouble(made: list[Server]) -> None:
    server = serve(made, max_handshakes=1)
    gone = server.come()
    assert gone is not None
    gone.sock.close()
    server.now += 100
    server.places.end_late()
    server.places.release(gone)
    assert len(server.places) == 0


@pytest.mark.parametrize("value", [0, -1, 10**6, float("nan"), float("inf")])
def test_a_limit_is_a_number_that_can_be_kept(value: float) -> None:
    with pytest.raises(UsageError, match="--idle-timeout"):
        Limits(idle_timeout=value)
