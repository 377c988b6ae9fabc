"""What a hostile peer may send in place of a chain: a named error, after bounded work."""

from __future__ import annotations

import datetime
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World
from tests.x509.chains import HOST, NOW, Link, key_of, leaf, make_chain

from handclasp.crypto.ffdhe import prime
from handclasp.errors import UsageError
from handclasp.wire.iana import NamedGroup
from handclasp.x509 import DEFAULT, WEB, Certificate, Purpose, Report, TrustStore, Verdict, verify
from handclasp.x509 import errors as e
from handclasp.x509.certificate import MAX_SIZE
from handclasp.x509.der import after, content_of, oid_text
from handclasp.x509.verify import REMEMBERED_PATHS, REMEMBERED_SIZE

GOOD = make_chain(leaf(), Link())
TRUST = TrustStore.of(GOOD.root)


def judge(*chain: bytes, trust: TrustStore = TRUST, **changes: Any) -> Report:
    arguments: dict[str, Any] = {"purpose": Purpose.SERVER_AUTH, "at": NOW, "name": HOST, **changes}
    return verify(chain, trust=trust, **arguments)


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes((size,)) if size < 128 else bytes((0x82, size >> 8, size & 255))
    return bytes((tag,)) + length + content


def altered(der: bytes, old: bytes, new: bytes) -> bytes:
    assert der.count(old) >= 1
    assert len(old) == len(new)
    return der.replace(old, new)


def test_the_chain_that_the_others_are_made_of_is_good() -> None:
    assert judge(*GOOD.chain).accepted


@pytest.mark.parametrize("size", [0, 1, 4, 30, 100, 200, 300])
def test_a_truncated_leaf_is_malformed(size: int) -> None:
    assert type(judge(GOOD.chain[0][:size], GOOD.chain[1]).error) is e.MalformedCertificate


def test_what_follows_a_certificate_is_malformed() -> None:
    assert type(judge(GOOD.chain[0] + b"\0", GOOD.chain[1]).error) is e.MalformedCertificate


def test_an_oversized_leaf_is_refused_by_report_as_everything_else() -> None:
    assert type(judge(bytes(MAX_SIZE + 1), GOOD.chain[1]).error) is e.MalformedCertificate


@pytest.mark.parametrize("junk", [b"", b"\x30\x80\0\0", bytes(MAX_SIZE + 1), GOOD.chain[1][:-1]])
def test_junk_beside_a_good_path_does_no_harm(junk: bytes) -> None:
    assert judge(GOOD.chain[0], junk, GOOD.chain[1], junk).accepted


def test_an_intermediate_with_a_broken_extension_does_no_harm_to_another_path() -> None:
    """Its name and signature are good, and what is inside an extension is not."""
    broken = resigned(GOOD.chain[1], x509.UnrecognizedExtension(x509.BasicConstraints.oid, b"\x30\x05\x01"))
    assert judge(GOOD.chain[0], broken, GOOD.chain[1]).accepted
    assert judge(GOOD.chain[0], GOOD.chain[1], broken).accepted
    assert type(judge(GOOD.chain[0], broken).error) is e.MalformedCertificate


def resigned(der: bytes, *extensions: x509.ExtensionType) -> bytes:
    """The authority below the root again, with other extensions."""
    old = x509.load_der_x509_certificate(der)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(7)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
    )
    for one in extensions:
        builder = builder.add_extension(one, critical=True)
    return builder.sign(key_of(0), hashes.SHA256()).public_bytes(Encoding.DER)


def test_deep_nesting_in_an_extension_is_malformed() -> None:
    """Directory names inside general names, as deep as the size allows."""
    nested = b""
    for _ in range(5000):
        nested = tlv(0x30, nested)
    broken = resigned(GOOD.chain[1], x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, nested))
    report = judge(GOOD.chain[0], broken)
    assert type(report.error) is e.MalformedCertificate


def test_a_huge_serial_number_is_no_more_than_a_matter_of_form() -> None:
    serial = (1000 + 2).to_bytes(2, "big")
    assert altered(GOOD.chain[0], b"\x02\x02" + serial, b"\x02\x02\xff\xff") != GOOD.chain[0]
    report = judge(altered(GOOD.chain[0], b"\x02\x02" + serial, b"\x02\x02\xff\xff"), GOOD.chain[1])
    assert not report.accepted


