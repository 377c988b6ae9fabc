"""The cipher suites that a client and this server have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handclasp.handshake.errors import NoCommonCipherSuite
from handclasp.wire.iana import CipherSuite, ProtocolVersion
from handclasp.wire.messages import ClientHello
from handclasp.x509.text import listed

if TYPE_CHECKING:
    from handclasp.handshake.side import ServerSide

__all__ = ["common_suites"]


def common_suites(side: ServerSide, hello: ClientHello, version: ProtocolVersion) -> tuple[CipherSuite, ...]:
    """Suites of this version that both have, at least one, in the order of whoever the config lets decide."""
    ours, offered = side.config.suites_for(version), hello.cipher_suites
    if side.config.prefer_client_order:
        suites = tuple([suite for suite in dict.fromkeys(offered) if suite in ours])
    else:
        theirs = frozenset(offered)
        suites = tuple([suite for suite in ours if suite in theirs])
    if not suites:
        side.note_choice("cipher_suite", "server", tuple(offered), (), None, "none that both have")
        raise NoCommonCipherSuite(f"The client offers {listed(offered)}; for {version} this server has {listed(ours)}.")
    return suites
