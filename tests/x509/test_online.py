"""What a chain lacks is fetched, where that was asked for: issuers, lists and OCSP responses, over HTTP."""

from __future__ import annotations

import contextlib
import datetime
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from tests.interop.harness import missing
from tests.pair import Pair
from tests.x509.web import LEAF_REQUIRED, NOW, REQUIRED, House, Web

import handclasp
from handclasp.ca import Authority, Issued
from handclasp.events import HandshakeCompleted
from handclasp.x509 import (
    DEFAULT,
    Certificate,
    Purpose,
    RevocationMode,
    TrustStore,
    VerificationPolicy,
    verify,
)
from handclasp.x509 import errors as e
from handclasp.x509.online import Online
from handclasp.x509.quiet import serial_at


def test_a_missing_intermediate_is_fetched(web: Web) -> None:
    house = House.on(web, issuer="ca.der")
    alone = house.server.chain[:1]
    without = verify(alone, trust=house.root.trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="localhost")
    assert isinstance(without.error, e.UnknownAuthority)
    report = house.judge(Online(), alone)
    assert report.accepted
    assert [(one.what, one.url, one.error) for one in report.fetched] == [("issuer", web.url("ca.der"), None)]


def test_issuers_are_fetched_one_above_the_other(web: Web) -> None:
    root = Authority.root("Root")
    root.issuer_url = web.url("root.der")
    upper = root.intermediate("Upper", path_length=1)
    upper.issuer_url = web.url("upper.der")
    lower = upper.intermediate("Lower")
    lower.issuer_url = web.url("lower.pem")
    web.documents |= {"upper.der": upper.certificate.der, "lower.pem": lower.certificate_pem}
    leaf = lower.server("localhost").chain[:1]
    report = Online().verify(leaf, trust=root.trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="localhost")
    assert report.accepted, report.error
    assert web.asked == ["lower.pem", "upper.der"]


def test_an_issuer_may_come_in_a_bag(web: Web) -> None:
    house = House.on(web, issuer="ca.p7c")
    bag = [Authority.root("Other").certificate.parsed, house.issuing.certificate.parsed]
    web.documents["ca.p7c"] = pkcs7.serialize_certificates(bag, Encoding.DER)
    assert house.judge(Online(), house.server.chain[:1]).accepted


def test_a_bag_warns_of_nothing(web: Web) -> None:
    """A negative serial number among the others of a bag is the peer's choice."""
    house = House.on(web, issuer="ca.p7c")
    other = Authority.root("Other").certificate
    number = serial_at(other.der) + 2
    odd = other.der[:number] + b"\xa0" + other.der[number + 1 :]
    bag = pkcs7.serialize_certificates([other.parsed, house.issuing.certificate.parsed], Encoding.DER)
    web.documents["ca.p7c"] = bag.replace(other.der, odd)
    assert house.judge(Online(), house.server.chain[:1]).accepted


@pytest.mark.parametrize("document", [None, b"", b"\x30\x03\x02\x01\x01", b"<html>", "itself", "stranger"])
def test_what_is_no_issuer_is_told_and_trusted_no_more(web: Web, document: Any) -> None:
    house = House.on(web, issuer="it")
    if document is not None:
        own = {"itself": house.server.certificate.der, "stranger": Authority.root("Online CA").certificate.der}
        web.documents["it"] = own.get(document, document)
    report = house.judge(Online(), house.server.chain[:1])
    assert isinstance(report.error, e.UnknownAuthority)
    assert report.error.report is report
    assert web.asked == ["it"]
    if document is None:
        assert f"{web.url('it')}: HTTP status 404" in str(report.error)


def test_a_chain_of_issuers_without_end_is_left(web: Web) -> None:
    """Each names another above it; the policy's depth bounds how many are asked for."""
    above = Authority.root("Root")
    for index in range(20):
        above.issuer_url = web.url(f"{index}")
        web.documents[f"{index}"] = above.certificate.der
        above = above.intermediate(f"Authority {index}", path_length=None)
    trust = Authority.root("Another").trust
    above.issuer_url = web.url("20")
    web.documents["20"] = above.certificate.der
    leaf = above.server("localhost").chain[:1]
    report = Online().verify(leaf, trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="localhost")
    assert isinstance(report.error, e.UnknownAuthority)
    assert len(web.asked) == DEFAULT.max_chain_depth


