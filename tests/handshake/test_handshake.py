"""Handshakes that succeed: versions, suites, groups, keys, both ways of authentication."""

from __future__ import annotations

import pytest
from tests.conftest import World
from tests.pair import Pair, noting

from handclasp import CipherSuite, ClientAuth, NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.ca import KeyType
from handclasp.crypto.groups import ECDHE_GROUPS, SUPPORTED_GROUPS
from handclasp.crypto.suites import SUITES
from handclasp.handshake.errors import CertificateMissing, NoSuitableCertificate
from handclasp.wire.iana import ExtensionType
from handclasp.wire.messages import EncryptedExtensions

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)


@BOTH
def test_two_parties_agree_and_talk(world: World, version: ProtocolVersion) -> None:
    pair = Pair(world.client_config(versions=(version,)), world.server_config())
    pair.shake()
    pair.say(b"hello")
    assert pair.server.data == b"hello"
    assert pair.client.data == b"olleh"
    client, server = pair.client.connection.established, pair.server.connection.established
    assert client is not None
    assert server is not None
    assert client.version == server.version == version
    assert client.peer_chain == tuple(one.der for one in world.server.chain)
    assert client.peer_report is not None
    assert client.peer_report.accepted
    assert not client.resumed


@BOTH
def test_connections_to_one_server_hold_its_chain_once(world: World, version: ProtocolVersion) -> None:
    chains = []
    for _ in range(2):
        pair = Pair(world.client_config(versions=(version,), sessions=None), world.server_config())
        pair.shake()
        assert pair.client.connection.established is not None
        chains.append(pair.client.connection.established.peer_chain)
    assert len({id(der) for chain in chains for der in chain}) == len(chains[0])


@pytest.mark.parametrize("suite", SUITES, ids=str)
def test_every_cipher_suite_carries_data(world: World, suite: CipherSuite) -> None:
    issued = world.rsa_server if SUITES[suite].authentication == "RSA" else world.server
    version = SUITES[suite].version
    server = world.server_config(identities=(issued.identity,), cipher_suites=(suite,), versions=(version,))
    pair = Pair(world.client_config(cipher_suites=(suite,), versions=(version,)), server)
    pair.shake()
    pair.say(bytes(range(256)) * 200)
    assert pair.server.data == bytes(range(256)) * 200
    assert pair.client.connection.established is not None
    assert pair.client.connection.established.cipher_suite == suite


@pytest.mark.parametrize("group", SUPPORTED_GROUPS, ids=str)
@pytest.mark.parametrize("retry", [False, True], ids=["key-at-once", "after-a-retry"])
def test_every_group_makes_the_same_secret(world: World, group: NamedGroup, retry: bool) -> None:
    pair = Pair(
        world.client_config(groups=(group,), key_shares=0 if retry else 1), world.server_config(groups=(group,))
    )
    pair.shake()
    pair.say()
    established = pair.client.connection.established
    assert established is not None
    assert established.group == group


@pytest.mark.parametrize("group", ECDHE_GROUPS, ids=str)
def test_every_curve_serves_tls12(world: World, group: NamedGroup) -> None:
    server = world.server_config(identities=(world.rsa_server.identity,))
    pair = Pair(world.client_config(groups=(group,), key_shares=1, versions=(TLS12,)), server)
    pair.shake()
    established = pair.client.connection.established
    assert established is not None
    assert established.group == group


@pytest.mark.parametrize("key", KeyType, ids=lambda key: key.value)
def test_every_kind_of_key_proves_a_server_and_a_client(world: World, key: KeyType) -> None:
    server = world.issuing.server("localhost", key=key)
    client = world.issuing.client("bob", key=key)
    pair = Pair(
        world.client_config(identities=(client.identity,)),
        world.server_config(identities=(server.identity,), trust=world.root.trust, client_auth=ClientAuth.REQUIRED),
    )
    pair.shake()
    pair.say()
    report = pair.server.connection.established.peer_report  # type: ignore[union-attr]
    assert report is not None
    assert report.identities is not None
    assert report.identities.common_names == ("bob",)


