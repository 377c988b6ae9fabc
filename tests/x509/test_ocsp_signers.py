"""Who may sign an OCSP response, and what one says that holds several answers (RFC 6960, 3.2 and 4.2.2.2)."""

from __future__ import annotations

import datetime
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.conftest import World

from handclasp.ca import Authority, KeyType
from handclasp.x509 import DEFAULT, Certificate, Purpose, RevocationMode, RevocationSources, verify
from handclasp.x509.der import after, content_of
from handclasp.x509.errors import BadStaple, CertificateRevoked
from handclasp.x509.ocsp import check_response
from handclasp.x509.revocation import RevocationStatus, Status

NOW = datetime.datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
"""After all that is issued in the hour that follows: certificates begin five minutes before they are made."""
DAY = timedelta(days=1)
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
KEY = ec.generate_private_key(ec.SECP256R1())


def delegate(world: World, *, key: Any = KEY, use: Any = ExtendedKeyUsageOID.OCSP_SIGNING, **changes: Any) -> Any:
    """A certificate by which another may answer for the issuing authority."""
    first, last = changes.get("dates", (NOW - DAY, NOW + DAY))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Responder")]))
        .issuer_name(world.issuing.certificate.subject_name)
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    )
    for one in changes.get("extensions", ()):
        builder = builder.add_extension(one, critical=True)
    return builder.sign(changes.get("signer", world.issuing)._private_key, hashes.SHA256())


def response(world: World, signer: Any, *others: Any, key: Any = KEY, status: Any = GOOD, days: int = 7) -> bytes:
    """By this signer, with these certificates in it."""
    builder = ocsp.OCSPResponseBuilder().add_response(
        world.server.certificate.parsed,
        world.issuing.certificate.parsed,
        hashes.SHA1(),
        status,
        NOW - timedelta(hours=1),
        NOW + days * DAY,
        NOW if status is REVOKED else None,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, signer).certificates([*others, signer])
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def told(world: World, der: bytes, **changes: Any) -> RevocationStatus:
    return check_response(der, world.server.certificate, world.issuing.certificate, NOW, **changes)


def test_an_authority_may_name_another_to_answer(world: World) -> None:
    assert told(world, response(world, delegate(world))).status is Status.GOOD


def test_what_a_delegate_says_holds_no_longer_than_the_delegate(world: World) -> None:
    last = NOW + timedelta(hours=3)
    status = told(world, response(world, delegate(world, dates=(NOW - DAY, last))))
    assert status.until == last.timestamp()


def usage(**bits: bool) -> x509.KeyUsage:
    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    names += " crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names.split()})


