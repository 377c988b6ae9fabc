"""How much work the password of a file takes, read before it is done (RFC 8018, 4.2; RFC 7914; RFC 7292, 4).

A file says itself how many rounds it wants, up to billions. Every form of that has a salt and then a number,
so these are looked for, and nothing else of the form. The encoding may be BER, as NSS writes it.
"""

from __future__ import annotations

from handclasp.x509.der import content_of

__all__ = ["MOST_ROUNDS", "TooMuchWork", "check_rounds"]

MOST_ROUNDS = 10_000_000
"""Rounds of PBKDF2 or PKCS #12 in all that a file may want: some seconds."""
MOST_SCRYPT = 1 << 22
"""N * r * p of scrypt: some seconds, and half a gigabyte."""
DEEPEST = 16

INTEGER, OCTETS, PARTS_OF_OCTETS = 0x02, 0x04, 0x24


class TooMuchWork(Exception):
    """A file that wants more rounds than anybody needs."""


def check_rounds(data: bytes) -> None:
    """Raise `TooMuchWork` where opening this file would take too long; what does not parse is passed over."""
    rounds = _rounds(data, 0)
    if rounds > MOST_ROUNDS:
        raise TooMuchWork(f"opening it takes {rounds} rounds; at most {MOST_ROUNDS} are made")


def _rounds(data: bytes, depth: int) -> int:
    """Those that all salts in it are followed by."""
    total = at = 0
    while at + 2 <= len(data):
        tag, size = data[at], data[at + 1]
        start, end = content_of(data, at)
        if end > len(data):
            break
        if tag == PARTS_OF_OCTETS:
            whole, at = _joined(data, start, len(data) if size == 0x80 else end)
            total += _rounds(whole, depth + 1) if depth < DEEPEST else 0
        elif tag & 0x20 or size == 0x80 or tag == 0:
            at = start  # what is inside, or behind an end of contents, comes next
        else:
            if tag == OCTETS:
                total += _numbers(data, end)
                total += (
                    _rounds(data[start:end], depth + 1) if data[start : start + 1] == b"\x30" and depth < DEEPEST else 0
                )
            at = end
    return total


def _numbers(data: bytes, at: int) -> int:
    """What stands behind a salt, in rounds of PBKDF2: a number of them, or scrypt's three."""
    numbers: list[int] = []
    while at + 2 <= len(data) and data[at] == INTEGER and len(numbers) < 3:
        start, at = content_of(data, at)
        numbers.append(int.from_bytes(data[start : min(at, start + 16)], "big"))
    if len(numbers) == 3 and numbers[1] * numbers[2] and numbers[0] & (numbers[0] - 1) == 0:
        return numbers[0] * numbers[1] * numbers[2] * MOST_ROUNDS // MOST_SCRYPT
    return numbers[0] if numbers else 0


def _joined(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """The octets of a string in parts, and where it ends."""
    parts = []
    while at + 2 <= end and data[at] == OCTETS:
        start, at = content_of(data, at)
        parts.append(data[start:at])
    return b"".join(parts), at
