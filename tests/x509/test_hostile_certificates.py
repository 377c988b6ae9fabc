"""Whatever an extension says and however it is written: an accepted or refused report, never another exception."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from tests.x509.chains import HOST, NOW
from tests.x509.changes import Chain, access, general, name, point, url
from tests.x509.parts import oid, sequence, tlv

from handclasp.x509 import (
    DEPLOYMENT,
    RFC5280,
    WEB,
    PolicyInputs,
    Purpose,
    Report,
    TrustStore,
    VerificationPolicy,
    verify,
)
from handclasp.x509.errors import CertificateError

POLICIES = (
    replace(DEPLOYMENT, anchors_by_name_and_key=True),
    replace(RFC5280, policies=PolicyInputs(require_explicit=True)),
    WEB,
)
SOMEBODY = name((x509.NameOID.COMMON_NAME, "somebody"))
NAMES = (
    general("", HOST),
    general("mail", "a@a.example"),
    general("URI", "https://a.example/"),
    general("IP", b"\x0a\0\0\1"),
    general("directory", SOMEBODY),
    general("other", oid("1.2.3") + tlv(0xA0, tlv(0x0C, b"x"))),
    tlv(0x88, b"\x2a\3"),
)
SUBTREES = b"".join(
    sequence(one)
    for one in (general("", "a.example"), general("mail", ".a.example"), general("IP", b"\x0a" + bytes(7)))
)
ISSUERS = x509.oid.AuthorityInformationAccessOID.CA_ISSUERS
EXTENSIONS = {
    "2.5.29.9": sequence(sequence(oid("1.2.3"), tlv(0x31, tlv(0x0C, b"x")))),
    "2.5.29.14": tlv(0x04, bytes(20)),
    "2.5.29.15": b"\x03\x02\x07\x80",
    "2.5.29.16": sequence(tlv(0x80, b"20250101000000Z")),
    "2.5.29.17": sequence(*NAMES),
    "2.5.29.18": sequence(*NAMES),
    "2.5.29.19": bytes.fromhex("30060101ff020101"),
    "2.5.29.28": sequence(),
    "2.5.29.30": sequence(tlv(0xA0, SUBTREES), tlv(0xA1, sequence(general("directory", SOMEBODY)))),
    "2.5.29.31": point(full_name=[url("http://a.example/crl")]),
    "2.5.29.32": sequence(sequence(oid("1.2.3")), sequence(oid("2.5.29.32.0"))),
    "2.5.29.33": sequence(sequence(oid("1.2.3"), oid("1.2.4"))),
    "2.5.29.35": sequence(tlv(0x80, bytes(20))),
    "2.5.29.36": sequence(b"\x80\1\0", b"\x81\1\0"),
    "2.5.29.37": sequence(oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.5.5.7.3.2")),
    "2.5.29.46": point(full_name=[url("http://a.example/crl")]),
    "2.5.29.54": b"\x02\1\1",
    "1.3.6.1.5.5.7.1.1": access(ISSUERS, "URI", "http://a.example/"),
    "1.3.6.1.5.5.7.1.3": sequence(sequence(oid("1.2.3"))),
    "1.3.6.1.5.5.7.1.11": access(ISSUERS, "URI", "http://a.example/"),
    "1.3.6.1.5.5.7.1.24": sequence(b"\x02\1\5"),
    "1.3.6.1.5.5.7.48.1.5": b"\x05\0",
    "1.3.6.1.4.1.311.21.7": sequence(oid("1.2.3"), b"\x02\1\1", b"\x02\1\1"),
    "1.3.6.1.4.1.11129.2.4.2": tlv(0x04, b"\0\0"),
    "1.3.6.1.4.1.11129.2.4.3": b"\x05\0",
    "2.16.840.1.113730.1.1": b"\x03\2\6\x40",
    "1.2.3": b"\x05\0",
}


def judge(chain: list[bytes], root: bytes, policy: VerificationPolicy) -> Report:
    return verify(chain, trust=TrustStore.of(root), policy=policy, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST)


@pytest.mark.parametrize("which", EXTENSIONS)
@pytest.mark.parametrize("place", range(3), ids=("leaf", "authority", "anchor"))
def test_no_extension_however_malformed_has_verify_raise_anything(which: str, place: int) -> None:
    """Each one empty, cut short, of another type, and with more behind it; critical or not, in each profile."""
    good = EXTENSIONS[which]
    for value in (
        good,
        b"",
        b"\0",
        good[:1],
        good[:-1],
        good + b"\0",
        tlv(0x04, good),
        b"\x30\x80",
        b"\x30\x84\xff\xff\xff\xff",
        b"\xff" * 9,
    ):
        for critical in (False, True):
            chain = Chain.sound()
            chain.parts[place].put(which, value, critical)
            *others, root = chain.ders()
            for policy in POLICIES:
                report = judge(others, root, policy)
                assert report.accepted or isinstance(report.error, CertificateError)
                assert report.to_dict()["accepted"] == report.accepted


def broken_issuer(chain: Chain) -> None:
    """A common name in bytes that are no UTF-8."""
    chain.parts[1].issuer = sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0C, b"\xff\xfe"))))


def broken_identifier(chain: Chain) -> None:
    chain.parts[1].put("2.5.29.35", b"\x30\5\1")


def broken_names(chain: Chain) -> None:
    chain.parts[1].put("2.5.29.30", b"\x30\5\1", True)


@pytest.mark.parametrize("breaking", [broken_issuer, broken_identifier, broken_names])
@pytest.mark.parametrize("roots", [1, 2])
def test_an_authority_that_cannot_be_read_does_no_harm_to_another_path(
    breaking: Callable[[Chain], None], roots: int
) -> None:
    """It has the name and the key of a good one; wherever it stands among the others, the good one is found."""
    leaf, good, root = Chain.sound().ders()
    other = Chain.sound()
    other.parts[2].serial = tlv(0x02, b"\x33")
    spoiled = Chain.sound()
    breaking(spoiled)
    broken = spoiled.ders()[1]
    trust = TrustStore.of(*[root, other.ders()[2]][:roots])
    for chain in ([leaf, broken, good], [leaf, good, broken], [leaf, broken, broken, good]):
        report = verify(chain, trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST)
        assert report.accepted, report.error
    assert not verify([leaf, broken], trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST).accepted
