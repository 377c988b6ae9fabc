"""Values that a caller hands over: of the type that they are annotated with, or refused at once.

A wrong type would else come out as an `AttributeError` deep inside, in another thread, when the first peer calls.
What is meant is taken: a list where the order counts becomes a tuple, a set of names a frozen one. A string is no
list of letters, True is no number, a time has a time zone.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from handclasp.errors import ConfigError, UsageError

__all__ = ["check_fields", "check_type", "checked"]

P = ParamSpec("P")
R = TypeVar("R")
Taker = Callable[[Any], Any]
"""From a value to what is kept of it; raises `_Wrong`."""


class _Wrong(Exception):
    """A value that is not of its type."""


def check_fields(one: Any, *, where: str = "", **later: Any) -> None:
    """Have the fields of a frozen dataclass be of their types; raises `ConfigError` for the first that is not.

    `later` has types that the class's module does not import; `where` goes before the names.
    """
    kind: Any = type(one)
    for name, hint, take in _fields(kind, tuple(later.items())):
        value = getattr(one, name)
        try:
            taken = take(value)
        except _Wrong:
            raise ConfigError(f"{where}{name}: {_described(hint)} is wanted, not {_found(value)}.") from None
        if taken is not value:
            object.__setattr__(one, name, taken)


def check_type(name: str, value: object, *kinds: Any) -> None:
    """Raise `UsageError` where an argument is of none of these types."""
    _taken(name, value, Union[kinds])  # noqa: UP007  # of what is known when it is called


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Have the arguments of a function be of their types; raises `UsageError` for the first that is not.

    It costs about ten microseconds a call, so it is for what is called once: not for what each connection calls.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        signature, takers = _arguments(function)
        bound = signature.bind(*args, **kwargs)
        for name, (hint, many) in takers.items():
            if name in bound.arguments:
                value = bound.arguments[name]
                taken = tuple(_taken(name, one, hint) for one in value) if many else _taken(name, value, hint)
                bound.arguments[name] = taken
        return function(*bound.args, **bound.kwargs)

    return call


def _taken(name: str, value: object, hint: Any) -> Any:
    try:
        return _taker(hint)(value)
    except _Wrong:
        raise UsageError(f"{name}: {_described(hint)} is wanted, not {_found(value)}.") from None


@lru_cache(maxsize=64)
def _fields(kind: Any, later: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any, Taker], ...]:
    hints = get_type_hints(kind, localns=dict(later))
    return tuple((one.name, hints[one.name], _taker(hints[one.name])) for one in fields(kind) if one.init)


@lru_cache(maxsize=256)
def _arguments(function: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, tuple[Any, bool]]]:
    signature, hints = inspect.signature(function), get_type_hints(function)
    found = {
        name: (hints[name], one.kind is one.VAR_POSITIONAL)
        for name, one in signature.parameters.items()
        if name in hints and one.kind is not one.VAR_KEYWORD
    }
    return signature, found


@lru_cache(maxsize=256)
def _taker(hint: Any) -> Taker:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is bytes:
        return _bytes
    if hint is Any or isinstance(hint, TypeVar):
        return lambda value: value
    if origin in (Union, types.UnionType):
        return _one_of(tuple(map(_taker, inner)))
    if origin is Literal:
        return _passing(lambda value: any(type(value) is type(one) and value == one for one in inner))
    if origin is Callable or hint is Callable:
        return _passing(callable)
    if origin is type:
        kinds = get_args(inner[0]) or inner
        return _passing(lambda value: isinstance(value, type) and issubclass(value, kinds))
    if origin is tuple and inner[-1] is not Ellipsis:
        return _in_order(tuple(map(_taker, inner)))
    if origin in COLLECTIONS:
        return _each(origin, _taker(inner[0]))
    if origin is Mapping:
        return _mapping(*map(_taker, inner))
    return _passing(PLAIN.get(hint) or _is_a(origin or hint))


COLLECTIONS = (tuple, frozenset, Iterable, Sequence, Collection)

PLAIN: dict[Any, Callable[[Any], bool]] = {
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value),
    datetime: lambda value: isinstance(value, datetime) and value.utcoffset() is not None,
}


def _bytes(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _Wrong
    return bytes(value)


def _is_a(kind: type[Any]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _passing(good: Callable[[Any], bool]) -> Taker:
    def take(value: Any) -> Any:
        if not good(value):
            raise _Wrong
        return value

    return take


def _one_of(takers: tuple[Taker, ...]) -> Taker:
    def take(value: Any) -> Any:
        for one in takers:
            try:
                return one(value)
            except _Wrong:
                continue
        raise _Wrong

    return take


def _in_order(takers: tuple[Taker, ...]) -> Taker:
    def take(value: Any) -> Any:
        if not isinstance(value, (tuple, list)) or len(value) != len(takers):
            raise _Wrong
        return tuple(one(item) for one, item in zip(takers, value, strict=True))

    return take


def _mapping(key: Taker, item: Taker) -> Taker:
    def take(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _Wrong
        for one in value:
            key(one)
            item(value[one])
        return value

    return take


def _each(kind: Any, item: Taker) -> Taker:
    """A collection; a string or bytes are none, and neither is a set where the order counts."""

    def take(value: Any) -> Any:
        if isinstance(value, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(value, Iterable):
            raise _Wrong
        if kind is frozenset:
            return frozenset(map(item, value))
        if isinstance(value, (set, frozenset)) and kind in (tuple, Sequence):
            raise _Wrong
        if kind is tuple or isinstance(value, (tuple, Iterator)) or (isinstance(value, list) and kind is not Iterable):
            return tuple(map(item, value))
        for one in value:  # something that lives on, as a key store or a list of what is renewed does
            item(one)
        return value

    return take


def _described(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        *first, last = dict.fromkeys(map(_described, inner))
        return f"{', '.join(first)} or {last}" if first else last
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is Callable or hint is Callable:
        return "a function"
    if origin is type:
        return f"a class ({', '.join(one.__name__ for one in get_args(inner[0]) or inner)})"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"a tuple of {' and '.join(map(_described, inner))}"
    if origin in COLLECTIONS:
        return f"a {'frozenset' if origin is frozenset else 'tuple'} of {_described(inner[0]).partition(' ')[2]}"
    if origin is Mapping:
        return f"a dict from {_described(inner[0])} to {_described(inner[1])}"
    if hint is type(None):
        return "None"
    name = getattr(origin or hint, "__name__", str(hint))
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}{' with a time zone' if hint is datetime else ''}"


def _found(value: object) -> str:
    """The type alone: the value may be a secret."""
    if value is None:
        return "None"
    if isinstance(value, float) and not math.isfinite(value):
        return "one that is not finite"
    if isinstance(value, datetime) and value.utcoffset() is None:
        return "a datetime without a time zone"
    name = type(value).__name__
    inside = ""
    if isinstance(value, Mapping):
        inside = f" from {_types(value)} to {_types(value.values())}"
    if isinstance(value, (tuple, list, set, frozenset)):
        inside = f" of {_types(value)}"
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}{inside}"


def _types(values: Iterable[object]) -> str:
    return ", ".join(sorted({type(one).__name__ for one in values})) or "nothing"
