"""TLS 1.3, the server's half (RFC 8446, 2 and 4)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from handclasp.config import ClientAuth
from handclasp.crypto import groups
from handclasp.crypto.protection import Opener13, Sealer13
from handclasp.crypto.schedule13 import EarlySecret
from handclasp.crypto.suites import SUITES, SuiteParameters
from handclasp.handshake.authenticate import common_schemes, no_certificate, verify_peer
from handclasp.handshake.authenticate13 import (
    check_chain_limits,
    check_finished,
    check_signature,
    choose_scheme,
    show_certificate,
    stapled,
)
from handclasp.handshake.errors import (
    CertificateMissing,
    CookieMismatch,
    ExtensionMissing,
    IllegalChange,
    IllegalValue,
    NoCommonGroup,
    NoSuitableCertificate,
)
from handclasp.handshake.established import Established, Peer
from handclasp.handshake.extensions import check_extensions
from handclasp.handshake.flow import Steps, ask, expect
from handclasp.handshake.keys13 import Keys13
from handclasp.handshake.recall import note_recalled, resume_as
from handclasp.handshake.suites import common_suites
from handclasp.handshake.tickets13 import Found, check_offered_keys, choose_session, send_tickets, takes_tickets
from handclasp.questions import ChooseCertificate
from handclasp.wire.extensions import (
    ALPN,
    CertificateAuthorities,
    Cookie,
    KeyShareClientHello,
    KeyShareEntry,
    KeyShareHelloRetryRequest,
    KeyShareServerHello,
    OidFilters,
    SelectedPsk,
    SignatureAlgorithms,
    SupportedGroups,
    SupportedVersionsServerHello,
    find,
    pack,
)
from handclasp.wire.iana import (
    CompressionMethod,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from handclasp.wire.messages import (
    RETRY_RANDOM,
    Certificate,
    CertificateRequest,
    ClientHello,
    EncryptedExtensions,
    Finished,
    ServerHello,
)
from handclasp.wire.places import Place
from handclasp.x509.text import listed

if TYPE_CHECKING:
    from handclasp.handshake.side import ServerSide
    from handclasp.handshake.transcript import Transcript
    from handclasp.x509.identity import Identity

__all__ = ["handshake"]

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


def handshake(side: ServerSide, hello: ClientHello, alpn: str | None) -> Steps[Established]:
    """From the client's hello to an established session."""
    check_offered_keys(hello)
    suite = choose_suite(side, hello)  # steps 6, 7
    if ExtensionType.EARLY_DATA in hello.extensions:
        side.records.early_data_left = side.config.limits.refused_early_data
    hello, before = yield from settle_group(side, hello, suite)
    found = yield from choose_session(side, hello, before, suite, alpn)
    proof = (yield from choose_proof(side, hello)) if found is None else None  # step 9
    keys = agree(side, hello, suite, found)  # steps 10, 18
    say_extensions(side, alpn, resumed=keys.session is not None)
    if proof is not None:
        request_certificate(side)  # step 11
        yield from show_certificate(side, *proof, b"", hello.extensions)
    side.send(Finished(keys.server.verify_data(side.transcript.digest())))  # steps 12, 19
    application = keys.application(side)
    side.write_with(Sealer13(suite, *application.server.key_iv(suite)), "application", suite.suite)
    if found is None:
        peer = yield from authenticate_client(side)  # steps 14, 17
    else:
        peer = found.peer
        resume_as(side, found.session)
        note_recalled(side, peer)
    yield from check_finished(side, keys.client)  # steps 16, 20
    side.records.early_data_left = 0
    established = keys.establish(side, application, peer, alpn)
    if takes_tickets(side, hello):
        yield from send_tickets(side, established)
    return established  # step 22


def choose_suite(side: ServerSide, hello: ClientHello) -> SuiteParameters:
    """The first suite that both have."""
    possible = common_suites(side, hello, TLS13)
    taken = possible[0]
    side.note_choice("cipher_suite", "server", tuple(hello.cipher_suites), possible, taken, "the first that both have")
    return SUITES[taken]


