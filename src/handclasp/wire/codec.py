"""Structures of the presentation language (RFC 8446, 3), declared once.

A structure is an annotated dataclass. Its decoder and encoder are written out as Python source
from the declaration and compiled on first use: as fast as by hand, and an import costs nothing
for structures that nobody uses. `ranges.py` walks the same declaration to say which bytes hold
which field.

Decoding checks syntax alone and is exact: every byte is eaten, every bound holds, no extension
comes twice. Whether a value makes sense at this point is the handshake's business.
"""

from __future__ import annotations

import struct
import typing
from dataclasses import dataclass, fields
from typing import Any, Self

from handclasp.errors import PeerError, UsageError
from handclasp.wire.registry import Registry

__all__ = [
    "U8",
    "U16",
    "U24",
    "U32",
    "U64",
    "DecodeError",
    "EncodeError",
    "Extensions",
    "Fixed",
    "Opaque",
    "Registry",
    "RepeatedExtension",
    "Rest",
    "Struct",
    "UInt",
    "Vector",
    "field_specs",
]


class DecodeError(PeerError):
    """Bytes that are not the structure they should be (RFC 8446, 6.2, decode_error)."""

    alert = 50
    section = "RFC 8446, 6.2"
    mend = "The peer's TLS software builds this message wrongly, or something between changed it."


class RepeatedExtension(DecodeError):
    """The same extension twice in one block (RFC 8446, 4.2)."""

    alert = 47
    section = "RFC 8446, 4.2"


class EncodeError(UsageError):
    """A value that does not fit the field it was put in."""


@dataclass(frozen=True, slots=True)
class UInt:
    """An unsigned integer of `size` bytes."""

    size: int

    @property
    def limit(self) -> int:
        """The largest value that fits."""
        return (1 << 8 * self.size) - 1


U8, U16, U24, U32, U64 = UInt(1), UInt(2), UInt(3), UInt(4), UInt(8)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Exactly `size` bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """Bytes behind their length; `low` and `high` bound that length."""

    prefix: UInt
    low: int = 0
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Vector:
    """A list behind its length in bytes, which `low` and `high` bound; `item` where the type doesn't tell."""

    prefix: UInt
    low: int = 0
    high: int | None = None
    item: UInt | Opaque | None = None


@dataclass(frozen=True, slots=True)
class Extensions:
    """A block of extensions: `dict[ExtensionType, bytes]` in the order sent, each type once.

    `optional`: the whole block may be absent, which an empty dict stands for (RFC 5246, 7.4.1.2).
    """

    optional: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """All bytes up to the end of the structure."""


Spec = UInt | Fixed | Opaque | Vector | Extensions | Rest | type[Any]


class Struct:
    """The base of every structure on the wire; subclasses are `@dataclass(slots=True)`."""

    __slots__ = ()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The structure that all of `data` is; raises `DecodeError` for anything else."""
        value, at = cls._read(data, 0, len(data))
        if at != len(data):
            raise DecodeError(f"{cls.__name__} is followed by {len(data) - at} bytes that belong to nothing.")
        return value

    def encode(self) -> bytes:
        """The bytes of this structure; raises `EncodeError` if a value does not fit its field."""
        return self._write()

    @classmethod
    def _read(cls, data: bytes, at: int, end: int) -> tuple[Self, int]:
        _generate(cls)
        return cls._read(data, at, end)

    def _write(self) -> bytes:
        _generate(type(self))
        return self._write()


def field_specs(cls: type[Struct]) -> list[tuple[str, Spec, type[Any] | None]]:
    """Each field on the wire: its name, how it is written, and the type of a list's items."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found: list[tuple[str, Spec, type[Any] | None]] = []
    for field in fields(cls):  # type: ignore[arg-type]  # every concrete Struct is a dataclass
        if field.metadata.get("off_wire"):
            continue
        hint = hints[field.name]
        if typing.get_origin(hint) is typing.Annotated:
            base, spec = typing.get_args(hint)
            item = typing.get_args(base)[0] if typing.get_origin(base) is list else base
            if isinstance(spec, Extensions):
                item = typing.get_args(base)[0]
            found.append((field.name, spec, item))
        else:
            found.append((field.name, hint, None))
    return found


# The generator. What it writes is plain: one function that reads, one that writes.


class _Source:
    """Lines of a function being written, and the objects it refers to."""

    def __init__(self, cls: type[Struct]) -> None:
        self.cls = cls
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "cls": cls,
            "short": _short,
            "out_of_bounds": _out_of_bounds,
            "repeated": _repeated,
            "unfit": _unfit,
            "unpack": struct.unpack_from,
            "join": b"".join,
        }

    def bind(self, value: Any) -> str:
        name = f"_{len(self.names)}"
        self.names[name] = value
        return name

    def add(self, line: str, indent: int = 1) -> None:
        self.lines.append("    " * indent + line)

    def function(self, head: str) -> Any:
        source = f"def {head}:\n" + "\n".join(self.lines) + "\n"
        code = compile(source, f"<wire {self.cls.__name__}>", "exec")
        exec(code, self.names)  # noqa: S102  # source made above from our own declarations
        return self.names[head.partition("(")[0]]


