"""What a peer may make us do and keep before it has proved who it is: in line with what it sent, and no more.

Work is counted, not timed: calls of functions, and comparisons of code points.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair, Party

from handclasp import ClientAuth, NamedGroup, ProtocolVersion, ServerConnection
from handclasp.handshake import errors
from handclasp.record_layer import RecordLayer
from handclasp.wire.extensions import (
    ALPN,
    CertificateAuthorities,
    ExtensionBody,
    KeyShareClientHello,
    KeyShareEntry,
    OfferedPsks,
    PskIdentity,
    SignatureAlgorithms,
    SupportedGroups,
    SupportedVersions,
    pack,
)
from handclasp.wire.iana import CipherSuite, ExtensionType, SignatureScheme
from handclasp.wire.messages import CertificateRequest, ClientHello, HandshakeMessage
from handclasp.wire.messages12 import CertificateRequest12
from handclasp.wire.registry import Registry

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
Lengthen = Callable[[Any, int], Any]


def unknown(kind: type[Registry], count: int) -> list[Any]:
    """So many values that nobody has named."""
    return [kind(0x2000 + n) for n in range(count)]


def extended(message: Any, *bodies: ExtensionBody) -> Any:
    return replace(message, extensions={**message.extensions, **pack(*bodies)})


def with_groups(hello: ClientHello, count: int) -> HandshakeMessage:
    """As many keys as groups, the last group's key first."""
    groups = unknown(NamedGroup, count)
    shares = [KeyShareEntry(group, b"x") for group in reversed(groups)]
    changed: ClientHello = extended(hello, SupportedGroups(groups), KeyShareClientHello(shares))
    return changed


def with_identities(hello: ClientHello, count: int) -> HandshakeMessage:
    keys = [PskIdentity(b"%6d" % n, 0) for n in range(count)]
    changed: ClientHello = extended(hello, OfferedPsks(keys, [bytes(32)] * count))
    return changed


IN_HELLO: dict[str, Lengthen] = {
    "groups and keys": with_groups,
    "groups before ours": lambda m, n: extended(m, SupportedGroups([*unknown(NamedGroup, n), NamedGroup.X25519])),
    "suites": lambda m, n: replace(m, cipher_suites=[*unknown(CipherSuite, n), *m.cipher_suites]),
    "suites alone": lambda m, n: replace(m, cipher_suites=unknown(CipherSuite, n)),
    "schemes": lambda m, n: extended(m, SignatureAlgorithms(unknown(SignatureScheme, n))),
    "extensions": lambda m, n: replace(m, extensions={**dict.fromkeys(unknown(ExtensionType, n), b""), **m.extensions}),
    "pre-shared keys": with_identities,
    "protocols": lambda m, n: extended(m, ALPN([b"%4d" % k for k in range(n)])),
    "authorities": lambda m, n: extended(m, CertificateAuthorities([b"%4d" % k for k in range(n)])),
}
IN_REQUEST: dict[str, tuple[type[HandshakeMessage], Lengthen]] = {
    "schemes": (CertificateRequest, IN_HELLO["schemes"]),
    "authorities": (CertificateRequest, IN_HELLO["authorities"]),
    "extensions": (CertificateRequest, IN_HELLO["extensions"]),
    "schemes of TLS 1.2": (
        CertificateRequest12,
        lambda m, n: replace(m, supported_signature_algorithms=unknown(SignatureScheme, n)),
    ),
    "authorities of TLS 1.2": (
        CertificateRequest12,
        lambda m, n: replace(m, certificate_authorities=[b"%4d" % k for k in range(n)]),
    ),
}


def work(monkeypatch: pytest.MonkeyPatch, party: Party, data: bytes) -> int:
    """Calls and comparisons of code points that these bytes cost."""
    count = 0

    def called(*_: object) -> None:
        nonlocal count
        count += 1

    def equal(one: int, other: object) -> Any:
        nonlocal count
        count += 1
        return int.__eq__(one, other)

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "__eq__", equal)
        sys.setprofile(called)
        try:
            party.receive(data)
        finally:
            sys.setprofile(None)
    return count


def of_a_hello(world: World, lengthen: Lengthen, count: int) -> tuple[Party, bytes]:
    pair = Pair(world.client_config(alpn=("h2",)), world.server_config(alpn=("h2", "http/1.1")))
    pair.client.rewrite(ClientHello, lambda m: lengthen(m, count))
    pair.client.connection.start()
    pair.server.connection.start()
    return pair.server, pair.client.connection.data_to_send()


def of_a_request(world: World, kind: type[HandshakeMessage], lengthen: Lengthen, count: int) -> tuple[Party, bytes]:
    version = TLS12 if kind is CertificateRequest12 else TLS13
    pair = Pair(
        world.client_config(versions=(version,), identities=(world.client.identity,)),
        world.server_config(trust=world.root.trust, client_auth=ClientAuth.OPTIONAL),
    )
    pair.server.rewrite(kind, lambda m: lengthen(m, count))
    pair.client.connection.start()
    pair.server.connection.start()
    pair.server.receive(pair.client.connection.data_to_send())
    return pair.client, pair.server.connection.data_to_send()


