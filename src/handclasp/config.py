"""What a client and a server may do, frozen, checked when built, shared by all their connections.

What belongs to one connection (the server's name, an observer) is an argument of that
connection. Randomness and time come from here, so a test can replay a handshake byte for byte.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from operator import is_
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from handclasp.crypto.groups import ECDHE_GROUPS, SUPPORTED_GROUPS
from handclasp.crypto.signatures import SUPPORTED_SCHEMES, known_in
from handclasp.crypto.suites import SUITES
from handclasp.errors import ConfigError
from handclasp.pickling import check_pickles
from handclasp.questions import ChooseCertificate, Question, Sign, VerifyPeer
from handclasp.sessions import MAX_TICKET_LIFETIME, MAX_TICKET_SIZE, ClientSessions, ServerSessions, TicketKeys
from handclasp.values import check_fields
from handclasp.wire.extensions import OidFilter
from handclasp.wire.iana import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.x509 import DEFAULT, RevocationSources, TrustStore, VerificationPolicy
from handclasp.x509.filters import check_filters
from handclasp.x509.identity import Identity
from handclasp.x509.reload import CrlFiles, KeyStore, TrustFiles
from handclasp.x509.selection import IdentityIndex

if TYPE_CHECKING:
    from handclasp.x509.online import Online

__all__ = [
    "DEFAULT_CIPHER_SUITES",
    "DEFAULT_GROUPS",
    "DEFAULT_SIGNATURE_SCHEMES",
    "ClientAuth",
    "ClientConfig",
    "Config",
    "Limits",
    "ServerConfig",
]

DEFAULT_CIPHER_SUITES = (
    CipherSuite.TLS_AES_128_GCM_SHA256,
    CipherSuite.TLS_AES_256_GCM_SHA384,
    CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
)

DEFAULT_GROUPS = (
    NamedGroup.X25519MLKEM768,
    NamedGroup.X25519,
    NamedGroup.SECP256R1,
    NamedGroup.SECP384R1,
    NamedGroup.SECP521R1,
    NamedGroup.X448,
    NamedGroup.SECP256R1MLKEM768,
    NamedGroup.SECP384R1MLKEM1024,
    NamedGroup.FFDHE2048,
    NamedGroup.FFDHE3072,
)

DEFAULT_SIGNATURE_SCHEMES = (
    SignatureScheme.ECDSA_SECP256R1_SHA256,
    SignatureScheme.ED25519,
    SignatureScheme.RSA_PSS_RSAE_SHA256,
    SignatureScheme.RSA_PSS_PSS_SHA256,
    SignatureScheme.ECDSA_SECP384R1_SHA384,
    SignatureScheme.RSA_PSS_RSAE_SHA384,
    SignatureScheme.RSA_PSS_PSS_SHA384,
    SignatureScheme.ECDSA_SECP521R1_SHA512,
    SignatureScheme.ED448,
    SignatureScheme.RSA_PSS_RSAE_SHA512,
    SignatureScheme.RSA_PSS_PSS_SHA512,
    SignatureScheme.MLDSA44,
    SignatureScheme.MLDSA65,
    SignatureScheme.MLDSA87,
    SignatureScheme.RSA_PKCS1_SHA256,
    SignatureScheme.RSA_PKCS1_SHA384,
    SignatureScheme.RSA_PKCS1_SHA512,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a peer may make us hold or do. Each is tested; each has its own error."""

    handshake_message_size: int = 128 * 1024
    """Bytes of one handshake message."""
    certificate_chain_length: int = 16
    """Certificates in one chain."""
    certificate_chain_size: int = 100 * 1024
    """Bytes of all certificates of one chain."""
    empty_records: int = 32
    """Records without content in a row."""
    warning_alerts: int = 4
    """Warning alerts other than close_notify, in one connection."""
    change_cipher_specs: int = 4
    """change_cipher_spec records that TLS 1.3 passes over."""
    key_updates: int = 64
    """KeyUpdate messages between two records with data; one more for each record that we sent."""
    tickets: int = 32
    """NewSessionTicket messages in one connection."""
    ticket_size: int = MAX_TICKET_SIZE
    """Bytes of a ticket that a client keeps; a longer one is passed over."""
    psk_identities: int = 8
    """Identities of a ClientHello that a server looks at."""
    refused_early_data: int = 16 * 1024
    """Bytes of 0-RTT data that a server passes over without reading them."""
    buffered_bytes: int = 256 * 1024
    """Bytes received and held while a question waits for its answer."""

    def __post_init__(self) -> None:
        check_fields(self, where="limits.")
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ConfigError(f"limits.{name} is {getattr(self, name)}; it has to be at least 1.")


