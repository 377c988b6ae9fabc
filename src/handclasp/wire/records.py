"""The record layer's own structures: header, alert, change_cipher_spec (RFC 8446, 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from handclasp.wire.codec import U16, Struct
from handclasp.wire.iana import AlertDescription, AlertLevel, ContentType, ProtocolVersion

__all__ = ["CHANGE_CIPHER_SPEC", "MAX_PLAINTEXT", "RECORD_HEADER_SIZE", "Alert", "RecordHeader"]

RECORD_HEADER_SIZE: Final = 5
MAX_PLAINTEXT: Final = 1 << 14
"""The most plaintext that one record holds, in bytes (RFC 8446, 5.1)."""

CHANGE_CIPHER_SPEC: Final = b"\x01"
"""The one body that a change_cipher_spec record has (RFC 8446, 5)."""


@dataclass(slots=True)
class RecordHeader(Struct):
    """Five bytes before each record (RFC 8446, 5.1)."""

    type: ContentType
    legacy_record_version: ProtocolVersion
    length: Annotated[int, U16]


@dataclass(slots=True)
class Alert(Struct):
    """One party ends the connection, or warns (RFC 8446, 6)."""

    level: AlertLevel
    description: AlertDescription
