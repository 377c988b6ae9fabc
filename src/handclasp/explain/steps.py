"""The 22 steps of a handshake (mission row S4), made from the facts of one side as they happen.

A message may hold several steps: a ClientHello is steps 2 to 5. TLS 1.3 moves some: its server
finishes before its client does, so step 19 comes before 16. The numbers stay those of the
mission; the order is the one in which things happened. What the other side decides in its own
mind (steps 13, 17, 20, 21 of the peer) shows itself only in that it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType

from handclasp.explain.authority import name_text
from handclasp.facts import (
    AlertSeen,
    Checked,
    Choice,
    Fact,
    Finish,
    MessageSeen,
    PeerChecked,
    Role,
    SecretMade,
    Started,
)
from handclasp.text import printable
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import (
    ALPN,
    CertificateAuthorities,
    KeyShareClientHello,
    KeyShareHelloRetryRequest,
    KeyShareServerHello,
    ServerNameList,
    SignatureAlgorithms,
    SupportedGroups,
    SupportedVersions,
    SupportedVersionsServerHello,
    find,
)
from handclasp.wire.iana import AlertDescription
from handclasp.wire.messages import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    Finished,
    HandshakeMessage,
    ServerHello,
)
from handclasp.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    ClientKeyExchangeECDHE,
    ServerHelloDone,
    ServerKeyExchangeECDHE,
)
from handclasp.x509 import Certificate as X509Certificate
from handclasp.x509.text import listed, shortened

__all__ = ["STEPS", "Step", "StepTrace"]

STEPS: MappingProxyType[int, tuple[Role, str]] = MappingProxyType(
    {
        1: ("client", "connects to the server"),
        2: ("client", "requests TLS"),
        3: ("client", "offers versions and cipher suites"),
        4: ("client", "sends its part of the key exchange"),
        5: ("client", "waits for the server"),
        6: ("server", "confirms TLS"),
        7: ("server", "chooses version and cipher suite"),
        8: ("client", "accepts the version"),
        9: ("server", "shows its certificate"),
        10: ("server", "sends its part of the key exchange"),
        11: ("server", "asks for the client's certificate"),
        12: ("server", "waits for the client"),
        13: ("client", "validates the server's certificate"),
        14: ("client", "shows its certificate"),
        15: ("client", "completes the key exchange"),
        16: ("client", "sends Finished"),
        17: ("server", "validates the client's certificate"),
        18: ("server", "completes the key exchange"),
        19: ("server", "sends Finished"),
        20: ("server", "verifies the client's Finished"),
        21: ("client", "verifies the server's Finished"),
        22: ("client", "has a session with the server"),
    }
)
"""For each number: who acts, and what it does."""


@dataclass(frozen=True, slots=True)
class Step:
    """One of the 22 steps as it happened."""

    number: int
    party: Role
    title: str
    decision: str
    """What was decided, or sent, with its values."""
    size: int = 0
    """Bytes of the message that carried it; 0 where no message did."""

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "step": self.number,
            "party": self.party,
            "title": self.title,
            "decision": self.decision,
            "bytes": self.size,
        }


class StepTrace:
    """An observer that turns facts into steps; `on_step` hears of each at once."""

    def __init__(self, on_step: Callable[[Step], None] | None = None) -> None:
        self.steps: list[Step] = []
        self.role: Role = "client"
        self.offered: dict[str, str] = {}
        """What the client's hello offers, in words, by kind."""
        self.why_none = ""
        """Why we, a client that was asked for a certificate, showed none; else empty."""
        self.declined = False
        """Whether the peer asked for a renegotiation, which was declined."""
        self._on_step = on_step
        self._resumed = False

    def __call__(self, fact: Fact) -> None:
        """Take one fact."""
        if isinstance(fact, Started):
            self.role = fact.role
            if fact.role == "client":
                self._add(1, fact.server_name or "a server without a name")
        elif isinstance(fact, MessageSeen):
            self._on_message(fact)
        elif isinstance(fact, Choice):
            self._on_choice(fact)
        elif isinstance(fact, PeerChecked):
            self._on_peer(fact)
        elif isinstance(fact, SecretMade):
            if fact.label in ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_RANDOM"):
                self._add(15 if self.role == "client" else 18, "both halves make the same secret")
        elif isinstance(fact, Checked):
            if fact.what == "Finished":
                self._add(21 if self.role == "client" else 20, fact.why)
        elif isinstance(fact, AlertSeen):
            self.declined |= (fact.direction, fact.description) == ("sent", AlertDescription.NO_RENEGOTIATION)
        elif isinstance(fact, Finish):
            self._add(22, f"{fact.version}, {'resumed' if fact.resumed else 'new'}")

    @property
    def last(self) -> Step | None:
        """The step that came last."""
        return self.steps[-1] if self.steps else None

    def has(self, number: int) -> bool:
        """Whether this step has been seen."""
        return any(step.number == number for step in self.steps)

    def _add(self, number: int, decision: str, message: HandshakeMessage | None = None) -> None:
        party, title = STEPS[number]
        step = Step(number, party, title, printable(decision), len(message.raw) if message is not None else 0)
        self.steps.append(step)
        if self._on_step is not None:
            self._on_step(step)

    def _on_message(self, fact: MessageSeen) -> None:
        describe = _MESSAGES.get(type(fact.message))
        if describe is None:
            return
        if isinstance(fact.message, ClientHello):
            self.offered = _offer_of(fact.message)
        sender: Role = self.role if fact.direction == "sent" else "server" if self.role == "client" else "client"
        for number, decision in describe(fact.message, sender):
            self._add(number, decision, fact.message)

    def _on_choice(self, fact: Choice) -> None:
        if fact.what == "version" and self.role == "client":
            self._add(8, f"{fact.taken}, one of {_join(fact.offered)}")
        elif fact.what == "certificate" and self.role == "client" and fact.taken is None:
            self.why_none = fact.why
        elif fact.what == "session" and fact.taken is not None:
            self._add(9, f"none: the session is resumed, {fact.why}")

    def _on_peer(self, fact: PeerChecked) -> None:
        number = 13 if self.role == "client" else 17
        report = fact.report
        if report is None:
            self._add(number, "accepted by the caller's own judgement")
        elif report.error is not None:
            self._add(number, f"refused: {report.error}")
        else:
            path = " < ".join(one.subject_text for one in report.path or ())
            checks = ", ".join(dict.fromkeys(c.name for c in report.checks if c.verdict.value == "passed"))
            self._add(number, f"{path}; passed: {checks}")


