"""An authority that is bound to domains issues for these alone, whatever kind of name is asked for."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from handclasp.ca import Authority, CaDirectory, KeyType
from handclasp.errors import UsageError
from handclasp.x509 import DEFAULT, RFC5280, WEB, Certificate, Purpose, TrustStore, VerificationPolicy, verify

NOW = datetime.datetime.now(UTC) + timedelta(minutes=30)
"""Later than anything that the tests issue, however long they all take."""
ROOT = Authority.root("Root")
BOUND = ROOT.intermediate("Bound CA", permitted_dns=("inside.example",))
HOST = "www.inside.example"
DNS, MAIL, URI = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier


def name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


OWN = name((NameOID.ORGANIZATION_NAME, "Bound CA"), (NameOID.COMMON_NAME, HOST))
STRANGER = name((NameOID.ORGANIZATION_NAME, "Some Bank"), (NameOID.COMMON_NAME, HOST))
NOBODY = x509.Name([])
INSIDE: dict[str, tuple[x509.Name, list[x509.GeneralName]]] = {
    "host": (OWN, []),
    "host without subject": (NOBODY, []),
    "mail of the host": (OWN, [MAIL("root@inside.example")]),
    "mail below": (OWN, [MAIL("root@www.inside.example")]),
    "URI": (OWN, [URI("spiffe://inside.example/web")]),
    "URI below": (OWN, [URI("https://www.inside.example/")]),
    "directory name": (OWN, [x509.DirectoryName(OWN)]),
}
OUTSIDE: dict[str, tuple[x509.Name, list[x509.GeneralName]]] = {
    "host": (OWN, [DNS("www.outside.example")]),
    "wildcard": (OWN, [DNS("*.example")]),
    "IPv4 address": (OWN, [x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]),
    "IPv6 address": (OWN, [x509.IPAddress(ipaddress.ip_address("2001:db8::1"))]),
    "mail": (OWN, [MAIL("root@outside.example")]),
    "mail by suffix": (OWN, [MAIL("root@notinside.example")]),
    "URI": (OWN, [URI("spiffe://outside.example/web")]),
    "directory name": (OWN, [x509.DirectoryName(STRANGER)]),
    "subject": (STRANGER, []),
    "subject of a common name alone": (name((NameOID.COMMON_NAME, HOST)), []),
}


def issued(subject: x509.Name, more: list[x509.GeneralName]) -> Certificate:
    """By the bound authority's key, whatever the authority itself would say."""
    good = BOUND.server(HOST).certificate.parsed
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(good.issuer).serial_number(7)
    builder = builder.public_key(good.public_key()).not_valid_before(good.not_valid_before_utc)
    builder = builder.not_valid_after(good.not_valid_after_utc)
    for one in good.extensions:
        if isinstance(one.value, x509.SubjectAlternativeName):
            san = x509.SubjectAlternativeName([DNS(HOST), *more])
            builder = builder.add_extension(san, critical=not subject.rdns)
        else:
            builder = builder.add_extension(one.value, one.critical)
    return Certificate(builder.sign(BOUND._private_key, hashes.SHA256()).public_bytes(Encoding.DER))


def accepted(chain: Any, policy: VerificationPolicy) -> bool:
    return verify(chain, trust=ROOT.trust, policy=policy, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST).accepted


def accepted_by_openssl(chain: Any, folder: Path) -> bool:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing; install openssl")
    for label, one in (("leaf", chain[0]), ("issuing", chain[1]), ("root", ROOT.certificate)):
        (folder / f"{label}.pem").write_bytes(one.parsed.public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", HOST]
    command += ["-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=30).returncode == 0


@pytest.mark.parametrize("kind", INSIDE)
def test_names_of_its_domain_are_good(kind: str, tmp_path: Path) -> None:
    chain = [issued(*INSIDE[kind]), BOUND.certificate]
    assert accepted(chain, DEFAULT)
    assert accepted_by_openssl(chain, tmp_path)


@pytest.mark.parametrize("kind", OUTSIDE)
def test_no_kind_of_name_is_left_open(kind: str, tmp_path: Path) -> None:
    chain = [issued(*OUTSIDE[kind]), BOUND.certificate]
    assert not accepted(chain, DEFAULT)
    assert not accepted_by_openssl(chain, tmp_path)


def test_what_it_issues_of_itself_is_good_for_browsers_too(tmp_path: Path) -> None:
    made = BOUND.server(HOST)
    assert accepted(made.chain, WEB)
    assert accepted_by_openssl(made.chain, tmp_path)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CaDirectory]:
    with CaDirectory.init(tmp_path / "ca", "Example", permitted_dns=("inside.example",)) as made:
        yield made


FORBIDDEN: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "a host": ("server", ("www.outside.example",), {}),
    "a host among good ones": ("host", (HOST, "inside.example.evil"), {}),
    "an address": ("server", (HOST, "192.0.2.1"), {}),
    "an IPv6 address": ("server", ("::1",), {}),
    "mail": ("client", ("alice",), {"email": "alice@outside.example"}),
    "a URI": ("client", ("alice",), {"uri": "spiffe://outside.example/alice"}),
    "a URI without a host": ("client", ("alice",), {"uri": "urn:uuid:1"}),
    "a common name that is a host's": ("client", ("www.outside.example",), {}),
}


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_what_its_constraints_forbid_is_refused_before_anything_is_written(house: CaDirectory, kind: str) -> None:
    how, names, more = FORBIDDEN[kind]
    before = files(house)
    with pytest.raises(UsageError, match=r"CN=Example Issuing CA may not issue for .*name constraints"):
        house.issue(how, names, **more)
    assert files(house) == before
    assert len(house.book.entries()) == 1, "the issuing authority's own"


