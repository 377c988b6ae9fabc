"""Every structure on the wire round-trips; every strict prefix of it, and anything after it, is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handclasp.wire import extensions, messages, messages12, records
from handclasp.wire.codec import (
    U8,
    U16,
    DecodeError,
    EncodeError,
    Extensions,
    Fixed,
    Opaque,
    Registry,
    RepeatedExtension,
    Rest,
    Struct,
    UInt,
    Vector,
    field_specs,
)
from handclasp.wire.iana import (
    CipherSuite,
    CompressionMethod,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from handclasp.wire.ranges import locate

MODULES = (messages, messages12, extensions, records)
STRUCTS: list[type[Struct]] = [
    value
    for module in MODULES
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, Struct) and value.__module__ == module.__name__
    if value not in (messages.HandshakeMessage, extensions.ExtensionBody)
]
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def a_registry(kind: type[Registry]) -> st.SearchStrategy[Any]:
    return st.integers(0, 256**kind.size - 1).map(kind)


def a_field(spec: Any, item: Any) -> st.SearchStrategy[Any]:
    """Values that fit a field, from its own declaration."""
    if isinstance(spec, UInt):
        return st.integers(0, spec.limit)
    if isinstance(spec, Fixed):
        return st.binary(min_size=spec.size, max_size=spec.size)
    if isinstance(spec, Rest):
        return st.binary(max_size=40)
    if isinstance(spec, Opaque):
        return st.binary(min_size=spec.low, max_size=min(spec.low + 40, spec.high or spec.prefix.limit))
    if isinstance(spec, Extensions):
        return st.dictionaries(a_registry(item), st.binary(max_size=20), max_size=4)
    if isinstance(spec, Vector):
        return st.lists(an_item(spec, item), min_size=1 if spec.low else 0, max_size=4).filter(
            lambda values: len_on_wire(spec, item, values) >= spec.low
        )
    if issubclass(spec, Registry):
        return a_registry(spec)
    return a_struct(spec)


def an_item(spec: Vector, item: Any) -> st.SearchStrategy[Any]:
    if isinstance(spec.item, UInt):
        return st.integers(0, spec.item.limit)
    if isinstance(spec.item, Opaque):
        return st.binary(min_size=spec.item.low, max_size=spec.item.low + 20)
    return a_registry(item) if issubclass(item, Registry) else a_struct(item)


def len_on_wire(spec: Vector, item: Any, values: list[Any]) -> int:
    if isinstance(spec.item, UInt):
        return spec.item.size * len(values)
    if isinstance(spec.item, Opaque):
        return sum(spec.item.prefix.size + len(value) for value in values)
    return item.size * len(values) if issubclass(item, Registry) else sum(len(value.encode()) for value in values)


def a_struct(kind: type[Struct]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: a_field(spec, item) for name, spec, item in field_specs(kind)})


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
@QUICK
@given(st.data())
def test_what_was_encoded_decodes_to_the_same(kind: type[Struct], data: st.DataObject) -> None:
    value = data.draw(a_struct(kind))
    encoded = value.encode()
    assert kind.decode(encoded) == value
    assert kind.decode(encoded).encode() == encoded


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
@QUICK
@given(st.data())
def test_no_strict_prefix_decodes_and_nothing_may_follow(kind: type[Struct], data: st.DataObject) -> None:
    value = data.draw(a_struct(kind))
    encoded = value.encode()
    open_ended = any(isinstance(spec, Rest) for _, spec, _ in field_specs(kind))
    optional = any(isinstance(spec, Extensions) and spec.optional for _, spec, _ in field_specs(kind))
    for end in range(0 if open_ended else len(encoded)):
        try:
            shorter = kind.decode(encoded[:end])
        except DecodeError:
            continue
        assert optional, "a prefix decodes"
        assert shorter.extensions == {}, "only a whole hello may go without its extensions"  # type: ignore[attr-defined]
    if not open_ended and not optional:
        with pytest.raises(DecodeError):
            kind.decode(encoded + b"\0")


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
@QUICK
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_decode_errors(kind: type[Struct], data: bytes) -> None:
    try:
        value = kind.decode(data)
    except DecodeError:
        return
    assert kind.decode(value.encode()) == value


def test_a_repeated_extension_is_refused() -> None:
    """RFC 8446, 4.2."""
    with pytest.raises(RepeatedExtension, match="application_layer"):
        messages.EncryptedExtensions.decode(b"\0\x08\0\x10\0\0\0\x10\0\0")


def test_unknown_values_stay_what_they_are() -> None:
    group = NamedGroup(0x0A0A)
    assert group.is_grease
    assert not group.is_known
    assert group == 0x0A0A
    assert repr(group) == "NamedGroup.UNKNOWN_0x0A0A"
    assert extensions.SupportedGroups.decode(b"\0\x02\x0a\x0a").named_group_list == [group]
    with pytest.raises(ValueError, match="65536"):
        NamedGroup(65536)
    with pytest.raises(ValueError, match="x"):
        NamedGroup("x")  # type: ignore[arg-type]
    assert not CipherSuite.TLS_AES_128_GCM_SHA256.is_grease
    assert not HandshakeType(7).is_grease


def test_unknown_values_are_not_remembered() -> None:
    """A peer that sends ever new values can't fill our memory."""
    before = len(SignatureScheme._value2member_map_)
    for code in range(0xE000, 0xE100):
        SignatureScheme(code)
    assert len(SignatureScheme._value2member_map_) == before