def settle_group(
    side: ServerSide, hello: ClientHello, suite: SuiteParameters
) -> Steps[tuple[ClientHello, Transcript | None]]:
    """Have a key share of a group that both have, by a retry if need be (RFC 8446, 4.1.4).

    With the hello comes the transcript before it, which binders cover; None stands for an empty one.
    """
    shares = find(hello.extensions, KeyShareClientHello)
    wanted = find(hello.extensions, SupportedGroups)
    if wanted is None or shares is None:
        if ExtensionType.PRE_SHARED_KEY in hello.extensions and wanted is None and shares is None:
            side.transcript.start(suite.hash_name)
            return hello, None
        raise ExtensionMissing("The client's hello has key_share without supported_groups, or the other way round.")
    offered = frozenset(wanted.named_group_list)
    sent = check_shares(shares, offered)
    possible = tuple([group for group in side.config.groups if group in offered])
    if not possible:
        raise NoCommonGroup(
            f"The client offers {listed(wanted.named_group_list)}; this server has {listed(side.config.groups)}."
        )
    if any(group in sent for group in possible):
        side.transcript.start(suite.hash_name)
        return hello, None
    group = possible[0]
    offered_in_order = tuple(wanted.named_group_list)
    side.note_choice("group", "server", offered_in_order, possible, group, "asked for by a retry: no key came for it")
    return (yield from retry(side, hello, suite, group))


def check_shares(shares: KeyShareClientHello, offered: frozenset[NamedGroup]) -> set[NamedGroup]:
    """The groups of the client's keys: each is offered, and none comes twice (RFC 8446, 4.2.8)."""
    sent = {share.group for share in shares.client_shares}
    if len(sent) != len(shares.client_shares) or not sent <= offered:
        raise IllegalValue("The client sent two keys of one group, or one of a group it does not offer.")
    return sent


def retry(
    side: ServerSide, hello: ClientHello, suite: SuiteParameters, group: NamedGroup
) -> Steps[tuple[ClientHello, Transcript]]:
    """Ask for the hello once more, with a key of `group`."""
    extensions = pack(SupportedVersionsServerHello(TLS13), KeyShareHelloRetryRequest(group))
    cookie = Cookie(side.random(32)) if side.config.retry_cookie else None
    if cookie is not None:
        extensions |= pack(cookie)
    side.send(server_hello(hello, suite, RETRY_RANDOM, extensions))
    side.transcript.retry(suite.hash_name)
    if side.config.middlebox_compatibility and hello.legacy_session_id:
        side.send_change_cipher_spec()
    before = side.transcript.copy()
    again = yield from expect(ClientHello)
    side.records.early_data_left = 0  # none may follow a retry
    check_extensions(Place.CLIENT_HELLO, again.extensions)
    check_offered_keys(again)
    check_second_hello(hello, again, group, cookie)
    return again, before


def check_second_hello(first: ClientHello, second: ClientHello, group: NamedGroup, cookie: Cookie | None) -> None:
    """The second hello is the first but for what was asked (RFC 8446, 4.1.2)."""
    for name in (
        "legacy_version",
        "random",
        "legacy_session_id",
        "cipher_suites",
        "legacy_compression_methods",
    ):
        if getattr(first, name) != getattr(second, name):
            raise IllegalChange(f"The client changed {name} in its second hello.")
    free = {
        ExtensionType.KEY_SHARE,
        ExtensionType.EARLY_DATA,
        ExtensionType.COOKIE,
        ExtensionType.PRE_SHARED_KEY,
        ExtensionType.PADDING,
    }
    changed = [
        extension
        for extension in {**first.extensions, **second.extensions}
        if extension not in free and first.extensions.get(extension) != second.extensions.get(extension)
    ]
    if changed:
        raise IllegalChange(f"The client changed {listed(changed)} in its second hello.")
    shares = find(second.extensions, KeyShareClientHello)
    if shares is None or [share.group for share in shares.client_shares] != [group]:
        raise IllegalChange(f"The client's second hello has no key of {group} alone, which was asked for.")
    back = find(second.extensions, Cookie)
    if (back is None) != (cookie is None) or (
        back is not None and cookie is not None and not hmac.compare_digest(back.cookie, cookie.cookie)
    ):
        raise CookieMismatch("The client's second hello does not give back the cookie as it was sent.")


def server_hello(
    hello: ClientHello, suite: SuiteParameters, random: bytes, extensions: dict[ExtensionType, bytes]
) -> ServerHello:
    """A ServerHello in TLS 1.3's form (RFC 8446, 4.1.3)."""
    return ServerHello(TLS12, random, hello.legacy_session_id, suite.suite, CompressionMethod.NULL, extensions)