def test_a_list_is_fetched_from_its_distribution_point(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl()
    assert house.judge(Online(), policy=LEAF_REQUIRED).accepted
    web.documents["ca.crl"] = house.crl(house.server)
    refused = house.judge(Online())
    assert isinstance(refused.error, e.CertificateRevoked)
    assert house.judge(Online(crls=False)).accepted


def test_a_list_by_another_is_of_no_use(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = Authority.root("Online CA").make_crl([], number=1)
    assert isinstance(house.judge(Online(), policy=LEAF_REQUIRED).error, e.RevocationUnknown)


def test_a_list_that_does_not_come_is_told_where_it_is_required(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    report = house.judge(Online(), policy=LEAF_REQUIRED)
    assert isinstance(report.error, e.RevocationUnknown)
    assert f"{web.url('ca.crl')}: HTTP status 404" in str(report.error)
    assert report.to_dict()["fetched"] == [{"what": "CRL", "url": web.url("ca.crl"), "error": "HTTP status 404"}]
    lenient = house.judge(Online())
    assert lenient.accepted
    assert [check.verdict.value for check in lenient.checks if check.name == "revocation"] == ["skipped"] * 2


def test_a_delta_list_is_fetched_too(web: Web) -> None:
    """The freshest list of a complete one (RFC 5280, 5.2.6) has what came since."""
    house = House.on(web, crl="ca.crl")
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(web.url("delta.crl"))], None, None, None)
    own = x509.SubjectKeyIdentifier.from_public_key(house.issuing.certificate.public_key)
    complete = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(house.issuing.certificate.subject_name)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(hours=1))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
        .add_extension(x509.FreshestCRL([point]), critical=False)
    )
    web.documents["ca.crl"] = complete.sign(house.issuing._private_key, hashes.SHA256()).public_bytes(Encoding.DER)
    taken = [(house.server.certificate.serial_number, NOW, x509.ReasonFlags.key_compromise)]
    web.documents["delta.crl"] = house.issuing.make_crl(taken, number=2, base_number=1)
    assert isinstance(house.judge(Online()).error, e.CertificateRevoked)
    assert web.asked == ["ca.crl", "delta.crl"]


def test_an_ocsp_responder_is_asked_before_a_list(web: Web) -> None:
    house = House.on(web, crl="ca.crl", ocsp="ocsp")
    certificate = house.server.certificate
    web.documents["ocsp"] = house.issuing.ocsp_response(certificate)
    assert house.judge(Online(), policy=LEAF_REQUIRED).accepted
    web.documents["ocsp"] = house.issuing.ocsp_response(certificate, revoked_at=NOW)
    assert isinstance(house.judge(Online()).error, e.CertificateRevoked)
    assert web.asked == ["ocsp", "ocsp"]


@pytest.mark.parametrize("response", [None, b"", b"\x30\x03\x0a\x01\x06", "of another day", "by another"])
def test_a_responder_without_a_word_leads_to_the_list(web: Web, response: Any) -> None:
    house = House.on(web, crl="ca.crl", ocsp="ocsp")
    made = {
        "of another day": house.issuing.ocsp_response(house.server.certificate, at=NOW - timedelta(days=30)),
        "by another": Authority.root("Online CA").ocsp_response(house.server.certificate),
    }
    if response is not None:
        web.documents["ocsp"] = made.get(response, response)
    web.documents["ca.crl"] = house.crl(house.server)
    assert isinstance(house.judge(Online()).error, e.CertificateRevoked)
    assert web.asked == ["ocsp", "ca.crl"]


