"""DER taken apart, changed in a place or three, put together with lengths that fit, and signed anew.

A changed byte is mostly found by a signature that no longer fits; what is signed anew goes as deep as anything can.
"""

from __future__ import annotations

from random import Random
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.x509.chains import key_of

from handclasp.x509.der import content_of

__all__ = ["changed", "changed_response", "changed_signed"]

Node = list[Any]
"""A tag, and contents: bytes, or a row of nodes."""
ODD = [
    b"", b"\0", b"\xff", b"\xff" * 20, b"\x80", b"\x30\0", b"\5\0", b"\x7f" * 200, b"9999", b"99991231235959Z",
    b"000101000000Z", b"00000101000000Z", b"19500101000000Z", b"\xc3\x28", b"\xed\xa0\x80", b"xn--a", b"http://[",
    b"*." * 50 + b"a", b"a" * 300, b"\xe9", "\u0130".encode(),
]  # fmt: skip
TAGS = [
    *range(1, 7),
    10,
    12,
    0x13,
    0x14,
    *range(0x16, 0x19),
    0x1C,
    0x1E,
    0x30,
    0x31,
    *range(0x80, 0x89),
    *range(0xA0, 0xA5),
]


def changed(der: bytes, random: Random) -> bytes:
    """The same in another form; what was signed is not signed anew."""
    return _put(_change(_take(der), random))


def changed_signed(der: bytes, random: Random, key: int) -> bytes:
    """A certificate or list whose signed part was changed, and then signed by a key."""
    [[_, [signed, algorithm, _]]] = _take(der)
    return _signed(_put(_change([signed], random)), _put([algorithm]), key)


def changed_response(der: bytes, random: Random, key: int) -> bytes:
    """The same for an OCSP response (RFC 6960, 4.2.1)."""
    outer = _take(der)
    basic = outer[0][1][1][1][0][1][1]
    data, algorithm, _, *certificates = _take(basic[1] if isinstance(basic[1], bytes) else _put(basic[1]))[0][1]
    signed = _signed(_put(_change([data], random)), _put([algorithm]), key, _put(certificates))
    basic[1] = signed
    return _put(outer)


def _signed(tbs: bytes, algorithm: bytes, key: int, more: bytes = b"") -> bytes:
    signature = key_of(key).sign(tbs, ec.ECDSA(hashes.SHA256()))
    return _put([[0x30, tbs + algorithm + _put([[3, b"\0" + signature]]) + more]])


def _take(der: bytes) -> list[Node]:
    found: list[Node] = []
    at = 0
    while at < len(der):
        tag = der[at]
        start, end = content_of(der, at)
        if end > len(der):
            raise ValueError
        inside: bytes | list[Node] = der[start:end]
        if tag & 0x20:
            inside = _take(der[start:end])
        elif tag == 4 and end - start > 1:
            inside = _maybe(der[start:end])
        found.append([tag, inside])
        at = end
    return found


def _maybe(content: bytes) -> bytes | list[Node]:
    """An OCTET STRING holds DER, or something else."""
    try:
        nodes = _take(content)
    except (ValueError, IndexError):
        return content
    return nodes if _put(nodes) == content else content


def _put(nodes: list[Node]) -> bytes:
    made = b""
    for tag, inside in nodes:
        content = inside if isinstance(inside, bytes) else _put(inside)
        size = len(content)
        count = (size.bit_length() + 7) // 8
        length = bytes((size,)) if size < 128 else bytes((0x80 | count,)) + size.to_bytes(count, "big")
        made += bytes((tag,)) + length + content
    return made


def _rows(nodes: list[Node]) -> list[list[Node]]:
    """All rows of nodes in it that are not empty."""
    found = [nodes] if nodes else []
    for _, inside in nodes:
        if isinstance(inside, list):
            found += _rows(inside)
    return found


def _change(nodes: list[Node], random: Random) -> list[Node]:
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        rows = _rows(nodes)
        places = [(row, at) for row in rows for at in range(len(row))]
        if not places:
            break
        (row, at), (other, place) = random.choice(places), random.choice(places)
        tag, inside = row[at]
        content = bytearray(inside if isinstance(inside, bytes) else _put(inside))
        what = random.randrange(9)
        if what == 0:
            row[at] = [random.choice(TAGS), inside]
        elif what == 1:
            del row[at]
        elif what == 2:
            row.insert(at, [tag, bytes(content)])
        elif what == 3:
            row[at] = [tag, random.choice(ODD)]
        elif what == 4:
            row[at] = [random.choice(TAGS), random.choice(ODD)]
        elif what == 5:
            second = random.randrange(len(row))
            row[at], row[second] = row[second], row[at]
        elif what == 6 and content:
            content[random.randrange(len(content))] = random.randrange(256)
            row[at] = [tag, bytes(content)]
        elif what == 7:
            row[at] = [other[place][0], _put([other[place]])]
        else:
            row[at] = [tag, bytes(content) + random.choice(ODD)]
    return nodes
