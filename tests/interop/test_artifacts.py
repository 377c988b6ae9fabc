"""Files made by us are read by programs of others, and theirs by us."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from cryptography import x509
from tests.interop.harness import missing

from handclasp.ca import CaDirectory, KeyType
from handclasp.ca.house import ROOT
from handclasp.x509 import DEFAULT, Purpose, RevocationMode, RevocationSources, TrustStore, verify
from handclasp.x509.errors import CertificateRevoked
from handclasp.x509.identity import Identity

pytestmark = pytest.mark.interop


def run(*command: str | Path, good: bool = True) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode == 0) == good, (command, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(params=[KeyType.P256, KeyType.RSA2048], ids=lambda key: key.value)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CaDirectory]:
    """A CA with one certificate that is revoked and one that is not, and its lists in PEM."""
    made = CaDirectory.init(tmp_path / "ca", "Example", key=request.param)
    made.issue("server", ("good.example",), key=request.param)
    made.issue("server", ("bad.example",), key=request.param)
    made.revoke("bad.example", x509.ReasonFlags.key_compromise)
    for label in ("issuing", ROOT):
        made.make_crl(label)
    yield made
    made.close()


def leaf(house: CaDirectory, name: str, ending: str = "pem") -> Path:
    [found] = (house.path / "issued").glob(f"{name}-*.{ending}")
    return found


def need(program: str, package: str) -> None:
    if (why := missing(program, package)) is not None:
        pytest.skip(why)


def test_openssl_reads_all_and_agrees(house: CaDirectory) -> None:
    need("openssl", "openssl")
    folder = house.path
    for label in ("issuing", "root"):
        run("openssl", "crl", "-inform", "DER", "-in", folder / f"{label}.crl", "-out", folder / f"{label}.crl.pem")
    lists = folder / "lists.pem"
    lists.write_bytes(b"".join((folder / f"{label}.crl.pem").read_bytes() for label in ("issuing", "root")))
    check: list[str | Path] = [
        "openssl",
        "verify",
        "-x509_strict",
        "-crl_check_all",
        "-CAfile",
        folder / "root.pem",
        "-CRLfile",
        lists,
    ]
    check += ["-untrusted", folder / "issuing.pem"]
    run(*check, leaf(house, "good.example"))
    assert "revoked" in run(*check, leaf(house, "bad.example"), good=False)
    run("openssl", "pkey", "-in", leaf(house, "good.example", "key"), "-noout")
    p12 = folder / "good.p12"
    p12.write_bytes(house.export("good.example", b"secret"))
    run("openssl", "pkcs12", "-in", p12, "-passin", "pass:secret", "-nodes")


def test_openssl_believes_our_ocsp_responses(house: CaDirectory) -> None:
    need("openssl", "openssl")
    for name, word in (("good.example", "good"), ("bad.example", "revoked")):
        response = house.path / "response"
        response.write_bytes(house.ocsp_response(house.book.find(name)))
        command: list[str | Path] = ["openssl", "ocsp", "-respin", response, "-issuer", house.path / "issuing.pem"]
        command += ["-sha256", "-cert", leaf(house, name), "-CAfile", house.path / "root.pem"]
        printed = run(*command, "-verify_other", house.path / "issuing.pem")
        assert "Response verify OK" in printed
        assert f": {word}" in printed


def test_gnutls_reads_all_and_agrees(house: CaDirectory) -> None:
    need("certtool", "gnutls-bin")
    folder = house.path
    chain = folder / "chain.pem"
    chain.write_bytes(leaf(house, "good.example").read_bytes() + (folder / "root.pem").read_bytes())
    run("certtool", "--verify-chain", "--infile", chain)
    run("certtool", "--crl-info", "--inder", "--infile", folder / "issuing.crl")
    run("certtool", "--key-info", "--infile", leaf(house, "good.example", "key"))
    p12 = folder / "good.p12"
    p12.write_bytes(house.export("good.example", b"secret"))
    run("certtool", "--p12-info", "--inder", "--password", "secret", "--infile", p12)


def test_keytool_reads_the_keystore(house: CaDirectory) -> None:
    need("keytool", "default-jdk-headless")
    p12 = house.path / "good.p12"
    p12.write_bytes(house.export("good.example", b"secret"))
    listed = run("keytool", "-list", "-keystore", p12, "-storetype", "PKCS12", "-storepass", "secret")
    assert "PrivateKeyEntry" in listed
    assert "CN=Example Root" in run("keytool", "-printcert", "-file", house.path / "root.pem")


def test_nss_reads_all_and_agrees(house: CaDirectory) -> None:
    need("certutil", "libnss3-tools")
    database = house.path / "nss"
    database.mkdir()
    where = f"sql:{database}"
    run("certutil", "-N", "-d", where, "--empty-password")
    run("certutil", "-A", "-d", where, "-n", "root", "-t", "CT,C,C", "-i", house.path / "root.pem")
    for name in ("good.example", "bad.example"):
        p12 = house.path / f"{name}.p12"
        p12.write_bytes(house.export(name, b"secret"))
        run("pk12util", "-i", p12, "-d", where, "-W", "secret", "-K", "")
    run("certutil", "-V", "-d", where, "-n", "good.example", "-u", "V")
    run("crlutil", "-I", "-d", where, "-i", house.path / "issuing.crl", "-B")
    assert "Revoked" in run("certutil", "-V", "-d", where, "-n", "bad.example", "-u", "V", good=False).title()


def test_openssl_s_artifacts_are_read_by_us(tmp_path: Path) -> None:
    need("openssl", "openssl")

    def o(text: str) -> None:
        done = subprocess.run(["openssl", *text.split()], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    (tmp_path / "index.txt").write_text("")
    (tmp_path / "serial").write_text("1000\n")
    (tmp_path / "crlnumber").write_text("01\n")
    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nserial=serial\ncrlnumber=crlnumber\nnew_certs_dir=.\n"
        "certificate=root.pem\nprivate_key=root.key\ndefault_md=sha256\ndefault_days=30\ndefault_crl_days=7\n"
        "policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:their.example\n"
        "extendedKeyUsage=serverAuth\n"
    )
    o("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -subj /CN=Theirs")
    for name in ("good", "bad"):
        o(f"req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
        o(f"ca -batch -config ca.cnf -in {name}.csr -out {name}.pem -notext")
    o("ca -config ca.cnf -revoke bad.pem -crl_reason superseded")
    o("ca -config ca.cnf -gencrl -out list.pem")
    o("rsa -in good.key -traditional -aes256 -passout pass:secret -out good.traditional")
    o("pkcs12 -export -in good.pem -inkey good.key -certfile root.pem -passout pass:secret -out good.p12")
    one = Identity.from_files(tmp_path / "good.pem", tmp_path / "good.traditional", b"secret")
    other = Identity.from_files(tmp_path / "good.p12", password=b"secret")
    assert one.leaf == other.leaf
    trust = TrustStore.from_file(tmp_path / "root.pem")
    from dataclasses import replace

    policy = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
    lists = RevocationSources.from_path(tmp_path / "list.pem")
    for name, good in (("good", True), ("bad", False)):
        chain = [*Identity.from_files(tmp_path / f"{name}.pem", tmp_path / f"{name}.key").chain]
        at = datetime.datetime.now(UTC)
        report = verify(
            chain,
            trust=trust,
            policy=policy,
            purpose=Purpose.SERVER_AUTH,
            at=at,
            name="their.example",
            revocation=lists,
        )
        assert report.accepted == good, report.error
        assert good or isinstance(report.error, CertificateRevoked)
