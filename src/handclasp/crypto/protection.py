"""Record protection with AEAD: the hot path (RFC 8446, 5.2; RFC 5246, 6.2.3.3; RFC 7905).

Sealing appends headers and ciphertexts to a list, which is joined once when it is sent: records
stay in buffers of their own size, and only the whole is allocated anew. (Sealing straight into one
buffer was slower: the buffer is cleared first, and its pages are touched twice.) The sequence
number is an integer that is XORed into the nonce base as an integer: no loop over bytes.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from handclasp.crypto.suites import SuiteParameters
from handclasp.errors import HandclaspError, PeerError
from handclasp.wire.iana import AlertDescription, ContentType
from handclasp.wire.records import MAX_PLAINTEXT

__all__ = [
    "MAX_CIPHERTEXT",
    "BadRecordMac",
    "EmptyInnerPlaintext",
    "Opener12",
    "Opener13",
    "ProtectedChangeCipherSpec",
    "RecordOverflow",
    "Sealer12",
    "Sealer13",
    "SequenceExhausted",
    "UnprotectedRecord",
]

MAX_CIPHERTEXT = MAX_PLAINTEXT + 256
"""The most that a protected record of TLS 1.3 holds, in bytes (RFC 8446, 5.2)."""
SEQUENCE_END = (1 << 64) - 1
_SUFFIXES = tuple(bytes((code,)) for code in range(256))
APPLICATION_DATA = int(ContentType.APPLICATION_DATA)
CHANGE_CIPHER_SPEC_TYPE = int(ContentType.CHANGE_CIPHER_SPEC)


class BadRecordMac(PeerError):
    """A record that was changed on its way, or protected with another key (RFC 8446, 5.2)."""

    alert = AlertDescription.BAD_RECORD_MAC
    section = "RFC 8446, 5.2"
    mend = "Something changed the data on its way, or one side lost a record; open a new connection."


class UnprotectedRecord(PeerError):
    """A record in clear where TLS 1.3 protects all (RFC 8446, 5.2)."""

    alert = AlertDescription.UNEXPECTED_MESSAGE
    section = "RFC 8446, 5.2"
    mend = "Somebody between may have put the record in; or the peer's TLS software has lost its keys."


class RecordOverflow(PeerError):
    """A record with more content than one may have (RFC 8446, 5.2)."""

    alert = AlertDescription.RECORD_OVERFLOW
    section = "RFC 8446, 5.2"


class EmptyInnerPlaintext(PeerError):
    """A protected record of zeros alone, which has no content type (RFC 8446, 5.4)."""

    alert = AlertDescription.UNEXPECTED_MESSAGE
    section = "RFC 8446, 5.4"


class ProtectedChangeCipherSpec(PeerError):
    """A change_cipher_spec inside a protected record, where TLS 1.3 has none (RFC 8446, 5)."""

    alert = AlertDescription.UNEXPECTED_MESSAGE
    section = "RFC 8446, 5"


class SequenceExhausted(HandclaspError):
    """One key has protected 2^64-1 records; the connection has to end (RFC 8446, 5.3)."""


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes | bytearray | memoryview, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated_data: bytes | bytearray | None) -> bytes: ...


def _aead(suite: SuiteParameters, key: bytes) -> _Aead:
    if suite.aead == "AES-GCM":
        return AESGCM(key)
    if suite.aead == "ChaCha20-Poly1305":
        return ChaCha20Poly1305(key)
    return AESCCM(key, tag_length=suite.tag_length)


class _Protection:
    __slots__ = ("_aead", "_iv", "_tag_length", "sequence", "suite")

    is_tls13 = False

    def __init__(self, suite: SuiteParameters, key: bytes, iv: bytes) -> None:
        self.suite = suite
        self.sequence = 0
        self._aead = _aead(suite, key)
        self._iv = int.from_bytes(iv, "big")
        self._tag_length = suite.tag_length

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.suite.suite} at record {self.sequence}>"


class Sealer13(_Protection):
    """Protects TLS 1.3 records in one direction with one key."""

    __slots__ = ()
    is_tls13 = True

    def seal(
        self,
        out: list[bytes],
        content_type: int,
        data: bytes | bytearray | memoryview,
        limit: int = MAX_PLAINTEXT,
    ) -> None:
        """Append as few records as `data` needs, at most `limit` bytes of content in each."""
        suffix = _SUFFIXES[content_type]
        size = len(data)
        if size <= limit:
            self._seal(out, b"".join((data, suffix)))
            return
        source = memoryview(data)
        for start in range(0, size, limit):
            self._seal(out, b"".join((source[start : start + limit], suffix)))

    def seal_padded(self, out: list[bytes], content_type: int, fragment: bytes | memoryview, padding: int) -> None:
        """Append one record with `padding` zeros; 2^14 bytes at most with its content (RFC 8446, 5.4)."""
        self._seal(out, b"".join((fragment, _SUFFIXES[content_type], bytes(padding))))

    def _seal(self, out: list[bytes], inner: bytes) -> None:
        sequence = self.sequence
        if sequence >= SEQUENCE_END:
            raise SequenceExhausted("2^64-1 records went out under one key; open a new connection.")
        header = b"\x17\x03\x03" + (len(inner) + self._tag_length).to_bytes(2, "big")
        out.append(header)
        out.append(self._aead.encrypt((self._iv ^ sequence).to_bytes(12, "big"), inner, header))
        self.sequence = sequence + 1


class Opener13(_Protection):
    """Opens TLS 1.3 records in one direction with one key."""

    __slots__ = ()
    is_tls13 = True

    def open(self, header: bytes | bytearray, ciphertext: bytes | memoryview) -> tuple[int, bytes]:
        """Content type and content; padding is gone."""
        sequence = self.sequence
        if sequence >= SEQUENCE_END:
            raise SequenceExhausted("2^64-1 records came in under one key; open a new connection.")
        if header[0] != APPLICATION_DATA:
            raise UnprotectedRecord(f"A record of type {header[0]} without protection, where all are protected.")
        if len(ciphertext) > MAX_CIPHERTEXT:
            raise RecordOverflow(f"A protected record of {len(ciphertext)} bytes; at most 16640 are allowed.")
        try:
            inner = self._aead.decrypt((self._iv ^ sequence).to_bytes(12, "big"), ciphertext, header)
        except (InvalidTag, ValueError):
            raise BadRecordMac("A record does not open: it was changed, or the keys differ.") from None
        self.sequence = sequence + 1
        if len(inner) > MAX_PLAINTEXT + 1:
            raise RecordOverflow(f"A record with {len(inner) - 1} bytes of content and padding.")
        if not inner or inner[-1] <= CHANGE_CIPHER_SPEC_TYPE:
            inner = _without_padding(inner)
        return inner[-1], inner[:-1]


def _without_padding(inner: bytes) -> bytes:
    """The content and its type, where zeros follow or the type is one that is never protected."""
    inner = inner.rstrip(b"\0")
    if not inner:
        raise EmptyInnerPlaintext("A protected record has no content type.")
    if inner[-1] == CHANGE_CIPHER_SPEC_TYPE:
        raise ProtectedChangeCipherSpec("A change_cipher_spec came protected.")
    return inner


class Sealer12(_Protection):
    """Protects TLS 1.2 records in one direction with one key."""

    __slots__ = ()

    def seal(
        self,
        out: list[bytes],
        content_type: int,
        data: bytes | bytearray | memoryview,
        limit: int = MAX_PLAINTEXT,
    ) -> None:
        """Append as few records as `data` needs, at most `limit` bytes of content in each."""
        if len(data) <= limit:
            self._seal(out, content_type, data)
            return
        source = memoryview(data)
        for start in range(0, len(source), limit):
            self._seal(out, content_type, source[start : start + limit])

    def _seal(self, out: list[bytes], content_type: int, fragment: bytes | bytearray | memoryview) -> None:
        sequence = self.sequence
        if sequence >= SEQUENCE_END:
            raise SequenceExhausted("2^64-1 records went out under one key; open a new connection.")
        explicit = self.suite.explicit_nonce_length
        size = len(fragment)
        number = sequence.to_bytes(8, "big")
        head = bytes((content_type,)) + b"\x03\x03"
        out.append(head + (explicit + size + self._tag_length).to_bytes(2, "big"))
        if explicit:
            out.append(number)
            nonce = self._iv.to_bytes(4, "big") + number
        else:
            nonce = (self._iv ^ sequence).to_bytes(12, "big")
        out.append(self._aead.encrypt(nonce, fragment, number + head + size.to_bytes(2, "big")))
        self.sequence = sequence + 1


class Opener12(_Protection):
    """Opens TLS 1.2 records in one direction with one key."""

    __slots__ = ()

    def open(self, header: bytes | bytearray, ciphertext: bytes | memoryview) -> tuple[int, bytes]:
        """Content type and content."""
        sequence = self.sequence
        if sequence >= SEQUENCE_END:
            raise SequenceExhausted("2^64-1 records came in under one key; open a new connection.")
        explicit = self.suite.explicit_nonce_length
        size = len(ciphertext) - explicit - self._tag_length
        if size < 0:
            raise BadRecordMac("A protected record too short to hold its tag.")
        if size > MAX_PLAINTEXT:
            raise RecordOverflow(f"A record with {size} bytes of content; at most 16384 are allowed.")
        number = sequence.to_bytes(8, "big")
        if explicit:
            nonce = self._iv.to_bytes(4, "big") + bytes(ciphertext[:explicit])
            ciphertext = ciphertext[explicit:]
        else:
            nonce = (self._iv ^ sequence).to_bytes(12, "big")
        covered = number + bytes(header[:3]) + size.to_bytes(2, "big")
        try:
            content = self._aead.decrypt(nonce, ciphertext, covered)
        except (InvalidTag, ValueError):
            raise BadRecordMac("A record does not open: it was changed, or the keys differ.") from None
        self.sequence = sequence + 1
        return header[0], content
