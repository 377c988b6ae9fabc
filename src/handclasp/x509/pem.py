"""Blocks of PEM (RFC 7468), read in time that grows with their length alone."""

from __future__ import annotations

import base64
import codecs

__all__ = ["as_pem", "blocks", "labelled_blocks"]

BEGIN, DASHES = b"-----BEGIN ", b"-----"
LONGEST_LABEL = 64
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def as_pem(data: bytes) -> bytes:
    """Bytes as they are, but for PEM that came through a tool: in UTF-16, or with its line ends written as two letters.

    PowerShell writes the one, variables of an environment and JSON hold the other.
    """
    if data.startswith(UTF_16):
        data = data.decode("utf-16", "replace").encode()
    if b"-----BEGIN " in data and (b"-----\\n" in data or b"-----\\r\\n" in data):
        data = data.replace(b"\\r", b"").replace(b"\\n", b"\n")
    return data


def blocks(data: bytes, *labels: bytes) -> list[bytes]:
    """What the blocks with these labels hold; others are passed over, and what is between blocks too.

    Raises `ValueError` for a block without an end, as in a file half written, and for one that is no base64.
    """
    return [body for _, body in labelled_blocks(data, *labels)]


def labelled_blocks(data: bytes, *labels: bytes) -> list[tuple[bytes, bytes]]:
    """The same, each after its label."""
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
            body = b"".join(data[stop + len(DASHES) : end].split())
            found.append((label, base64.b64decode(body, validate=True)))
        at = end + len(DASHES)
    return found
