"""Whatever is done to the bytes between two parties: the right alert, never a hang, another exception, or data.

Every bit of every record is flipped, records are dropped, repeated, reordered and cut at each byte.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World
from tests.pair import Pair, Party, records

from handclasp import ClientAuth, ProtocolVersion, ServerConnection
from handclasp.endings import PeerAlert, Truncated
from handclasp.errors import HandclaspError, PeerError

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
SECRET = b"what nobody may read or change"


def make(world: World, version: ProtocolVersion) -> Pair:
    return Pair(
        world.client_config(versions=(version,), identities=(world.client.identity,)),
        world.server_config(trust=world.root.trust, client_auth=ClientAuth.REQUIRED, tickets=0),
    )


def flights(world: World, version: ProtocolVersion) -> list[tuple[str, list[bytes]]]:
    """The records of an undisturbed handshake, flight by flight."""
    pair = make(world, version)
    seen: list[tuple[str, list[bytes]]] = []

    def watch(direction: str) -> Callable[[bytes], bytes]:
        def carry(data: bytes) -> bytes:
            seen.append((direction, records(data)))
            return data

        return carry

    pair.to_server, pair.to_client = watch("to server"), watch("to client")
    pair.shake()
    return seen


def disturb(pair: Pair, number: int, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Run a handshake in which the records of one flight are changed."""
    count = 0

    def carry(data: bytes) -> bytes:
        nonlocal count
        count += 1
        return b"".join(change(records(data))) if count == number + 1 else data

    pair.to_server = pair.to_client = carry
    pair.run()


def nothing_came_through(pair: Pair, changed: bool = True) -> None:
    """No data was delivered, and each party that ended did so by an error of ours."""
    for party in (pair.client, pair.server):
        assert party.error is None or isinstance(party.error, HandclaspError), repr(party.error)
        if isinstance(party.error, PeerError):
            assert party.error.alert
    try:
        pair.client.connection.send_data(SECRET)
        pair.carry()
    except HandclaspError:
        pass
    assert pair.server.data in (b"", SECRET)
    if changed:
        assert not (pair.client.done and pair.server.done and pair.server.data), "the change went unnoticed"


def cut(data: bytes, at: int) -> bytes:
    """All but the end; signatures are not always as long, so the last byte goes in any case."""
    return data[: min(at, len(data) - 1)]


def unharmed(party: Party) -> bool:
    return party.done and party.error is None


@BOTH
@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_the_handshake_is_noticed(world: World, version: ProtocolVersion, bit: int) -> None:
    for number, (_, flight) in enumerate(flights(world, version)):
        for index in range(len(flight)):
            for at in range(len(flight[index])):
                if 1 <= at <= 2:
                    continue  # the version in a record's header is not looked at closely (RFC 8446, 5.1)
                pair = make(world, version)

                def flip(parts: list[bytes], index: int = index, at: int = at) -> list[bytes]:
                    changed = bytearray(parts[index])
                    changed[min(at, len(changed) - 1)] ^= 1 << bit  # signatures are not always as long
                    parts[index] = bytes(changed)
                    return parts

                disturb(pair, number, flip)
                nothing_came_through(pair)


@BOTH
def test_each_lost_or_repeated_record_is_noticed(world: World, version: ProtocolVersion) -> None:
    for number, (_, flight) in enumerate(flights(world, version)):
        for index in range(len(flight)):
            ccs = flight[index][0] == 20 and version == TLS13
            for change in (
                lambda parts, i=index: parts[:i] + parts[i + 1 :],
                lambda parts, i=index: parts[: i + 1] + parts[i : i + 1] + parts[i + 1 :],
            ):
                pair = make(world, version)
                disturb(pair, number, change)
                # TLS 1.3 passes over change_cipher_spec, so nothing is lost with it (RFC 8446, D.4).
                nothing_came_through(pair, changed=not ccs)


@BOTH
def test_reordered_records_are_noticed(world: World, version: ProtocolVersion) -> None:
    for number, (_, flight) in enumerate(flights(world, version)):
        if len(flight) < 2:
            continue
        pair = make(world, version)
        disturb(pair, number, lambda parts: parts[::-1])
        nothing_came_through(pair, changed=not any(part[0] == 20 for part in flight) or version == TLS12)


@BOTH
def test_a_handshake_cut_at_any_byte_is_a_truncation(world: World, version: ProtocolVersion) -> None:
    for number, (direction, flight) in enumerate(flights(world, version)):
        size = sum(map(len, flight))
        for at in range(size):
            pair = make(world, version)
            disturb(pair, number, lambda parts, at=at: [cut(b"".join(parts), at)])  # type: ignore[misc]
            party = pair.server if direction == "to server" else pair.client
            assert not unharmed(party) or party is pair.client
            if party.error is None and not party.done:
                with pytest.raises(Truncated):
                    party.connection.receive_eof()


@BOTH
def test_bytes_may_come_one_by_one(world: World, version: ProtocolVersion) -> None:
    pair = make(world, version)
    pair.client.connection.start()
    pair.server.connection.start()
    for _ in range(8):
        for there, back in ((pair.client, pair.server), (pair.server, pair.client)):
            for byte in there.connection.data_to_send():
                back.receive(bytes((byte,)))
    assert pair.client.done
    assert pair.server.done


@BOTH
def test_every_flipped_bit_of_data_ends_the_connection(world: World, version: ProtocolVersion) -> None:
    """Mission row S24."""
    size = 0
    at = 0
    while at <= size:
        for bit in range(8):
            pair = make(world, version)
            pair.shake()
            pair.client.connection.send_data(SECRET)
            record = bytearray(pair.client.connection.data_to_send())
            size = len(record) - 1
            record[at] ^= 1 << bit
            pair.server.receive(bytes(record))
            assert pair.server.data == b""
            longer = at in (3, 4) and int.from_bytes(record[3:5], "big") > size - 4
            assert longer or isinstance(pair.server.error, PeerError), (at, bit)
        at += 1


@given(st.binary(min_size=1, max_size=400))
@settings(max_examples=300, deadline=None)
def test_random_bytes_make_a_server_say_one_alert_at_most(world: World, data: bytes) -> None:
    server = ServerConnection(world.server_config())
    server.start()
    try:
        server.receive_data(data)
    except HandclaspError as error:
        assert isinstance(error, PeerError | PeerAlert)  # noqa: PT017  # any input is allowed to fail, this way
        assert len(records(server.data_to_send())) <= 1


@given(st.binary(min_size=1, max_size=300), st.sampled_from([20, 21, 22, 23]))
@settings(max_examples=300, deadline=None)
def test_random_records_never_raise_anything_of_their_own(world: World, data: bytes, kind: int) -> None:
    for connection in (ServerConnection(world.server_config()),):
        connection.start()
        try:
            connection.receive_data(bytes((kind, 3, 1)) + len(data).to_bytes(2, "big") + data)
        except HandclaspError:
            pass
        assert connection.established is None


@given(st.integers(0, 1400), st.integers(0, 255), st.sampled_from([TLS12, TLS13]))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_of_a_hello_never_raises_anything_of_its_own(
    world: World, at: int, value: int, version: ProtocolVersion
) -> None:
    pair = Pair(world.client_config(versions=(version,)), world.server_config())
    pair.client.connection.start()
    pair.server.connection.start()
    hello = bytearray(pair.client.connection.data_to_send())
    hello[at % len(hello)] = value
    pair.server.receive(bytes(hello))
    assert pair.server.error is None or isinstance(pair.server.error, HandclaspError)
