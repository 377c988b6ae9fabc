"""Key schedules, record protection, groups and signatures, against published figures and each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from handclasp.crypto import ffdhe, groups, prf12, signatures
from handclasp.crypto.groups import BadKeyShare
from handclasp.crypto.protection import (
    BadRecordMac,
    EmptyInnerPlaintext,
    Opener12,
    Opener13,
    RecordOverflow,
    Sealer12,
    Sealer13,
    SequenceExhausted,
    UnprotectedRecord,
)
from handclasp.crypto.schedule13 import EarlySecret, TrafficSecret, expand_label, exporter_value
from handclasp.crypto.signatures import BadSignature
from handclasp.crypto.suites import SUITES, SuiteParameters
from handclasp.wire.iana import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
h = bytes.fromhex


# The key schedule, with the figures of RFC 8448, section 3.

HELLO_HASH = h("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8")
SHARED = h("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d")


def test_the_schedule_of_rfc8448() -> None:
    secret = EarlySecret.of("sha256").handshake(SHARED)
    client, server = secret.client_traffic(HELLO_HASH), secret.server_traffic(HELLO_HASH)
    assert client.secret == h("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21")
    assert server.secret == h("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
    suite = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]
    assert server.key_iv(suite) == (h("3fce516009c21727d0f2e4e86ee403bc"), h("5d313eb2671276ee13000b30"))
    master = secret.master()
    finished = h("9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13")
    assert master.client_traffic(finished).secret == h(
        "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
    )
    assert master.server_traffic(finished).secret == h(
        "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
    )
    assert master.exporter(finished) == h("fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50")


def test_a_key_update_makes_another_secret_each_time() -> None:
    secrets = [TrafficSecret("sha384", bytes(48))]
    for _ in range(5):
        secrets.append(secrets[-1].next())
    assert len({one.secret for one in secrets}) == 6
    assert {len(one.secret) for one in secrets} == {48}


def test_long_outputs_are_those_of_hkdf() -> None:
    """RFC 5869, 2.3, against `cryptography`'s own."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    label = b"tls13 exporter"
    info = (200).to_bytes(2, "big") + bytes((len(label),)) + label + b"\0"
    assert expand_label("sha256", bytes(32), b"exporter", b"", 200) == HKDFExpand(hashes.SHA256(), 200, info).derive(
        bytes(32)
    )
    assert len(exporter_value("sha256", bytes(32), b"x", b"", 77)) == 77


def test_no_stage_shows_its_secret() -> None:
    stage = EarlySecret.of("sha256", b"p" * 32)
    assert repr(stage) == "<EarlySecret sha256>"
    assert repr(stage.binder_key()) == "<TrafficSecret sha256>"
    assert stage.binder_key().secret != stage.binder_key(external=True).secret


def test_the_prf_of_tls12() -> None:
    """The figures that the TLS working group's list published for P_SHA256."""
    out = prf12.prf(
        "sha256",
        h("9bbe436ba940f017b17652849a71db35"),
        b"test label",
        h("a0ba9f936cda311827a6f796ffd5198c"),
        100,
    )
    assert out == h(
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
        "0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
        "87347b66"
    )


def test_master_secrets_differ_by_what_they_are_bound_to() -> None:
    plain = prf12.master_secret("sha256", b"p" * 48, b"c" * 32, b"s" * 32)
    bound = prf12.extended_master_secret("sha256", b"p" * 48, b"h" * 32)
    assert len(plain) == len(bound) == 48
    assert plain != bound
    suite = SUITES[CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]
    block = prf12.key_block(suite, plain, b"c" * 32, b"s" * 32)
    assert [len(part) for part in block] == [32, 32, 4, 4]
    assert repr(block) == "<KeyBlock>"
    assert prf12.exporter_value("sha256", plain, b"r" * 64, b"x", None, 16) != prf12.exporter_value(
        "sha256", plain, b"r" * 64, b"x", b"", 16
    )


# Record protection.

Ends = tuple[Any, Any]


def ends(suite: SuiteParameters, key: bytes | None = None) -> Ends:
    key = b"k" * suite.key_length if key is None else key
    if suite.version == TLS13:
        return Sealer13(suite, key, b"i" * 12), Opener13(suite, key, b"i" * 12)
    iv = b"i" * suite.fixed_iv_length
    return Sealer12(suite, key, iv), Opener12(suite, key, iv)


def sealed(sealer: Any, *arguments: Any) -> bytes:
    out: list[bytes] = []
    (sealer.seal_padded if len(arguments) > 2 and arguments[2] < 1000 else sealer.seal)(out, *arguments)
    return b"".join(out)


