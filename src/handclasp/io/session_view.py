"""What a connection agreed on, asked of the connection itself."""

from __future__ import annotations

from handclasp.connection import Connection
from handclasp.errors import UsageError
from handclasp.handshake.established import Established
from handclasp.wire.iana import CipherSuite, NamedGroup, ProtocolVersion
from handclasp.x509 import Report

__all__ = ["SessionView"]


class SessionView:
    """The session of `connection`."""

    connection: Connection
    """The engine; its facts are the truth behind this object."""

    @property
    def session(self) -> Established:
        """What the handshake agreed on; raises `UsageError` before it is done."""
        established = self.connection.established
        if established is None:
            raise UsageError("The handshake is not done.")
        return established

    @property
    def version(self) -> ProtocolVersion:
        """The protocol's version."""
        return self.session.version

    @property
    def cipher_suite(self) -> CipherSuite:
        """The cipher suite."""
        return self.session.cipher_suite

    @property
    def group(self) -> NamedGroup | None:
        """The key exchange's group; None where a session was resumed without one."""
        return self.session.group

    @property
    def alpn(self) -> str | None:
        """The application protocol, where one was agreed on."""
        return self.session.alpn

    @property
    def resumed(self) -> bool:
        """Whether an earlier session was resumed."""
        return self.session.resumed

    @property
    def peer_report(self) -> Report | None:
        """The verdict on the peer's certificates; None where it showed none."""
        return self.session.peer_report

    def export(self, label: bytes, context: bytes | None, length: int) -> bytes:
        """Keying material for others (RFC 8446, 7.5; RFC 5705)."""
        return self.connection.export(label, context, length)
