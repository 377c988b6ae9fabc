"""Names of authorities as a server sends them, bare DER, put so that people can read them (RFC 4514)."""

from __future__ import annotations

from handclasp.x509.authorities import ENCODINGS, attributes
from handclasp.x509.text import shortened

__all__ = ["name_text"]

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
        parts = ["+".join(_text(*one) for one in relative) for relative in attributes(der)]
    except (ValueError, IndexError):
        return shortened(der.hex())
    return shortened(",".join(reversed(parts)))


def _text(oid: str, kind: int, value: bytes) -> str:
    return f"{SHORT.get(oid, oid)}={value.decode(ENCODINGS.get(kind, 'utf-8'), 'replace')}"
