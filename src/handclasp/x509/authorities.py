"""Names of authorities as a peer lists them, bare DER, and the comparison of RFC 5280, 7.1 between such names."""

from __future__ import annotations

from collections.abc import Iterator

from handclasp.x509.certificate import prepared
from handclasp.x509.der import after, element, oid_text

__all__ = ["Name", "attributes", "comparable"]

SEQUENCE, SET, OID = 0x30, 0x31, 0x06
ENCODINGS = dict.fromkeys((0x0C, 0x12, 0x13, 0x16, 0x1A), "utf-8") | {
    0x14: "latin-1",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
"""Kinds of DER string, and how their bytes are read."""

Name = tuple[frozenset[tuple[str, object]], ...]
"""A distinguished name in a form that is equal where RFC 5280, 7.1 has names match."""


def attributes(der: bytes) -> Iterator[list[tuple[str, int, bytes]]]:
    """The attributes of each relative name: OID, kind of string and its bytes; raises `ValueError` or `IndexError`."""
    names, at = element(der, 0, SEQUENCE), 0
    while at < len(names):
        relative, inner = element(names, at, SET), 0
        found = []
        while inner < len(relative):
            pair = element(relative, inner, SEQUENCE)
            value = after(pair, 0)
            found.append((oid_text(element(pair, 0, OID)), pair[value], element(pair, value, pair[value])))
            inner = after(relative, inner)
        yield found
        at = after(names, at)


def comparable(der: bytes) -> Name | None:
    """A name to compare: case, runs of spaces and the kind of string don't count; None for what is no name."""
    try:
        return tuple(frozenset((oid, _value(kind, text)) for oid, kind, text in one) for one in attributes(der))
    except (ValueError, IndexError):
        return None


def _value(kind: int, text: bytes) -> object:
    encoding = ENCODINGS.get(kind)
    return (kind, text) if encoding is None else prepared(text.decode(encoding))
