"""The client's handshake up to the version: say hello, hear which version it is (mission row S7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handclasp.handshake import client12, client13
from handclasp.handshake.errors import (
    DowngradeDetected,
    ExtensionMissing,
    ExtensionUnasked,
    IllegalValue,
    VersionUnasked,
)
from handclasp.handshake.flow import Steps, expect
from handclasp.handshake.offer import Offer, check_answer, say_hello
from handclasp.wire.extensions import SupportedVersionsServerHello, find
from handclasp.wire.iana import ExtensionType, ProtocolVersion
from handclasp.wire.messages import DOWNGRADE_TLS11, DOWNGRADE_TLS12, ServerHello
from handclasp.x509.text import listed

if TYPE_CHECKING:
    from handclasp.handshake.established import Established
    from handclasp.handshake.side import ClientSide

__all__ = ["handshake"]

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


def handshake(side: ClientSide) -> Steps[Established]:
    """One connection, the client's half."""
    offer = yield from say_hello(side)  # steps 2-5
    hello = yield from expect(ServerHello)  # steps 6, 7
    side.version = version = accept_version(side, offer, hello)  # step 8
    check_answer(offer, hello, version)
    side.records.version = b"\x03\x03"
    if version == TLS13:
        return (yield from client13.handshake(side, offer, hello))
    return (yield from client12.handshake(side, offer, hello))


def accept_version(side: ClientSide, offer: Offer, hello: ServerHello) -> ProtocolVersion:
    """The server's version, where we offered it and nobody talked the two of us down to it."""
    answer = find(hello.extensions, SupportedVersionsServerHello)
    version = hello.legacy_version if answer is None else answer.selected_version
    offered = side.config.versions
    side.note_choice("version", "server", offered, offered, version, "the server's choice")
    if answer is not None and ExtensionType.SUPPORTED_VERSIONS not in offer.hello.extensions:
        raise ExtensionUnasked(f"The server wants {version} by supported_versions, which was not offered.")
    if answer is not None and (version < TLS13 or version not in offered):
        raise IllegalValue(
            f"The server chose {version} by supported_versions, which is for versions offered from TLS 1.3 on."
        )
    if answer is None and hello.is_retry and TLS13 in offered:
        raise ExtensionMissing("The server's HelloRetryRequest has no supported_versions.")
    if version not in offered or hello.legacy_version < ProtocolVersion.TLS10:  # (RFC 8446, D.5)
        wanted = min(version, hello.legacy_version)
        raise VersionUnasked(f"The server wants {wanted}; this client speaks {listed(offered)} only.")
    if answer is None and version >= TLS13:
        raise VersionUnasked(f"The server wants {version} and does not say so by supported_versions (RFC 8446, 4.2.1).")
    if version < TLS13 and TLS13 in offered and hello.random[24:] in (DOWNGRADE_TLS12, DOWNGRADE_TLS11):
        raise DowngradeDetected(
            f"The server chose {version} and marked that it speaks TLS 1.3, which this client offered."
        )
    return version