@BOTH
@pytest.mark.parametrize("auth", [ClientAuth.OPTIONAL, ClientAuth.REQUIRED], ids=lambda auth: auth.value)
def test_a_client_shows_its_certificate_where_it_is_asked(
    world: World, version: ProtocolVersion, auth: ClientAuth
) -> None:
    pair = Pair(
        world.client_config(versions=(version,), identities=(world.client.identity,)),
        world.server_config(trust=world.root.trust, client_auth=auth),
    )
    pair.shake()
    assert pair.server.connection.established is not None
    assert pair.server.connection.established.peer_chain[0] == world.client.certificate.der


@BOTH
def test_a_client_without_certificate_is_served_where_one_is_optional(world: World, version: ProtocolVersion) -> None:
    pair = Pair(
        world.client_config(versions=(version,)),
        world.server_config(trust=world.root.trust, client_auth=ClientAuth.OPTIONAL),
    )
    pair.shake()
    pair.say()
    assert pair.server.data == b"ping"
    assert pair.server.connection.established is not None
    assert pair.server.connection.established.peer_report is None


@BOTH
def test_a_client_picks_the_certificate_of_an_authority_that_the_server_names(
    world: World, version: ProtocolVersion
) -> None:
    """Mission row S11."""
    from handclasp.ca import Authority

    other = Authority.root("Another Root").client("mallory")
    pair = Pair(
        world.client_config(versions=(version,), identities=(other.identity, world.client.identity)),
        world.server_config(trust=world.issuing.trust, client_auth=ClientAuth.REQUIRED),
    )
    pair.shake()
    assert pair.server.connection.established is not None
    assert pair.server.connection.established.peer_chain[0] == world.client.certificate.der


@BOTH
def test_the_servers_first_protocol_that_the_client_speaks_is_taken(world: World, version: ProtocolVersion) -> None:
    """RFC 7301, 3.2."""
    pair = Pair(
        world.client_config(versions=(version,), alpn=("h2", "http/1.1")),
        world.server_config(alpn=("sip", "http/1.1", "h2")),
    )
    pair.shake()
    assert pair.client.connection.established is not None
    assert pair.client.connection.established.alpn == "http/1.1"


@BOTH
def test_the_server_chooses_the_certificate_of_the_name_asked_for(world: World, version: ProtocolVersion) -> None:
    one = world.issuing.server("one.example")
    two = world.issuing.server("*.two.example")
    server = world.server_config(identities=(one.identity, two.identity))
    pair = Pair(world.client_config(versions=(version,)), server, server_name="www.two.example")
    pair.shake()
    assert pair.client.connection.established is not None
    assert pair.client.connection.established.peer_chain[0] == two.certificate.der


@pytest.mark.parametrize(
    ("suite", "kind"),
    [
        (CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "rsa_server"),
        (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "server"),
    ],
    ids=str,
)
def test_the_server_chooses_a_certificate_that_the_suites_of_tls12_can_use(
    world: World, suite: CipherSuite, kind: str
) -> None:
    """RFC 5246, 7.4.2: a client may verify ECDSA, and have no suite for it."""
    server = world.server_config(identities=(world.server.identity, world.rsa_server.identity))
    pair = Pair(world.client_config(versions=(TLS12,), cipher_suites=(suite,)), server)
    pair.shake()
    assert pair.client.connection.established is not None
    assert pair.client.connection.established.peer_chain[0] == getattr(world, kind).certificate.der