def openssl_responder(house: House, folder: Path, *, revoked: bool) -> Callable[[bytes], bytes]:
    """OpenSSL's responder: from a request in DER to a response."""
    if (why := missing("openssl", "openssl")) is not None:
        pytest.skip(why)
    serial = f"{house.server.certificate.serial_number:X}"
    serial = serial if len(serial) % 2 == 0 else f"0{serial}"
    state = "R\t491231000000Z\t260101000000Z,keyCompromise" if revoked else "V\t491231000000Z\t"
    (folder / "index.txt").write_text(f"{state}\t{serial}\tunknown\t/CN=localhost\n")
    (folder / "ca.pem").write_bytes(house.issuing.certificate_pem)
    (folder / "ca.key").write_bytes(house.issuing.key_pem())

    def respond(request: bytes) -> bytes:
        (folder / "request").write_bytes(request)
        command = "openssl ocsp -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -ndays 1 -reqin request"
        subprocess.run([*command.split(), "-respout", "response"], cwd=folder, check=True, capture_output=True)
        return (folder / "response").read_bytes()

    return respond


@pytest.mark.parametrize("nonce", [False, True])
def test_openssls_responder_is_understood(web: Web, tmp_path: Path, nonce: bool) -> None:
    house = House.on(web, ocsp="ocsp")
    web.documents["ocsp"] = openssl_responder(house, tmp_path, revoked=False)
    now = datetime.datetime.now(UTC)
    assert house.judge(Online(nonce=nonce), policy=LEAF_REQUIRED, at=now).accepted
    web.documents["ocsp"] = openssl_responder(house, tmp_path, revoked=True)
    error = house.judge(Online(nonce=nonce), at=now).error
    assert isinstance(error, e.CertificateRevoked)
    assert "keyCompromise" in str(error)


def test_a_response_made_beforehand_is_of_no_use_where_a_nonce_is_wanted(web: Web, tmp_path: Path) -> None:
    house = House.on(web, ocsp="ocsp")
    respond = openssl_responder(house, tmp_path, revoked=False)
    recorded: list[bytes] = []

    def replay(request: bytes) -> bytes:
        recorded.append(respond(request))
        return recorded[0]

    web.documents["ocsp"] = replay
    now = datetime.datetime.now(UTC)
    assert house.judge(Online(nonce=True), policy=LEAF_REQUIRED, at=now).accepted
    error = house.judge(Online(nonce=True), policy=LEAF_REQUIRED, at=now).error
    assert isinstance(error, e.RevocationUnknown)
    assert "nonce" in str(error)


def test_nothing_is_fetched_where_revocation_is_off_or_settled(web: Web) -> None:
    house = House.on(web, crl="ca.crl", ocsp="ocsp")
    off = replace(DEFAULT, revocation=RevocationMode.OFF)
    assert house.judge(Online(), policy=off).accepted
    staple = house.issuing.ocsp_response(house.server.certificate)
    assert house.judge(Online(), policy=LEAF_REQUIRED, staple=staple).accepted
    assert web.asked == []


def test_a_client_connects_to_a_server_that_forgot_its_intermediate(web: Web) -> None:
    house = House.on(web, issuer="ca.der", crl="ca.crl")
    web.documents["ca.crl"] = house.crl()
    bare = handclasp.Identity(house.server.chain[:1], house.server.private_key)
    with handclasp.listen(("127.0.0.1", 0), handclasp.ServerConfig(identities=(bare,))) as listener:

        def serve() -> None:
            for _ in range(2):
                with contextlib.suppress(handclasp.HandclaspError):
                    listener.accept(timeout=20)[0].close()

        thread = threading.Thread(target=serve)
        thread.start()
        config = handclasp.ClientConfig(trust=house.root.trust)
        with pytest.raises(e.UnknownAuthority):
            handclasp.connect(("127.0.0.1", listener.port), config, server_name="localhost")
        online = replace(config, online=Online())
        with handclasp.connect(("127.0.0.1", listener.port), online, server_name="localhost") as tls:
            assert tls.peer_report is not None
            assert [one.what for one in tls.peer_report.fetched] == ["issuer", "CRL"]
        thread.join(20)


