"""Which bytes hold which field: the same declarations as the codec's, walked instead of compiled.

For showing and explaining messages; nothing on the way of a record comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handclasp.wire.codec import Extensions, Fixed, Opaque, Registry, Rest, Struct, UInt, Vector, field_specs
from handclasp.wire.messages import HEADER_SIZE, HandshakeMessage

__all__ = ["FieldRange", "locate"]


@dataclass(frozen=True, slots=True)
class FieldRange:
    """One field of a structure: `data[start:end]`, its length prefix included."""

    path: str
    """Names from the outside in, as "key_share.client_shares[0].group"."""
    start: int
    end: int


def locate(value: Struct) -> list[FieldRange]:
    """The ranges of all fields of a structure in its encoding, the outer ones before the inner.

    Of a handshake message the ranges are those in `raw`: type and length come first.
    """
    found: list[FieldRange] = []
    at = 0
    if isinstance(value, HandshakeMessage):
        found += [FieldRange("msg_type", 0, 1), FieldRange("length", 1, HEADER_SIZE)]
        at = HEADER_SIZE
    _walk(value, "", at, found)
    return found


def _walk(value: Struct, prefix: str, at: int, found: list[FieldRange]) -> int:
    for name, spec, _ in field_specs(type(value)):
        path = f"{prefix}{name}"
        content = getattr(value, name)
        index = len(found)
        end = _field(content, spec, path, at, found)
        found.insert(index, FieldRange(path, at, end))
        at = end
    return at


def _field(content: Any, spec: Any, path: str, at: int, found: list[FieldRange]) -> int:
    if isinstance(spec, UInt | Fixed):
        return at + int(spec.size)
    if isinstance(spec, Opaque):
        return at + spec.prefix.size + len(content)
    if isinstance(spec, Rest):
        return at + len(content)
    if isinstance(spec, Extensions):
        return _extensions(content, spec, path, at, found)
    if isinstance(spec, Vector):
        return _items(content, spec, path, at + spec.prefix.size, found)
    if issubclass(spec, Registry):
        return at + int(spec.size)
    return _walk(content, f"{path}.", at, found)


def _extensions(content: Any, spec: Extensions, path: str, at: int, found: list[FieldRange]) -> int:
    if spec.optional and not content:
        return at
    at += 2
    for kind, data in content.items():
        end = at + 4 + len(data)
        found.append(FieldRange(f"{path}.{str(kind).lower()}", at, end))
        at = end
    return at


def _items(content: Any, spec: Vector, path: str, at: int, found: list[FieldRange]) -> int:
    for index, one in enumerate(content):
        where = f"{path}[{index}]"
        place = len(found)
        if isinstance(one, Struct):
            end = _walk(one, f"{where}.", at, found)
        elif isinstance(spec.item, Opaque):
            end = at + spec.item.prefix.size + len(one)
        else:
            end = at + (spec.item.size if isinstance(spec.item, UInt) else one.size)
        found.insert(place, FieldRange(where, at, end))
        at = end
    return at