@pytest.mark.parametrize(
    ("version", "unfit", "schemes"),
    [
        (TLS12, KeyType.MLDSA44, (SignatureScheme.MLDSA44, SignatureScheme.ECDSA_SECP256R1_SHA256)),
        (TLS13, KeyType.P384, (SignatureScheme.ECDSA_SECP256R1_SHA256,)),
        (TLS13, KeyType.RSA2048, (SignatureScheme.RSA_PKCS1_SHA256, SignatureScheme.ECDSA_SECP256R1_SHA256)),
    ],
    ids=["ML-DSA in TLS 1.2", "another curve in TLS 1.3", "PKCS #1 in TLS 1.3"],
)
def test_both_choose_certificates_whose_keys_sign_in_the_version_agreed_on(
    world: World, version: ProtocolVersion, unfit: KeyType, schemes: tuple[SignatureScheme, ...]
) -> None:
    """RFC 8446, 4.2.3; RFC 8422, 5.1.1: what is listed for one version makes no signature in another."""
    servers = (world.issuing.server("localhost", key=unfit).identity, world.server.identity)
    clients = (world.issuing.client("bob", key=unfit).identity, world.client.identity)
    client = world.client_config(versions=(version,), identities=clients, signature_schemes=schemes)
    server = world.server_config(
        identities=servers, trust=world.root.trust, client_auth=ClientAuth.REQUIRED, signature_schemes=schemes
    )
    pair = Pair(client, server)
    pair.shake()
    assert pair.client.connection.established is not None
    assert pair.server.connection.established is not None
    assert pair.client.connection.established.peer_chain[0] == world.server.certificate.der
    assert pair.server.connection.established.peer_chain[0] == world.client.certificate.der


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_key_that_signs_in_no_suite_of_tls12_is_not_shown_there(world: World, role: str) -> None:
    """ML-DSA is for TLS 1.3 alone."""
    kept = {"client": world.client, "server": world.server}
    kept[role] = getattr(world.issuing, role)("localhost", key=KeyType.MLDSA44)
    client = world.client_config(versions=(TLS12,), identities=(kept["client"].identity,))
    server = world.server_config(
        identities=(kept["server"].identity,), trust=world.root.trust, client_auth=ClientAuth.REQUIRED
    )
    wanted = CertificateMissing if role == "client" else NoSuitableCertificate
    with pytest.raises(wanted):
        Pair(client, server).shake()


def test_the_server_chooses_a_certificate_on_a_curve_that_a_client_of_tls12_has(world: World) -> None:
    """RFC 8422, 5.3: the client may verify ECDSA, and not on every curve."""
    p384 = world.issuing.server("localhost", key=KeyType.P384)
    server = world.server_config(identities=(p384.identity, world.server.identity, world.rsa_server.identity))
    for groups, expected in (
        ((NamedGroup.SECP384R1, NamedGroup.X25519), p384),
        ((NamedGroup.X25519, NamedGroup.SECP256R1), world.server),
        ((NamedGroup.X25519,), world.rsa_server),
    ):
        pair = Pair(world.client_config(versions=(TLS12,), groups=groups, key_shares=0), server)
        pair.shake()
        assert pair.client.connection.established is not None
        assert pair.client.connection.established.peer_chain[0] == expected.certificate.der


def test_a_server_of_tls12_without_a_certificate_on_the_clients_curves_says_so(world: World) -> None:
    """RFC 8422, 5.3."""
    client = world.client_config(versions=(TLS12,), groups=(NamedGroup.X25519,), key_shares=0)
    with pytest.raises(NoSuitableCertificate, match="with ECDSA on x25519"):
        Pair(client, world.server_config()).shake()


@BOTH
def test_both_sides_export_the_same_keys(world: World, version: ProtocolVersion) -> None:
    """RFC 8446, 7.5; RFC 5705."""
    pair = Pair(world.client_config(versions=(version,)), world.server_config())
    pair.shake()
    client, server = pair.client.connection, pair.server.connection
    assert client.export(b"EXPERIMENTAL x", b"a", 40) == server.export(b"EXPERIMENTAL x", b"a", 40)
    assert client.export(b"EXPERIMENTAL x", b"a", 40) != server.export(b"EXPERIMENTAL x", b"b", 40)
    assert len(client.export(b"EXPERIMENTAL y", None, 100)) == 100


@BOTH
def test_ocsp_response_is_carried_to_a_client_that_asks(world: World, version: ProtocolVersion) -> None:
    """RFC 6066, 8; RFC 8446, 4.4.2.1."""
    from dataclasses import replace

    from handclasp.questions import VerifyPeer

    asked: list[VerifyPeer] = []
    identity = replace(world.server.identity, ocsp_response=b"a response")
    client = world.client_config(versions=(version,), answers={VerifyPeer: noting(asked)})
    Pair(client, world.server_config(identities=(identity,))).shake()
    assert asked[0].ocsp_response == b"a response"


