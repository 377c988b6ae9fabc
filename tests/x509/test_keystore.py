"""Identities from files and directories, which one is shown, and files that change."""

from __future__ import annotations

import datetime
import os
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from tests.conftest import World
from tests.pair import Pair

from handclasp.ca import Authority, KeyType
from handclasp.errors import ConfigError
from handclasp.wire.extensions import OidFilter
from handclasp.wire.iana import SignatureScheme
from handclasp.x509 import DEFAULT, Purpose, RevocationMode
from handclasp.x509.errors import CertificateRevoked
from handclasp.x509.identity import Identity, KeyMismatch, UnreadableIdentity, select
from handclasp.x509.keys import KeyFileExposed, KeyFilePolicy, KeyFileWarning, UnreadableKey
from handclasp.x509.reload import CrlFiles, KeyStore

NOW = datetime.datetime.now(UTC)
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


def choose(*identities: Identity, **changes: object) -> Identity | None:
    arguments = {
        "server_name": None,
        "signature_schemes": SCHEMES,
        "certificate_authorities": (),
        "purpose": Purpose.SERVER_AUTH,
        "at": NOW,
        **changes,
    }
    return select(identities, **arguments).identity  # type: ignore[arg-type]


def test_the_identity_that_fits_best_is_shown(world: World) -> None:
    """Mission row S11."""
    exact = world.issuing.server("www.a.example").identity
    wild = world.issuing.server("*.a.example").identity
    other = world.issuing.server("b.example").identity
    assert choose(other, wild, exact, server_name="www.a.example") is exact
    assert choose(other, wild, exact, server_name="ftp.a.example") is wild
    assert choose(other, wild, exact, server_name="unknown.example") is other
    assert choose(other, wild) is other
    old = world.issuing.server("www.a.example", at=NOW - timedelta(days=900)).identity
    assert choose(old, exact, server_name="www.a.example") is exact
    assert choose(old, server_name="www.a.example") is old
    ed = world.issuing.server("www.a.example", key=KeyType.ED25519).identity
    assert choose(exact, ed, signature_schemes=(SignatureScheme.ED25519,)) is ed
    assert choose(exact, signature_schemes=(SignatureScheme.ED25519,)) is None


def test_a_client_shows_only_what_the_server_accepts(world: World) -> None:
    stranger = Authority.root("Stranger").client("mallory").identity
    alice = world.client.identity
    accepted = {"purpose": Purpose.CLIENT_AUTH, "certificate_authorities": (world.root.certificate.subject,)}
    assert choose(stranger, alice, **accepted) is alice
    assert choose(stranger, **accepted) is None
    assert choose(world.server.identity, **accepted) is None
    reasons = select(
        [stranger, world.server.identity],
        server_name=None,
        signature_schemes=SCHEMES,
        certificate_authorities=(world.root.certificate.subject,),
        purpose=Purpose.CLIENT_AUTH,
        at=NOW,
    ).passed_over
    assert [why for _, why in reasons] == ["the server does not trust its authority", "it is not for clients"]


@pytest.mark.parametrize(
    ("oid", "value", "good"),
    [
        ("0603551d0f", "03020780", True),  # key usage: digitalSignature
        ("0603551d0f", "03020308", False),  # keyAgreement
        ("0603551d25", "300a06082b06010505070302", True),  # clientAuth
        ("0603551d25", "300a06082b06010505070301", False),  # serverAuth
        ("0603551d63", "00", True),  # one that we don't know is passed over
    ],
)
def test_filters_of_the_server_are_kept(world: World, oid: str, value: str, good: bool) -> None:
    """RFC 8446, 4.2.5."""
    wanted = OidFilter(bytes.fromhex(oid), bytes.fromhex(value))
    found = choose(world.client.identity, purpose=Purpose.CLIENT_AUTH, oid_filters=(wanted,))
    assert (found is not None) == good
