"""Any two configs: they make the same session and talk, or both end by an error and its alert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World
from tests.pair import Pair

from handclasp import CipherSuite, ClientAuth, NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.ca import KeyType
from handclasp.config import DEFAULT_CIPHER_SUITES, DEFAULT_GROUPS, DEFAULT_SIGNATURE_SCHEMES
from handclasp.crypto.groups import ECDHE_GROUPS
from handclasp.crypto.signatures import known_in
from handclasp.crypto.suites import SUITES
from handclasp.endings import PeerAlert
from handclasp.errors import PeerError
from handclasp.handshake.errors import (
    CertificateMissing,
    CertificateMissing12,
    NoCommonCipherSuite,
    NoCommonGroup,
    NoCommonProtocol,
    NoCommonVersion,
    NoSuitableCertificate,
)
from handclasp.handshake.established import Established
from handclasp.sessions import ServerSessions
from handclasp.x509.identity import Identity

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
KEYS = (KeyType.P256, KeyType.P384, KeyType.ED25519, KeyType.RSA2048, KeyType.MLDSA44)

DISAGREEMENTS = {
    CertificateMissing,
    CertificateMissing12,
    NoCommonCipherSuite,
    NoCommonGroup,
    NoCommonProtocol,
    NoCommonVersion,
    NoSuitableCertificate,
}
"""Why two honest parties may part; neither ever tells the other that it broke a rule."""

T = TypeVar("T")


def some(values: tuple[T, ...], most: int = 4) -> st.SearchStrategy[tuple[T, ...]]:
    """All values in their order, or a few in any order."""
    few = st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(tuple)
    return st.one_of(st.just(values), few)


@dataclass
class Setup:
    """What is drawn for one party."""

    config: dict[str, Any]
    keys: tuple[KeyType, ...] = field(default=())


@st.composite
def parties(draw: st.DrawFn, role: str) -> Setup:
    """A config's fields, such that a config can be built of them."""
    versions = draw(st.sampled_from([(TLS13, TLS12), (TLS13,), (TLS12,)]))
    suites: tuple[CipherSuite, ...] = draw(
        some(tuple(s for s in DEFAULT_CIPHER_SUITES if SUITES[s].version in versions))
    )
    versions = tuple(v for v in versions if any(SUITES[suite].version == v for suite in suites))
    groups: tuple[NamedGroup, ...] = draw(some(tuple(DEFAULT_GROUPS if TLS13 in versions else ECDHE_GROUPS)))
    every = some(tuple(DEFAULT_SIGNATURE_SCHEMES), most=8)
    schemes: tuple[SignatureScheme, ...] = draw(every.filter(lambda drawn: any(known_in(v, drawn) for v in versions)))
    versions = tuple(v for v in versions if known_in(v, schemes))
    config: dict[str, Any] = {
        "versions": versions,
        "cipher_suites": suites,
        "groups": groups,
        "signature_schemes": schemes,
        "signing_schemes": draw(st.none() | every),
        "alpn": draw(st.sampled_from([(), ("h2",), ("http/1.1", "h2"), ("h3",)])),
        "record_padding": draw(st.sampled_from([0, 0, 64, 16384])),
        "middlebox_compatibility": draw(st.booleans()),
        "allow_psk_without_forward_secrecy": draw(st.booleans()),
    }
    if role == "client":
        config["key_shares"] = draw(st.integers(0, min(3, len(groups))))
        return Setup(config, draw(st.sampled_from([(), *((key,) for key in KEYS)])))
    config |= {
        "client_auth": draw(st.sampled_from(ClientAuth)),
        "retry_cookie": draw(st.booleans()),
        "tickets": draw(st.integers(0, 3)),
        "sessions": draw(st.sampled_from([None, ServerSessions])),
        "prefer_client_order": draw(st.booleans()),
    }
    return Setup(config, draw(some(KEYS, most=2)))


def view(established: Established, export: Callable[[bytes, bytes | None, int], bytes]) -> tuple[object, ...]:
    """What both have to see alike."""
    return (
        established.version,
        established.cipher_suite,
        established.group,
        established.alpn,
        established.server_name,
        established.resumed,
        established.finished_bytes,
        export(b"EXPORTER-any", b"two", 32),
        export(b"EXPORTER-any", None, 32),
    )


def agree(pair: Pair) -> bool:
    """Whether they made a session; both ended with an error otherwise, one of the other's alert."""
    pair.run()
    errors = [party.error for party in (pair.client, pair.server)]
    if errors == [None, None]:
        client, server = pair.client.connection, pair.server.connection
        assert client.established is not None
        assert server.established is not None
        assert view(client.established, client.export) == view(server.established, server.export)
        return True
    [found] = [error for error in errors if isinstance(error, PeerError)]
    [heard] = [error for error in errors if isinstance(error, PeerAlert)]
    assert heard.description == found.alert
    assert type(found) in DISAGREEMENTS
    return False


def talk(pair: Pair, ping: bytes, pong: bytes, update: tuple[bool, bool, bool]) -> None:
    """Data both ways around new keys; the client ends its half first, and hears all the same."""
    client, server = pair.client.connection, pair.server.connection
    by_client, by_server, asked = update
    assert client.established is not None
    client.send_data(ping)
    for connection, updates in ((client, by_client), (server, by_server)):
        if updates and client.established.version == TLS13:
            connection.update_keys(request_peer=asked)
    client.send_data(ping)
    server.send_data(pong)
    pair.carry()
    client.close()
    pair.carry()
    server.send_data(pong)
    server.close()
    pair.carry()
    assert pair.server.data == ping + ping
    assert pair.client.data == pong + pong
    assert client.peer_closed
    assert server.peer_closed
    assert pair.client.error is None
    assert pair.server.error is None


@pytest.fixture(scope="module")
def issued(world: World) -> dict[tuple[str, KeyType], Identity]:
    """A certificate for each role and kind of key."""
    servers = {("server", key): world.issuing.server("localhost", key=key).identity for key in KEYS}
    return servers | {("client", key): world.issuing.client("alice", key=key).identity for key in KEYS}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    parties("client"),
    parties("server"),
    st.sampled_from([b"", b"ping", b"ping" * 10_000]),
    st.sampled_from([b"", b"pong" * 5_000]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_any_two_configs_make_the_same_session_twice_or_both_fail(
    world: World,
    issued: dict[tuple[str, KeyType], Identity],
    one: Setup,
    other: Setup,
    ping: bytes,
    pong: bytes,
    update: tuple[bool, bool, bool],
) -> None:
    sessions = other.config["sessions"]
    client = world.client_config(**one.config, identities=tuple(issued["client", key] for key in one.keys))
    server = world.server_config(
        **{**other.config, "sessions": sessions and sessions()},
        identities=tuple(issued["server", key] for key in other.keys),
        trust=world.root.trust,
    )
    for _ in range(2):
        pair = Pair(client, server)
        if not agree(pair):
            return
        talk(pair, ping, pong, update)