def in_line(works: list[int], few: int, many: int) -> None:
    """Work grows no faster than what was sent: per value the larger list costs no more than the smaller."""
    base, small, large = works
    assert (large - base) * few <= 1.25 * max(small - base, few) * many, works
    assert large - base <= 64 * many, works


@pytest.mark.parametrize("lengthen", IN_HELLO.values(), ids=IN_HELLO)
def test_a_hello_costs_in_line_with_its_length(
    world: World, monkeypatch: pytest.MonkeyPatch, lengthen: Lengthen
) -> None:
    of_a_hello(world, lengthen, 1)[0].receive(of_a_hello(world, lengthen, 1)[1])  # decoders are made on first use
    works = [work(monkeypatch, *of_a_hello(world, lengthen, count)) for count in (1, 300, 1200)]
    in_line(works, 300, 1200)


@pytest.mark.parametrize(("kind", "lengthen"), IN_REQUEST.values(), ids=IN_REQUEST)
def test_a_request_costs_in_line_with_its_length(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: type[HandshakeMessage], lengthen: Lengthen
) -> None:
    party, data = of_a_request(world, kind, lengthen, 1)
    party.receive(data)
    works = [work(monkeypatch, *of_a_request(world, kind, lengthen, count)) for count in (1, 300, 1200)]
    in_line(works, 300, 1200)


def test_a_message_in_thousands_of_fragments_is_collected_in_one_place() -> None:
    """Records of one byte each: no fragment has what came before copied."""
    layer = RecordLayer(1 << 17)
    layer.add_handshake(b"\x01\x01\x00\x00")
    layer.add_handshake(b"x")
    collected = layer.handshake_in
    for _ in range(5000):
        layer.add_handshake(b"x")
        assert layer.next_message() is None
        assert layer.handshake_in is collected
    layer.add_handshake(bytes((1 << 16) - 5001) + b"\x14\x00\x00\x00" + b"\x14")
    assert layer.next_message() is not None
    assert layer.next_message() == b"\x14\x00\x00\x00"
    assert bytes(layer.handshake_in) == b"\x14"


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_a_handshake_survives_records_of_one_byte_that_come_byte_by_byte(
    world: World, version: ProtocolVersion
) -> None:
    pair = Pair(world.client_config(versions=(version,)), world.server_config())
    pair.client.connection.start()
    pair.server.connection.start()
    hello = pair.client.connection.data_to_send()[5:]
    for byte in hello:
        for part in (b"\x16", b"\x03", b"\x01", b"\x00", b"\x01", bytes((byte,))):
            pair.server.receive(part)
    pair.carry()
    pair.say()
    assert pair.server.data == b"ping"


MANY = 6000
LISTED: dict[str, tuple[Lengthen, type[Exception]]] = {
    "suites": (IN_HELLO["suites alone"], errors.NoCommonCipherSuite),
    "groups": (
        lambda m, n: extended(m, SupportedGroups(unknown(NamedGroup, n)), KeyShareClientHello([])),
        errors.NoCommonGroup,
    ),
    "schemes": (IN_HELLO["schemes"], errors.NoSuitableCertificate),
    "protocols": (IN_HELLO["protocols"], errors.NoCommonProtocol),
    "versions": (
        lambda m, _: extended(m, SupportedVersions(unknown(ProtocolVersion, 127))),
        errors.NoCommonVersion,
    ),
}


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
@pytest.mark.parametrize(("lengthen", "expected"), LISTED.values(), ids=LISTED)
def test_a_refusal_names_the_first_of_a_list_and_how_many_more(
    world: World, lengthen: Lengthen, expected: type[Exception], version: ProtocolVersion
) -> None:
    pair = Pair(
        world.client_config(versions=(version,), alpn=("h2",)),
        world.server_config(alpn=("h2",), versions=(version,)),
    )
    pair.client.rewrite(ClientHello, lambda m: lengthen(m, MANY))
    pair.run()
    error = pair.server.error
    assert type(error) is expected
    assert " more" in str(error)
    assert len(str(error)) < 1500


def test_a_second_hello_that_changed_in_thousands_of_places_is_refused_in_a_line(world: World) -> None:
    pair = Pair(world.client_config(key_shares=0), world.server_config(retry_cookie=True))
    pair.client.rewrite(
        ClientHello,
        lambda m: IN_HELLO["extensions"](m, MANY) if ExtensionType.COOKIE in m.extensions else m,
    )
    pair.run()
    assert type(pair.server.error) is errors.IllegalChange
    assert "and 5992 more" in str(pair.server.error)


@pytest.mark.parametrize("lengthen", [row[0] for row in LISTED.values()], ids=LISTED)
def test_a_refused_handshake_keeps_nothing_large(world: World, lengthen: Lengthen) -> None:
    """Connection and error may be kept, for a log or by a pool; what the peer sent is not."""
    party, data = of_a_hello(world, lengthen, MANY)
    party.receive(data)
    config = world.server_config(alpn=("h2",))
    kept = []
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(8):
            connection = ServerConnection(config)
            connection.start()
            try:
                connection.receive_data(bytes(bytearray(data)))
            except Exception as error:
                kept.append((connection, error))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) == 8
    assert held / len(kept) < 24_000
