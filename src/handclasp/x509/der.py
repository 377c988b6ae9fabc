"""The little DER that we read ourselves, where `cryptography` shows less than we need."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["after", "content_of", "element", "elements", "oid_text", "sequence"]


LONGEST_OID = 63
"""Bytes of the longest object identifier that is looked at; the parser of `cryptography` has the same limit."""


def content_of(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends; raises `IndexError` past the end."""
    size, at = der[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, at = int.from_bytes(der[at : at + count], "big"), at + count
    return at, at + size


def after(der: bytes, at: int) -> int:
    """Where the element after the one at `at` begins."""
    return content_of(der, at)[1]


def element(der: bytes, at: int, tag: int) -> bytes:
    """The content of the element at `at`, which has this tag and ends inside; raises `ValueError`."""
    if at + 2 > len(der) or der[at] != tag:
        raise ValueError("not the element that belongs here")
    start, end = content_of(der, at)
    if end > len(der):
        raise ValueError("an element goes past its end")
    return der[start:end]


def elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and content of each element that stands in this content; raises `ValueError` past the end."""
    at = 0
    while at < len(content):
        tag = content[at]
        yield tag, element(content, at, tag)
        at = after(content, at)


def sequence(content: bytes) -> bytes:
    """The SEQUENCE with this content."""
    size = len(content)
    if size < 0x80:
        return b"\x30" + bytes((size,)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return b"\x30" + bytes((0x80 | len(length),)) + length + content


def oid_text(content: bytes) -> str:
    """An object identifier with dots; raises `ValueError`."""
    if len(content) > LONGEST_OID:
        raise ValueError("an object identifier of no use")
    arcs, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    if not arcs:
        raise ValueError("an empty object identifier")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
