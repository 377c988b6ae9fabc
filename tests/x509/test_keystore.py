"""Identities from files and directories, which one is shown, and files that change."""

from __future__ import annotations

import datetime
import os
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from tests.conftest import World
from tests.pair import Pair, noting

from handclasp import ClientAuth
from handclasp.ca import Authority
from handclasp.errors import ConfigError, PeerError
from handclasp.questions import VerifyPeer
from handclasp.wire.iana import ProtocolVersion, SignatureScheme
from handclasp.x509 import DEFAULT, RevocationMode
from handclasp.x509.errors import CertificateRevoked, RevocationUnknown, UnknownAuthority
from handclasp.x509.identity import Identity, KeyMismatch, UnreadableIdentity
from handclasp.x509.keys import KeyFileExposed, KeyFilePolicy, KeyFileWarning, UnreadableKey, write_owner_only
from handclasp.x509.reload import CrlFiles, KeyStore, Reloaded, TrustFiles
from handclasp.x509.revocation import MalformedResponse

NOW = datetime.datetime.now(UTC) + timedelta(minutes=30)
"""Later than anything that the tests issue, however long they all take."""
SCHEMES = tuple(SignatureScheme)


def touch(path: Path, data: bytes) -> None:
    """Write a file so that it is seen to have changed, however quickly."""
    path.write_bytes(data)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


