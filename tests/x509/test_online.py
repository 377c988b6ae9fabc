"""What a chain lacks is fetched, where that was asked for: issuers, lists and OCSP responses, over HTTP."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID
from tests.interop.harness import missing

import handclasp
from handclasp.ca import Authority, Issued
from handclasp.errors import ConfigError
from handclasp.x509 import (
    DEFAULT,
    Certificate,
    Purpose,
    Report,
    RevocationMode,
    TrustStore,
    VerificationPolicy,
    verify,
)
from handclasp.x509 import errors as e
from handclasp.x509.crl import Crl
from handclasp.x509.http import Fetch, FetchFailed, fetch_by_http
from handclasp.x509.online import Online
from handclasp.x509.quiet import serial_at

NOW = datetime.datetime.now(UTC) + timedelta(hours=1)
"""After all that the tests make, however long they take."""
REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
Document = bytes | Callable[[bytes], bytes]


@dataclass
class Web:
    """An HTTP server of documents by path, and the paths that were asked for."""

    port: int
    documents: dict[str, Document] = field(default_factory=dict)
    redirections: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body: bytes) -> None:
            path = self.path[1:]
            served.asked.append(path)
            if path in served.redirections:
                self.send_response(302)
                self.send_header("Location", served.redirections[path])
                self.end_headers()
                return
            document = served.documents.get(path)
            if document is None:
                self.send_error(404)
                return
            data = document if isinstance(document, bytes) else document(body)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Web(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@dataclass
class House:
    """A root, an issuing authority whose certificates say where all is found, and a server."""

    root: Authority
    issuing: Authority
    server: Issued

    @classmethod
    def on(cls, web: Web, *, issuer: str = "", crl: str = "", ocsp: str = "") -> House:
        root = Authority.root("Online Root")
        issuing = root.intermediate("Online CA")
        issuing.issuer_url = web.url(issuer) if issuer else None
        issuing.crl_url = web.url(crl) if crl else None
        issuing.ocsp_url = web.url(ocsp) if ocsp else None
        house = cls(root, issuing, issuing.server("localhost"))
        web.documents["ca.der"] = issuing.certificate.der
        return house

    def crl(self, *revoked: Issued, **more: Any) -> bytes:
        taken = [(one.certificate.serial_number, NOW, x509.ReasonFlags.key_compromise) for one in revoked]
        return self.issuing.make_crl(taken, number=1, **more)

    def judge(self, online: Online, chain: tuple[Any, ...] | None = None, **changes: Any) -> Report:
        arguments: dict[str, Any] = {"trust": self.root.trust, "purpose": Purpose.SERVER_AUTH, "at": NOW} | changes
        return online.verify(chain or self.server.chain, name="localhost", **arguments)


YEAR = timedelta(days=365)
LEAF_REQUIRED = replace(REQUIRED, revocation_of_leaf_alone=True)


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


def test_a_bag_adds_a_few_issuers_that_are_wanted_and_nothing_else(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House.on(web, issuer="ca.p7c")
    others = [Authority.root("Other").certificate.parsed for _ in range(40)]
    like_it = [Authority.root("Online CA").certificate.parsed for _ in range(40)]
    judged: list[int] = []

    def verify_and_count(chain: list[bytes], **arguments: Any) -> Report:
        judged.append(len(chain))
        return verify(chain, **arguments)

    monkeypatch.setattr("handclasp.x509.online.verify", verify_and_count)
    bag = [*others, house.issuing.certificate.parsed]
    web.documents["ca.p7c"] = pkcs7.serialize_certificates(bag, Encoding.DER)
    assert house.judge(Online(crls=False), house.server.chain[:1]).accepted
    assert max(judged) == 2
    web.documents["ca.p7c"] = pkcs7.serialize_certificates(like_it, Encoding.DER)
    judged.clear()
    house.judge(Online(), house.server.chain[:1])
    assert judged[:2] == [1, 1 + 32]


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


def test_what_was_fetched_is_kept_until_it_ends(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(days=2)
    online = Online()
    first = house.judge(online, policy=LEAF_REQUIRED)
    again = house.judge(online, policy=LEAF_REQUIRED)
    assert again.accepted
    assert again is house.judge(online, policy=LEAF_REQUIRED), "a verdict on the same documents is remembered"
    assert (len(first.fetched), again.fetched) == (1, ())
    later = NOW + timedelta(days=3)
    web.documents["ca.crl"] = house.crl(house.server, at=later)
    assert isinstance(house.judge(online, at=later).error, e.CertificateRevoked)
    assert web.asked == ["ca.crl"] * 2


def test_a_failure_is_kept_for_a_minute(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    online = Online()
    for _ in range(3):
        assert house.judge(online).accepted
    assert web.asked == ["ca.crl"]
    web.documents["ca.crl"] = house.crl(house.server)
    assert isinstance(house.judge(online, at=NOW + timedelta(minutes=2)).error, e.CertificateRevoked)


def test_one_verdict_takes_so_many_fetches_and_no_more(web: Web) -> None:
    house = House.on(web, issuer="ca.der", crl="ca.crl", ocsp="ocsp")
    house.judge(Online(fetches=2), house.server.chain[:1])
    assert web.asked == ["ca.der", "ocsp"]


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


def test_the_command_verify_fetches_where_it_is_told_to(web: Web, tmp_path: Path) -> None:
    house = House.on(web, issuer="ca.der", crl="ca.crl", ocsp="ocsp")
    web.documents["ca.crl"] = house.crl(house.server)
    leaf, root = tmp_path / "leaf.pem", tmp_path / "root.pem"
    leaf.write_bytes(house.server.certificate.parsed.public_bytes(Encoding.PEM))
    root.write_bytes(house.root.certificate_pem)
    command = [
        sys.executable,
        "-c",
        "from handclasp.cli import main; main()",
        "verify",
        str(leaf),
        "--trust",
        str(root),
    ]
    offline = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (offline.returncode, web.asked) == (13, [])
    online = subprocess.run([*command, "--fetch"], capture_output=True, text=True, check=False, timeout=60)
    assert online.returncode == 16
    assert f"fetched OCSP response from {web.url('ocsp')}: HTTP status 404" in online.stdout
    assert f"fetched CRL from {web.url('ca.crl')}: good" in online.stdout
    off = subprocess.run([*command, "--fetch", "--revocation", "off"], capture_output=True, check=False, timeout=60)
    assert off.returncode == 0


@pytest.mark.parametrize("form", ["", "--trace", "--json"])
def test_the_command_connect_tells_what_was_fetched(web: Web, tmp_path: Path, form: str) -> None:
    """Where it succeeded, and where it did not."""
    house = House.on(web, crl="ca.crl")
    root = tmp_path / "root.pem"
    root.write_bytes(house.root.certificate_pem)
    config = handclasp.ServerConfig(identities=(house.server.identity,))
    with handclasp.listen(("127.0.0.1", 0), config) as listener:

        def serve() -> None:
            for _ in range(2):
                with contextlib.suppress(handclasp.HandclaspError, OSError):
                    tls, _ = listener.accept(timeout=20)
                    tls.recv(1)  # to the end
                    tls.close()

        thread = threading.Thread(target=serve)
        thread.start()
        command = [sys.executable, "-c", "from handclasp.cli import main; main()", "connect", "--fetch"]
        command += [f"localhost:{listener.port}", "--trust", str(root), *([form] if form else [])]
        lists = house.crl(), house.crl(house.server)
        for code, web.documents["ca.crl"] in enumerate(lists):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, input="")
            assert done.returncode == code
            if form == "--json":
                told = json.loads(done.stdout)["peer"]["fetched"]
                assert told == [{"what": "CRL", "url": web.url("ca.crl"), "error": None}]
            elif form or code:
                assert f"fetched CRL from {web.url('ca.crl')}: good" in done.stderr
        thread.join()


def test_the_command_verify_takes_ocsp_responses_from_files(web: Web, tmp_path: Path) -> None:
    house = House.on(web)
    house.server.save(tmp_path, "server")
    root, response = tmp_path / "root.pem", tmp_path / "response"
    root.write_bytes(house.root.certificate_pem)
    command = [sys.executable, "-c", "from handclasp.cli import main; main()", "verify", str(tmp_path / "server.pem")]
    command += ["--trust", str(root), "--ocsp", str(response)]
    for made, code in (
        (house.issuing.ocsp_response(house.server.certificate, revoked_at=NOW), 16),
        (house.issuing.ocsp_response(house.server.certificate), 17),  # nothing tells of the authority
        (b"none", 2),
    ):
        response.write_bytes(made)
        assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == code


def test_a_failure_of_another_day_counts_no_more(web: Web) -> None:
    """A clock that was wrong leaves nothing behind once it is set right."""
    house = House.on(web, crl="ca.crl")
    online = Online()
    assert house.judge(online, at=NOW + timedelta(days=90)).accepted
    web.documents["ca.crl"] = house.crl(house.server)
    assert isinstance(house.judge(online).error, e.CertificateRevoked)


def test_a_list_is_asked_for_anew_as_soon_as_it_has_ended(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(days=1)
    online, last = Online(), Crl(house.crl(days=1)).next_update
    assert last is not None
    assert house.judge(online, policy=LEAF_REQUIRED, at=last - timedelta(seconds=20)).accepted
    web.documents["ca.crl"] = house.crl(days=2)
    assert house.judge(online, policy=LEAF_REQUIRED, at=last + timedelta(seconds=20)).accepted


def test_a_list_that_holds_for_long_is_asked_for_once_a_day_and_counts_where_none_comes(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(days=100)
    online = Online()
    for hours, asked in ((0, 1), (23, 1), (25, 2)):
        assert house.judge(online, policy=LEAF_REQUIRED, at=NOW + timedelta(hours=hours)).accepted
        assert len(web.asked) == asked
    del web.documents["ca.crl"]
    report = house.judge(online, policy=LEAF_REQUIRED, at=NOW + timedelta(hours=50))
    assert report.accepted
    assert [one.error for one in report.fetched] == ["HTTP status 404"]


def test_who_was_revoked_stays_so_where_no_newer_list_comes(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(house.server, days=1)
    online = Online()
    assert isinstance(house.judge(online).error, e.CertificateRevoked)
    web.documents.clear()
    for days in (3, 4):
        report = house.judge(online, at=NOW + timedelta(days=days))
        assert isinstance(report.error, e.CertificateRevoked)
        assert [one.error for one in report.fetched] == ["HTTP status 404"]


def test_a_revoking_response_is_kept_as_a_good_one_is(web: Web) -> None:
    house = House.on(web, ocsp="ocsp")
    web.documents["ocsp"] = house.issuing.ocsp_response(house.server.certificate, revoked_at=NOW)
    online = Online()
    for minutes in (0, 10):
        report = house.judge(online, at=NOW + timedelta(minutes=minutes))
        assert isinstance(report.error, e.CertificateRevoked)
    assert web.asked == ["ocsp"]


def test_a_list_that_tells_nothing_is_kept_for_a_minute_however_long_it_says_it_holds(web: Web) -> None:
    """Whoever sits between can put one of their own in its place; when they are gone, so is it."""
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = Authority.root("Online CA").make_crl([], number=1, days=5000)
    online = Online()
    for seconds in (0, 40):
        assert house.judge(online, at=NOW + timedelta(seconds=seconds)).accepted
    assert web.asked == ["ca.crl"]
    web.documents["ca.crl"] = house.crl(house.server)
    assert isinstance(house.judge(online, at=NOW + timedelta(minutes=2)).error, e.CertificateRevoked)


def test_a_failure_that_is_remembered_is_told_too(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    online = Online()
    for remembered in ("", " (so it was less than a minute ago)"):
        report = house.judge(online, policy=LEAF_REQUIRED)
        assert f"{web.url('ca.crl')}: HTTP status 404{remembered}." in str(report.error)
        assert [one.url for one in report.fetched] == [web.url("ca.crl")]


def test_what_was_not_asked_for_is_told(web: Web) -> None:
    house = House.on(web, crl="ca.crl", ocsp="ocsp")
    report = house.judge(Online(fetches=1), policy=LEAF_REQUIRED)
    assert web.asked == ["ocsp"]
    assert [one.url for one in report.fetched] == [web.url("ocsp"), web.url("ca.crl")]
    assert "as many documents as one verdict may take" in str(report.error)


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


@pytest.mark.parametrize("url", ["http://127.0.0.1/\x1b[2J", "http://127.0.0.1/a b", "http://127.0.0.1/" + "a" * 4000])
def test_a_place_that_no_url_names_is_passed_over(url: str) -> None:
    root = Authority.root("Root")
    issuing = root.intermediate("CA")
    issuing.issuer_url = url
    leaf = issuing.server("localhost").chain[:1]
    report = Online().verify(leaf, trust=root.trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="localhost")
    assert isinstance(report.error, e.UnknownAuthority)
    assert report.fetched == ()


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


def test_a_peer_cannot_spoil_a_list_by_naming_its_place_as_that_of_an_issuer(web: Web) -> None:
    """What was no issuer's certificate is asked for anew as a list, and the other way round."""
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(house.server)
    stranger = Authority.root("Stranger")
    stranger.issuer_url = web.url("ca.crl")
    fake = stranger.server("localhost").chain[:1]
    online = Online()
    for _ in range(2):
        assert isinstance(house.judge(online, fake).error, e.UnknownAuthority)
        assert isinstance(house.judge(online).error, e.CertificateRevoked)
        fake = stranger.server("localhost").chain[:1]


