"""What a certificate has that its parser does not show: encodings, parameters, and extensions as they were sent."""

from __future__ import annotations

from typing import NamedTuple

from handclasp.x509.der import content_of, element, elements, oid_text

__all__ = ["Fields", "fields_at"]

_UNIQUE_IDENTIFIERS = (0x81, 0x82)
_EXTENSIONS = 0xA3


class Fields(NamedTuple):
    """Parts of a certificate in DER (RFC 5280, 4.1)."""

    version: int
    """1, 2 or 3."""
    signature_algorithm: bytes
    """The AlgorithmIdentifier that was signed."""
    dates: tuple[tuple[int, bytes], ...]
    """The tag and content of both ends of its validity."""
    key_algorithm: bytes
    """The AlgorithmIdentifier of its key."""
    has_unique_identifiers: bool
    extensions: dict[str, bytes] | None
    """The value of each, by its OID with dots; None where there are none at all."""


def fields_at(der: bytes, tbs: int, algorithm: int, validity: int, key: int) -> Fields:
    """Read a certificate whose elements begin at these places; raises `ValueError`."""
    start, end = content_of(der, tbs)
    version = der[start + 4] + 1 if der[start] == 0xA0 else 1
    spki = content_of(der, key)
    more = list(elements(der[spki[1] : end]))
    extensions = next((content for tag, content in more if tag == _EXTENSIONS), None)
    return Fields(
        version,
        der[algorithm : content_of(der, algorithm)[1]],
        tuple(elements(element(der, validity, 0x30))),
        der[spki[0] : content_of(der, spki[0])[1]],
        any(tag in _UNIQUE_IDENTIFIERS for tag, _ in more),
        None if extensions is None else _extensions(extensions),
    )


def _extensions(content: bytes) -> dict[str, bytes]:
    found = {}
    for _, extension in elements(element(content, 0, 0x30)):
        parts = list(elements(extension))
        found[oid_text(parts[0][1])] = parts[-1][1]
    return found