FORMS = {
    "pkcs8": (Encoding.PEM, PrivateFormat.PKCS8, None),
    "pkcs8 encrypted": (Encoding.PEM, PrivateFormat.PKCS8, b"secret"),
    "traditional": (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, None),
    "traditional encrypted": (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, b"secret"),
    "der": (Encoding.DER, PrivateFormat.PKCS8, None),
    "der encrypted": (Encoding.DER, PrivateFormat.PKCS8, b"secret"),
    "raw rsa or ec in der": (Encoding.DER, PrivateFormat.TraditionalOpenSSL, None),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_keys_come_in_every_form(world: World, form: str, kind: str) -> None:
    """Mission row S12."""
    issued = world.rsa_server if kind == "rsa" else world.server
    encoding, layout, password = FORMS[form]
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    key = issued.private_key.private_bytes(encoding, layout, encryption)
    assert Identity.from_pem(issued.chain_pem, key, password).leaf == issued.certificate
    if password is not None:
        for wrong in (b"wrong", None):
            with pytest.raises(UnreadableKey, match="password"):
                Identity.from_pem(issued.chain_pem, key, wrong)


def test_what_does_not_belong_together_is_told(world: World) -> None:
    with pytest.raises(KeyMismatch):
        Identity.from_pem(world.server.chain_pem, world.client.key_pem())
    with pytest.raises(UnreadableIdentity):
        Identity.from_pem(b"nothing", world.client.key_pem())
    with pytest.raises(UnreadableIdentity):
        Identity.from_pkcs12(b"nothing")
    with pytest.raises(UnreadableIdentity):
        Identity.from_pkcs12(world.server.pkcs12(b"right"), b"wrong")
    with pytest.raises(UnreadableKey):
        Identity.from_files("/no/such/file")
    assert "private_key" not in repr(world.server.identity)


def test_a_key_that_others_may_read_is_warned_of_or_refused(world: World, tmp_path: Path) -> None:
    """Mission row S15."""
    certificate, key = world.server.save(tmp_path, "server")
    key.chmod(0o644)
    with pytest.warns(KeyFileWarning, match="chmod 600"):
        Identity.from_files(certificate, key)
    with pytest.raises(KeyFileExposed):
        Identity.from_files(certificate, key, exposed=KeyFilePolicy.REFUSE)
    Identity.from_files(certificate, key, exposed=KeyFilePolicy.ALLOW)


def test_a_directory_is_read_by_what_is_in_it(world: World, tmp_path: Path) -> None:
    world.server.save(tmp_path, "a")
    (tmp_path / "a.key").rename(tmp_path / "zzz.pem.key")
    (tmp_path / "b.p12").write_bytes(world.client.pkcs12(b"secret"))
    (tmp_path / "b.p12").chmod(0o600)
    (tmp_path / "notes.txt").write_text("not ours")
    store = KeyStore(tmp_path, b"secret")
    assert {one.leaf for one in store} == {world.server.certificate, world.client.certificate}
    assert "2 identities" in repr(store)
    for empty in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(UnreadableIdentity):
            KeyStore(empty)
        (tmp_path / "empty").mkdir(exist_ok=True)


def test_a_server_shows_its_new_certificate_without_a_restart(world: World, tmp_path: Path) -> None:
    world.server.save(tmp_path, "server")
    store = KeyStore(tmp_path)
    config = world.server_config(identities=store, tickets=0)

    def shown() -> bytes:
        pair = Pair(world.client_config(sessions=None), config)
        pair.shake()
        assert pair.client.connection.established is not None
        return pair.client.connection.established.peer_chain[0]

    assert shown() == world.server.certificate.der
    renewed = world.issuing.server("localhost")
    touch(tmp_path / "server.pem", renewed.chain_pem)
    assert shown() == world.server.certificate.der, "the key is still the old one's"
    assert isinstance(store.error, UnreadableIdentity)
    touch(tmp_path / "server.key", renewed.key_pem())
    assert shown() == renewed.certificate.der
    assert store.error is None


def test_lists_are_read_again_when_they_change(world: World, tmp_path: Path) -> None:
    path = tmp_path / "issuing.crl"
    path.write_bytes(world.issuing.make_crl([], number=1))
    files = CrlFiles(tmp_path)
    policy = replace(DEFAULT, revocation=RevocationMode.REQUIRED, revocation_of_leaf_alone=True)
    client = world.client_config(revocation=files, verification=policy, sessions=None)
    Pair(client, world.server_config()).shake()
    serial = world.server.certificate.serial_number
    touch(path, world.issuing.make_crl([(serial, NOW, x509.ReasonFlags.superseded)], number=2))
    with pytest.raises(CertificateRevoked):
        Pair(client, world.server_config()).shake()
    touch(path, b"half a file")
    with pytest.raises(CertificateRevoked):
        Pair(client, world.server_config()).shake()
    assert isinstance(files.error, ConfigError)
    with pytest.raises(ConfigError):
        CrlFiles(tmp_path / "none")


def test_an_emptied_directory_of_lists_leaves_the_old_ones_in_force(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the directory is empty"):
        CrlFiles(tmp_path)
    (tmp_path / "crl").write_bytes(world.issuing.make_crl([], number=1))
    files = CrlFiles(tmp_path)
    (tmp_path / "crl").unlink()
    assert len(files.current().crls) == 1
    assert isinstance(files.error, ConfigError)


def test_authorities_are_read_again_when_they_change(world: World, tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    path.write_bytes(world.root.certificate_pem)
    (tmp_path / "notes.txt").write_text("no certificate")
    for files in (TrustFiles(tmp_path), TrustFiles(path)):
        client = world.client_config(trust=files, sessions=None)
        Pair(client, world.server_config()).shake()
        assert "1 anchors" in repr(files)
        both = Authority.root("Stranger").certificate_pem + world.root.certificate_pem
        touch(path, both)
        Pair(client, world.server_config()).shake()
        assert len(files.current().anchors) == 2
        for bad in (both[:-40], b"", both.replace(b"MII", b"NII"), world.root.certificate.der[:-1]):
            touch(path, bad)
            Pair(client, world.server_config()).shake()
            assert isinstance(files.error, ConfigError), bad
        path.unlink()
        Pair(client, world.server_config()).shake()
        assert files.error is not None
        path.write_bytes(Authority.root("Stranger").certificate_pem)
        with pytest.raises(UnknownAuthority):
            Pair(client, world.server_config()).shake()
        assert files.error is None
        touch(path, world.root.certificate_pem)
    for nothing in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises((ConfigError, OSError)):
            TrustFiles(nothing)
        (tmp_path / "empty").mkdir(exist_ok=True)


@pytest.mark.parametrize("version", [ProtocolVersion.TLS12, ProtocolVersion.TLS13], ids=str)
def test_a_server_asks_for_clients_of_the_authorities_in_force(
    world: World, tmp_path: Path, version: ProtocolVersion
) -> None:
    path = tmp_path / "roots.pem"
    path.write_bytes(Authority.root("Stranger").certificate_pem)
    server = world.server_config(trust=TrustFiles(path), client_auth=ClientAuth.REQUIRED, versions=(version,))
    client = world.client_config(identities=(world.client.identity,), sessions=None)
    with pytest.raises(PeerError):
        Pair(client, server).shake()
    touch(path, world.root.certificate_pem)
    Pair(client, server).shake()


def test_a_server_staples_what_lies_beside_its_certificate_and_notices_when_that_changes(
    world: World, tmp_path: Path
) -> None:
    certificate = world.server.certificate
    world.server.save(tmp_path, "server")
    store = KeyStore(tmp_path)
    policy = replace(DEFAULT, revocation=RevocationMode.REQUIRED, revocation_of_leaf_alone=True)
    client = world.client_config(verification=policy, sessions=None)
    with pytest.raises(RevocationUnknown):
        Pair(client, world.server_config(identities=store)).shake()
    other = world.issuing.ocsp_response(world.client.certificate)
    touch(tmp_path / "other.ocsp", other)
    touch(tmp_path / "server.ocsp", world.issuing.ocsp_response(certificate))
    Pair(client, world.server_config(identities=store)).shake()
    touch(tmp_path / "server.ocsp", b"half a file")
    Pair(client, world.server_config(identities=store)).shake()
    assert isinstance(store.error, MalformedResponse)
    touch(tmp_path / "server.ocsp", world.issuing.ocsp_response(certificate, revoked_at=NOW))
    with pytest.raises(CertificateRevoked):
        Pair(client, world.server_config(identities=store)).shake()
    assert store.error is None


def test_a_server_staples_nothing_that_has_ended(world: World, tmp_path: Path) -> None:
    """A client refuses a server that shows an old response, and may do without one."""
    world.server.save(tmp_path, "server")
    response = world.issuing.ocsp_response(world.server.certificate, days=1)
    (tmp_path / "server.ocsp").write_bytes(response)
    store = KeyStore(tmp_path)
    for days, stapled in ((0, response), (2, None)):
        config = world.server_config(identities=store, now=lambda days=days: NOW.timestamp() + days * 86400)
        asked: list[VerifyPeer] = []
        client = world.client_config(sessions=None, now=config.now, answers={VerifyPeer: noting(asked)})
        Pair(client, config).shake()
        assert asked[0].ocsp_response == stapled


def test_of_two_responses_the_one_that_ends_last_is_stapled(world: World, tmp_path: Path) -> None:
    world.server.save(tmp_path, "server")
    short, long = (world.issuing.ocsp_response(world.server.certificate, days=days) for days in (1, 5))
    for first, second in ((short, long), (long, short)):
        (tmp_path / "a.ocsp").write_bytes(first)
        (tmp_path / "b.ocsp").write_bytes(second)
        assert [one.ocsp_response for one in KeyStore(tmp_path)] == [long]


def test_a_response_that_names_no_end_is_stapled_as_long_as_clients_believe_it(world: World) -> None:
    """A week, as our own do."""
    leaf, issuer = world.server.certificate.parsed, world.issuing.certificate.parsed
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, issuer, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD, NOW, None, None, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
    made = builder.sign(world.issuing._private_key, hashes.SHA256()).public_bytes(Encoding.DER)
    identity = replace(world.server.identity, ocsp_response=made)
    for days, stapled in ((6, made), (8, None)):
        assert identity.as_of(NOW + timedelta(days=days)).ocsp_response == stapled


def test_whatever_is_wrong_with_new_files_the_old_stay_in_force(tmp_path: Path) -> None:
    """Not only what we foresaw."""
    path = tmp_path / "file"
    path.write_bytes(b"1")
    files = Reloaded((path,), lambda: int(path.read_bytes()))
    touch(path, b"two")
    assert files.current() == 1
    assert isinstance(files.error, ValueError)
    touch(path, b"3")
    assert files.current() == 3
    assert files.error is None


def test_a_directory_has_keys_in_der_too(world: World, tmp_path: Path) -> None:
    key = world.server.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "server.crt").write_bytes(world.server.certificate.der)
    for name in ("server.key", "server.der"):
        write_owner_only(tmp_path / name, key)
        assert [one.leaf for one in KeyStore(tmp_path)] == [world.server.certificate]
        (tmp_path / name).unlink()
    (tmp_path / "server.key").write_bytes(b"nothing")
    with pytest.raises(UnreadableKey):
        KeyStore(tmp_path)