Described = Iterable[tuple[int, str]]


def _offer_of(message: ClientHello) -> dict[str, str]:
    """What a hello offers, by kind; empty where it does not say."""
    extensions = message.extensions
    try:
        versions, groups = find(extensions, SupportedVersions), find(extensions, SupportedGroups)
        schemes, protocols = find(extensions, SignatureAlgorithms), find(extensions, ALPN)
    except DecodeError:
        return {}
    return {
        "name": _name_in(message),
        "versions": _join(versions.versions if versions is not None else [message.legacy_version]),
        "cipher suites": _join(message.cipher_suites),
        "groups": _join(groups.named_group_list if groups is not None else ()),
        "signatures": _join(schemes.supported_signature_algorithms if schemes is not None else ()),
        "protocols": _join(shortened(one.decode("utf-8", "replace")) for one in protocols.protocol_name_list)
        if protocols is not None
        else "",
    }


def _client_hello(message: ClientHello, _: Role) -> Described:
    extensions = message.extensions
    versions = find(extensions, SupportedVersions)
    offered = versions.versions if versions is not None else [message.legacy_version]
    name = _name_in(message)
    yield 2, "ClientHello" + (f" for {name}" if name else "")
    yield 3, f"{_join(offered)}; {_join(message.cipher_suites)}"
    groups = find(extensions, SupportedGroups)
    shares = find(extensions, KeyShareClientHello)
    with_key = f"keys of {_join(share.group for share in shares.client_shares)}; " if shares is not None else ""
    yield 4, f"{with_key}groups {_join(groups.named_group_list if groups is not None else ())}"
    yield 5, "end of the hello"


