"""What a finished handshake leaves behind; all else of it is dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

from handclasp.pickling import refuse_copies
from handclasp.text import in_a_line
from handclasp.wire.iana import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme

if TYPE_CHECKING:
    from handclasp.handshake.after13 import After13
    from handclasp.x509 import Report

__all__ = ["Bound", "Established", "Exporter", "Peer"]


class Exporter(Protocol):
    """Makes keys for others from this connection's (RFC 8446, 7.5; RFC 5705)."""

    def export(self, label: bytes, context: bytes | None, length: int) -> bytes:
        """`length` bytes that both sides can make and nobody else."""


@dataclass(slots=True)
class Peer:
    """The other party as it showed itself; empty where it did not."""

    chain: tuple[bytes, ...] = ()
    report: Report | None = None
    scheme: SignatureScheme | None = None
    since: int = 0
    """When it proved to be that, in milliseconds since 1970, where an earlier session tells; else 0: now."""


@dataclass(slots=True)
class Bound:
    """What sessions of this connection are bound to, beside what both sides see; a client keeps it for late tickets."""

    scope: bytes = b""
    """A client's: what it was made with (`Session.scope`)."""
    own_certificate: bytes = b""
    """Stands for the certificate that we showed; empty where we showed none."""
    client_asked: bool = False
    """A client's: whether the server asked who it is."""
    ocsp_response: bytes | None = None
    """A client's: what the server stapled."""
    scts: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Established:
    """One session, as both sides see it."""

    version: ProtocolVersion
    cipher_suite: CipherSuite
    group: NamedGroup | None
    """The group of the key exchange; None where a session was resumed without one."""
    signature_scheme: SignatureScheme | None
    """How the peer proved to have its key; None where it showed no certificate."""
    alpn: str | None
    server_name: str | None
    resumed: bool
    peer_chain: tuple[bytes, ...]
    """The peer's certificates in DER, its own first."""
    peer_report: Report | None
    exporter: Exporter = field(repr=False)
    bound: Bound = field(repr=False)
    after: After13 | None = field(default=None, repr=False)
    """What a TLS 1.3 connection still has to say; None in TLS 1.2, which says nothing more."""
    session_id: bytes = field(default=b"", repr=False)
    """TLS 1.2: the ID under which the server keeps the session; empty where it does not."""
    finished_bytes: bytes = field(default=b"", repr=False)
    """TLS 1.2: the first Finished, which is tls-unique (RFC 5929, 3); empty where it may not be (RFC 7627, 1)."""

    __repr__ = in_a_line

    def __reduce__(self) -> NoReturn:
        refuse_copies(self)
