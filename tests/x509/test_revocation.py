"""Was a certificate taken back? Lists asked, in memory and from files."""

from __future__ import annotations

import datetime
import gc
import weakref
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World
from tests.pair import Pair

import handclasp
from handclasp.ca import Authority, Issued
from handclasp.errors import ConfigError, UsageError
from handclasp.x509 import DEFAULT, Purpose, Report, RevocationMode, RevocationSources, TrustStore, verify
from handclasp.x509.crl import Crl, MalformedCrl, entries
from handclasp.x509.errors import CertificateRevoked, RevocationUnknown
from handclasp.x509.revocation import MalformedResponse

NOW = datetime.datetime.now(UTC) + timedelta(hours=1)
"""After all that is issued in the hour that follows: certificates begin five minutes before they are made."""
REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED)


def crl(
    authority: Authority,
    *revoked: Issued | int,
    days: int = 7,
    number: int | None = 1,
    at: datetime.datetime | None = None,
    reason: x509.ReasonFlags = x509.ReasonFlags.key_compromise,
) -> bytes:
    """A list of this authority's, in PEM."""
    start = (at or NOW) - timedelta(hours=1)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject_name)
        .last_update(start)
        .next_update(start + timedelta(days=days))
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for one in revoked:
        serial = one if isinstance(one, int) else one.certificate.serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(start)
        entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority._private_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def judge(world: World, *lists: bytes, policy: Any = REQUIRED, **changes: Any) -> Report:
    sources = RevocationSources.of(*lists)
    arguments: dict[str, Any] = {"purpose": Purpose.SERVER_AUTH, "at": NOW, "name": "localhost", **changes}
    return verify(world.server.chain, trust=world.root.trust, policy=policy, revocation=sources, **arguments)


def test_a_certificate_on_no_list_is_good(world: World) -> None:
    report = judge(world, crl(world.issuing), crl(world.root))
    assert report.accepted
    assert [c.verdict.value for c in report.checks if c.name == "revocation"] == ["passed", "passed"]


def test_a_certificate_on_a_list_is_refused(world: World) -> None:
    report = judge(world, crl(world.issuing, world.server), crl(world.root), policy=DEFAULT)
    assert isinstance(report.error, CertificateRevoked)
    assert "keyCompromise" in str(report.error)


def test_a_revoked_authority_takes_all_it_issued_with_it(world: World) -> None:
    lists = crl(world.issuing), crl(world.root, world.issuing.certificate.serial_number)
    assert isinstance(judge(world, *lists).error, CertificateRevoked)
    assert judge(world, *lists, policy=replace(REQUIRED, revocation_of_leaf_alone=True)).accepted


def test_what_no_list_tells_of_is_unknown_where_it_is_required(world: World) -> None:
    assert isinstance(judge(world, crl(world.root)).error, RevocationUnknown)
    assert judge(world, crl(world.root), policy=DEFAULT).accepted
    off = replace(DEFAULT, revocation=RevocationMode.OFF)
    assert judge(world, crl(world.issuing, world.server), policy=off).accepted


def test_a_list_that_has_not_begun_says_nothing(world: World) -> None:
    tomorrow = NOW + timedelta(days=1)
    report = judge(world, crl(world.issuing, world.server, at=tomorrow), crl(world.root))
    assert isinstance(report.error, RevocationUnknown)


@pytest.mark.parametrize("fault", ["ended", "without number"])
def test_a_list_that_clears_nobody_still_revokes(world: World, fault: str) -> None:
    """Who was revoked stays so; what such a list leaves out may have come since."""
    arguments: dict[str, Any] = {"days": 2, "at": NOW - timedelta(days=3)} if fault == "ended" else {"number": None}
    naming, silent = crl(world.issuing, world.server, **arguments), crl(world.issuing, **arguments)
    for policy in (DEFAULT, REQUIRED):
        error = judge(world, naming, crl(world.root), policy=policy).error
        assert isinstance(error, CertificateRevoked)
        assert "keyCompromise, by a list that has" in str(error)
    assert judge(world, silent, crl(world.root), policy=DEFAULT).accepted
    assert isinstance(judge(world, silent, crl(world.root)).error, RevocationUnknown)
    assert judge(world, naming, crl(world.issuing), crl(world.root)).accepted, "a list in force has the last word"
    forger = Authority.root("Test Issuing CA")
    assert judge(world, crl(forger, world.server, **arguments), policy=DEFAULT).accepted


def test_a_hold_on_a_list_that_has_ended_may_have_been_lifted(world: World) -> None:
    hold = crl(
        world.issuing, world.server, days=2, at=NOW - timedelta(days=3), reason=x509.ReasonFlags.certificate_hold
    )
    assert judge(world, hold, policy=DEFAULT).accepted
    assert isinstance(judge(world, hold, crl(world.root)).error, RevocationUnknown)


def test_a_list_by_somebody_else_of_that_name_says_nothing(world: World) -> None:
    forger = Authority.root("Test Issuing CA")
    report = judge(world, crl(forger, world.server), crl(world.issuing), crl(world.root))
    assert report.accepted