def agree(side: ServerSide, hello: ClientHello, suite: SuiteParameters, found: Found | None) -> Keys13:
    """Answer the client's key or PSK or both: ServerHello, and the handshake keys (RFC 8446, 7.1)."""
    extensions = pack(SupportedVersionsServerHello(TLS13))
    early, session = EarlySecret.of(suite.hash_name), None
    alone = False
    if found is not None:
        session, alone = found.session, found.alone
        early = EarlySecret.of(suite.hash_name, session.secret)
        extensions |= pack(SelectedPsk(found.place))
    group, shared = (None, None) if alone else exchange(side, hello, extensions)
    side.send(server_hello(hello, suite, side.random(32), extensions))
    if side.config.middlebox_compatibility and hello.legacy_session_id and not side.ccs_sent:
        side.send_change_cipher_spec()
    keys = Keys13.agreed(side, suite, group, session, early, shared)
    side.write_with(Sealer13(suite, *keys.server.key_iv(suite)), "handshake", suite.suite)
    side.read_with(Opener13(suite, *keys.client.key_iv(suite)), "handshake", suite.suite)
    return keys


def exchange(side: ServerSide, hello: ClientHello, extensions: dict[ExtensionType, bytes]) -> tuple[NamedGroup, bytes]:
    """Our key to the client's; the first of our groups that it sent a key for."""
    shares = find(hello.extensions, KeyShareClientHello)
    sent = {share.group: share.key_exchange for share in shares.client_shares} if shares is not None else {}
    group = next((group for group in side.config.groups if group in sent), None)
    if group is None:
        raise ExtensionMissing("The client's hello has no key_share, and no session that can do without.")
    side.note_choice("group", "server", tuple(sent), tuple(sent), group, "our dearest that a key came for")
    public, shared = groups.respond(group, sent[group], side.config.random)
    extensions |= pack(KeyShareServerHello(KeyShareEntry(group, public)))
    return group, shared


def say_extensions(side: ServerSide, alpn: str | None, *, resumed: bool) -> None:
    """EncryptedExtensions (RFC 8446, 4.3.1); a resumption doesn't speak of the name (RFC 6066, 3)."""
    extensions: dict[ExtensionType, bytes] = {}
    if side.server_name is not None and not resumed:
        extensions[ExtensionType.SERVER_NAME] = b""
    if alpn is not None:
        extensions |= pack(ALPN([alpn.encode()]))
    side.send(EncryptedExtensions(extensions))


def request_certificate(side: ServerSide) -> None:
    """Step 11: ask the client for a certificate, and say whose are welcome."""
    config = side.config
    if config.client_auth is ClientAuth.NONE:
        return
    extensions = pack(SignatureAlgorithms(list(config.signature_schemes)))
    if config.send_certificate_authorities and config.trust is not None and config.trust.subjects:
        extensions |= pack(CertificateAuthorities(list(config.trust.subjects)))
    if config.oid_filters:
        extensions |= pack(OidFilters(list(config.oid_filters)))
    side.send(CertificateRequest(b"", extensions))


def choose_proof(side: ServerSide, hello: ClientHello) -> Steps[tuple[Identity, SignatureScheme]]:
    """The certificate that this client can verify, and how its key will sign; the keys wait for both."""
    wanted = find(hello.extensions, SignatureAlgorithms)
    if wanted is None:
        raise ExtensionMissing("The client's hello has no signature_algorithms.")
    offered = tuple(wanted.supported_signature_algorithms)
    schemes = common_schemes(side.config.signs_with, offered)
    authorities = find(hello.extensions, CertificateAuthorities)
    identity = yield from ask(
        side,
        ChooseCertificate(
            role="server",
            version=TLS13,
            server_name=side.server_name,
            signature_schemes=schemes,
            certificate_authorities=tuple(authorities.authorities) if authorities is not None else (),
            oid_filters=(),
            at=side.now(),
        ),
    )
    if identity is None:
        raise NoSuitableCertificate(no_certificate(side, TLS13, offered))
    return identity, choose_scheme(side, identity, schemes)


def authenticate_client(side: ServerSide) -> Steps[Peer]:
    """Steps 14 and 17: who the client is, where we asked."""
    config = side.config
    if config.client_auth is ClientAuth.NONE:
        return Peer()
    message = yield from expect(Certificate)
    if message.certificate_request_context:
        raise IllegalValue("The client's Certificate has a context that was not sent.")
    if not message.certificate_list:
        if config.client_auth is ClientAuth.REQUIRED:
            raise CertificateMissing("The client showed no certificate, and this server requires one.")
        return Peer()
    chain = check_chain_limits(side, message, ())
    covered = side.transcript.digest()
    ocsp, scts = stapled(message)
    report = yield from verify_peer(side, "client", chain, ocsp, scts)
    scheme = yield from check_signature(side, "client", chain[0], report, covered)
    return Peer(chain, report, scheme)
