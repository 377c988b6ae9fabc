"""Blocks of PEM: those asked for, whatever stands around them, and nothing that is half there."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import World

from handclasp.x509 import Certificate, TrustStore
from handclasp.x509.crl import Crl, MalformedCrl
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.pem import blocks


def block(label: bytes, body: bytes) -> bytes:
    return b"-----BEGIN " + label + b"-----\n" + base64.encodebytes(body) + b"-----END " + label + b"-----\n"


@given(
    st.lists(
        st.tuples(st.sampled_from([b"A", b"B", b"A B"]), st.binary(max_size=200), st.sampled_from([b"", b"x\r\n"]))
    )
)
def test_blocks_are_found_by_their_labels(parts: list[tuple[bytes, bytes, bytes]]) -> None:
    data = b"".join(between + block(label, body) for label, body, between in parts)
    assert blocks(data, b"A") == [body for label, body, _ in parts if label == b"A"]


GOOD = block(b"A", b"body")


@pytest.mark.parametrize(
    "bad",
    [
        GOOD[:-2],
        GOOD + b"-----BEGIN A-----\n",
        GOOD.replace(b"=", b"?"),
        b"-----BEGIN A-----\n" + GOOD,
        b"-----BEGIN " + b"A" * 200,
        b"-----BEGIN A-----\n" * 50_000,
        b"-----BEGIN A-----\n" * 50_000 + GOOD,
        b"-----BEGIN " * 50_000,
    ],
    ids=range(8),
)
def test_what_is_half_there_is_bad(bad: bytes) -> None:
    """In time that grows with the length alone: none of these is gone through more than a few times."""
    with pytest.raises(ValueError, match=r"without its end|base64|character|padding"):
        blocks(bad, b"A")


def test_a_file_that_is_half_written_is_not_half_read(world: World) -> None:
    half = world.root.certificate_pem + world.issuing.certificate_pem[:-30]
    with pytest.raises(MalformedCertificate, match="without its end"):
        Certificate.load_all(half)
    with pytest.raises(MalformedCrl, match="without its end"):
        Crl.load_all(b"-----BEGIN X509 CRL-----\n")


def test_what_follows_a_certificate_in_its_block_has_to_be_openssl_s_words_about_trust(world: World) -> None:
    der = world.root.certificate.der
    assert TrustStore.from_pem(block(b"TRUSTED CERTIFICATE", der + b"0\0")).anchors == (world.root.certificate,)
    for more in (b"\0", b"1\0", b"0\x05", b"0\x02\x30\x00", b"0\x02\xa0\x00", b"0"):
        with pytest.raises(MalformedCertificate):
            TrustStore.from_pem(block(b"TRUSTED CERTIFICATE", der + more))