def test_a_remembered_verdict_ends_with_its_list(world: World) -> None:
    sources = RevocationSources.of(crl(world.issuing, days=1), crl(world.root))
    arguments: dict[str, Any] = {"trust": world.root.trust, "policy": REQUIRED, "revocation": sources}
    arguments |= {"purpose": Purpose.SERVER_AUTH, "name": None}
    first = verify(world.server.chain, at=NOW, **arguments)
    assert verify(world.server.chain, at=NOW, **arguments) is first
    later = verify(world.server.chain, at=NOW + timedelta(days=2), **arguments)
    assert isinstance(later.error, RevocationUnknown)


def test_a_remembered_verdict_ends_when_a_list_begins(world: World) -> None:
    """Until then nothing was known, and that was let pass."""
    tomorrow = NOW + timedelta(days=1)
    response = world.issuing.ocsp_response(world.server.certificate, at=tomorrow, revoked_at=NOW)
    for sources in (
        RevocationSources.of(crl(world.issuing, world.server, at=tomorrow)),
        RevocationSources((), [response]),
    ):
        arguments: dict[str, Any] = {"trust": world.root.trust, "revocation": sources}
        arguments |= {"purpose": Purpose.SERVER_AUTH, "name": None}
        assert verify(world.server.chain, at=NOW, **arguments).accepted
        later = verify(world.server.chain, at=tomorrow, **arguments)
        assert isinstance(later.error, CertificateRevoked)
        assert verify(world.server.chain, at=NOW, **arguments).accepted


def test_a_remembered_verdict_keeps_no_list_in_memory(world: World) -> None:
    """Lists are replaced by newer ones each hour, and may be long."""
    trust = TrustStore.of(world.root.certificate)
    sources = RevocationSources.of(crl(world.issuing), crl(world.root))
    arguments: dict[str, Any] = {"policy": REQUIRED, "purpose": Purpose.SERVER_AUTH, "name": None, "at": NOW}
    first = verify(world.server.chain, trust=trust, revocation=sources, **arguments)
    assert verify(world.server.chain, trust=trust, revocation=sources, **arguments) is first
    left: list[weakref.ref[Any]] = [weakref.ref(trust), weakref.ref(sources)]
    del trust, sources
    gc.collect()
    assert [one() for one in left] == [None, None]


def test_lists_come_from_files_and_directories(world: World, tmp_path: Path) -> None:
    (tmp_path / "a.crl").write_bytes(crl(world.issuing, world.server))
    (tmp_path / "b.crl").write_bytes(Crl.load_all(crl(world.root))[0].der)
    for sources in (
        RevocationSources.from_path(tmp_path),
        RevocationSources.from_path(tmp_path / "a.crl", tmp_path / "b.crl"),
    ):
        assert len(sources.crls) == 2
        assert "2 CRLs" in repr(sources)
    (tmp_path / "bad.crl").write_text("nothing")
    for wrong in (tmp_path / "bad.crl", tmp_path / "none"):
        with pytest.raises(ConfigError, match="CRL"):
            RevocationSources.from_path(wrong)


def test_what_is_no_list_is_refused_when_it_is_handed_over(world: World) -> None:
    wrong: Any = crl(world.root)
    with pytest.raises(UsageError, match="Crl is wanted"):
        RevocationSources([wrong])
    with pytest.raises(MalformedResponse):
        RevocationSources((), [wrong])


def test_a_long_list_answers_from_its_index(world: World) -> None:
    serials = range(1 << 100, (1 << 100) + 3000)
    [long] = Crl.load_all(crl(world.issuing, *serials))
    assert len(list(entries(long.parsed.tbs_certlist_bytes))) == 3000
    issuer = world.issuing.certificate.subject_canonical
    entry = long.find((1 << 100) + 1234, issuer)
    assert entry is not None
    assert entry.reason == "keyCompromise"
    assert long.find(5, issuer) is None
    assert long.find((1 << 100) + 1234, world.root.certificate.subject_canonical) is None


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(MalformedCrl):
        Crl.load_all(data)


def test_no_changed_bit_of_a_list_hides_a_revocation(world: World) -> None:
    good = Crl.load_all(crl(world.issuing, world.server))[0].der
    root = crl(world.root)
    for at in range(len(good)):
        for bit in range(8):
            der = bytearray(good)
            der[at] ^= 1 << bit
            try:
                changed = Crl(bytes(der))
            except MalformedCrl:
                continue
            assert not judge(world, changed.der, root).accepted, (at, bit)


@pytest.mark.parametrize("side", ["server", "client"])
def test_a_revoked_peer_is_refused_over_a_connection(world: World, side: str) -> None:
    """Mission row S21, on both sides, with the alert that fits."""
    bad = world.server if side == "server" else world.client
    sources = RevocationSources.of(crl(world.issuing, bad), crl(world.root))
    both = {"trust": world.root.trust, "revocation": sources}
    pair = Pair(
        world.client_config(identities=(world.client.identity,), **both),
        world.server_config(client_auth=handclasp.ClientAuth.REQUIRED, **both),
    )
    with pytest.raises(CertificateRevoked):
        pair.shake()
    heard = pair.server.heard if side == "server" else pair.client.heard
    assert heard is not None
    assert heard.name == "CERTIFICATE_REVOKED"
