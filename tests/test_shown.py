"""What is shown of reports, sessions and events, and that nothing a peer chose comes through as it came."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import World
from tests.pair import Pair

from handclasp import HandclaspError, Identity, PeerAlert, ProtocolVersion, Truncated, TrustStore, UsageError
from handclasp.ca import Authority
from handclasp.explain import StepTrace, explain
from handclasp.questions import VerifyPeer
from handclasp.text import in_a_line
from handclasp.wire.iana import AlertDescription
from handclasp.x509 import Certificate, Purpose, Report, verify
from handclasp.x509.crl import Crl
from handclasp.x509.http import Fetch, FetchFailed
from handclasp.x509.report import Fetched

HOSTILE = "\x1b]0;owned\x07\r\nname: x\x00\x9b2J\u202e\u2028"
"""What sets a terminal's title, ends a line of a log, clears a screen, and turns the writing round."""
LONGEST = 120


def judged(world: World, trust: TrustStore) -> Report:
    return verify(
        [one.der for one in world.server.chain],
        trust=trust,
        purpose=Purpose.SERVER_AUTH,
        at=datetime.now(UTC),
        name="localhost",
    )


def in_one_line(text: str) -> bool:
    return text.isprintable() and len(text) <= LONGEST


@pytest.mark.parametrize("version", [ProtocolVersion.TLS13, ProtocolVersion.TLS12])
def test_reprs_of_reports_sessions_events_and_facts_fit_a_line(world: World, version: ProtocolVersion) -> None:
    asked: list[Any] = []

    def note(question: VerifyPeer) -> Report:
        asked.append(question)
        return judged(world, world.root.trust)

    client = world.client_config(versions=(version,), answers={VerifyPeer: note}, alpn=("h2",))
    server = world.server_config(alpn=("h2",))
    pair = Pair(client, server)
    pair.shake()
    pair.say()
    pair.client.connection.close()
    pair.carry()
    bad = judged(world, Authority.root("Another").trust)
    shown: list[Any] = [*pair.client.events, *pair.server.events, *pair.client.facts, *pair.server.facts, *asked]
    shown += [
        judged(world, world.root.trust),
        bad,
        *bad.paths,
        pair.client.connection,
        Fetched("CRL", "x" * 500, HOSTILE),
    ]
    shown += [getattr(event, "session", None) for event in pair.client.events]
    assert len(shown) > 30
    for one in shown:
        assert in_one_line(repr(one)), repr(one)


def test_a_report_says_who_and_how_and_no_secret_is_in_a_session(world: World) -> None:
    good, bad = judged(world, world.root.trust), judged(world, Authority.root("Another").trust)
    assert repr(good).startswith("<Report: CN=localhost accepted, ")
    assert repr(bad).startswith("<Report: CN=localhost refused (UnknownAuthority), ")


def test_a_printed_report_is_the_table(world: World) -> None:
    """A line for each check, in columns, and the verdict with its mend."""
    for report in (judged(world, world.root.trust), judged(world, Authority.root("Another").trust)):
        first, *rows, verdict = str(report).splitlines()
        assert first.split() == ["check", "verdict", "certificate", "expected", "presented"]
        assert len(rows) == len(report.checks)
        column = first.index("verdict")
        for row, check in zip(rows, report.checks, strict=True):
            assert row.startswith(check.name)
            assert row[column:].startswith(check.verdict.value)
        if report.error is None:
            assert verdict == "accepted: CN=localhost < CN=Test Issuing CA < CN=Test Root"
        else:
            assert verdict == f"refused: {report.error} {report.error.mend}"


def test_a_long_value_is_cut_in_a_line() -> None:
    for one in (Fetch("http://example.com/" + "x" * 300, 1), Fetch("http://e", 1, bytes(5000), HOSTILE)):
        assert in_one_line(in_a_line(one))


# What a peer chose.


@given(st.text())
def test_no_error_has_in_its_text_what_does_not_print(text: str) -> None:
    for kind in (HandclaspError, UsageError, Truncated, FetchFailed):
        assert str(kind(text)).isprintable()


def hostile_identity() -> tuple[Identity, Authority, Crl]:
    """An authority, a certificate and a list with such names throughout."""
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier("2.5.4.3"), HOSTILE)])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    san = [
        x509.DNSName._init_without_validation(HOSTILE.encode("ascii", "ignore").decode()),
        x509.UniformResourceIdentifier._init_without_validation("http://x/\x1b[2J\n"),
        x509.RFC822Name._init_without_validation("a\x1b\n@example.com"),
    ]
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(7).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
    )
    builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    certificate = Certificate(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    crl = (
        x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now).next_update(now + timedelta(days=9))
    )
    made = Crl(crl.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    return Identity((certificate,), key), Authority(certificate, key), made


def texts(report: Report) -> Iterator[str]:
    """All that is shown of a report."""
    yield from str(report).splitlines()
    yield repr(report)
    for path in report.paths:
        yield repr(path)
    yield str(report.error)
    for error in (report.error, *(path.error for path in report.paths)):
        yield f"{error} {getattr(error, 'mend', '')}"


def test_nothing_of_a_certificate_comes_through(world: World) -> None:
    identity, authority, crl = hostile_identity()
    for trust in (world.root.trust, TrustStore.of(identity.leaf)):
        for name in ("localhost", None):
            report = verify([identity.leaf], trust=trust, purpose=Purpose.SERVER_AUTH, at=datetime.now(UTC), name=name)
            for text in texts(report):
                assert text.isprintable(), repr(text)
    for one in (identity, identity.leaf, authority, crl, report.leaf):
        assert repr(one).isprintable(), repr(one)


@pytest.mark.parametrize("version", [ProtocolVersion.TLS13, ProtocolVersion.TLS12])
def test_nothing_of_a_handshake_comes_through(
    world: World, version: ProtocolVersion, caplog: pytest.LogCaptureFixture
) -> None:
    """ALPN, names of certificates, and what the errors, explanations, steps and logs make of them."""
    identity, _, _ = hostile_identity()
    for client, server in (
        (world.client_config(versions=(version,), alpn=(HOSTILE,)), world.server_config(alpn=("h2",))),
        (world.client_config(versions=(version,)), world.server_config(identities=(identity,))),
    ):
        pair = Pair(client, server)
        traces = {party: StepTrace() for party in (pair.client, pair.server)}
        pair.run()
        for party, trace in traces.items():
            for fact in party.facts:
                trace(fact)
                assert repr(fact).isprintable()
            assert party.error is not None
            logging.getLogger("test").error("%s", party.error)
            told = explain(party.error, trace)
            for text in (str(party.error), repr(party.error), str(told), repr(told), *map(str, trace.steps)):
                assert text.isprintable(), repr(text)
            for step in trace.steps:
                assert step.decision.isprintable()
    assert all("\x1b" not in record.getMessage() for record in caplog.records)


def test_an_alert_without_a_name_is_shown_by_its_number() -> None:
    for code in range(256):
        assert str(PeerAlert(AlertDescription(code), True)).isprintable()


def test_an_error_of_somebody_elses_is_explained_in_print(world: World) -> None:
    for error in (ValueError(HOSTILE), OSError(5, HOSTILE), OSError(HOSTILE), UsageError(HOSTILE)):
        told = explain(error)
        assert (told.what + told.mend).isprintable()
        assert str(replace(told, what=HOSTILE)).isprintable()