def _name_in(message: ClientHello) -> str:
    try:
        names = find(message.extensions, ServerNameList)
    except DecodeError:
        return ""
    hosts = [one.host_name.decode("ascii", "replace") for one in names.server_name_list] if names else []
    return _join(hosts)


def _server_hello(message: ServerHello, _: Role) -> Described:
    extensions = message.extensions
    if message.is_retry:
        asked = find(extensions, KeyShareHelloRetryRequest)
        yield 6, "HelloRetryRequest: " + (f"a key of {asked.selected_group} is wanted" if asked else "with a cookie")
        return
    answer = find(extensions, SupportedVersionsServerHello)
    version = message.legacy_version if answer is None else answer.selected_version
    yield 6, "ServerHello"
    yield 7, f"{version}, {message.cipher_suite}"
    share = find(extensions, KeyShareServerHello)
    if share is not None:
        yield 10, f"a key of {share.server_share.group}, {len(share.server_share.key_exchange)} bytes"


def _certificate(message: Certificate | Certificate12, sender: Role) -> Described:
    if isinstance(message, Certificate):
        chain = [entry.cert_data for entry in message.certificate_list]
    else:
        chain = message.certificate_list
    who = _join(X509Certificate(der).subject_text for der in chain)
    yield 9 if sender == "server" else 14, who or "none: no certificate of its own fits"


def _certificate_request(message: CertificateRequest | CertificateRequest12, _: Role) -> Described:
    if isinstance(message, CertificateRequest):
        named = find(message.extensions, CertificateAuthorities)
        authorities = named.authorities if named is not None else []
    else:
        authorities = message.certificate_authorities
    yield 11, f"of {_join((name_text(one) for one in authorities), 3)}" if authorities else "of any authority"


def _certificate_verify(message: CertificateVerify, sender: Role) -> Described:
    yield 10 if sender == "server" else 14, f"signed with {message.algorithm}: it has the key of its certificate"


def _finished(message: Finished, sender: Role) -> Described:
    size = len(message.verify_data)
    yield 19 if sender == "server" else 16, f"{size} bytes over the whole handshake"
    if sender == "server" and size > 12:
        yield 12, "end of the server's flight"


def _server_hello_done(_: ServerHelloDone, __: Role) -> Described:
    yield 12, "ServerHelloDone"


def _server_key_exchange(message: ServerKeyExchangeECDHE, _: Role) -> Described:
    yield 10, f"a key of {message.params.named_curve}, signed with {message.algorithm}"


def _client_key_exchange(message: ClientKeyExchangeECDHE, _: Role) -> Described:
    yield 4, f"its key, {len(message.public)} bytes"


_MESSAGES: dict[type[HandshakeMessage], Callable[..., Described]] = {
    ClientHello: _client_hello,
    ServerHello: _server_hello,
    Certificate: _certificate,
    Certificate12: _certificate,
    CertificateRequest: _certificate_request,
    CertificateRequest12: _certificate_request,
    CertificateVerify: _certificate_verify,
    Finished: _finished,
    ServerHelloDone: _server_hello_done,
    ServerKeyExchangeECDHE: _server_key_exchange,
    ClientKeyExchangeECDHE: _client_key_exchange,
}


def _join(values: Iterable[object], most: int = 6) -> str:
    """The values in a row; what nobody has named is GREASE or news, and left out of the count."""
    return listed((value for value in values if not getattr(value, "is_grease", False)), most)
