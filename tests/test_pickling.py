"""What goes to other processes: by `pickle`, as `spawn` and process pools have it, and by `copy`."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.conftest import World
from tests.pair import Pair

import handclasp
from handclasp import (
    CertificateError,
    ClientConfig,
    ClientConnection,
    Identity,
    Limits,
    PeerAlert,
    ServerConfig,
    TrustStore,
)
from handclasp.ca import Authority, Issued, KeyType
from handclasp.events import HandshakeCompleted
from handclasp.explain import StepTrace, explain
from handclasp.questions import FindSession, Sign, VerifyPeer
from handclasp.wire.iana import AlertDescription
from handclasp.x509 import (
    WEB,
    AllowedClient,
    Identities,
    PeerName,
    Purpose,
    Report,
    RevocationSources,
    verify,
)
from handclasp.x509.crl import Crl
from handclasp.x509.keys import save_private_key
from handclasp.x509.online import Online
from handclasp.x509.reload import CrlFiles, KeyStore, TrustFiles

Copied = Callable[[Any], Any]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


WAYS = pytest.mark.parametrize("copied", [pickled, copy.deepcopy, copy.copy])


def judged(world: World, trust: TrustStore) -> Report:
    return verify(
        [one.der for one in world.server.chain],
        trust=trust,
        purpose=Purpose.SERVER_AUTH,
        at=datetime.now(UTC),
        name="localhost",
    )


def established(client: ClientConfig, server: ServerConfig) -> Pair:
    pair = Pair(client, server)
    pair.shake()
    pair.say()
    return pair


@WAYS
@pytest.mark.parametrize("key", list(KeyType))
def test_identities_sign_once_copied(world: World, copied: Copied, key: KeyType) -> None:
    identity: Identity = copied(world.issuing.server("localhost", key=key).identity)
    established(world.client_config(), world.server_config(identities=(identity,)))


def nothing(_: object) -> None:
    """An answer."""


def test_what_pickle_cannot_carry_is_named(world: World) -> None:
    class Local:
        def public_key(self) -> Any:
            return world.server.private_key.public_key()

        def sign(self, *_: Any) -> bytes:
            return b""

    local = Identity(world.server.chain, Local())
    for value, name in (
        (world.client_config(answers={FindSession: lambda _: None}), r"answers\[FindSession\]"),
        (world.client_config(now=lambda: 0.0), "now"),
        (world.client_config(random=lambda _: b""), "random"),
        (world.server_config(identities=(local,)), "The key of CN=localhost is a .*Local"),
        (Online(transport=lambda _, __: b""), "transport"),
    ):
        with pytest.raises(TypeError, match=name):
            pickle.dumps(value)


def test_live_connections_are_neither_copied_nor_pickled(world: World) -> None:
    """A copy would protect other data with the same key and number."""
    pair = established(world.client_config(), world.server_config())
    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:
        completed = next(one for one in pair.client.events if isinstance(one, HandshakeCompleted))
        for alive in (pair.client.connection, pair.server.connection, completed.session, listener):
            for way in (pickled, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="alive"):
                    way(alive)


@WAYS
def test_what_is_trusted_and_who_is_who_survives(world: World, copied: Copied) -> None:
    leaf = world.server.certificate
    names = Identities.of(leaf)
    for value in (leaf, names, PeerName.of("::1"), WEB, AllowedClient("dns", "x"), Limits(), FindSession("x", None, 1)):
        assert copied(value) == value
    trust: TrustStore = copied(world.root.trust)
    assert trust.anchors == world.root.trust.anchors
    assert judged(world, trust).accepted


@WAYS
@pytest.mark.parametrize("cut", [0, 3])
def test_names_in_odd_encodings_survive(copied: Copied, cut: int) -> None:
    types = x509.name._ASN1Type
    attributes = (
        x509.NameAttribute(x509.ObjectIdentifier("2.5.4.3"), "Ω" * 30, types.BMPString),
        x509.NameAttribute(x509.ObjectIdentifier("2.5.4.10"), "two", types.T61String),
        x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "three" * 50, types.PrintableString),
    )
    subject = x509.Name([x509.RelativeDistinguishedName([one]) for one in attributes[cut:]])
    names = Identities(("x",), (), (), (), subject, True)
    twin = copied(names)
    assert twin == names
    assert twin.subject_name.public_bytes() == subject.public_bytes()


@WAYS
def test_reports_and_the_errors_that_carry_them_survive(world: World, copied: Copied) -> None:
    good, bad = judged(world, world.root.trust), judged(world, Authority.root("Another").trust)
    assert bad.error is not None
    for report in (good, bad):
        twin: Report = copied(report)
        assert twin.to_dict() == report.to_dict()
    error: CertificateError = copied(bad.error)
    assert str(error) == str(bad.error)
    assert error.report is not None
    assert error.report.to_dict() == bad.to_dict()
    with pytest.raises(type(bad.error)):
        error.report.raise_if_refused()


@WAYS
def test_lists_and_what_lives_in_files_survive(world: World, copied: Copied, tmp_path: Path) -> None:
    """What lives in files is read by the copy."""
    crl, keys, anchors = tmp_path / "one.crl", tmp_path / "keys", tmp_path / "roots.pem"
    keys.mkdir()
    crl.write_bytes(world.issuing.make_crl([], number=1))
    anchors.write_bytes(world.root.certificate_pem)
    (keys / "server.pem").write_bytes(world.server.chain_pem)
    save_private_key(keys / "server.key", world.server.private_key, password=b"secret")
    assert copied(Crl(crl.read_bytes())).number == 1
    assert copied(RevocationSources.of(crl.read_bytes())).crls[0].number == 1
    assert copied(CrlFiles(crl)).current().crls[0].number == 1
    assert copied(TrustFiles(anchors)).current().anchors == (world.root.certificate,)
    assert next(iter(copied(KeyStore(keys, b"secret")))).leaf == world.server.certificate


@WAYS
def test_authorities_issue_once_copied(world: World, copied: Copied) -> None:
    authority = Authority.root("Root").intermediate("Issuing")
    authority.crl_url = "http://example.com/crl"
    twin: Authority = copied(authority)
    assert twin.crl_url == authority.crl_url
    issued: Issued = copied(twin.server("localhost"))
    assert issued.chain[1] == authority.certificate
    assert issued.identity.leaf == issued.certificate


@WAYS
def test_an_explanation_and_the_steps_to_it_survive(world: World, copied: Copied) -> None:
    trace = StepTrace()
    connection = ClientConnection(world.client_config(), server_name="localhost", observer=trace)
    connection.start()
    told = explain(PeerAlert(AlertDescription.UNKNOWN_CA, True), trace)
    assert copied(told) == told
    assert [one.to_dict() for one in copied(trace).steps] == [one.to_dict() for one in trace.steps]


def test_no_repr_shows_a_secret(world: World) -> None:
    pem = world.server.key_pem().decode().splitlines()[2]
    config = world.server_config()
    for value in (config, world.server, world.server.identity, world.issuing, Sign(world.server.identity, 1, b"")):  # type: ignore[arg-type]
        assert pem not in repr(value)
        assert "PrivateKey" not in repr(value)


@WAYS
def test_configs_make_the_same_connections_once_copied(world: World, copied: Copied) -> None:
    client = world.client_config(
        alpn=("h2",), limits=Limits(tickets=7), identities=(world.client.identity,), online=Online(seconds=3)
    )
    server = world.server_config(alpn=("h2",), trust=world.root.trust, client_auth=handclasp.ClientAuth.REQUIRED)
    pair = established(copied(client), copied(server))
    assert pair.client.connection.established is not None
    assert pair.client.connection.established.alpn == "h2"
    assert copied(client).limits.tickets == 7


@WAYS
def test_answers_come_along(world: World, copied: Copied) -> None:
    config = copied(world.client_config(answers={FindSession: nothing}))
    assert config.answers == {FindSession: nothing}
    with pytest.raises(TypeError):
        config.answers[VerifyPeer] = nothing


def test_a_copied_config_shares_nothing_that_changes(world: World) -> None:
    """What the one remembers, the other has never seen."""
    client, server = world.client_config(), world.server_config()
    for made in (copy.copy, copy.deepcopy, pickled, replace):
        established(client, server)
        pair = established(made(client), server)
        assert pair.client.connection.established is not None
        assert not pair.client.connection.established.resumed
    with pytest.raises(TypeError):
        client.answers[VerifyPeer] = nothing  # type: ignore[index]


def test_a_process_that_was_spawned_gets_configs_and_gives_back_errors(world: World) -> None:
    client, server = world.client_config(), world.server_config()
    stranger = world.client_config(trust=Authority.root("Another").trust)
    other = (world.client_config(alpn=("h2",)), world.server_config(alpn=("http/1.1",)))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(shake_hands, client, server).result() == "TLS 1.3"
        with pytest.raises(CertificateError) as caught:
            pool.submit(be_refused, stranger, server).result()
        assert caught.value.report is not None
        assert not caught.value.report.accepted
        with pytest.raises(handclasp.PeerError, match="speaks h2"):
            pool.submit(be_refused, *other).result()


def shake_hands(client: ClientConfig, server: ServerConfig) -> str:
    """The work of another process."""
    pair = established(client, server)
    assert pair.client.connection.established is not None
    return str(pair.client.connection.established.version)


def be_refused(client: ClientConfig, server: ServerConfig) -> None:
    """The work of another process, which fails there."""
    established(client, server)
