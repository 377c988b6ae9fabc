"""Blocks of PEM (RFC 7468), read in time that grows with their length alone."""

from __future__ import annotations

import base64

__all__ = ["blocks"]

BEGIN, DASHES = b"-----BEGIN ", b"-----"
LONGEST_LABEL = 64


def blocks(data: bytes, *labels: bytes) -> list[bytes]:
    """What the blocks with these labels hold; others are passed over, and what is between blocks too.

    Raises `ValueError` for a block without an end, as in a file half written, and for one that is no base64.
    """
    found = []
    at = 0
    while (start := data.find(BEGIN, at)) >= 0:
        start += len(BEGIN)
        stop = data.find(DASHES, start, start + LONGEST_LABEL)
        label = data[start:stop]
        end = -1 if stop < 0 else data.find(b"-----END " + label + DASHES, stop)
        if end < 0:
            raise ValueError("a PEM block without its end")
        if label in labels:
            found.append(base64.b64decode(b"".join(data[stop + len(DASHES) : end].split()), validate=True))
        at = end + len(DASHES)
    return found
