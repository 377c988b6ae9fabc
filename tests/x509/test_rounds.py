"""Files that want billions of rounds for their password are refused before the first is made."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import World

from handclasp.x509.identity import Identity, UnreadableIdentity
from handclasp.x509.keys import MAX_SIZE, UnsupportedKey, WrongPassword, load_private_key
from handclasp.x509.rounds import MOST_ROUNDS, TooMuchWork, check_rounds

ASKED, MANY = 123_456, 0x7FFFFF
"""Both have three bytes in DER; twice the second is too much."""
ALGORITHMS = [pkcs12.PBES.PBESv2SHA256AndAES256CBC, pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC]
SALT = bytes(8)


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes((tag, *((0x81,) if size > 127 else ()), size)) + content


def integer(value: int) -> bytes:
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda one: one.name)
def test_a_pkcs12_file_says_how_many_rounds_it_takes(world: World, algorithm: Any) -> None:
    """Once for the key, once for the certificates, and 2048 for the code over both."""
    encryption = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(ASKED).key_cert_algorithm(algorithm)
    kind = encryption.hmac_hash(hashes.SHA256()).build(b"pw")
    key, leaf = world.server.private_key, world.server.certificate.parsed
    der = pkcs12.serialize_key_and_certificates(b"x", key, leaf, None, kind)
    assert Identity.from_pkcs12(der, b"pw").leaf == world.server.certificate
    assert der.count(integer(ASKED)) == 2
    with pytest.raises(UnreadableIdentity, match=f"{2 * MANY + 2048} rounds"):
        Identity.from_pkcs12(der.replace(integer(ASKED), integer(MANY)), b"pw")


def test_a_pkcs12_file_of_any_size_is_not_read() -> None:
    with pytest.raises(UnreadableIdentity, match="at most"):
        Identity.from_pkcs12(b"\x30" * (MAX_SIZE + 1), b"pw")


PBES2, PBKDF2, SCRYPT = (
    tlv(6, bytes.fromhex(text)) for text in ("2a864886f70d01050d", "2a864886f70d01050c", "2b06010401da47040b")
)
AES = tlv(0x30, tlv(6, bytes.fromhex("60864801650304012a")) + tlv(4, bytes(16)))


def encrypted(derivation: bytes, *numbers: int) -> bytes:
    """A PKCS #8 key whose password is stretched so."""
    parameters = tlv(0x30, tlv(4, SALT) + b"".join(map(integer, numbers)))
    algorithm = tlv(0x30, PBES2 + tlv(0x30, tlv(0x30, derivation + parameters) + AES))
    return tlv(0x30, algorithm + tlv(4, bytes(64)))


@pytest.mark.parametrize("pem", [False, True], ids=["der", "pem"])
@pytest.mark.parametrize(
    ("derivation", "numbers"),
    [(PBKDF2, (MOST_ROUNDS + 1,)), (PBKDF2, (1 << 60,)), (SCRYPT, (1 << 23, 8, 1)), (SCRYPT, (1 << 14, 8, 1 << 20))],
)
def test_a_key_that_takes_too_many_rounds_is_not_opened(derivation: bytes, numbers: tuple[int, ...], pem: bool) -> None:
    def form(der: bytes) -> bytes:
        body = base64.encodebytes(der)
        begin, end = (f"-----{word} ENCRYPTED PRIVATE KEY-----\n".encode() for word in ("BEGIN", "END"))
        return begin + body + end if pem else der

    with pytest.raises(UnsupportedKey, match="rounds"):
        load_private_key(form(encrypted(derivation, *numbers)), b"pw")
    usual = (1 << 14, 8, 1) if derivation == SCRYPT else (2048,)
    with pytest.raises(WrongPassword):
        load_private_key(form(encrypted(derivation, *usual)), b"pw")


INNER = tlv(0x30, tlv(4, SALT) + integer(MOST_ROUNDS + 1))


@pytest.mark.parametrize(
    "der",
    [
        tlv(4, INNER),
        b"\x30\x80" + INNER + b"\0\0",
        b"\xa0\x80\x30\x80" + INNER + b"\0\0\0\0",
        b"\x24\x80" + tlv(4, INNER[:5]) + tlv(4, INNER[5:]) + b"\0\0",
        tlv(0x24, tlv(4, INNER[:5]) + tlv(4, INNER[5:])),
        tlv(0x30, tlv(4, b"\x30 cipher") + INNER),
    ],
    ids=["octets", "indefinite", "indefinite twice", "parts", "parts of known length", "after ciphertext"],
)
def test_rounds_are_found_in_whatever_they_are_wrapped(der: bytes) -> None:
    """NSS writes BER, with lengths that are not known before."""
    with pytest.raises(TooMuchWork):
        check_rounds(der)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(TooMuchWork):
        check_rounds(data)