UNFIT: dict[str, dict[str, Any]] = {
    "for another use": {"use": ExtendedKeyUsageOID.SERVER_AUTH},
    "for any use": {"use": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE},
    "expired": {"dates": (NOW - 2 * DAY, NOW - DAY)},
    "not yet valid": {"dates": (NOW + DAY, NOW + 2 * DAY)},
    "a key that may not sign": {"extensions": [usage(key_agreement=True)]},
    "something critical that nobody knows": {
        "extensions": [x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")]
    },
    "a short key": {"key": rsa.generate_private_key(65537, 1024)},
    "an odd curve": {"key": ec.generate_private_key(ec.SECP256K1())},
    "named by a stranger": {"signer": Authority.root("Stranger")},
}


@pytest.mark.parametrize("fault", UNFIT)
def test_a_delegate_that_is_not_fit_answers_for_nobody(world: World, fault: str) -> None:
    changes = UNFIT[fault]
    der = response(world, delegate(world, **changes), key=changes.get("key", KEY))
    with pytest.raises(BadStaple, match="not signed by"):
        told(world, der)


def test_a_deployment_sets_its_own_floor_for_delegates(world: World) -> None:
    key = UNFIT["a short key"]["key"]
    der = response(world, delegate(world, key=key), key=key)
    assert told(world, der, policy=replace(DEFAULT, min_rsa_bits=1024)).status is Status.GOOD


def test_no_more_than_a_few_certificates_in_a_response_are_looked_at(world: World) -> None:
    """All of the responder's name: whose signature it is, only trying tells."""
    others = [delegate(world, key=ec.generate_private_key(ec.SECP256R1())) for _ in range(4)]
    with pytest.raises(BadStaple):
        told(world, response(world, delegate(world), *others))
    assert told(world, response(world, delegate(world), *others[:3])).status is Status.GOOD
    strangers = [world.root.certificate.parsed] * 15
    assert told(world, response(world, delegate(world), *strangers)).status is Status.GOOD
    with pytest.raises(BadStaple):
        told(world, response(world, delegate(world), *strangers, *strangers[:1]))


def test_a_response_of_any_size_is_not_read(world: World) -> None:
    strangers = [world.root.certificate.parsed] * 100
    with pytest.raises(BadStaple, match="at most"):
        told(world, response(world, delegate(world), *strangers))


def test_of_two_answers_about_a_certificate_the_worse_counts(world: World) -> None:
    """Whichever comes first."""
    root, key = world.issuing.certificate.parsed, world.issuing._private_key
    one, two = (data_of(response(world, root, key=key, status=status)) for status in (GOOD, REVOKED))
    for pair in ((one, two), (two, one)):
        assert told(world, joined(*pair, key)).status is Status.REVOKED


def data_of(der: bytes) -> bytes:
    return ocsp.load_der_ocsp_response(der).tbs_response_bytes


def tlv(tag: int, content: bytes) -> bytes:
    return (
        bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content
        if len(content) > 127
        else bytes((tag, len(content))) + content
    )


def joined(one: bytes, two: bytes, key: Any) -> bytes:
    """One response with the answers of both (RFC 6960, 4.2.1)."""
    answers = []
    for data in (one, two):
        start = content_of(data, 0)[0]
        at = after(data, after(data, start))  # responderID, producedAt
        head, answer = data[start:at], data[slice(*content_of(data, at))]
        answers.append(answer)
    tbs = tlv(0x30, head + tlv(0x30, b"".join(answers)))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    signature = tlv(0x03, b"\0" + key.sign(tbs, ec.ECDSA(hashes.SHA256())))
    basic = bytes.fromhex("06092b0601050507300101") + tlv(0x04, tlv(0x30, tbs + algorithm + signature))
    return tlv(0x30, bytes.fromhex("0a0100") + tlv(0xA0, tlv(0x30, basic)))


def test_a_responder_s_name_may_be_written_otherwise_in_the_certificate() -> None:
    """RFC 6960, 4.1.1: the hash is of the issuer's name as it stands in the certificate in question."""
    root = Authority.root("Example Root")
    leaf = root.server("localhost").certificate
    lower = leaf.der.replace(b"Example Root", b"EXAMPLE ROOT")
    other = Certificate(lower)
    assert other.issuer != root.certificate.subject
    name_hash = hashes.Hash(hashes.SHA256())
    name_hash.update(other.issuer)
    good = root.ocsp_response(leaf)
    below = ocsp.load_der_ocsp_response(good).issuer_name_hash
    tbs = data_of(good).replace(below, name_hash.finalize())
    changed = joined(tbs, tbs, root._private_key)
    assert check_response(changed, other, root.certificate, NOW).status is Status.GOOD


@pytest.mark.parametrize("mode", list(RevocationMode))
def test_a_response_that_knows_nothing_is_not_what_the_certificate_promised(mode: RevocationMode) -> None:
    """RFC 7633: else a revoked certificate could be shown with it."""
    root = Authority.root("Root", key=KeyType.P256)
    issued = root.server("localhost", must_staple=True)
    builder = ocsp.OCSPResponseBuilder().add_response(
        issued.certificate.parsed, root.certificate.parsed, hashes.SHA1(), UNKNOWN, NOW, NOW + DAY, None, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, root.certificate.parsed)
    staple = builder.sign(root._private_key, hashes.SHA256()).public_bytes(Encoding.DER)
    report = verify(
        issued.chain,
        trust=root.trust,
        policy=replace(DEFAULT, revocation=mode),
        purpose=Purpose.SERVER_AUTH,
        at=NOW,
        name="localhost",
        staple=staple,
        staple_asked=True,
    )
    assert report.accepted == (mode is RevocationMode.OFF)
    assert report.accepted or type(report.error) is BadStaple


def test_a_remembered_verdict_ends_when_a_delegate_begins(world: World) -> None:
    """From then on the response counts that it signed."""
    tomorrow = NOW + DAY
    der = response(world, delegate(world, dates=(tomorrow, tomorrow + DAY)), status=REVOKED)
    arguments: dict[str, Any] = {"trust": world.root.trust, "revocation": RevocationSources((), [der])}
    arguments |= {"purpose": Purpose.SERVER_AUTH, "name": None}
    assert verify(world.server.chain, at=NOW, **arguments).accepted
    assert type(verify(world.server.chain, at=tomorrow, **arguments).error) is CertificateRevoked