def test_issuers_leave_half_of_the_fetches_for_lists(web: Web) -> None:
    """Where they are is the peer's word, who would rather have nobody ask for the list."""
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(house.server)
    places: list[x509.GeneralName] = [x509.UniformResourceIdentifier(web.url(f"{index}")) for index in range(8)]
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place) for place in places]
    )
    names = house.issuing.certificate.subject_name, x509.Name([])
    builder = x509.CertificateBuilder(names[1], names[0], house.server.certificate.public_key, 1, NOW, NOW + YEAR)
    decoy = builder.add_extension(access, critical=False).sign(house.server.private_key, hashes.SHA256())
    web.documents["3"] = house.issuing.certificate.der
    report = house.judge(Online(fetches=8), (house.server.certificate, Certificate(decoy.public_bytes(Encoding.DER))))
    assert isinstance(report.error, e.CertificateRevoked)
    web.asked.clear()
    del web.documents["3"]
    house.judge(Online(fetches=8), (house.server.certificate, Certificate(decoy.public_bytes(Encoding.DER))))
    assert web.asked == ["0", "1", "2", "3"]


def test_issuers_leave_half_of_the_time_for_lists() -> None:
    given: dict[str, float] = {}

    def transport(fetch: Fetch, seconds: float) -> bytes:
        given[fetch.what] = seconds
        if fetch.what == "issuer":
            return house.issuing.certificate.der
        raise FetchFailed("nothing there")

    house = House.on(Web(80), issuer="ca.der", crl="ca.crl")
    house.judge(Online(transport=transport, seconds=1000), house.server.chain[:1])
    assert given["issuer"] <= 500 < given["CRL"]