def test_a_response_is_judged_by_the_policy_that_asks(web: Web) -> None:
    house = House.on(web, ocsp="ocsp")
    leaf, issuer = house.server.certificate.parsed, house.issuing.certificate.parsed
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, issuer, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD, NOW, NOW + timedelta(days=1), None, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
    made = builder.sign(house.issuing._private_key, hashes.SHA224())
    web.documents["ocsp"] = made.public_bytes(Encoding.DER)
    assert isinstance(house.judge(Online(), policy=LEAF_REQUIRED).error, e.RevocationUnknown)
    wide = replace(LEAF_REQUIRED, hashes=LEAF_REQUIRED.hashes | {"sha224"})
    assert house.judge(Online(), policy=wide).accepted


def signed_twice(web: Web) -> tuple[list[Authority], list[Certificate], Issued]:
    """Two roots, a certificate of one issuing authority by each, and a server below; the lists are 0.crl and 1.crl."""
    roots = [Authority.root(f"Root {index}") for index in range(2)]
    for index, root in enumerate(roots):
        root.crl_url = web.url(f"{index}.crl")
    issuing = roots[0].intermediate("Signed twice")
    issuing.ocsp_url = web.url("ocsp")
    builder = roots[1]._begin_child(issuing.certificate.subject_name, issuing.certificate.public_key, None, 100)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    other = Certificate(builder.sign(roots[1]._private_key, hashes.SHA256()).public_bytes(Encoding.DER))
    server = issuing.server("localhost")
    web.documents["ocsp"] = issuing.ocsp_response(server.certificate)
    return roots, [issuing.certificate, other], server


@pytest.mark.parametrize("policy", [DEFAULT, REQUIRED])
@pytest.mark.parametrize("revoked", [(True, True), (True, False), (False, True)])
def test_every_path_is_asked_about_before_it_is_taken(
    web: Web, policy: VerificationPolicy, revoked: tuple[bool, bool]
) -> None:
    """Where an authority's one certificate was revoked, nothing is known yet of its other one."""
    roots, authorities, server = signed_twice(web)
    for index in range(2):
        taken = [(authorities[index].serial_number, NOW, x509.ReasonFlags.ca_compromise)] if revoked[index] else []
        web.documents[f"{index}.crl"] = roots[index].make_crl(taken, number=1)
    report = Online().verify(
        [server.certificate, *authorities],
        trust=TrustStore(root.certificate for root in roots),
        purpose=Purpose.SERVER_AUTH,
        at=NOW,
        name="localhost",
        policy=policy,
    )
    assert report.accepted is not all(revoked)
    assert isinstance(report.error, e.CertificateRevoked) is all(revoked)


def test_a_path_of_which_nothing_is_known_leads_to_another(web: Web) -> None:
    roots, authorities, server = signed_twice(web)
    for index in range(2):
        web.documents = {"ocsp": web.documents["ocsp"], f"{index}.crl": roots[index].make_crl([], number=1)}
        report = Online().verify(
            [server.certificate, *authorities],
            trust=TrustStore(root.certificate for root in roots),
            purpose=Purpose.SERVER_AUTH,
            at=NOW,
            name="localhost",
            policy=REQUIRED,
        )
        assert report.accepted, report.error


def test_a_resumed_session_is_judged_by_lists_fetched_since(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(at=NOW - timedelta(hours=20), days=1)
    clock = [NOW.timestamp()]
    client = handclasp.ClientConfig(trust=house.root.trust, online=Online(), now=lambda: clock[0])
    server = handclasp.ServerConfig(identities=(house.server.identity,), now=lambda: clock[0])
    for resumed in (False, True):
        pair = Pair(client, server, server_name="localhost")
        pair.shake()
        done = [event.session.resumed for event in pair.client.events if isinstance(event, HandshakeCompleted)]
        assert done == [resumed]
    assert web.asked == ["ca.crl"]
    clock[0] += 5 * 3600
    web.documents["ca.crl"] = house.crl(house.server)
    with pytest.raises(e.CertificateRevoked):
        Pair(client, server, server_name="localhost").shake()
