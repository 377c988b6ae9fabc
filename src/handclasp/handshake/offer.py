"""The client's hello: what it offers, and what it keeps to understand the answer (RFC 8446, 4.1.2).

One hello serves all versions that the client offers; the server's answer says which it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handclasp.crypto import groups
from handclasp.crypto.groups import KeyShare
from handclasp.crypto.schedule13 import EarlySecret
from handclasp.crypto.signatures import known_in
from handclasp.crypto.suites import SUITES
from handclasp.handshake.errors import IllegalValue
from handclasp.handshake.extensions import check_answers
from handclasp.handshake.flow import Steps
from handclasp.handshake.recall import find_session
from handclasp.sessions import Session
from handclasp.wire.extensions import (
    ALPN,
    CertificateStatusRequest,
    Cookie,
    ECPointFormats,
    KeyShareClientHello,
    KeyShareEntry,
    OfferedPsks,
    PskIdentity,
    PskKeyExchangeModes,
    RenegotiationInfo,
    ServerName,
    ServerNameList,
    SignatureAlgorithms,
    SupportedGroups,
    SupportedVersions,
    pack,
)
from handclasp.wire.iana import (
    CertificateStatusType,
    CompressionMethod,
    ECPointFormat,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    PskKeyExchangeMode,
    ServerNameType,
)
from handclasp.wire.messages import ClientHello, ServerHello
from handclasp.wire.places import Place
from handclasp.x509.names import PeerName

if TYPE_CHECKING:
    from handclasp.handshake.established import Peer
    from handclasp.handshake.side import ClientSide

__all__ = ["Offer", "check_answer", "say_hello", "say_hello_again"]

MAX_EXTENSIONS = 0xFFFF
"""Bytes of all extensions of a hello (RFC 8446, 4.1.2)."""

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


DECODED13 = frozenset({ExtensionType.SUPPORTED_VERSIONS, ExtensionType.KEY_SHARE, ExtensionType.PRE_SHARED_KEY})
"""What is decoded of a ServerHello before there are keys in any case."""


@dataclass(slots=True)
class Offer:
    """A hello that was sent, and the secrets that go with it."""

    hello: ClientHello
    shares: dict[NamedGroup, KeyShare] = field(repr=False)
    session: Session | None = field(repr=False)
    peer: Peer | None = field(default=None, repr=False)
    """Who the server of `session` was, as judged now."""
    early: EarlySecret | None = field(default=None, repr=False)
    """From the PSK of `session`, where that is a TLS 1.3 session."""


def say_hello(side: ClientSide) -> Steps[Offer]:
    """Steps 2 to 5: ask for TLS, and offer versions, cipher suites and keys."""
    config = side.config
    shares = {
        group: groups.generate(group, config.random)
        for group in (config.groups[: config.key_shares] if TLS13 in config.versions else ())
    }
    extensions = _extensions(side, shares)
    found = yield from find_session(side, MAX_EXTENSIONS - sum([4 + len(one) for one in extensions.values()]))
    session, peer = (None, None) if found is None else found
    side.client_random = side.random(32)
    hello = ClientHello(
        legacy_version=TLS12,
        random=side.client_random,
        legacy_session_id=_session_id(side, session),
        cipher_suites=[s for s in config.cipher_suites if SUITES[s].version in config.versions],
        legacy_compression_methods=[CompressionMethod.NULL],
        extensions=extensions,
    )
    offer = Offer(hello, shares, session, peer)
    if session is not None:
        if session.version == TLS13:
            offer.early = EarlySecret.of(SUITES[session.cipher_suite].hash_name, session.secret)
            _add_psk(side, offer)
        elif session.ticket:
            hello.extensions[ExtensionType.SESSION_TICKET] = session.ticket
    side.send(hello)
    return offer


def say_hello_again(side: ClientSide, offer: Offer, group: NamedGroup | None, cookie: Cookie | None) -> None:
    """The second hello: the first, changed as the server asked and no further (RFC 8446, 4.1.2)."""
    extensions = offer.hello.extensions
    extensions.pop(ExtensionType.PRE_SHARED_KEY, None)
    if group is not None:
        offer.shares = {group: groups.generate(group, side.config.random)}
        extensions |= pack(_key_shares(offer.shares))
    if cookie is not None:
        extensions |= pack(cookie)
    if offer.early is not None:
        _add_psk(side, offer)
    side.records.version = b"\x03\x03"
    side.send(offer.hello)


def check_answer(offer: Offer, hello: ServerHello, version: ProtocolVersion) -> None:
    """What holds for a ServerHello of any version, once that is settled."""
    if hello.cipher_suite not in offer.hello.cipher_suites:
        raise IllegalValue(f"The server chose {hello.cipher_suite}, which was not offered.")
    if hello.legacy_compression_method != CompressionMethod.NULL:
        raise IllegalValue(f"The server chose compression method {hello.legacy_compression_method}.")
    asked = offer.hello.extensions
    if version < TLS13:
        check_answers(Place.SERVER_HELLO_12, hello.extensions, asked)
    elif hello.is_retry:
        check_answers(Place.HELLO_RETRY_REQUEST, hello.extensions, {ExtensionType.COOKIE, *asked})
    else:
        check_answers(Place.SERVER_HELLO, hello.extensions, asked, DECODED13)


def _session_id(side: ClientSide, session: Session | None) -> bytes:
    if session is not None and session.version != TLS13:
        return session.session_id or side.random(32)
    if TLS13 in side.config.versions and side.config.middlebox_compatibility:
        return side.random(32)
    return b""


def _extensions(side: ClientSide, shares: dict[NamedGroup, KeyShare]) -> dict[ExtensionType, bytes]:
    config = side.config
    extensions: dict[ExtensionType, bytes] = {}
    host = None if side.server_name is None else PeerName.of(side.server_name).host
    if host is not None:  # an address is no name (RFC 6066, 3)
        extensions |= pack(ServerNameList([ServerName(ServerNameType.HOST_NAME, host.encode("ascii"))]))
    modern = TLS13 in config.versions
    usable = config.groups if modern else [group for group in config.groups if group in groups.ECDHE_GROUPS]
    schemes = known_in(max(config.versions), config.signature_schemes)
    extensions |= pack(SupportedGroups(list(usable)), SignatureAlgorithms(list(schemes)))
    if modern:
        extensions |= pack(SupportedVersions(list(config.versions)))
        extensions |= pack(_key_shares(shares))
        if config.sessions is not None:
            modes = [PskKeyExchangeMode.PSK_DHE_KE]
            if config.allow_psk_without_forward_secrecy:
                modes.append(PskKeyExchangeMode.PSK_KE)
            extensions |= pack(PskKeyExchangeModes(modes))
    if TLS12 in config.versions:
        extensions[ExtensionType.EXTENDED_MASTER_SECRET] = b""
        extensions |= pack(RenegotiationInfo(b""), ECPointFormats([ECPointFormat.UNCOMPRESSED]))
        if config.sessions is not None:
            extensions[ExtensionType.SESSION_TICKET] = b""
    if config.alpn:
        extensions |= pack(ALPN([name.encode() for name in config.alpn]))
    if config.request_ocsp:
        extensions |= pack(CertificateStatusRequest(CertificateStatusType.OCSP, [], b""))
    if config.request_scts:
        extensions[ExtensionType.SIGNED_CERTIFICATE_TIMESTAMP] = b""
    return extensions


def _key_shares(shares: dict[NamedGroup, KeyShare]) -> KeyShareClientHello:
    return KeyShareClientHello([KeyShareEntry(group, share.public) for group, share in shares.items()])


def _add_psk(side: ClientSide, offer: Offer) -> None:
    """Add `pre_shared_key`, which comes last, with a binder over all that is before it (RFC 8446, 4.2.11)."""
    session, early = offer.session, offer.early
    assert session is not None
    assert early is not None
    hash_name = SUITES[session.cipher_suite].hash_name
    age = (side.now_ms() - session.created + session.age_add) & 0xFFFFFFFF
    size = hashlib.new(hash_name).digest_size
    psks = OfferedPsks([PskIdentity(session.ticket, age)], [bytes(size)])
    offer.hello.extensions |= pack(psks)
    covered = offer.hello.to_bytes()[: -psks.binders_size]
    psks.binders = [early.binder_key().verify_data(side.transcript.digest_with(hash_name, covered))]
    offer.hello.extensions |= pack(psks)