class ClientAuth(Enum):
    """Whether a server asks its clients for a certificate."""

    NONE = "none"
    OPTIONAL = "optional"
    """A client without a certificate is served; one that shows one is judged by it."""
    REQUIRED = "required"


def system_time() -> float:
    """Seconds since 1970."""
    return time.time()


Answerer = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What both roles have; build a `ClientConfig` or a `ServerConfig`."""

    trust: TrustStore | TrustFiles | None = None
    identities: Iterable[Identity] = ()
    """A tuple, a `KeyStore` that reloads, or a list or another collection that is looked at anew for each handshake,
    so that whoever renews a certificate may replace it there."""
    versions: tuple[ProtocolVersion, ...] = (ProtocolVersion.TLS13, ProtocolVersion.TLS12)
    cipher_suites: tuple[CipherSuite, ...] = DEFAULT_CIPHER_SUITES
    groups: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    signature_schemes: tuple[SignatureScheme, ...] = DEFAULT_SIGNATURE_SCHEMES
    """Schemes that we verify, the dearest first: those that we ask the peer to sign with."""
    signing_schemes: tuple[SignatureScheme, ...] | None = None
    """Schemes that we sign with, the dearest first; None: the same as we verify."""
    alpn: tuple[str, ...] = ()
    """Application protocols, the dearest first; empty: the extension is not used."""
    verification: VerificationPolicy = DEFAULT
    revocation: RevocationSources | CrlFiles | None = None
    """CRLs to ask about the peer's certificates, as `verification.revocation` says."""
    online: Online | None = None
    """Fetch missing issuers, CRLs and OCSP responses from where certificates say; None: never. The handshake waits."""
    require_extended_master_secret: bool = True
    """Refuse TLS 1.2 peers without RFC 7627; what they negotiate can be spliced."""
    middlebox_compatibility: bool = True
    """Make TLS 1.3 look like a resumed TLS 1.2 to what sits between (RFC 8446, D.4)."""
    allow_psk_without_forward_secrecy: bool = False
    """Resume with the PSK alone where the peer wants that (psk_ke)."""
    allow_truncation: bool = False
    """Take a connection that ends without close_notify for a good end; whoever can cut it can then cut the data short
    unseen (RFC 8446, 6.1). For old HTTP/1.0 servers, whose answers have no length and no close_notify."""
    record_padding: int = 0
    """Pad TLS 1.3 records up to a multiple of so many bytes; 0: not at all."""
    limits: Limits = Limits()
    answers: Mapping[type[Question], Answerer] = field(default_factory=dict, repr=False)
    """Functions that answer questions at once, in place of the defaults."""
    ask_caller: frozenset[type[Question]] = frozenset()
    """Questions that become events, to be answered with `connection.answer`."""
    now: Callable[[], float] = system_time
    """Seconds since 1970."""
    random: Callable[[int], bytes] | None = field(default=None, repr=False)
    """Randomness for tests that replay a handshake; None: the system's."""
    _index: list[IdentityIndex] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        check_fields(self, Online=object if self.online is None else _online())
        self._check_versions()
        for name, known in (
            ("cipher_suites", SUITES),
            ("groups", SUPPORTED_GROUPS),
            ("signature_schemes", SUPPORTED_SCHEMES),
            ("signing_schemes", SUPPORTED_SCHEMES),
        ):
            values = getattr(self, name)
            if name == "signing_schemes" and values is None:
                continue
            if not values:
                raise ConfigError(f"{name}: give at least one.")
            if unknown := [str(value) for value in values if value not in known]:
                raise ConfigError(f"{name}: {', '.join(unknown)} is not something handclasp can do.")
        if ProtocolVersion.TLS13 not in self.versions and not any(group in ECDHE_GROUPS for group in self.groups):
            raise ConfigError(f"groups has none for TLS 1.2; add one of {', '.join(map(str, ECDHE_GROUPS))}.")
        if any(not 1 <= len(name.encode()) <= 255 for name in self.alpn):
            raise ConfigError("alpn: a protocol's name has 1 to 255 bytes.")
        if not 0 <= self.record_padding <= 1 << 14:
            raise ConfigError("record_padding: 0 to 16384 bytes.")
        if both := [kind.__name__ for kind in self.ask_caller if kind in self.answers]:
            raise ConfigError(f"{', '.join(both)} is both in answers and in ask_caller.")
        object.__setattr__(self, "answers", MappingProxyType(dict(self.answers)))
        if not isinstance(self.identities, KeyStore) and not self.answers_itself(Sign):
            for one in self.identities:
                if not hasattr(one.private_key, "sign"):
                    raise ConfigError(
                        f"identities: the key of {one.leaf.subject_text} has no sign(); answer the question Sign."
                    )

    def __reduce__(self) -> tuple[Any, ...]:
        """Identities bring their private keys; what was remembered stays here."""
        for kind, answer in self.answers.items():
            check_pickles(f"answers[{kind.__name__}]", answer)
        check_pickles("now", self.now)
        check_pickles("random", self.random)
        return _remade, (type(self), self._values())

    def __copy__(self) -> Self:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(**deepcopy(self._values(), memo))

    def _values(self) -> dict[str, Any]:
        """The arguments that make the same once more."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        return {**values, "answers": dict(self.answers)}

    def _check_versions(self) -> None:
        allowed = (ProtocolVersion.TLS13, ProtocolVersion.TLS12)
        if not self.versions or any(version not in allowed for version in self.versions):
            raise ConfigError("versions: TLS13, TLS12 or both.")
        for version in self.versions:
            if not any(SUITES[suite].version == version for suite in self.cipher_suites if suite in SUITES):
                raise ConfigError(f"cipher_suites has none for {version}; add one or leave the version out.")
            if not known_in(version, self.signature_schemes):
                raise ConfigError(f"signature_schemes has none for {version}; add one or leave the version out.")

    @property
    def signs_with(self) -> tuple[SignatureScheme, ...]:
        """The schemes that we sign with, the dearest first."""
        return self.signature_schemes if self.signing_schemes is None else self.signing_schemes

    @property
    def identity_index(self) -> IdentityIndex:
        """The identities in force, as they are chosen from; made anew only when there are others."""
        identities = self.identities
        current = identities.current() if isinstance(identities, KeyStore) else tuple(identities)
        for index in self._index:
            known = index.identities
            if known is current or (len(known) == len(current) and all(map(is_, known, current))):
                return index
        index = IdentityIndex(current)
        self._index[:] = [index]
        return index

    def answers_itself(self, kind: type[Question]) -> bool:
        """Whether the config's owner answers this question in place of the default."""
        return kind in self.answers or kind in self.ask_caller

    def suites_for(self, version: ProtocolVersion) -> tuple[CipherSuite, ...]:
        """Our cipher suites of this version, the dearest first."""
        return tuple(suite for suite in self.cipher_suites if SUITES[suite].version == version)


