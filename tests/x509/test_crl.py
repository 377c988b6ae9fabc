"""Certificate revocation lists by themselves: whose signature they carry, and how long ones answer."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from datetime import UTC

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from handclasp.ca import Authority, KeyType
from handclasp.x509.certificate import canonical_name
from handclasp.x509.crl import Crl, MalformedCrl, entries
from handclasp.x509.der import after, content_of
from handclasp.x509.keys import load_private_key
from handclasp.x509.revocation import RevocationSources, Status, check_revocation

DAY = datetime.datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Authority.root("Lister")
ONE = ROOT.make_crl([(7, DAY, x509.ReasonFlags.key_compromise)], number=1)


def tagged(tag: int, content: bytes) -> bytes:
    """A DER element with a length of three bytes, as long contents have."""
    return bytes([tag, 0x83]) + len(content).to_bytes(3, "big") + content


def with_entries(der: bytes, serials: list[int]) -> bytes:
    """A list with its one entry repeated for other serial numbers; its signature no longer fits."""
    outer, _ = content_of(der, 0)
    start, end = content_of(der, outer)
    entries = start
    for _ in range(5):  # version, signature, issuer, thisUpdate, nextUpdate
        entries = after(der, entries)
    entry, _ = content_of(der, entries)
    begin, stop = content_of(der, entry)
    rest = der[after(der, begin) : stop]
    body = [bytes([2, 17]) + serial.to_bytes(17, "big") + rest for serial in serials]
    sequence = b"".join(bytes([0x30, len(one)]) + one for one in body)
    tbs = tagged(0x30, der[start:entries] + tagged(0x30, sequence) + der[after(der, entries) : end])
    return tagged(0x30, tbs + der[end:])


@pytest.mark.parametrize("kind", KeyType, ids=lambda kind: kind.value)
def test_a_list_is_its_signers_and_nobody_elses(kind: KeyType) -> None:
    own = Authority.root("Lister", key=kind)
    crl = Crl(own.make_crl([], number=1))
    assert crl.signed_by(own.certificate)
    assert crl.signed_by(own.certificate), "and so it stays when asked again"
    for other in (KeyType.P256, KeyType.ED25519, KeyType.RSA2048):
        assert not crl.signed_by(Authority.root("Lister", key=other).certificate)


def test_the_algorithm_outside_has_to_be_that_inside() -> None:
    """RFC 5280, 5.1.1.2: what is outside of the signature is no different from what is under it."""
    outside = after(ONE, content_of(ONE, 0)[0])
    changed = bytearray(ONE)
    changed[after(ONE, outside) - 1] ^= 1  # ecdsa-with-SHA256 becomes ecdsa-with-SHA384
    assert Crl(ONE).signed_by(ROOT.certificate)
    with pytest.raises(MalformedCrl, match="do not match"):
        Crl(bytes(changed))


def test_a_long_list_answers_for_each_of_its_entries() -> None:
    first = 1 << 128
    serials = [first + 3 * index for index in range(60_000)]
    crl = Crl(with_entries(ONE, serials))
    issuer = ROOT.certificate.subject_canonical
    for serial in (serials[0], serials[31_234], serials[-1]):
        entry = crl.find(serial, issuer)
        assert entry is not None
        assert entry.reason == "keyCompromise"
        assert crl.find(serial + 1, issuer) is None
    assert not crl.signed_by(ROOT.certificate)


def test_an_entry_of_an_indirect_list_is_its_own_issuer_s() -> None:
    """RFC 5280, 5.3.3: it holds for those after it, and one that names nobody we know is not the one before."""
    scope = x509.IssuingDistributionPoint(None, None, False, False, None, True, False)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ROOT.certificate.subject_name).last_update(DAY)
    builder = builder.next_update(DAY).add_extension(scope, critical=True)
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Other")])
    somewhere = x509.UniformResourceIdentifier("http://example.com/")
    issuers = (None, x509.DirectoryName(other), None, somewhere, None)
    for serial, issuer in enumerate(issuers, 1):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(DAY)
        if issuer is not None:
            entry = entry.add_extension(x509.CertificateIssuer([issuer]), critical=True)
        builder = builder.add_revoked_certificate(entry.build())
    crl = Crl(builder.sign(ROOT._private_key, SHA256()).public_bytes(Encoding.DER))
    named = {"root": ROOT.certificate.subject_canonical, "other": canonical_name(other)}
    found = {who: [serial for serial in range(1, 6) if crl.find(serial, name)] for who, name in named.items()}
    assert found == {"root": [1], "other": [2, 3]}


def test_an_answer_holds_until_the_first_of_its_lists_ends() -> None:
    """A delta list is issued more often than the complete one that it goes with (RFC 5280, 5.2.4)."""
    complete = ROOT.make_crl([], number=1, days=30, at=DAY)
    delta = ROOT.make_crl([], number=2, base_number=1, days=1, at=DAY)
    leaf = ROOT.server("localhost").certificate
    for lists, last in (((complete,), complete), ((complete, delta), delta)):
        sources = RevocationSources.of(*lists)
        status = check_revocation(leaf, ROOT.certificate, sources, DAY, lambda _: ())
        end = Crl(last).next_update
        assert status.status is Status.GOOD
        assert end is not None
        assert status.until == end.timestamp()


def test_a_list_signed_over_a_weak_hash_says_nothing() -> None:
    """Mission row S14; a deployment may lower its floor."""
    root = Authority.root("Old", key=KeyType.RSA2048)
    over_sha256, over_sha1 = (bytes.fromhex("2a864886f70d0101") + bytes([last]) for last in (11, 5))
    der = root.make_crl([], number=1, at=DAY).replace(over_sha256, over_sha1)
    start, _ = content_of(der, 0)
    tbs = der[start : after(der, start)]
    key = load_private_key(root.key_pem())
    signature = key.sign(tbs, padding.PKCS1v15(), SHA1())
    sources = RevocationSources.of(der[: -len(signature)] + signature)
    assert sources.crls[0].signed_by(root.certificate)
    question = root.server("localhost").certificate, root.certificate, sources, DAY, lambda _: ()
    assert check_revocation(*question).status is Status.UNKNOWN
    assert check_revocation(*question, hashes=frozenset({"sha1"})).status is Status.GOOD


def test_the_entries_of_a_list_that_nobody_signed_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sits between may put a long one in its place."""
    read: list[int] = []

    def counting(tbs: bytes) -> Iterator[tuple[int, bytes]]:
        read.append(len(tbs))
        yield from entries(tbs)

    monkeypatch.setattr("handclasp.x509.crl.entries", counting)
    leaf = ROOT.server("localhost").certificate
    for by, count in (("Lister", 0), (ROOT, 1)):
        authority = Authority.root(by) if isinstance(by, str) else by
        [long] = Crl.load_all(authority.make_crl([], number=1, at=DAY), whole=False)
        status = check_revocation(leaf, ROOT.certificate, RevocationSources([long]), DAY, lambda _: ())
        assert (status.status is Status.GOOD, len(read)) == (bool(count), count)


@given(at=st.integers(0, 2000), value=st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_no_changed_list_raises_anything_but_an_error_of_ours(at: int, value: int) -> None:
    changed = bytearray(ONE)
    changed[at % len(ONE)] = value
    try:
        crl = Crl(bytes(changed))
    except MalformedCrl:
        return
    assert crl.signed_by(ROOT.certificate) == (changed == ONE)