def _generate(cls: type[Struct]) -> None:
    specs = field_specs(cls)
    cls._read = staticmethod(_reader(cls, specs))  # type: ignore[method-assign]
    cls._write = _writer(cls, specs)  # type: ignore[method-assign]


def _reader(cls: type[Struct], specs: list[tuple[str, Spec, type[Any] | None]]) -> Any:
    out = _Source(cls)
    for name, spec, item in specs:
        _read_field(out, name, spec, item)
    arguments = ", ".join(f"{name}=v_{name}" for name, _, _ in specs)
    out.add(f"return cls({arguments}), at")
    return out.function("read(data, at, end)")


def _read_field(out: _Source, name: str, spec: Spec, item: type[Any] | None) -> None:
    if isinstance(spec, UInt):
        _read_uint(out, f"v_{name}", name, spec.size)
    elif isinstance(spec, Fixed):
        out.add(f"if end - at < {spec.size}: short(cls, {name!r}, {spec.size}, end - at)")
        out.add(f"v_{name} = data[at:at + {spec.size}]")
        out.add(f"at += {spec.size}")
    elif isinstance(spec, Opaque):
        _read_length(out, name, spec)
        out.add(f"v_{name} = data[at:stop]")
        out.add("at = stop")
    elif isinstance(spec, Vector):
        _read_length(out, name, spec)
        _read_items(out, name, spec, item)
    elif isinstance(spec, Extensions):
        _read_extensions(out, name, spec, item)
    elif isinstance(spec, Rest):
        out.add(f"v_{name} = data[at:end]")
        out.add("at = end")
    elif issubclass(spec, Registry):
        _read_uint(out, "code", name, spec.size)
        known, unknown = out.bind(spec._value2member_map_.get), out.bind(spec.unknown)
        out.add(f"v_{name} = {known}(code)")
        out.add(f"if v_{name} is None: v_{name} = {unknown}(code)")
    else:
        kind = out.bind(spec)
        out.add(f"v_{name}, at = {kind}._read(data, at, end)")


def _read_uint(out: _Source, target: str, name: str, size: int, indent: int = 1) -> None:
    out.add(f"if end - at < {size}: short(cls, {name!r}, {size}, end - at)", indent)
    terms = [f"data[at + {i}] << {8 * (size - 1 - i)}" if i < size - 1 else f"data[at + {i}]" for i in range(size)]
    out.add(f"{target} = {' | '.join(terms)}", indent)
    out.add(f"at += {size}", indent)


def _read_length(out: _Source, name: str, spec: Opaque | Vector) -> None:
    high = spec.prefix.limit if spec.high is None else spec.high
    _read_uint(out, "size", name, spec.prefix.size)
    if spec.low or high < spec.prefix.limit:
        out.add(f"if not {spec.low} <= size <= {high}: out_of_bounds(cls, {name!r}, size, {spec.low}, {high})")
    out.add(f"if size > end - at: short(cls, {name!r}, size, end - at)")
    out.add("stop = at + size")


def _read_items(out: _Source, name: str, spec: Vector, item: type[Any] | None) -> None:
    width = spec.item.size if isinstance(spec.item, UInt) else getattr(item, "size", 0)
    if width in (1, 2):
        out.add(f"if size % {width}: short(cls, {name!r}, {width}, size % {width})")
        numbers = "data[at:stop]" if width == 1 else "unpack(f'>{size // 2}H', data, at)"
        if isinstance(spec.item, UInt):
            out.add(f"v_{name} = list({numbers})")
        else:
            known = out.bind(item._value2member_map_.get)  # type: ignore[union-attr]
            unknown = out.bind(item.unknown)  # type: ignore[union-attr]
            out.add(f"v_{name} = [{unknown}(n) if (one := {known}(n)) is None else one for n in {numbers}]")
        out.add("at = stop")
        return
    out.add(f"v_{name} = []")
    out.add("while at < stop:")
    if isinstance(spec.item, Opaque):
        inner = spec.item
        out.add("outer, end_, end = stop, end, stop", 2)
        saved, out.lines = out.lines, []
        _read_length(out, name, inner)
        out.lines = saved + ["    " + line for line in out.lines]
        out.add(f"v_{name}.append(data[at:stop])", 2)
        out.add("at, stop, end = stop, outer, end_", 2)
    else:
        out.add(f"one, at = {out.bind(item)}._read(data, at, stop)", 2)
        out.add(f"v_{name}.append(one)", 2)