@dataclass(slots=True)
class Odd(Struct):
    """A structure with the kinds of field that no message has."""

    numbers: Annotated[list[int], Vector(U8, item=U16)]
    blobs: Annotated[list[bytes], Vector(U8, item=Opaque(U8, low=1, high=3))]


class Empty(Struct):
    __slots__ = ()


def test_values_that_do_not_fit_are_the_callers_mistake() -> None:
    header = records.RecordHeader(ContentType(22), ProtocolVersion(0x0303), 70000)
    for wrong in (
        header,
        messages.KeyUpdate,
        Odd([1], [b""]),
        Odd([1] * 200, []),
        messages.ClientHello,
    ):
        if isinstance(wrong, Struct):
            with pytest.raises(EncodeError, match="does not fit"):
                wrong.encode()
    hello = messages.ServerHello(ProtocolVersion(0x0303), b"short", b"", CipherSuite(1), CompressionMethod(0), {})
    with pytest.raises(EncodeError, match="random"):
        hello.encode()
    assert Odd.decode(Odd([1, 65535], [b"abc"]).encode()) == Odd([1, 65535], [b"abc"])
    with pytest.raises(DecodeError):
        Odd.decode(b"\x03\0\1\2\0")


def test_a_handshake_message_keeps_its_bytes() -> None:
    raw = b"\x18\0\0\1\0"
    message = messages.KeyUpdate.parse(raw)
    assert message.raw == raw
    assert messages.KeyUpdate(message.request_update).to_bytes() == raw
    with pytest.raises(DecodeError, match="belong to nothing"):
        messages.KeyUpdate.parse(b"\x18\0\0\2\0\0")


def test_find_tells_absent_from_empty() -> None:
    assert extensions.find({}, extensions.Cookie) is None
    with pytest.raises(DecodeError):
        extensions.find({ExtensionType.COOKIE: b""}, extensions.Cookie)


def test_every_message_has_a_type_of_its_own_version() -> None:
    for module in (messages, messages12):
        kinds: list[Any] = [k for k in STRUCTS if k.__module__ == module.__name__ and hasattr(k, "handshake_type")]
        types = [kind.handshake_type for kind in kinds]
        assert len(set(types)) == len(types)


def test_the_registries_are_those_of_the_tables() -> None:
    tool = Path(__file__).parents[2] / "tools" / "generate_iana.py"
    assert subprocess.run([sys.executable, str(tool), "--check"], check=False).returncode == 0


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
@QUICK
@given(st.data())
def test_the_ranges_of_fields_tile_the_bytes(kind: type[Struct], data: st.DataObject) -> None:
    value = data.draw(a_struct(kind))
    raw = value.to_bytes() if isinstance(value, messages.HandshakeMessage) else value.encode()
    ranges = locate(value)
    names = {"msg_type", "length"} | {name for name, _, _ in field_specs(kind)}
    outer = [one for one in ranges if one.path in names]
    assert b"".join(raw[one.start : one.end] for one in outer) == raw
    for one in ranges:
        assert 0 <= one.start <= one.end <= len(raw)


def test_a_range_holds_its_field() -> None:
    hello = extensions.KeyShareClientHello([extensions.KeyShareEntry(NamedGroup.X25519, b"k" * 32)])
    found = {one.path: hello.encode()[one.start : one.end] for one in locate(hello)}
    assert found["client_shares[0].group"] == b"\0\x1d"
    assert found["client_shares[0].key_exchange"] == b"\0\x20" + b"k" * 32
    message = messages.EncryptedExtensions({ExtensionType.COOKIE: b"xyz"})
    raw = message.to_bytes()
    [cookie] = [one for one in locate(message) if one.path == "extensions.cookie"]
    assert raw[cookie.start : cookie.end] == b"\0\x2c\0\x03xyz"
