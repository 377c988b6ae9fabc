"""The small CA: what it issues, its book, its lists, its commands."""

from __future__ import annotations

import datetime
import json
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from handclasp.ca import Authority, CaDirectory, KeyType
from handclasp.ca.database import CaDatabase, UnknownSerial
from handclasp.ca.house import ISSUING, ROOT, NoCa
from handclasp.errors import UsageError
from handclasp.x509 import DEFAULT, Purpose, RevocationMode, RevocationSources, TrustStore, verify
from handclasp.x509.crl import Crl
from handclasp.x509.errors import CertificateRevoked
from handclasp.x509.identity import Identity

NOW = datetime.datetime.now(UTC)
HANDCLASP = [sys.executable, "-c", "from handclasp.cli import main; main()"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HANDCLASP, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def house(tmp_path: Path) -> CaDirectory:
    return CaDirectory.init(tmp_path / "ca", "Example")


def test_what_is_issued_is_as_the_web_wants_it() -> None:
    from handclasp.x509 import WEB

    root = Authority.root("Root", key=KeyType.P384)
    leaf = root.intermediate("CA", key=KeyType.RSA2048).server("www.example.com", "*.example.com", "192.0.2.1", "::1")
    for name in ("www.example.com", "a.example.com", "192.0.2.1", "::1"):
        report = verify(leaf.chain, trust=root.trust, policy=WEB, purpose=Purpose.SERVER_AUTH, at=NOW, name=name)
        assert report.accepted, report.error


def test_no_leaf_outlives_its_authority() -> None:
    root = Authority.root("Root", days=10)
    assert root.server("a.example", days=100).certificate.not_after == root.certificate.not_after
    with pytest.raises(UsageError):
        root.server()


def test_keys_are_for_their_owner_alone(house: CaDirectory) -> None:
    """Mission row S15."""
    _, certificate, key = house.issue("server", ("localhost",))
    for path in (key, house.path / "root.key", house.path / "issuing.key", house.path / "book.sqlite"):
        assert path.stat().st_mode & 0o077 == 0
    assert Identity.from_files(certificate, key).leaf.subject_text == "CN=localhost"


def test_encrypted_keys_need_their_password(tmp_path: Path) -> None:
    CaDirectory.init(tmp_path / "ca", "Example", password=b"secret").close()
    with pytest.raises(NoCa, match="could not be read"):
        CaDirectory(tmp_path / "ca").issue("server", ("localhost",))
    house = CaDirectory(tmp_path / "ca", b"secret")
    _, _, key = house.issue("server", ("localhost",))
    assert b"ENCRYPTED" in key.read_bytes()


def test_a_revoked_certificate_is_on_the_next_list_and_off_it_again(house: CaDirectory) -> None:
    issued, _, _ = house.issue("server", ("localhost",))
    trust = TrustStore.from_file(house.path / "root.pem")

    def judge() -> object:
        sources = RevocationSources.from_path(house.make_crl(), house.make_crl(ROOT))
        from dataclasses import replace

        policy = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
        arguments = {"trust": trust, "policy": policy, "purpose": Purpose.SERVER_AUTH, "name": "localhost"}
        return verify(issued.chain, at=datetime.datetime.now(UTC), revocation=sources, **arguments).error  # type: ignore[arg-type]

    assert judge() is None
    house.revoke("localhost", x509.ReasonFlags.certificate_hold)
    assert isinstance(judge(), CertificateRevoked)
    house.revoke(f"{issued.certificate.serial_number:x}", x509.ReasonFlags.remove_from_crl)
    assert judge() is None


def test_lists_are_numbered_and_deltas_name_their_base(house: CaDirectory) -> None:
    numbers = [Crl(house.make_crl().read_bytes()).number for _ in range(3)]
    assert numbers == [1, 2, 3]
    delta = Crl(house.make_crl(base=3).read_bytes())
    assert (delta.number, delta.base_number) == (4, 3)


def test_a_renewed_certificate_has_the_names_and_another_key(house: CaDirectory) -> None:
    for kind, names in (("server", ("a.example", "192.0.2.1")), ("host", ("b.example",)), ("client", ("carol",))):
        old, _, _ = house.issue(kind, names)
        new, _, _ = house.renew(house.book.find(f"{old.certificate.serial_number:x}"))
        san = x509.SubjectAlternativeName
        assert new.certificate.extension(san) == old.certificate.extension(san)
        assert new.certificate.key_bytes != old.certificate.key_bytes
        assert new.certificate.extension(x509.ExtendedKeyUsage) == old.certificate.extension(x509.ExtendedKeyUsage)


def test_the_book_knows_a_number_before_its_certificate(tmp_path: Path) -> None:
    """A process is killed between the two; the number stays, and no certificate is forgotten."""
    CaDirectory.init(tmp_path / "ca", "Example").close()
    script = (
        "import os, signal\n"
        "from handclasp.ca import CaDirectory\n"
        f"house = CaDirectory({str(tmp_path / 'ca')!r})\n"
        "house.book.issued = lambda certificate: os.kill(os.getpid(), signal.SIGKILL)\n"
        "house.issue('server', ('crash.example',))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    house = CaDirectory(tmp_path / "ca")
    entry = house.book.find("crash.example")
    assert entry.der is None
    with pytest.raises(NoCa, match="never finished"):
        house.renew(entry)
    house.revoke("crash.example", x509.ReasonFlags.superseded)
    assert Crl(house.make_crl().read_bytes()).find(entry.serial, house.authority().certificate.subject_canonical)


def test_a_serial_number_is_used_once(house: CaDirectory) -> None:
    house.book.reserve(77, ISSUING, "a")
    with pytest.raises(sqlite3.IntegrityError):
        house.book.reserve(77, ISSUING, "b")
    assert [one.name for one in house.book.entries(ISSUING)] == ["a"]


def test_two_at_once_share_the_book(tmp_path: Path) -> None:
    one, other = CaDatabase(tmp_path / "book"), CaDatabase(tmp_path / "book")
    assert one.next_list_number("a", NOW) == 1
    assert other.next_list_number("a", NOW) == 2
    one.close()
    other.close()


def test_a_name_of_several_is_not_enough(house: CaDirectory) -> None:
    for _ in range(2):
        house.issue("server", ("twice.example",))
    with pytest.raises(UnknownSerial, match="serial number"):
        house.book.find("twice.example")
    with pytest.raises(UnknownSerial):
        house.book.revoke(1, x509.ReasonFlags.superseded, NOW)


def test_names_with_slashes_stay_in_their_directory(house: CaDirectory) -> None:
    _, certificate, _ = house.issue("client", ("../../etc/passwd",))
    assert certificate.parent == house.path / "issued"


def test_constraints_bind_what_it_issues(tmp_path: Path) -> None:
    house = CaDirectory.init(tmp_path / "ca", "Example", permitted_dns=("inside.example",))
    trust = TrustStore.from_file(house.path / "root.pem")
    for name, good in (("a.inside.example", True), ("a.outside.example", False)):
        issued, _, _ = house.issue("server", (name,))
        report = verify(
            issued.chain, trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW + timedelta(minutes=1), name=name
        )
        assert report.accepted == good


def test_commands_from_the_first_to_the_last(tmp_path: Path) -> None:
    ca, password = tmp_path / "ca", tmp_path / "password"
    password.write_text("secret\n")
    assert run("ca", "init", "Example", "--ca", ca).returncode == 0
    issued = json.loads(run("ca", "issue", "localhost", "127.0.0.1", "--ca", ca, "--json").stdout)
    assert run("ca", "issue", "alice", "--kind", "client", "--ca", ca).returncode == 0
    assert run("ca", "renew", "alice", "--ca", ca).returncode == 0
    good = ["verify", issued["certificate"], "--trust", ca / "root.pem", "--host", "localhost"]
    done = run(*good)
    assert done.returncode == 0, done.stderr
    assert "accepted: CN=localhost" in done.stdout
    assert json.loads(run(*good, "--json").stdout)["accepted"] is True
    assert run("ca", "revoke", issued["serial"], "--reason", "keyCompromise", "--ca", ca).returncode == 0
    for authority in ("issuing", "root"):
        assert run("ca", "crl", "--authority", authority, "--ca", ca).returncode == 0
    refused = run(*good, "--crl", ca / "issuing.crl", "--crl", ca / "root.crl")
    assert refused.returncode == 16
    assert "keyCompromise" in refused.stdout
    listed = json.loads(run("ca", "list", "--ca", ca, "--json").stdout)
    assert [one["state"] for one in listed] == ["valid", "revoked (keyCompromise)", "valid", "valid"]
    assert "BEGIN CERTIFICATE" in json.loads(run("ca", "show", issued["serial"], "--ca", ca).stdout)["pem"]
    target = tmp_path / "localhost.p12"
    exported = run("ca", "export", "localhost", target, "--target-password-file", password, "--ca", ca)
    assert exported.returncode == 0, exported.stderr
    assert Identity.from_pkcs12(target.read_bytes(), b"secret").leaf.subject_text == "CN=localhost"
    assert target.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["ca", "list", "--ca", "/no/such/ca"], "holds no CA"),
        (["ca", "init", "X", "--ca", "/etc"], "not empty"),
        (["verify", "/no/such/file"], "/no/such/file"),
        (["verify", "/etc/hostname"], "/etc/hostname"),
        (["verify", "/no", "--at", "yesterday"], "no time"),
    ],
)
def test_commands_tell_mistakes_in_a_line(arguments: list[str], text: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert text in done.stderr or "no" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--host", "other.example"], 14),
        (["--at", "2001-01-01"], 12),
        (["--at", "2999-01-01T00:00:00Z"], 11),
        (["--purpose", "client"], 15),
        (["--profile", "web"], 0),
    ],
)
def test_verify_has_an_exit_code_for_each_refusal(tmp_path: Path, change: list[str], code: int) -> None:
    root = Authority.root("Root")
    certificate, _ = root.server("localhost").save(tmp_path, "leaf")
    (tmp_path / "root.pem").write_bytes(root.certificate_pem)
    assert run("verify", certificate, "--trust", tmp_path / "root.pem", *change).returncode == code
    assert run("verify", certificate).returncode == 13
