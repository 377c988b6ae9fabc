"""Names of authorities as a server sends them, bare DER, put so that people can read them (RFC 4514)."""

from __future__ import annotations

from collections.abc import Iterator

from handclasp.x509.der import after, element, oid_text
from handclasp.x509.text import shortened

__all__ = ["name_text"]

SEQUENCE, SET, OID = 0x30, 0x31, 0x06
ENCODINGS = {0x1C: "utf-32-be", 0x1E: "utf-16-be"}
"""Kinds of DER string that are not read as UTF-8."""

SHORT = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.25": "DC",
}


def name_text(der: bytes) -> str:
    """A distinguished name, its most exact part first; its bytes in hex where they are no name."""
    try:
        parts = list(_parts(element(der, 0, SEQUENCE)))
    except (ValueError, IndexError):
        return shortened(der.hex())
    return shortened(",".join(reversed(parts)))


def _parts(names: bytes) -> Iterator[str]:
    at = 0
    while at < len(names):
        attributes, inner = element(names, at, SET), 0
        values = []
        while inner < len(attributes):
            values.append(_attribute(element(attributes, inner, SEQUENCE)))
            inner = after(attributes, inner)
        yield "+".join(values)
        at = after(names, at)


def _attribute(pair: bytes) -> str:
    kind, at = oid_text(element(pair, 0, OID)), after(pair, 0)
    value = element(pair, at, pair[at])
    return f"{SHORT.get(kind, kind)}={value.decode(ENCODINGS.get(pair[at], 'utf-8'), 'replace')}"