def _read_extensions(out: _Source, name: str, spec: Extensions, item: Any) -> None:
    known, kind, unknown = out.bind(item._value2member_map_.get), out.bind(item), out.bind(item.unknown)
    indent = 1
    out.add(f"v_{name} = {{}}")
    if spec.optional:
        out.add("if at < end:")
        indent = 2
    _read_uint(out, "size", name, 2, indent)
    out.add(f"if size > end - at: short(cls, {name!r}, size, end - at)", indent)
    out.add("stop = at + size", indent)
    out.add("while at < stop:", indent)
    out.add(f"if stop - at < 4: short(cls, {name!r}, 4, stop - at)", indent + 1)
    out.add("code = data[at] << 8 | data[at + 1]", indent + 1)
    out.add("size = data[at + 2] << 8 | data[at + 3]", indent + 1)
    out.add("at += 4", indent + 1)
    out.add(f"if size > stop - at: short(cls, {name!r}, size, stop - at)", indent + 1)
    out.add(f"if code in v_{name}: repeated(cls, {kind}(code))", indent + 1)
    out.add(f"one = {known}(code)", indent + 1)
    out.add(f"v_{name}[{unknown}(code) if one is None else one] = data[at:at + size]", indent + 1)
    out.add("at += size", indent + 1)


def _writer(cls: type[Struct], specs: list[tuple[str, Spec, type[Any] | None]]) -> Any:
    out = _Source(cls)
    parts: list[str] = []
    for name, spec, item in specs:
        parts += _write_field(out, name, spec, item)
    out.add(f"return join(({', '.join(parts)},))" if parts else "return b''")
    return out.function("write(self)")


def _write_field(out: _Source, name: str, spec: Spec, item: type[Any] | None) -> list[str]:
    if isinstance(spec, UInt):
        out.add(f"v_{name} = self.{name}")
        out.add(f"if not 0 <= v_{name} <= {spec.limit}: unfit(cls, {name!r}, 'value', v_{name})")
        return [f"v_{name}.to_bytes({spec.size}, 'big')"]
    if isinstance(spec, Fixed):
        out.add(f"if len(self.{name}) != {spec.size}: unfit(cls, {name!r}, 'length', len(self.{name}))")
        return [f"self.{name}"]
    if isinstance(spec, Opaque):
        out.add(f"b_{name} = self.{name}")
        return _write_sized(out, name, spec)
    if isinstance(spec, Vector):
        out.add(f"b_{name} = {_write_items(out, name, spec, item)}")
        return _write_sized(out, name, spec)
    if isinstance(spec, Extensions):
        out.add(
            f"b_{name} = join([t.to_bytes(2, 'big') + len(d).to_bytes(2, 'big') + d for t, d in self.{name}.items()])"
        )
        parts = _write_sized(out, name, Opaque(U16))
        return [f"({' + '.join(parts)} if b_{name} else b'')"] if spec.optional else parts
    if isinstance(spec, Rest):
        return [f"self.{name}"]
    if issubclass(spec, Registry):
        return [f"self.{name}.to_bytes({spec.size}, 'big')"]
    return [f"self.{name}._write()"]


def _write_sized(out: _Source, name: str, spec: Opaque | Vector) -> list[str]:
    high = spec.prefix.limit if spec.high is None else spec.high
    out.add(f"n_{name} = len(b_{name})")
    out.add(f"if not {spec.low} <= n_{name} <= {high}: unfit(cls, {name!r}, 'length', n_{name})")
    return [f"n_{name}.to_bytes({spec.prefix.size}, 'big')", f"b_{name}"]


def _write_items(out: _Source, name: str, spec: Vector, item: type[Any] | None) -> str:
    width = spec.item.size if isinstance(spec.item, UInt) else getattr(item, "size", 0)
    if width == 1:
        return f"bytes(self.{name})"
    if width:
        return f"join([n.to_bytes({width}, 'big') for n in self.{name}])"
    if isinstance(spec.item, Opaque):
        inner = spec.item
        high = inner.prefix.limit if inner.high is None else inner.high
        out.add(f"for one in self.{name}:")
        out.add(f"if not {inner.low} <= len(one) <= {high}: unfit(cls, {name!r}, 'length', len(one))", 2)
        return f"join([len(one).to_bytes({inner.prefix.size}, 'big') + one for one in self.{name}])"
    return f"join([one._write() for one in self.{name}])"


def _short(cls: type[Struct], name: str, want: int, have: int) -> None:
    raise DecodeError(f"{cls.__name__}.{name} needs {want} bytes where {have} are left.")


def _out_of_bounds(cls: type[Struct], name: str, size: int, low: int, high: int) -> None:
    raise DecodeError(f"{cls.__name__}.{name} is {size} bytes long; {low} to {high} are allowed.")


def _repeated(cls: type[Struct], extension: Registry) -> None:
    raise RepeatedExtension(f"{cls.__name__} has the extension {extension} more than once.")


def _unfit(cls: type[Struct], name: str, what: str, value: int) -> None:
    raise EncodeError(f"{cls.__name__}.{name}: a {what} of {value} does not fit.")
