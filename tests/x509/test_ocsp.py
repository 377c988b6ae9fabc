"""Stapled OCSP responses: believed where they may be, and only there."""

from __future__ import annotations

import datetime
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World
from tests.interop.harness import free_port, missing, serving
from tests.pair import Pair

import handclasp
from handclasp.ca import Authority, KeyType
from handclasp.handshake.answers import DEFAULT_ANSWERS
from handclasp.questions import VerifyPeer
from handclasp.wire.iana import AlertDescription
from handclasp.x509 import DEFAULT, Purpose, Report, RevocationMode, verify
from handclasp.x509.errors import BadStaple, CertificateError, CertificateRevoked, RevocationUnknown, StapleMissing

NOW = datetime.datetime.now(UTC) + timedelta(hours=1)
"""After all that is issued in the hour that follows: certificates begin five minutes before they are made."""
REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED, revocation_of_leaf_alone=True)


def judge(world: World, staple: bytes | None, **changes: Any) -> Report:
    arguments: dict[str, Any] = {"policy": REQUIRED, "at": NOW, "name": "localhost", **changes}
    return verify(world.server.chain, trust=world.root.trust, purpose=Purpose.SERVER_AUTH, staple=staple, **arguments)


@pytest.mark.parametrize("key", [KeyType.P256, KeyType.P384, KeyType.RSA2048, KeyType.ED25519], ids=lambda k: k.value)
def test_a_response_by_the_issuer_is_believed(key: KeyType) -> None:
    root = Authority.root("Root", key=key)
    leaf = root.server("localhost")
    arguments: dict[str, Any] = {"trust": root.trust, "policy": REQUIRED, "purpose": Purpose.SERVER_AUTH}
    arguments |= {"at": NOW, "name": "localhost"}
    good = verify(leaf.chain, staple=root.ocsp_response(leaf.certificate), **arguments)
    assert good.accepted, good.error
    revoked = root.ocsp_response(leaf.certificate, revoked_at=NOW, reason=x509.ReasonFlags.key_compromise)
    error = verify(leaf.chain, staple=revoked, **arguments).error
    assert isinstance(error, CertificateRevoked)
    assert "keyCompromise" in str(error)
    assert isinstance(verify(leaf.chain, staple=None, **arguments).error, RevocationUnknown)


def test_a_response_by_another_is_not(world: World) -> None:
    forger = Authority.root("Test Issuing CA")
    assert isinstance(judge(world, forger.ocsp_response(world.server.certificate)).error, BadStaple)


def test_a_response_about_another_is_not(world: World) -> None:
    assert isinstance(judge(world, world.issuing.ocsp_response(world.client.certificate)).error, BadStaple)


@pytest.mark.parametrize("days", [-30, 30])
def test_a_response_of_another_day_is_not(world: World, days: int) -> None:
    staple = world.issuing.ocsp_response(world.server.certificate, at=NOW + timedelta(days=days))
    assert isinstance(judge(world, staple).error, BadStaple)


def test_a_responder_whose_clock_is_ahead_is_believed_for_five_minutes(world: World) -> None:
    """Authorities here date what they sign five minutes back."""
    for ahead, good in ((timedelta(minutes=9), True), (timedelta(minutes=11), False)):
        staple = world.issuing.ocsp_response(world.server.certificate, at=NOW + ahead)
        assert judge(world, staple).accepted is good


def test_a_remembered_verdict_ends_with_its_response(world: World) -> None:
    staple = world.issuing.ocsp_response(world.server.certificate, days=1)
    first = judge(world, staple)
    assert judge(world, staple) is first
    assert isinstance(judge(world, staple, at=NOW + timedelta(days=2)).error, BadStaple)


def test_no_changed_bit_of_a_response_makes_a_revoked_certificate_good(world: World) -> None:
    good = world.issuing.ocsp_response(world.server.certificate, revoked_at=NOW)
    for at in range(len(good)):
        for bit in range(8):
            der = bytearray(good)
            der[at] ^= 1 << bit
            assert isinstance(judge(world, bytes(der)).error, CertificateError), (at, bit)


@given(st.binary(max_size=100))
@settings(max_examples=100, deadline=None)
def test_no_bytes_raise_anything_of_their_own(world: World, data: bytes) -> None:
    assert isinstance(judge(world, data).error, BadStaple)


@pytest.mark.parametrize("version", [handclasp.ProtocolVersion.TLS12, handclasp.ProtocolVersion.TLS13], ids=str)
def test_a_promised_response_has_to_come(world: World, version: handclasp.ProtocolVersion) -> None:
    """RFC 7633."""
    issued = world.issuing.server("localhost", must_staple=True)
    client = world.client_config(versions=(version,))
    pair = Pair(client, world.server_config(identities=(issued.identity,)))
    with pytest.raises(StapleMissing):
        pair.shake()
    assert pair.server.heard == AlertDescription.BAD_CERTIFICATE_STATUS_RESPONSE
    staple = world.issuing.ocsp_response(issued.certificate)
    server = world.server_config(identities=(replace(issued.identity, ocsp_response=staple),))
    Pair(client, server).shake()
    again = Pair(client, server)
    again.shake()
    assert again.client.connection.established is not None
    assert again.client.connection.established.resumed


def test_openssl_believes_what_we_staple_and_we_what_it_does(world: World, tmp_path: Path) -> None:
    if (why := missing("openssl", "openssl")) is not None:
        pytest.skip(why)
    staple = world.issuing.ocsp_response(world.server.certificate)
    root = tmp_path / "root.pem"
    root.write_bytes(world.root.certificate_pem)
    config = world.server_config(identities=(replace(world.server.identity, ocsp_response=staple),))
    with handclasp.listen(("127.0.0.1", 0), config) as listener:

        def serve() -> None:
            tls, _ = listener.accept(timeout=20)
            tls.close()

        thread = threading.Thread(target=serve)
        thread.start()
        command = f"openssl s_client -connect 127.0.0.1:{listener.port} -servername localhost -status -CAfile {root}"
        done = subprocess.run(command.split(), input=b"", capture_output=True, check=False, timeout=30)
        thread.join(20)
    assert b"OCSP Response Status: successful" in done.stdout
    assert b"Cert Status: good" in done.stdout
    cert, key = world.server.save(tmp_path, "server")
    (tmp_path / "staple").write_bytes(staple)
    port = free_port()
    server: list[str | Path] = [
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-www",
        "-cert",
        cert,
        "-key",
        key,
    ]
    server += ["-cert_chain", cert, "-status_file", tmp_path / "staple"]
    asked: list[VerifyPeer] = []

    def answer(question: VerifyPeer) -> object:
        asked.append(question)
        return DEFAULT_ANSWERS[VerifyPeer](client, question)

    client = world.client_config(verification=REQUIRED, answers={VerifyPeer: answer})
    with (
        serving(server, port) as running,
        handclasp.connect(running.connect(), client, server_name="localhost") as tls,
    ):
        assert tls.peer_report is not None
        assert tls.peer_report.accepted
    assert asked[0].ocsp_response == staple
