"""The cipher suites that a client and this server have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handclasp.handshake.errors import NoCommonCipherSuite
from handclasp.wire.iana import CipherSuite, ProtocolVersion
from handclasp.wire.messages import ClientHello

if TYPE_CHECKING:
    from handclasp.handshake.side import ServerSide

__all__ = ["common_suites"]


def common_suites(side: ServerSide, hello: ClientHello, version: ProtocolVersion) -> tuple[CipherSuite, ...]:
    """Suites of this version that both have, at least one, in the order of whoever the config lets decide."""
    ours, offered = side.config.suites_for(version), tuple(hello.cipher_suites)
    first, other = (offered, ours) if side.config.prefer_client_order else (ours, offered)
    suites = tuple([suite for suite in first if suite in other])
    if not suites:
        side.note_choice("cipher_suite", "server", offered, (), None, "none that both have")
        raise NoCommonCipherSuite(
            f"The client offers {', '.join(map(str, offered[:12]))}; for {version} this server has "
            f"{', '.join(map(str, ours))}."
        )
    return suites