def test_a_serial_number_too_long_to_be_written_down_is_told_by_its_length() -> None:
    """Python does not write integers of more than 4300 digits."""
    old = GOOD.chain[0]
    start = content_of(old, content_of(old, 0)[0])[0]
    number = after(old, start)
    body = old[start:number] + long_tlv(0x02, b"\x7f" * 5000) + old[after(old, number) : after(old, start - 4)]
    tbs = long_tlv(0x30, body)
    signature = key_of(1).sign(tbs, ec.ECDSA(hashes.SHA256()))
    rest = old[after(old, start - 4) :]
    algorithm = rest[: after(rest, 0)]
    der = long_tlv(0x30, tbs + algorithm + long_tlv(0x03, b"\0" + signature))
    assert judge(der, GOOD.chain[1]).accepted
    report = judge(der, GOOD.chain[1], policy=WEB)
    assert type(report.error) is e.FormViolation
    assert "39999 bits" in str(report.error)


def long_tlv(tag: int, content: bytes) -> bytes:
    """In DER, of whatever length."""
    size = len(content)
    if size < 256:
        return bytes((tag, *((0x81,) if size > 127 else ()), size)) + content
    return tlv(tag, content)


def test_an_object_identifier_of_thousands_of_bytes_is_not_worked_out() -> None:
    with pytest.raises(ValueError, match="of no use"):
        oid_text(b"\xff" * 100_000 + b"\x01")


@pytest.mark.parametrize("odd", ["a\nb", "a\x1b[31mb", "a\u202eb"])
def test_what_a_peer_calls_itself_can_do_nothing_to_a_log(odd: str) -> None:
    made = make_chain(leaf(common_name=odd, sans=("a\nb.example", "y" * 50_000, *("x" for _ in range(1000)))), Link())
    report = judge(*made.chain, trust=TrustStore.of(made.root))
    told = [str(report.error), *(text for check in report.checks for text in (check.subject, check.presented))]
    assert all(one.isprintable() and len(one) < 3000 for one in told)
    assert isinstance(report.error, e.HostNameMismatch)


def test_thousands_of_extensions_are_read_once() -> None:
    extensions = [
        x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{number}"), b"\x05\x00") for number in range(3000)
    ]
    report = judge(GOOD.chain[0], resigned(GOOD.chain[1], *extensions))
    assert type(report.error) is e.ConstraintViolation


def test_thousands_of_names_are_held_against_constraints_no_more_than_the_budget_allows() -> None:
    made = make_chain(leaf(sans=tuple(f"h{n}.a.example" for n in range(4500))), Link(permitted="a.example"))
    report = judge(*made.chain, trust=TrustStore.of(made.root), name="h7.a.example")
    assert type(report.error) is e.BudgetExceeded


def test_thousands_of_policies_are_taken_in_no_more_than_the_budget_allows() -> None:
    policies = [
        x509.PolicyInformation(x509.ObjectIdentifier(f"1.2.{number}"), None) for number in range(DEFAULT.max_policies)
    ]
    basic = x509.BasicConstraints(True, None)
    chain = GOOD.chain[0], resigned(GOOD.chain[1], basic, x509.CertificatePolicies(policies[:5000]))
    assert judge(*chain).accepted
    assert type(judge(*chain, policy=replace(DEFAULT, max_policies=4999)).error) is e.BudgetExceeded


def test_thousands_of_intermediates_meet_the_budget() -> None:
    """All of the issuer's name, each with the key of another."""
    old = x509.load_der_x509_certificate(GOOD.chain[1])
    decoys = [bytes(GOOD.chain[1][:-2]) + bytes((n >> 8, n & 255)) for n in range(2000)]
    assert old.subject
    policy = replace(DEFAULT, max_path_steps=100)
    report = judge(GOOD.chain[0], *decoys, policy=policy)
    assert type(report.error) is e.BudgetExceeded


