"""Records in both directions, and the handshake messages inside them (RFC 8446, 5; RFC 5246, 6).

Bytes go in by `feed` and come out by `take_output`. Protection is whatever sealer and opener are
installed; this module only cuts and joins. Input that arrives as whole records is opened from
where it lies; only the rest of a record is copied to wait for its end.
"""

from __future__ import annotations

from typing import Final, Protocol

from handclasp.crypto.protection import MAX_CIPHERTEXT, BadRecordMac, Sealer13
from handclasp.errors import PeerError
from handclasp.handshake.errors import LimitExceeded, UnexpectedMessage
from handclasp.wire.codec import DecodeError
from handclasp.wire.iana import AlertDescription, ContentType
from handclasp.wire.messages import HEADER_SIZE
from handclasp.wire.records import MAX_PLAINTEXT, RECORD_HEADER_SIZE

__all__ = ["PASSED_OVER", "NotTLS", "Opener", "RecordLayer", "RecordTooLong", "Sealer"]

HANDSHAKE, APPLICATION_DATA = int(ContentType.HANDSHAKE), int(ContentType.APPLICATION_DATA)
ALERT, CHANGE_CIPHER_SPEC_TYPE = int(ContentType.ALERT), int(ContentType.CHANGE_CIPHER_SPEC)

PASSED_OVER: Final = -1
"""In place of a content type: a record of early data that nobody reads."""
EARLY_DATA_OVERHEAD: Final = 17
"""Content type and tag in each record of early data, which count for nothing."""


PLAIN = {
    b"HTTP/": "HTTP",
    b"GET ": "HTTP",
    b"POST ": "HTTP",
    b"HEAD ": "HTTP",
    b"OPTIONS ": "HTTP",
    b"PRI * HTTP/2": "HTTP/2",
    b"SSH-": "SSH",
    b"220": "SMTP or FTP",
    b"EHLO ": "SMTP",
    b"* OK": "IMAP",
    b"+OK": "POP3",
    b"PROXY ": "the PROXY protocol",
    b"\r\n\r\n\x00\r\nQUIT\n": "the PROXY protocol",
}
"""What speaks where TLS is expected, by its first bytes."""


class NotTLS(PeerError):
    """The first bytes are no TLS record."""

    alert = AlertDescription.PROTOCOL_VERSION
    section = "RFC 8446, 5.1"
    mend = "Check host and port: is it a TLS port, and does the protocol not want STARTTLS first?"
    step = 6


class RecordTooLong(PeerError):
    """A record longer than any may be (RFC 8446, 5.1)."""

    alert = AlertDescription.RECORD_OVERFLOW
    section = "RFC 8446, 5.1"


class Sealer(Protocol):
    """Protects records in one direction with one key."""

    sequence: int

    def seal(self, out: list[bytes], content_type: int, data: bytes | bytearray | memoryview) -> None:
        """Append as many records as the data needs."""


class Opener(Protocol):
    """Opens records in one direction with one key."""

    is_tls13: bool
    sequence: int

    def open(self, header: bytes | bytearray, ciphertext: bytes | memoryview) -> tuple[int, bytes]:
        """Content type and plaintext; raises a `PeerError` for anything that is not authentic."""