def _online() -> type[Online]:
    """Who has none of it need not import it: the library's HTTP client takes a while."""
    from handclasp.x509.online import Online

    return Online


def _remade(kind: type[Config], values: dict[str, Any]) -> Config:
    return kind(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig(Config):
    """A client: what it trusts, what it can show, what it offers."""

    key_shares: int = 2
    """For how many of `groups`, from the first, a key goes into the first ClientHello."""
    sessions: ClientSessions | None = field(default_factory=lambda: _own(ClientSessions()), repr=False, compare=False)
    """Where sessions to resume are kept; None: nowhere, never resume. Where none is given it is this config's own, and
    a config that is made from this one has another; one that is given may be shared, and each config finds what it
    could have made itself."""
    scope: bytes = field(init=False, repr=False, compare=False, default=b"")
    """Stands for whom this config trusts and what it offers: a session is found by configs of its own scope alone."""
    allow_servers_without_secure_renegotiation: bool = False
    """Speak TLS 1.2 with servers that lack RFC 5746: somebody may have begun their session in our place."""
    request_ocsp: bool = True
    request_scts: bool = True

    def __post_init__(self) -> None:
        Config.__post_init__(self)
        if self.trust is None and not self.answers_itself(VerifyPeer):
            raise ConfigError("trust: name the authorities to trust, as with TrustStore.system().")
        if not 0 <= self.key_shares <= len(self.groups):
            raise ConfigError(f"key_shares: 0 to {len(self.groups)}, the number of groups.")
        if self.sessions is not None and self.sessions.of_config:
            object.__setattr__(self, "sessions", _own(ClientSessions()))
        object.__setattr__(self, "scope", hashlib.sha256(_described(self).encode()).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(Config):
    """A server: who it is, whom it serves."""

    client_auth: ClientAuth = ClientAuth.NONE
    send_certificate_authorities: bool = True
    """Tell clients whose certificates are welcome (mission row S11)."""
    oid_filters: tuple[OidFilter, ...] = ()
    """What extensions of a client's certificate have to hold (RFC 8446, 4.2.5): clients are told of it in TLS 1.3, and
    refused without it in every version, in resumed sessions too."""
    retry_cookie: bool = False
    """Put a cookie into each HelloRetryRequest and want it back (RFC 8446, 4.2.2)."""
    tickets: int = 2
    """Tickets issued after each full TLS 1.3 handshake; 0: none, in TLS 1.2 neither."""
    ticket_lifetime: int = 24 * 3600
    """Seconds."""
    ticket_keys: TicketKeys = field(default_factory=lambda: _own(TicketKeys()), repr=False, compare=False)
    """What seals tickets; where none are given, keys of this config's own, as with `sessions`. Processes that are
    forked with the config have the same; others share secrets (`TicketKeys`, `TicketKeys.from_files`)."""
    sessions: ServerSessions | None = field(default_factory=lambda: _own(ServerSessions()), repr=False, compare=False)
    """TLS 1.2 sessions of clients without tickets; None: not kept. Where none is given, this config's own."""
    tag: bytes = field(init=False, repr=False, compare=False, default_factory=lambda: os.urandom(32))
    """Stands in sessions for certificates that answers chose, and not `identities`."""
    prefer_client_order: bool = False
    """Take the first of the client's cipher suites that we have, not the first of ours."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Processes that are spawned with it take each other's tickets, as those that are forked do."""
        return _remade_server, (*Config.__reduce__(self)[1], self.ticket_keys, self.tag)

    def __post_init__(self) -> None:
        Config.__post_init__(self)
        if not self.answers_itself(ChooseCertificate) and not any(True for _ in self.identities):
            raise ConfigError("identities: a server needs a certificate and its key.")
        if self.client_auth is not ClientAuth.NONE and self.trust is None and not self.answers_itself(VerifyPeer):
            raise ConfigError("trust: name the authorities whose clients are welcome.")
        check_filters(self.oid_filters)
        if not 0 <= self.ticket_lifetime <= MAX_TICKET_LIFETIME:
            raise ConfigError(f"ticket_lifetime: 0 to {MAX_TICKET_LIFETIME} seconds.")
        if self.tickets < 0:
            raise ConfigError("tickets: 0 or more.")
        if self.ticket_keys.of_config:
            keys = TicketKeys(now=self.now, lifetime=self.ticket_lifetime)
            object.__setattr__(self, "ticket_keys", _own(keys))
        if self.sessions is not None and self.sessions.of_config:
            object.__setattr__(self, "sessions", _own(ServerSessions()))


Kept = TypeVar("Kept", ClientSessions, ServerSessions, TicketKeys)


def _own(kept: Kept) -> Kept:
    """What nobody gave: a config that is made from the one that has it makes its own."""
    kept.of_config = True
    return kept


def _remade_server(kind: type[Config], values: dict[str, Any], keys: TicketKeys, tag: bytes) -> Config:
    config = kind(**values)
    object.__setattr__(config, "ticket_keys", keys)
    object.__setattr__(config, "tag", tag)
    return config


_NOT_OF_SESSIONS = frozenset(
    {
        *("identities", "revocation", "online"),  # looked at anew for each connection
        *("sessions", "scope", "answers", "ask_caller", "now", "random", "limits"),
        *("record_padding", "middlebox_compatibility", "key_shares"),
    }
)
"""Fields of a config that no session depends on."""


def _described(value: object) -> str:
    """A text that is the same for values that mean the same."""
    if isinstance(value, TrustStore):
        return value.digest.hex()
    if isinstance(value, TrustFiles):
        return repr(value.paths)  # whom they hold changes; sessions are judged by whom they hold then
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(_described, value)))}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_described, value))})"
    if is_dataclass(value):
        parts = [
            f"{one.name}={_described(getattr(value, one.name))}"
            for one in fields(value)
            if not (isinstance(value, Config) and one.name in _NOT_OF_SESSIONS)
        ]
        return f"{type(value).__name__}({', '.join(parts)})"
    return repr(value)