def weakly_signed(der: bytes) -> bytes:
    """Over SHA-224, as it says; nobody looks at the signature."""
    return altered(der, bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d040301"))


def test_a_path_over_a_weak_hash_ends_with_that() -> None:
    """Its signature is not looked at, so anybody may have written what it says."""
    made = make_chain(leaf(), Link(dates="past", permitted="b.example"))
    report = judge(made.chain[0], weakly_signed(made.chain[1]), trust=TrustStore.of(made.root))
    assert type(report.error) is e.WeakSignatureHash
    told = {(check.name, check.verdict) for check in report.checks}
    assert ("signature", Verdict.SKIPPED) in told
    assert ("signature", Verdict.PASSED) not in told
    assert not {name for name, _ in told} & {"constraints", "expiration", "policies"}


def test_self_issued_certificates_do_not_make_paths_of_any_length() -> None:
    """They don't count for path lengths (RFC 5280, 4.2.1.9), and here nobody's key made them."""
    decoys = [weakly_signed(self_issued(index)) for index in range(100, 140)]
    report = judge(GOOD.chain[0], weakly_signed(GOOD.chain[1]), *decoys, trust=TrustStore.of(self_issued(99)))
    assert not report.accepted
    assert max(len(path.certificates) for path in report.paths) <= 2 * DEFAULT.max_chain_depth + 2


def self_issued(index: int) -> bytes:
    root = x509.load_der_x509_certificate(GOOD.root)
    builder = x509.CertificateBuilder(extensions=[root.extensions.get_extension_for_class(x509.BasicConstraints)])
    builder = builder.subject_name(root.subject).issuer_name(root.subject).public_key(key_of(index).public_key())
    builder = builder.not_valid_before(root.not_valid_before_utc).not_valid_after(root.not_valid_after_utc)
    return builder.serial_number(index).sign(key_of(index), hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("bits", "exponent"),
    [(16384, 65537), (100_000, 3), (2048, (1 << 2040) + 1)],
    ids=["long", "absurd", "exponent"],
)
@pytest.mark.parametrize("place", ["leaf", "issuer"])
def test_an_rsa_key_of_any_size_costs_nothing(bits: int, exponent: int, place: str) -> None:
    """Numbers without primes: nobody signs with them, and nobody verifies."""
    key = rsa.RSAPublicNumbers(exponent, (1 << bits) - 1).public_key()
    chain = list(GOOD.chain)
    index = 0 if place == "leaf" else 1
    old = x509.load_der_x509_certificate(chain[index])
    builder = x509.CertificateBuilder(extensions=list(old.extensions)).subject_name(old.subject)
    builder = builder.issuer_name(old.issuer).public_key(key).serial_number(9)
    builder = builder.not_valid_before(old.not_valid_before_utc).not_valid_after(old.not_valid_after_utc)
    chain[index] = builder.sign(key_of(1 - index), hashes.SHA256()).public_bytes(Encoding.DER)
    report = judge(*chain)
    assert type(report.error) is e.WeakKey
    assert str(bits) in str(report.error)


def test_an_error_names_what_it_was_about_and_what_to_do() -> None:
    report = judge(*GOOD.chain, name="c.example")
    assert str(report.error) == f"The certificate is for {HOST}; the connection asked for c.example."
    assert report.error is not None
    assert report.error.mend


@pytest.mark.parametrize("wrong", [{"at": datetime.datetime(2026, 6, 1)}, {"chain": ()}])
def test_what_the_caller_got_wrong_is_a_usage_error(wrong: dict[str, Any]) -> None:
    chain = wrong.pop("chain", GOOD.chain)
    with pytest.raises(UsageError):
        judge(*chain, **wrong)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_changed_byte_in_any_certificate_raises_anything(data: st.DataObject) -> None:
    chain = [bytearray(one) for one in GOOD.chain]
    victim = data.draw(st.sampled_from(chain))
    for _ in range(data.draw(st.integers(1, 4))):
        victim[data.draw(st.integers(0, len(victim) - 1))] = data.draw(st.integers(0, 255))
    report = judge(*map(bytes, chain), policy=data.draw(st.sampled_from((DEFAULT, WEB))))
    assert report.accepted == (tuple(map(bytes, chain)) == GOOD.chain)
    assert report.accepted or isinstance(report.error, e.CertificateError)


def test_a_certificate_of_an_hour_ago_is_no_longer_remembered_as_good(world: World) -> None:
    assert judge(*GOOD.chain).accepted
    assert type(judge(*GOOD.chain, at=NOW + timedelta(days=2)).error) is e.CertificateExpired
    assert judge(*GOOD.chain).accepted
    assert Certificate(GOOD.chain[0]) == Certificate(GOOD.chain[0])


def test_a_verdict_that_would_take_much_memory_is_not_remembered() -> None:
    """What a peer sends beside a good path is kept with the verdict."""
    trust = TrustStore.of(GOOD.root, self_issued(99))
    own = x509.SubjectKeyIdentifier.from_public_key(key_of(1).public_key())
    bait = weakly_signed(resigned(GOOD.chain[1], x509.BasicConstraints(True, None), own))
    decoys = [bait, *(weakly_signed(self_issued(index)) for index in range(100, 103))]
    for chain, kept in (
        (GOOD.chain, True),
        ((*GOOD.chain, bytes(REMEMBERED_SIZE)), False),
        ((GOOD.chain[0], *decoys, GOOD.chain[1]), False),
    ):
        first = judge(*chain, trust=trust)
        assert first.accepted
        assert (judge(*chain, trust=trust) is first) == kept
        assert (len(first.paths) > REMEMBERED_PATHS) == (chain[1] == bait)


def junk_of(size: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(size))


def with_negative_serial(der: bytes, serial: int) -> bytes:
    return altered(der, b"\x02\x02" + serial.to_bytes(2, "big"), b"\x02\x02\x80\x02")


def test_parsing_in_threads_leaves_the_filters_of_warnings_alone() -> None:
    """The parser warns of a negative serial number; of others it does not, and no filter is touched."""
    odd = with_negative_serial(GOOD.chain[0], 1002)
    before = list(warnings.filters)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: Certificate(odd).parsed, range(4000)))
    finally:
        sys.setswitchinterval(interval)
    assert list(warnings.filters) == before


