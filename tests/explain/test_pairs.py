"""Two parties that cannot agree: what each is told of it (mission row S26)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from tests.conftest import World
from tests.pair import Pair, Party

from handclasp import CipherSuite, ClientAuth, NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.ca import Authority
from handclasp.endings import Truncated
from handclasp.explain import Explanation, StepTrace, explain
from handclasp.explain.authority import name_text
from handclasp.wire.iana import ExtensionType
from handclasp.wire.messages import ClientHello, ServerHello
from handclasp.x509.crl import Crl
from handclasp.x509.identity import Identity
from handclasp.x509.revocation import RevocationSources

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
A128, A256 = CipherSuite.TLS_AES_128_GCM_SHA256, CipherSuite.TLS_AES_256_GCM_SHA384
E128 = CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
E256 = CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
RSAE = SignatureScheme.RSA_PSS_RSAE_SHA256


def told(party: Party) -> Explanation:
    """What one of the two would be shown."""
    trace = StepTrace()
    for fact in party.facts:
        trace(fact)
    assert party.error is not None
    return explain(party.error, trace)


@dataclass(frozen=True)
class Case:
    """Two configs that do not fit: the step where it shows, and words for each side."""

    name: str
    client: dict[str, object]
    server: dict[str, object]
    step: int
    client_is_told: tuple[str, ...]
    server_is_told: tuple[str, ...]
    client_step: int | None = None
    """Where the client cannot tell as exactly."""


CASES = [
    Case(
        "new client",
        {"versions": (TLS13,)},
        {"versions": (TLS12,)},
        7,
        ("versions TLS 1.3.",),
        ("offers TLS 1.3", "speaks TLS 1.2"),
    ),
    Case(
        "old client",
        {"versions": (TLS12,)},
        {"versions": (TLS13,)},
        7,
        ("versions TLS 1.2.",),
        ("TLS 1.2 at most", "speaks TLS 1.3"),
    ),
    Case(
        "suites of TLS 1.3",
        {"versions": (TLS13,), "cipher_suites": (A128,)},
        {"versions": (TLS13,), "cipher_suites": (A256,)},
        7,
        (f"cipher suites {A128}",),
        (f"offers {A128}", f"has {A256}"),
    ),
    Case(
        "suites of TLS 1.2",
        {"versions": (TLS12,), "cipher_suites": (E128,)},
        {"versions": (TLS12,), "cipher_suites": (E256,)},
        7,
        (f"cipher suites {E128}",),
        (f"offers {E128}", f"has {E256}"),
    ),
    Case(
        "suites for another key",
        {"versions": (TLS12,), "cipher_suites": (CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,)},
        {},
        7,
        ("cipher suites TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 in common, for RSA keys",),
    ),
    *(
        Case(
            f"groups of {version}",
            {"versions": (version,), "groups": (NamedGroup.X25519,), "key_shares": 1},
            {"groups": (NamedGroup.SECP256R1,)},
            7,
            ("groups x25519;",),
            ("offers x25519", "server has secp256r1"),
        )
        for version in (TLS12, TLS13)
    ),
    *(
        Case(
            f"schemes of {version}",
            {"versions": (version,), "signature_schemes": (RSAE,)},
            {},
            9,
            (f"signatures {RSAE}",),
            (f"verifies {RSAE}", "sign with ecdsa_secp256r1_sha256"),
            7,
        )
        for version in (TLS12, TLS13)
    ),
    Case(
        "schemes of the server's config",
        {"versions": (TLS13,)},
        {"signature_schemes": (RSAE,)},
        9,
        ("signatures ecdsa_secp256r1_sha256",),
        ("keys' ecdsa_secp256r1_sha256 is left out of its signature_schemes",),
        7,
    ),
    Case(
        "curve of the certificate",
        {"versions": (TLS12,), "groups": (NamedGroup.X25519,), "key_shares": 1},
        {},
        9,
        ("groups x25519;",),
        ("with ECDSA on x25519;",),
        7,
    ),
    Case(
        "protocols",
        {"alpn": ("h2", "h3")},
        {"alpn": ("http/1.1",)},
        7,
        ("protocols h2, h3.",),
        ("speaks h2, h3", "http/1.1"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_sides_learn_what_was_offered_and_the_server_what_it_has(world: World, case: Case) -> None:
    pair = Pair(world.client_config(**case.client), world.server_config(**case.server))
    pair.run()
    client, server = told(pair.client), told(pair.server)
    assert client.side == server.side == "server"
    assert server.step == case.step
    assert client.step == (case.client_step or case.step)
    for part in case.client_is_told:
        assert part in client.what
    for part in case.server_is_told:
        assert part in server.what


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_a_client_without_the_wanted_certificate_learns_whose_are_and_why_its_own_is_not(
    world: World, version: ProtocolVersion
) -> None:
    other = Authority.root("Other Root")
    mallory = other.client("mallory")
    stranger = Identity((*mallory.chain, other.certificate), mallory.private_key)
    server = world.server_config(trust=world.root.trust, client_auth=ClientAuth.REQUIRED)
    for identities, why in (
        ((), "we have none."),
        ((stranger,), "we have CN=mallory, but the server does not trust its authority."),
        ((world.server.identity,), "but it is not for clients."),
    ):
        pair = Pair(world.client_config(versions=(version,), identities=identities), server)
        pair.run()
        client = told(pair.client)
        assert "it requires a certificate and got none. It asked for one of CN=Test Root" in client.what
        assert why in client.what
        assert client.step == told(pair.server).step == 14
        assert client.side == told(pair.server).side == "server"


@pytest.mark.parametrize(
    ("kind", "side", "steps"),
    [(ClientHello, "server", (7, 7)), (ServerHello, "client", (8, 8))],
    ids=["client", "server"],
)
def test_a_missing_extended_master_secret_is_told_where_the_hello_is_read(
    world: World, kind: type[ClientHello | ServerHello], side: str, steps: tuple[int, int]
) -> None:
    def without(message: ClientHello | ServerHello) -> ClientHello | ServerHello:
        message.extensions.pop(ExtensionType.EXTENDED_MASTER_SECRET)
        return message

    pair = Pair(world.client_config(versions=(TLS12,)), world.server_config())
    (pair.client if kind is ClientHello else pair.server).rewrite(kind, without)
    pair.run()
    client, server = told(pair.client), told(pair.server)
    assert client.side == server.side == side
    assert (client.step, server.step) == steps
    assert "extended master secret" in (client if side == "client" else server).what


@pytest.mark.parametrize(
    ("first", "part"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "looks like HTTP"),
        (b"GET / HTTP/1.1\r\n", "looks like HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "looks like SSH"),
        (b"220 mail.example ESMTP\r\n", "looks like SMTP or FTP"),
        (b"* OK IMAP4rev1\r\n", "looks like IMAP"),
        (b"\x00\x01\x02", "TLS begins otherwise"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:4].decode("latin1"),
)
def test_what_is_no_tls_is_called_by_its_name(world: World, first: bytes, part: str) -> None:
    pair = Pair(world.client_config(), world.server_config())
    for party, step in ((pair.client, 6), (pair.server, 2)):
        party.connection.start()
        party.receive(first)
        assert part in told(party).what
        assert told(party).step == step
        assert told(party).side == party.connection.role


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_a_connection_that_is_cut_is_told_by_the_step_that_was_to_come(world: World, version: ProtocolVersion) -> None:
    def cut(party: Party) -> int | None:
        with pytest.raises(Truncated):
            party.connection.receive_eof()
        party.error = party.connection.error
        return told(party).step

    client, server = world.client_config(versions=(version,)), world.server_config()
    pair = Pair(client, server)
    pair.server.connection.start()
    assert cut(pair.server) == 2
    pair = Pair(client, server)
    pair.to_client = lambda _: b""
    pair.run()
    assert cut(pair.client) == 6
    assert cut(pair.server) == (16 if version == TLS13 else 15)


def test_a_tls13_client_whose_server_stops_after_its_hello_waits_for_the_certificate(world: World) -> None:
    pair = Pair(world.client_config(versions=(TLS13,)), world.server_config())
    pair.to_client = lambda data: data[: 5 + int.from_bytes(data[3:5], "big")]
    pair.run()
    with pytest.raises(Truncated):
        pair.client.connection.receive_eof()
    pair.client.error = pair.client.connection.error
    assert told(pair.client).step == 9


def test_names_of_authorities_are_written_as_people_write_them() -> None:
    attributes = [
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.ORGANIZATION_NAME, "Beispiel AG"),
        (NameOID.COMMON_NAME, "Prüfer\nRoot"),
    ]
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    assert name_text(name.public_bytes()) == "CN=Prüfer\\0aRoot,O=Beispiel AG,C=DE"
    for broken in (b"", b"\x30", b"\x30\x05\x31", name.public_bytes()[:-1]):
        assert name_text(broken) == broken.hex()


@pytest.mark.parametrize(
    ("name", "alert", "found", "heard"),
    [
        ("expired", "certificate_expired", "expired on", "past its last day"),
        ("other name", "bad_certificate", "the connection asked for other.example", "has the name"),
        ("stranger", "unknown_ca", "leads to CN=Test Root", "trusted authorities"),
        ("revoked", "certificate_revoked", "revoked", "revoked"),
    ],
)
def test_a_refused_certificate_is_told_on_both_sides_at_step_13(
    world: World, name: str, alert: str, found: str, heard: str
) -> None:
    start = datetime.now(UTC) - timedelta(minutes=1)
    revoked = (world.server.certificate.serial_number, start, x509.ReasonFlags.key_compromise)
    lists = [Crl(world.issuing.make_crl([revoked], number=1, at=start))]
    changes: dict[str, dict[str, object]] = {
        "expired": {"now": lambda: time.time() + 500 * 86400},
        "stranger": {"trust": Authority.root("Other Root").trust},
        "revoked": {"revocation": RevocationSources(lists)},
    }
    host = "other.example" if name == "other name" else "localhost"
    pair = Pair(world.client_config(**changes.get(name, {})), world.server_config(), server_name=host)
    pair.run()
    client, server = told(pair.client), told(pair.server)
    assert client.step == server.step == 13
    assert client.side == server.side == "client"
    assert client.alert == server.alert == alert
    assert found in client.what
    assert heard in server.what + server.mend