@BOTH
def test_scts_are_carried_to_a_client_that_asks(world: World, version: ProtocolVersion) -> None:
    """RFC 6962, 3.3; RFC 8446, 4.4.2."""
    from dataclasses import replace

    from handclasp.questions import VerifyPeer

    asked: list[VerifyPeer] = []
    identity = replace(world.server.identity, scts=(b"one", b"two"))
    client = world.client_config(versions=(version,), answers={VerifyPeer: noting(asked)})
    Pair(client, world.server_config(identities=(identity,))).shake()
    assert asked[0].scts == (b"one", b"two")


def test_a_retry_gives_its_cookie_back(world: World) -> None:
    """RFC 8446, 4.2.2."""
    pair = Pair(world.client_config(key_shares=0), world.server_config(retry_cookie=True))
    pair.shake()
    pair.say()
    assert pair.server.data == b"ping"


def test_without_middlebox_compatibility_no_change_cipher_spec_is_sent(world: World) -> None:
    """RFC 8446, D.4."""
    from handclasp.facts import ChangeCipherSpecSeen

    pair = Pair(world.client_config(middlebox_compatibility=False), world.server_config(middlebox_compatibility=False))
    pair.shake()
    assert not any(isinstance(fact, ChangeCipherSpecSeen) for fact in pair.client.facts + pair.server.facts)


def test_a_client_for_an_address_sends_no_server_name(world: World) -> None:
    """RFC 6066, 3: literal addresses are not permitted there."""
    from handclasp.facts import MessageSeen
    from handclasp.wire.messages import ClientHello

    pair = Pair(world.client_config(), world.server_config(), server_name="127.0.0.1")
    pair.shake()
    hellos = [f.message for f in pair.server.facts if isinstance(f, MessageSeen) and isinstance(f.message, ClientHello)]
    assert ExtensionType.SERVER_NAME not in hellos[0].extensions


def server_names(pair: Pair) -> list[bytes]:
    """The names in the hello that the server heard."""
    from handclasp.facts import MessageSeen
    from handclasp.wire.extensions import ServerNameList, find
    from handclasp.wire.messages import ClientHello

    pair.run()
    hellos = [f.message for f in pair.server.facts if isinstance(f, MessageSeen) and isinstance(f.message, ClientHello)]
    found = find(hellos[0].extensions, ServerNameList)
    return [] if found is None else [name.host_name for name in found.server_name_list]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bücher.example", b"xn--bcher-kva.example"),
        ("Example.COM.", b"example.com"),
        ("localhost", b"localhost"),
    ],
)
def test_a_client_names_the_host_as_dns_does(world: World, name: str, expected: bytes) -> None:
    """RFC 6066, 3: A-labels, and no final dot."""
    assert server_names(Pair(world.client_config(), world.server_config(), server_name=name)) == [expected]


@pytest.mark.parametrize("name", ["", "a b", "a\0b", "a" * 70_000, "-.example"])
def test_what_is_no_name_is_the_callers_mistake(world: World, name: str) -> None:
    from handclasp import ClientConnection
    from handclasp.errors import UsageError

    with pytest.raises(UsageError):
        ClientConnection(world.client_config(), server_name=name)


def test_encrypted_extensions_have_nothing_unasked(world: World) -> None:
    from handclasp.facts import MessageSeen

    pair = Pair(world.client_config(), world.server_config(alpn=("h2",)))
    pair.shake()
    [seen] = [
        f.message
        for f in pair.client.facts
        if isinstance(f, MessageSeen) and isinstance(f.message, EncryptedExtensions)
    ]
    assert set(seen.extensions) == {ExtensionType.SERVER_NAME}


def test_a_record_is_padded_to_the_length_asked_for(world: World) -> None:
    """RFC 8446, 5.4."""
    pair = Pair(world.client_config(record_padding=512), world.server_config())
    pair.shake()
    sizes = set()
    for length in (1, 100, 510, 511, 512, 5000):
        pair.client.connection.send_data(b"x" * length)
        sent = pair.client.connection.data_to_send()
        sizes.add((len(sent) - 5 - 16) % 512)
        pair.server.receive(sent)
    assert sizes == {0}
    assert len(pair.server.data) == 1 + 100 + 510 + 511 + 512 + 5000