def files(house: CaDirectory) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in house.path.rglob("*") if one.suffix in (".pem", ".key", ".crl")}


def test_what_they_allow_is_issued_renewed_and_good(house: CaDirectory) -> None:
    trust = TrustStore.from_file(house.path / "root.pem")
    server, _, _ = house.issue("server", (HOST, "*.inside.example"))
    again, _, _ = house.renew(house.book.find(f"{server.certificate.serial_number:x}"))
    client, _, _ = house.issue("client", ("alice",), email="alice@inside.example", uri="spiffe://inside.example/alice")
    for one in (server, again):
        report = verify(one.chain, trust=trust, policy=WEB, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST)
        assert report.accepted, report.error
    assert verify(client.chain, trust=trust, purpose=Purpose.CLIENT_AUTH, at=NOW, name=None).accepted
    assert client.certificate.subject_text == "CN=alice,O=Example Issuing CA"


def test_an_authority_below_a_bound_one_is_bound_as_well() -> None:
    upper = ROOT.intermediate("Upper CA", permitted_dns=("inside.example",), path_length=None)
    lower = upper.intermediate("Lower CA", permitted_dns=("deep.inside.example",))
    server = lower.server("www.deep.inside.example")
    report = verify(server.chain, trust=ROOT.trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="www.deep.inside.example")
    assert report.accepted, report.error
    lower.keeps_constraints = True
    for outside in (HOST, "www.outside.example"):
        with pytest.raises(UsageError, match="may not issue"):
            lower.server(outside)


@pytest.mark.parametrize("domain", ["192.0.2.1", "a b.example", ""])
def test_what_is_no_domain_binds_nobody(domain: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        CaDirectory.init(tmp_path / "ca", "Example", permitted_dns=(domain,))
    assert not (tmp_path / "ca").exists()


def test_a_host_too_long_for_a_common_name_stands_in_the_alternative_names_alone() -> None:
    """RFC 5280, 4.1.2.6 and appendix A: 64 characters; part of a host's name is another host's."""
    long = ".".join(["a" * 40] * 3) + ".example"
    made = ROOT.server(long)
    assert not made.certificate.subject_name.rdns
    assert made.certificate.extension_critical(x509.SubjectAlternativeName)
    assert verify(made.chain, trust=ROOT.trust, purpose=Purpose.SERVER_AUTH, at=NOW, name=long).accepted


def test_an_authority_that_has_expired_issues_nothing() -> None:
    old = Authority.root("Old Root", days=1, at=NOW - timedelta(days=9))
    with pytest.raises(UsageError, match="has expired"):
        old.server(HOST)


@pytest.mark.parametrize("kind", [one for one in KeyType if one is not KeyType.RSA4096], ids=lambda one: one.value)
def test_what_is_issued_has_the_form_of_rfc_5280_whatever_its_key(kind: KeyType) -> None:
    root = Authority.root("Root", key=kind)
    issuing = root.intermediate("Issuing CA", key=kind, permitted_dns=("inside.example",))
    issuing.crl_url = issuing.ocsp_url = issuing.issuer_url = "http://inside.example/x"
    client = issuing.client("alice", uri="spiffe://inside.example/alice", email="alice@inside.example", key=kind)
    for made, purpose, host in (
        (issuing.server(HOST, f"*.{HOST}", key=kind), Purpose.SERVER_AUTH, HOST),
        (issuing.host(HOST, key=kind), Purpose.CLIENT_AUTH, None),
        (client, Purpose.CLIENT_AUTH, None),
    ):
        report = verify(made.chain, trust=root.trust, policy=RFC5280, purpose=purpose, at=NOW, name=host)
        assert report.accepted, report.error