def opened(opener: Any, data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        found.append(opener.open(data[at : at + 5], data[at + 5 : end]))
        at = end
    return found


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: str(suite.suite))
@given(sizes=st.lists(st.integers(0, 40000), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_what_was_sealed_opens(suite: SuiteParameters, sizes: list[int]) -> None:
    sealer, opener = ends(suite)
    for size in sizes:
        data = bytes(size)
        found = opened(opener, sealed(sealer, 23, data))
        assert b"".join(content for _, content in found) == data
        assert {kind for kind, _ in found} == {23}
        assert len(found) == max(1, -(-size // 16384))


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: str(suite.suite))
def test_each_flipped_bit_is_refused(suite: SuiteParameters) -> None:
    record = sealed(ends(suite)[0], 23, b"data")
    for at in range(len(record)):
        if at in (3, 4) and suite.version == TLS12:
            continue  # the length that is covered there is the content's; the record's only says where to cut
        for bit in range(8):
            changed = bytearray(record)
            changed[at] ^= 1 << bit
            with pytest.raises((BadRecordMac, RecordOverflow, UnprotectedRecord)):
                ends(suite)[1].open(bytes(changed[:5]), bytes(changed[5:]))


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: str(suite.suite))
def test_a_record_opens_once_and_in_its_place(suite: SuiteParameters) -> None:
    sealer, opener = ends(suite)
    first, second = sealed(sealer, 23, b"one"), sealed(sealer, 23, b"two")
    with pytest.raises(BadRecordMac):
        opener.open(second[:5], second[5:])
    assert opener.open(first[:5], first[5:]) == (23, b"one")
    with pytest.raises(BadRecordMac):
        opener.open(first[:5], first[5:])
    with pytest.raises(BadRecordMac):
        opener.open(first[:5], b"short")


def test_padding_is_taken_off_and_zeros_alone_are_refused() -> None:
    """RFC 8446, 5.4."""
    sealer, opener = ends(SUITES[CipherSuite.TLS_AES_128_GCM_SHA256])
    assert opened(opener, sealed(sealer, 22, b"x\0\0", 100)) == [(22, b"x\0\0")]
    with pytest.raises(EmptyInnerPlaintext):
        opened(opener, sealed(sealer, 0, b"", 20))


@pytest.mark.parametrize("name", ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"])
def test_a_record_with_too_much_in_it_is_refused(name: str) -> None:
    sealer, opener = ends(SUITES[CipherSuite[name]])
    record = sealed(sealer, 23, bytes(16385), 20000)
    with pytest.raises(RecordOverflow):
        opener.open(record[:5], record[5:])
    with pytest.raises(RecordOverflow):
        opener.open(record[:5], bytes(18000))


@pytest.mark.parametrize("name", ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"])
def test_a_sequence_number_never_wraps(name: str) -> None:
    """RFC 8446, 5.3."""
    sealer, opener = ends(SUITES[CipherSuite[name]])
    sealer.sequence = opener.sequence = 2**64 - 1
    with pytest.raises(SequenceExhausted):
        sealed(sealer, 23, b"x")
    with pytest.raises(SequenceExhausted):
        opener.open(b"\x17\x03\x03\0\x20", bytes(32))
    assert "kkkk" not in repr(sealer)


# Groups.


@pytest.mark.parametrize("name", ["X25519", "X448"])
def test_the_curves_of_rfc7748(name: str) -> None:
    """RFC 7748, 5.2: the figures that lead to a secret at once, from the package `cryptography_vectors`."""
    folder = Path(cryptography_vectors.__file__).parent / "asymmetric" / name
    blocks = (folder / "rfc7748.txt").read_text().split("COUNT = ")[1:3]
    for block in blocks:
        rows = dict(line.split(" = ") for line in block.splitlines()[1:] if " = " in line)
        scalar, u, out = (h(rows[key]) for key in ("INPUT_SCALAR", "INPUT_U", "OUTPUT_U"))
        assert groups.generate(NamedGroup[name], lambda _, key=scalar: key).agree(u) == out  # type: ignore[misc]


@pytest.mark.parametrize("group", groups.SUPPORTED_GROUPS, ids=str)
def test_the_same_randomness_gives_the_same_key(group: NamedGroup) -> None:
    one = groups.generate(group, lambda size: b"\x07" * size)
    other = groups.generate(group, lambda size: b"\x07" * size)
    assert one.public == other.public
    public, secret = groups.respond(group, one.public)
    assert other.agree(public) == secret


@pytest.mark.parametrize("group", groups.SUPPORTED_GROUPS, ids=str)
def test_what_is_no_key_of_the_group_is_refused(group: NamedGroup) -> None:
    share = groups.generate(group)
    public, _ = groups.respond(group, share.public)
    for wrong in (b"", public[:-1], public + b"\0"):
        with pytest.raises(BadKeyShare):
            share.agree(wrong)
        with pytest.raises(BadKeyShare):
            groups.respond(group, share.public[:-1] if len(wrong) != len(share.public) else wrong)
    zeros = bytes(len(share.public))
    with pytest.raises(BadKeyShare):
        groups.respond(group, zeros)


@pytest.mark.parametrize("group", ffdhe.MODULUS_SIZE, ids=str)
def test_values_outside_the_group_are_refused(group: NamedGroup) -> None:
    """RFC 8446, 4.2.8.1."""
    share, size = groups.generate(group), ffdhe.MODULUS_SIZE[group]
    p = ffdhe.prime(group)
    for y in (0, 1, p - 1, p):
        with pytest.raises(BadKeyShare):
            share.agree(y.to_bytes(size, "big"))


def test_the_primes_are_those_of_rfc7919() -> None:
    """RFC 7919, appendix A: each ends in 64 one bits, is prime, and so is half of it; the smallest by its figures."""
    assert f"{ffdhe.prime(NamedGroup.FFDHE2048):x}".startswith("ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1")
    assert f"{ffdhe.prime(NamedGroup.FFDHE2048):x}".endswith("886b423861285c97ffffffffffffffff")
    for group in ffdhe.MODULUS_SIZE:
        p = ffdhe.prime(group)
        assert pow(2, p - 1, p) == 1
        assert pow(2, (p - 1) // 2, p) == 1


def test_a_hybrid_is_its_two_parts_in_the_drafts_order() -> None:
    """draft-ietf-tls-ecdhe-mlkem, 3: ML-KEM first with X25519, the curve first with P-256."""
    seed = lambda size: b"\x05" * size  # noqa: E731
    x = groups.generate(NamedGroup.X25519, seed).public
    p = groups.generate(NamedGroup.SECP256R1, seed).public
    assert groups.generate(NamedGroup.X25519MLKEM768, seed).public.endswith(x)
    assert groups.generate(NamedGroup.SECP256R1MLKEM768, seed).public.startswith(p)


def test_a_scalar_that_is_zero_is_drawn_again() -> None:
    draws = iter([bytes(32), b"\x01" * 32])
    assert groups.generate(NamedGroup.SECP256R1, lambda _: next(draws)).public


# Signatures.

KEYS: dict[str, Any] = {
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ed448": ed448.Ed448PrivateKey.generate(),
    "mldsa44": mldsa.MLDSA44PrivateKey.generate(),
    "mldsa65": mldsa.MLDSA65PrivateKey.generate(),
    "mldsa87": mldsa.MLDSA87PrivateKey.generate(),
}


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
@pytest.mark.parametrize("name", KEYS)
def test_each_key_signs_what_verifies_and_nothing_else_does(name: str, version: ProtocolVersion) -> None:
    key = KEYS[name]
    schemes = signatures.schemes_for(key.public_key(), version)
    assert bool(schemes) == (version == TLS13 or not name.startswith("mldsa"))
    for scheme in schemes:
        signature = signatures.sign(scheme, key, b"data")
        signatures.verify(scheme, key.public_key(), signature, b"data")
        for wrong, data in ((signature, b"other"), (signature[:-1], b"data"), (b"", b"data")):
            with pytest.raises(BadSignature):
                signatures.verify(scheme, key.public_key(), wrong, data)


def test_a_scheme_for_another_key_is_no_signature() -> None:
    with pytest.raises(BadSignature):
        signatures.verify(SignatureScheme.ED25519, KEYS["p256"].public_key(), b"x", b"y")


def test_tls13_binds_each_curve_to_its_hash() -> None:
    """RFC 8446, 4.2.3."""
    assert signatures.schemes_for(KEYS["p256"].public_key(), TLS13) == (SignatureScheme.ECDSA_SECP256R1_SHA256,)
    assert len(signatures.schemes_for(KEYS["p256"].public_key(), TLS12)) == 3
    for version in (TLS12, TLS13):
        assert signatures.schemes_for(ec.generate_private_key(ec.SECP256K1()).public_key(), version) == ()
    assert signatures.schemes_for("no key", TLS13) == ()


def test_rsa_keys_sign_as_they_are_meant_to() -> None:
    """RFC 8446, 4.2.3; RFC 8017, 9.1.1: a short key has no room for SHA-512."""
    key = KEYS["rsa"].public_key()
    assert SignatureScheme.RSA_PKCS1_SHA256 not in signatures.schemes_for(key, TLS13)
    assert SignatureScheme.RSA_PKCS1_SHA256 in signatures.schemes_for(key, TLS12)
    assert all("pss_pss" in str(s) for s in signatures.schemes_for(key, TLS13, rsa_pss_key=True))
    short = rsa.generate_private_key(65537, 1024).public_key()
    assert SignatureScheme.RSA_PSS_RSAE_SHA512 not in signatures.schemes_for(short, TLS13)


def test_what_is_signed_names_role_and_protocol() -> None:
    """RFC 8446, 4.4.3."""
    content = signatures.certificate_verify_content("server", b"hash")
    assert content == b" " * 64 + b"TLS 1.3, server CertificateVerify\0hash"