@pytest.mark.parametrize("oid", [NameOID.COMMON_NAME, NameOID.COUNTRY_NAME], ids=["common name", "country"])
def test_a_name_of_an_unusual_length_is_judged_and_nobody_warned(oid: x509.ObjectIdentifier) -> None:
    """A peer chose it: it is not for a program to warn of, nor to stop at where warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = x509.Name([x509.NameAttribute(oid, "x" * 70, _validate=False)])
    issuer = x509.load_der_x509_certificate(GOOD.chain[1])
    builder = (
        x509.CertificateBuilder()
        .subject_name(odd)
        .issuer_name(issuer.subject)
        .public_key(key_of(2).public_key())
        .serial_number(7)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DirectoryName(odd)]), critical=False)
    )
    leaf = builder.sign(key_of(1), hashes.SHA256()).public_bytes(Encoding.DER)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        report = judge(leaf, GOOD.chain[1])
    assert report.accepted
    assert "x" * 70 in report.checks[0].subject
    assert not seen


@pytest.mark.parametrize("kind", ["2a864886f70d010301", "2a8648ce3e0201"], ids=["PKCS #3", "X9.42"])
def test_a_diffie_hellman_key_is_refused_and_nobody_warned(kind: str) -> None:
    whole = Certificate(GOOD.chain[0])
    at, layout = whole._layout.key, whole._layout
    p = prime(NamedGroup.FFDHE2048)
    numbers = [p, 2, p >> 1] if kind.endswith("0201") else [p, 2]
    parameters = tlv(0x30, b"".join(tlv(0x02, one.to_bytes(one.bit_length() // 8 + 1, "big")) for one in numbers))
    small = tlv(0x02, b"\x05")
    key = tlv(0x30, tlv(0x30, tlv(0x06, bytes.fromhex(kind)) + parameters) + tlv(0x03, b"\0" + small))
    start, end = content_of(whole.der, layout.tbs)
    signed = tlv(0x30, whole.der[start:at] + key + whole.der[after(whole.der, at) : end])
    der = tlv(0x30, signed + whole.der[layout.outer_algorithm :])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert not judge(der, GOOD.chain[1]).accepted
        public = Certificate(der).public_key
    assert type(public).__name__ == "DHPublicKey"
    assert not seen


def test_a_key_that_verifies_nothing_signed_nothing_and_does_no_harm() -> None:
    """X25519 keys agree and do not sign; a certificate may have one all the same."""
    good = x509.load_der_x509_certificate(GOOD.chain[1])
    junk = (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(good.issuer)
        .public_key(x25519.X25519PrivateKey.generate().public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .sign(key_of(99), hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    assert type(judge(GOOD.chain[0], junk).error) is e.UnknownAuthority
    assert judge(GOOD.chain[0], junk, GOOD.chain[1]).accepted


def test_a_serial_number_can_be_asked_for_first() -> None:
    """Of a certificate that nobody has parsed: one thread must not wait for itself."""
    negative = with_negative_serial(GOOD.chain[0], 1002)
    assert Certificate(GOOD.chain[0]).serial_number == 1002
    assert Certificate(negative).serial_number == -0x7FFE
