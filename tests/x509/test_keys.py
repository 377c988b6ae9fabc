"""Private keys: every form that programs write, and files that others may read (mission rows S12, S15)."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World

from handclasp.ca import KeyType
from handclasp.x509.keys import (
    MAX_SIZE,
    KeyFileExposed,
    KeyFilePolicy,
    KeyFileWarning,
    KeyForm,
    MalformedKey,
    PasswordNeeded,
    UnreadableKey,
    UnsupportedKey,
    WrongPassword,
    key_bytes,
    load_private_key,
    load_private_keys,
    read_key_file,
    save_private_key,
)

TRADITIONAL = (KeyType.P256, KeyType.RSA2048)
KEYS: dict[KeyType, Any] = {kind: kind.generate() for kind in KeyType if kind not in (KeyType.RSA3072, KeyType.RSA4096)}


def public(key: Any) -> bytes:
    der: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER], ids=["PEM", "DER"])
@pytest.mark.parametrize("password", [None, b"secret"])
@pytest.mark.parametrize("kind", KEYS, ids=lambda kind: kind.value)
def test_every_kind_of_key_comes_back(kind: KeyType, password: bytes | None, encoding: Encoding) -> None:
    data = key_bytes(KEYS[kind], password=password, encoding=encoding)
    assert public(load_private_key(data, password)) == public(KEYS[kind])


@pytest.mark.parametrize(
    ("password", "encoding"), [(None, Encoding.PEM), (b"secret", Encoding.PEM), (None, Encoding.DER)]
)
@pytest.mark.parametrize("kind", TRADITIONAL, ids=lambda kind: kind.value)
def test_traditional_forms_come_back(kind: KeyType, password: bytes | None, encoding: Encoding) -> None:
    data = key_bytes(KEYS[kind], password=password, encoding=encoding, form=KeyForm.TRADITIONAL)
    assert public(load_private_key(data, password)) == public(KEYS[kind])


@pytest.mark.parametrize(
    "command",
    [
        ["genpkey", "-algorithm", "ED448"],
        ["genpkey", "-algorithm", "RSA", "-outform", "DER"],
        ["ecparam", "-name", "secp384r1", "-genkey"],
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:secret"],
        ["genrsa", "-traditional", "-aes128", "-passout", "pass:secret", "2048"],
    ],
    ids=["ed448", "der", "with-parameters", "encrypted", "traditional-encrypted"],
)
def test_keys_that_openssl_wrote_are_read(command: list[str]) -> None:
    written = subprocess.run(["openssl", *command], capture_output=True, check=True).stdout
    assert load_private_key(written, b"secret").public_key() is not None


def test_openssl_reads_what_we_encrypt(tmp_path: Path) -> None:
    path = tmp_path / "our.key"
    save_private_key(path, KEYS[KeyType.P256], password=b"secret")
    command = ["openssl", "pkey", "-in", str(path), "-passin", "pass:secret", "-pubout", "-outform", "DER"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == public(KEYS[KeyType.P256])


@pytest.mark.parametrize("form", KeyForm)
def test_an_encrypted_key_asks_for_its_password(form: KeyForm) -> None:
    data = key_bytes(KEYS[KeyType.P256], password=b"secret", form=form)
    for nothing in (None, b""):
        with pytest.raises(PasswordNeeded, match="give its password"):
            load_private_key(data, nothing)
    with pytest.raises(WrongPassword) as caught:
        load_private_key(data, b"hunter2")
    assert "hunter2" not in str(caught.value)


def test_what_is_no_key_is_told_so(world: World) -> None:
    for data in (
        b"",
        b"nothing",
        world.root.certificate_pem,
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ):
        with pytest.raises(MalformedKey):
            load_private_key(data)
    with pytest.raises(MalformedKey, match="at most"):
        load_private_key(bytes(MAX_SIZE + 1))


def test_a_key_that_cannot_sign_is_not_taken() -> None:
    pem = x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UnsupportedKey, match="cannot sign"):
        load_private_key(pem)
    ssh = KEYS[KeyType.ED25519].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with pytest.raises(UnsupportedKey, match="ssh-keygen"):
        load_private_key(ssh)


def test_no_key_is_written_in_a_form_that_it_has_not() -> None:
    with pytest.raises(UnsupportedKey, match="PKCS #8"):
        key_bytes(KEYS[KeyType.ED25519], form=KeyForm.TRADITIONAL)
    with pytest.raises(UnsupportedKey):
        key_bytes(KEYS[KeyType.P256], form=KeyForm.TRADITIONAL, encoding=Encoding.DER, password=b"secret")


def test_several_keys_in_one_file_are_all_read(world: World) -> None:
    kinds = (KeyType.P256, KeyType.ED25519)
    data = world.root.certificate_pem.join(key_bytes(KEYS[kind]) for kind in kinds)
    assert [public(key) for key in load_private_keys(data)] == [public(KEYS[kind]) for kind in kinds]


def test_a_saved_key_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "my.key"
    path.write_text("what was there before")
    path.chmod(0o644)
    save_private_key(path, KEYS[KeyType.P256])
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["my.key"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert public(load_private_key(read_key_file(path, KeyFilePolicy.REFUSE))) == public(KEYS[KeyType.P256])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_open_to_others_is_refused_or_warned_of(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "open.key"
    save_private_key(path, KEYS[KeyType.P256])
    path.chmod(mode)
    with pytest.raises(KeyFileExposed, match="chmod 600"):
        read_key_file(path, KeyFilePolicy.REFUSE)
    with pytest.warns(KeyFileWarning, match="chmod 600"):
        read_key_file(path)
    assert read_key_file(path, KeyFilePolicy.ALLOW) == path.read_bytes()


def test_a_file_of_certificates_alone_may_be_open(world: World, tmp_path: Path) -> None:
    path = tmp_path / "chain.pem"
    path.write_bytes(world.server.chain_pem)
    path.chmod(0o644)
    assert read_key_file(path, KeyFilePolicy.REFUSE) == world.server.chain_pem


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableKey, match="gone"):
        read_key_file(tmp_path / "gone.key")


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_an_error_of_ours(data: bytes) -> None:
    for wrapped in (data, b"-----BEGIN PRIVATE KEY-----\n" + data + b"\n-----END PRIVATE KEY-----"):
        with pytest.raises(UnreadableKey):
            load_private_key(wrapped, b"secret")


@given(at=st.integers(0, 2000), value=st.integers(0, 255), encrypted=st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_damaged_key_raises_nothing_but_an_error_of_ours(at: int, value: int, encrypted: bool) -> None:
    der = bytearray(DAMAGED[encrypted])
    der[at % len(der)] = value
    try:
        load_private_key(bytes(der), b"secret")
    except UnreadableKey:
        return


DAMAGED = {
    True: key_bytes(KEYS[KeyType.P256], password=b"secret", encoding=Encoding.DER),
    False: key_bytes(KEYS[KeyType.P256], encoding=Encoding.DER),
}
