"""The server's handshake up to the version: hear the hello, choose (mission row S7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handclasp.handshake import server12, server13
from handclasp.handshake.errors import (
    IllegalValue,
    InappropriateFallback,
    NoCommonProtocol,
    NoCommonVersion,
)
from handclasp.handshake.extensions import check_extensions
from handclasp.handshake.flow import Steps, ask, expect
from handclasp.questions import ChooseALPN
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import ALPN, ServerNameList, SupportedVersions, find
from handclasp.wire.iana import CipherSuite, CompressionMethod, ExtensionType, ProtocolVersion
from handclasp.wire.messages import ClientHello
from handclasp.wire.places import Place
from handclasp.x509.text import listed

if TYPE_CHECKING:
    from handclasp.handshake.established import Established
    from handclasp.handshake.side import ServerSide

__all__ = ["handshake"]

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


DECODED12 = frozenset({ExtensionType.SUPPORTED_VERSIONS, ExtensionType.SERVER_NAME})
DECODED13 = DECODED12 | {ExtensionType.KEY_SHARE}
"""What is decoded before the first answer in any case."""


def handshake(side: ServerSide) -> Steps[Established]:
    """One connection, the server's half."""
    hello = yield from expect(ClientHello)  # steps 2-5
    side.client_random = hello.random
    side.records.version = b"\x03\x03"
    side.version = version = choose_version(side, hello)  # steps 6, 7
    check_extensions(Place.CLIENT_HELLO, hello.extensions, DECODED13 if version == TLS13 else DECODED12)
    side.server_name = server_name(hello)
    alpn = yield from choose_alpn(side, hello)
    if version == TLS13:
        return (yield from server13.handshake(side, hello, alpn))
    return (yield from server12.handshake(side, hello, alpn))


def choose_version(side: ServerSide, hello: ClientHello) -> ProtocolVersion:
    """The highest version that both have (RFC 8446, 4.2.1; RFC 5246, E.1)."""
    if CompressionMethod.NULL not in hello.legacy_compression_methods:
        raise IllegalValue("The client offers no hello without compression.")
    wanted = find(hello.extensions, SupportedVersions)
    if wanted is not None:
        offered = tuple(wanted.versions)
    else:
        offered = tuple(v for v in ProtocolVersion if ProtocolVersion.SSL3 <= v <= min(hello.legacy_version, TLS12))
    ours = side.config.versions
    if hello.legacy_version < ProtocolVersion.TLS10:  # whatever supported_versions says (RFC 8446, D.5)
        raise NoCommonVersion(f"The client's hello is of {hello.legacy_version}; this server speaks {listed(ours)}.")
    possible = tuple(sorted((v for v in ours if v in offered), reverse=True))
    version = possible[0] if possible else None
    side.note_choice("version", "server", offered, possible, version, "the highest that both have")
    check_fallback(hello, version or max([v for v in offered if v.is_known], default=None), max(ours))
    if version is None:
        theirs = listed(offered) if wanted is not None else f"{hello.legacy_version} at most"
        raise NoCommonVersion(f"The client offers {theirs}; this server speaks {listed(ours)}.")
    if version == TLS13 and hello.legacy_compression_methods != [CompressionMethod.NULL]:
        raise IllegalValue("The client offers compression, which a TLS 1.3 hello never does.")  # RFC 8446, 4.1.2
    return version


def check_fallback(hello: ClientHello, indicated: ProtocolVersion | None, ours: ProtocolVersion) -> None:
    """A client that fell back is told so where it need not have, whether its version is spoken or not (RFC 7507, 3)."""
    if indicated is not None and indicated < ours and CipherSuite.TLS_FALLBACK_SCSV in hello.cipher_suites:
        raise InappropriateFallback(f"The client fell back to {indicated} after a failure; this server speaks {ours}.")


def server_name(hello: ClientHello) -> str | None:
    """The host name that the client means (RFC 6066, 3)."""
    names = find(hello.extensions, ServerNameList)
    if names is None:
        return None
    hosts = [name.host_name for name in names.server_name_list if name.name_type.is_known]
    if len(hosts) != 1:
        raise IllegalValue(f"The client names {len(hosts)} hosts; one is allowed.")
    try:
        return hosts[0].decode("ascii").lower()
    except UnicodeDecodeError:
        raise DecodeError("The client's server name is not ASCII.") from None


def choose_alpn(side: ServerSide, hello: ClientHello) -> Steps[str | None]:
    """The application protocol, where both sides use ALPN (RFC 7301, 3.2)."""
    wanted = find(hello.extensions, ALPN)
    if wanted is None or not (side.config.alpn or side.config.answers_itself(ChooseALPN)):
        return None
    offered = tuple(name.decode("utf-8", "replace") for name in wanted.protocol_name_list)
    taken: str | None = yield from ask(side, ChooseALPN(offered))
    theirs = frozenset(offered)
    possible = tuple([name for name in side.config.alpn if name in theirs])
    side.note_choice("alpn", "server", offered, possible, taken, "the first of ours that the client speaks")
    if taken is None:
        raise NoCommonProtocol(
            f"The client speaks {listed(offered)}; this server {listed(side.config.alpn) or 'none of them'}."
        )
    return taken