def test_a_failure_for_want_of_time_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was another document that took the time."""
    clock = [0.0]
    asked: list[str] = []

    def transport(fetch: Fetch, seconds: float) -> bytes:
        asked.append(fetch.what)
        clock[0] += 8 if fetch.what == "OCSP response" else 2
        raise FetchFailed("nothing came")

    monkeypatch.setattr("handclasp.x509.online.time.monotonic", lambda: clock[0])
    house = House.on(Web(80), crl="ca.crl", ocsp="ocsp")
    online = Online(transport=transport, seconds=10)
    for _ in range(3):
        house.judge(online)
    assert asked == ["OCSP response", "CRL", "CRL"]


def test_many_who_want_the_same_document_have_it_fetched_once(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    asked: list[str] = []
    second = threading.Event()

    def transport(fetch: Fetch, seconds: float) -> bytes:
        asked.append(fetch.url)
        if len(asked) > 1:
            second.set()
        second.wait(0.3)  # in vain
        return house.crl()

    online = Online(transport=transport)
    reports: list[Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(house.judge(online, policy=LEAF_REQUIRED))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.accepted for report in reports] == [True] * 4
    assert asked == [web.url("ca.crl")]


def test_a_transport_that_breaks_leaves_nobody_waiting(web: Web) -> None:
    house = House.on(web, crl="ca.crl")

    def transport(fetch: Fetch, seconds: float) -> bytes:
        raise ZeroDivisionError

    online = Online(transport=transport)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            house.judge(online)


# One document by HTTP.


def test_a_redirection_is_followed_and_a_ring_of_them_is_not(web: Web) -> None:
    web.documents["there"] = b"it"
    web.redirections |= {"here": "/there", "ring": "/ring", "away": "https://127.0.0.1/", "file": "file:///etc/passwd"}
    assert fetch_by_http(Fetch(web.url("here"), 10), 20) == b"it"
    with pytest.raises(FetchFailed, match="more than 3 redirections"):
        fetch_by_http(Fetch(web.url("ring"), 10), 20)
    for path in ("away", "file"):
        with pytest.raises(FetchFailed, match="not an http:// URL"):
            fetch_by_http(Fetch(web.url(path), 10), 20)


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "ldap://127.0.0.1/", "http:///x", "http://127.0.0.1:x/", ""])
def test_other_urls_are_not_fetched(url: str) -> None:
    with pytest.raises(FetchFailed):
        fetch_by_http(Fetch(url, 10), 20)


def test_a_long_document_is_left(web: Web) -> None:
    web.documents["long"] = bytes(11)
    with pytest.raises(FetchFailed, match="11 bytes; the limit is 10"):
        fetch_by_http(Fetch(web.url("long"), 10), 20)


def served_raw(*pieces: bytes) -> contextlib.AbstractContextManager[int]:
    """A port whose server sends these bytes to who asks, and waits for the client to go; an empty piece closes."""

    @contextlib.contextmanager
    def serve() -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                sock, _ = listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.recv(1 << 16)
                    for piece in pieces:
                        sock.sendall(piece)
                    if pieces[-1:] != (b"",):
                        while sock.recv(1 << 16):
                            pass

            thread = threading.Thread(target=answer)
            thread.start()
            yield listener.getsockname()[1]
            thread.join()

    return serve()


def test_a_server_that_stops_in_the_middle_is_left() -> None:
    with (
        served_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"ab") as port,
        pytest.raises(FetchFailed, match="not done within"),
    ):
        fetch_by_http(Fetch(f"http://127.0.0.1:{port}/", 10), 0.2)


def test_a_document_that_is_cut_short_is_none() -> None:
    cut = served_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"")
    with cut as port, pytest.raises(FetchFailed, match="cut short"):
        fetch_by_http(Fetch(f"http://127.0.0.1:{port}/", 10), 20)


def test_a_stream_without_end_is_left() -> None:
    with (
        served_raw(b"HTTP/1.0 200 OK\r\n\r\n", bytes(100)) as port,
        pytest.raises(FetchFailed, match="more than 10 bytes"),
    ):
        fetch_by_http(Fetch(f"http://127.0.0.1:{port}/", 10), 20)


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": 0}, {"seconds": float("inf")}, {"seconds": float("nan")}, {"fetches": 0}, {"list_size": 0}],
)
def test_limits_have_to_be_something(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Online(**wrong)


@pytest.mark.parametrize(
    "place", ["http://[", "http://[::1/", "http://127.0.0.1:99999/", "http://\x1b[2J/", "http://a b/"]
)
def test_a_redirection_to_no_url_is_a_failure_that_prints(web: Web, place: str) -> None:
    web.redirections["here"] = place
    with pytest.raises(FetchFailed) as failed:
        fetch_by_http(Fetch(web.url("here"), 10), 20)
    assert str(failed.value).isprintable()


def test_a_resolver_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    over, ended = threading.Event(), threading.Event()

    def resolve(*_: Any, **__: Any) -> Any:
        over.wait(20)
        ended.set()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(FetchFailed, match="not done within"):
        fetch_by_http(Fetch("http://example.com/", 10), 0.05)
    assert not ended.is_set()
    over.set()


def test_a_host_of_many_addresses_is_tried_at_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    class Refusing(socket.socket):
        def connect(self, address: Any) -> None:
            tried.append(address)
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "socket", Refusing)
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 100)
    with pytest.raises(FetchFailed, match="connection refused"):
        fetch_by_http(Fetch("http://example.com/", 10), 20)
    assert len(tried) == 8


def test_an_address_that_does_not_answer_leaves_time_for_the_next(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.documents["it"] = b"it"
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())  # it has room for no more, so further ones wait
        dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())
        good = (*dead[:4], ("127.0.0.1", web.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [dead, good])
        assert fetch_by_http(Fetch("http://example.com/it", 10), 3) == b"it"