class RecordLayer:
    """The records of one connection."""

    __slots__ = (
        "_handshake_out",
        "_input",
        "_out",
        "_position",
        "_seen_any",
        "early_data_left",
        "handshake_in",
        "handshake_over",
        "max_message",
        "next_sealer",
        "opener",
        "padding",
        "sealer",
        "version",
    )

    def __init__(self, max_message: int, padding: int = 0) -> None:
        self.max_message = max_message
        self.padding = padding
        self.version = b"\x03\x01"
        """The version in the headers of unprotected records: 3.1 for a first ClientHello, else 3.3."""
        self.sealer: Sealer | None = None
        self.next_sealer: Sealer | None = None
        """The key that is agreed on and not yet in use; an alert uses it (RFC 8446, 6)."""
        self.opener: Opener | None = None
        self._out: list[bytes] = []
        self._handshake_out: list[bytes] = []
        self._input: bytes | bytearray = b""
        self._position = 0
        self.handshake_in: bytes | bytearray = b""
        """What has come of handshake messages and is not yet taken; not empty in the middle of one."""
        self.early_data_left = 0
        """Bytes of 0-RTT data that a server did not accept and has still to pass over (RFC 8446, 4.2.10)."""
        self.handshake_over = False
        """Whether both sides have keys for sure, so that no alert may come unprotected any more."""
        self._seen_any = False

    # Outgoing.

    def write_handshake(self, raw: bytes) -> None:
        """Queue a handshake message; messages share records until `flush` or the next other record."""
        self._handshake_out.append(raw)

    def flush(self) -> None:
        """Seal the handshake messages that are queued."""
        if self._handshake_out:
            queued = self._handshake_out
            self._handshake_out = []
            self._write(HANDSHAKE, queued[0] if len(queued) == 1 else b"".join(queued))

    def write_data(self, data: bytes | bytearray | memoryview) -> None:
        """Seal application data."""
        if self._handshake_out:
            self.flush()
        if self.sealer is not None and not self.padding:
            self.sealer.seal(self._out, APPLICATION_DATA, data)
        else:
            self._write(APPLICATION_DATA, data)

    def write_alert(self, level: int, description: int) -> None:
        """Seal an alert, after whatever is queued."""
        if self.next_sealer is not None:
            self.install_sealer(self.next_sealer)
        self.flush()
        self._write(ALERT, bytes((level, description)))

    def write_change_cipher_spec(self) -> None:
        """A change_cipher_spec record; under TLS 1.3 it is never protected."""
        self.flush()
        self._out.append(b"\x14\x03\x03\x00\x01\x01")

    def install_sealer(self, sealer: Sealer | None) -> None:
        """Protect what follows with another key."""
        self.flush()
        self.sealer, self.next_sealer = sealer, None

    def take_output(self) -> bytes:
        """All bytes to send, once."""
        if self._handshake_out:
            self.flush()
        out = self._out
        if not out:
            return b""
        self._out = []
        return b"".join(out)

    def _write(self, content_type: int, data: bytes | bytearray | memoryview) -> None:
        sealer = self.sealer
        if sealer is None:
            view = memoryview(data)
            for at in range(0, len(view), MAX_PLAINTEXT):
                part = view[at : at + MAX_PLAINTEXT]
                self._out.append(bytes((content_type,)) + self.version + len(part).to_bytes(2, "big") + part)
        elif self.padding and content_type == APPLICATION_DATA and isinstance(sealer, Sealer13):
            self._write_padded(sealer, content_type, memoryview(data))
        else:
            sealer.seal(self._out, content_type, data)

    def _write_padded(self, sealer: Sealer13, content_type: int, view: memoryview) -> None:
        for at in range(0, len(view), MAX_PLAINTEXT):
            part = view[at : at + MAX_PLAINTEXT]
            wanted = -(len(part) + 1) % self.padding
            sealer.seal_padded(self._out, content_type, part, min(wanted, MAX_PLAINTEXT - len(part)))

    # Incoming.

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the network."""
        if not self._input:
            self._input = data if type(data) is bytes else bytes(data)  # a buffer is its owner's to use again
        elif isinstance(self._input, bytearray):
            del self._input[: self._position]
            self._position = 0
            self._input += data
        else:
            self._input = bytearray(memoryview(self._input)[self._position :])
            self._input += data
            self._position = 0

    @property
    def buffered(self) -> int:
        """Bytes taken and not yet read."""
        return len(self._input) - self._position + len(self.handshake_in)

    @property
    def bytes_wanted(self) -> int:
        """Bytes that are missing of the next record, or of its header."""
        data, at = self._input, self._position
        missing = at + RECORD_HEADER_SIZE - len(data)
        return missing if missing > 0 else max(missing + (data[at + 3] << 8 | data[at + 4]), 1)

    def take_input(self) -> bytes:
        """What was taken and not yet read, to be read by somebody else."""
        rest = bytes(memoryview(self._input)[self._position :])
        self._input, self._position = b"", 0
        return rest

    def next_record(self) -> tuple[int, bytes] | None:
        """Content type and plaintext of the next record; None until one is there whole."""
        data, at = self._input, self._position
        start = at + RECORD_HEADER_SIZE
        have = len(data)
        if have < start:
            if have > at and not self._seen_any:
                self._check_looks_like_tls(data, at, have - at)
            return None
        end = start + (data[at + 3] << 8 | data[at + 4])
        opener, content_type = self.opener, data[at]
        protected = opener is not None and (
            content_type == APPLICATION_DATA or not self._is_plain(opener, content_type, end - start)
        )
        if not protected:
            self._check_header(data, at, end - start)
        if have > end:
            self._position = end
        elif have == end:
            self._input, self._position = b"", 0
        else:
            return None
        if protected and opener is not None:
            try:
                return opener.open(data[at:start], memoryview(data)[start:end])
            except BadRecordMac:
                if not opener.sequence and self._is_refused_early_data(end - start):
                    return PASSED_OVER, b""
                raise
        if content_type == APPLICATION_DATA and self._is_refused_early_data(end - start):
            return PASSED_OVER, b""
        return content_type, bytes(data[start:end])

    def _is_refused_early_data(self, size: int) -> bool:
        """Whether what does not open may be early data that its sender could not know to be refused."""
        if not self.early_data_left:
            return False
        size = max(size - EARLY_DATA_OVERHEAD, 1)
        if size > self.early_data_left:
            raise LimitExceeded("More early data came than is passed over.")
        self.early_data_left -= size
        return True

    def _check_header(self, data: bytes | bytearray, at: int, size: int) -> None:
        """An unprotected record; protected ones are covered with their header by the opener."""
        if not self._seen_any:
            self._check_looks_like_tls(data, at, len(data) - at)
            self._seen_any = True
        most = MAX_CIPHERTEXT if self.early_data_left and data[at] == APPLICATION_DATA else MAX_PLAINTEXT
        if size > most:
            raise RecordTooLong(f"A record of {size} bytes; at most {most} are allowed.")
        if data[at + 1] != 3:
            raise DecodeError(f"A record of version {data[at + 1]}.{data[at + 2]}, which is not TLS.")

    def _is_plain(self, opener: Opener, content_type: int, size: int) -> bool:
        """TLS 1.3's records without protection: change_cipher_spec, and the alert of a peer without keys.

        Such an alert is not authentic. Taking its word ends the handshake, which refusing it
        would do too, and keeps the reason that the peer gave. After the handshake it would be an
        end of the data that anybody could make.
        """
        if not opener.is_tls13:
            return False
        return content_type == CHANGE_CIPHER_SPEC_TYPE or (
            content_type == ALERT and opener.sequence == 0 and size == 2 and not self.handshake_over
        )

    def _check_looks_like_tls(self, data: bytes | bytearray, at: int, have: int) -> None:
        first = bytes(data[at : at + min(have, 16)])
        if not 20 <= first[0] <= 23 or (have > 1 and first[1] != 3):
            plain = next((f", which looks like {name}" for start, name in PLAIN.items() if first.startswith(start)), "")
            raise NotTLS(f"The peer's first bytes are {first!r}{plain}; TLS begins otherwise.")

    def add_handshake(self, fragment: bytes) -> None:
        """Take the payload of a handshake record."""
        if not fragment:
            raise UnexpectedMessage("An empty handshake record, which RFC 8446, 5.1 forbids.")
        if not self.handshake_in:
            self.handshake_in = fragment
            return
        if not isinstance(self.handshake_in, bytearray):  # which grows without being copied at each fragment
            self.handshake_in = bytearray(self.handshake_in)
        self.handshake_in += fragment

    def next_message(self) -> bytes | None:
        """The next whole handshake message, header included; None until one is there."""
        data = self.handshake_in
        if len(data) < HEADER_SIZE:
            return None
        size = HEADER_SIZE + int.from_bytes(data[1:HEADER_SIZE], "big")
        if size - HEADER_SIZE > self.max_message:
            raise LimitExceeded(f"A handshake message of {size - HEADER_SIZE} bytes; the limit is {self.max_message}.")
        if len(data) < size:
            return None
        if len(data) == size:
            self.handshake_in = b""
            return bytes(data)
        message = bytes(data[:size])
        if isinstance(data, bytearray):
            del data[:size]
        else:
            self.handshake_in = data[size:]
        return message

    def push_back(self, raw: bytes) -> None:
        """Let `next_message` return this one again."""
        self.handshake_in = raw + self.handshake_in

    def install_opener(self, opener: Opener) -> None:
        """Open what follows with another key; a message may not span the change (RFC 8446, 5.1)."""
        if self.handshake_in:
            raise UnexpectedMessage("A handshake message goes on across a change of keys.")
        self.opener = opener

    def drop_keys(self) -> None:
        """Forget keys and buffers."""
        self.sealer = self.next_sealer = self.opener = None
        self.handshake_in = self._input = b""
        self._position = 0
