"""The small CA: what it issues, its book, its lists, its commands."""

from __future__ import annotations

import datetime
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from handclasp.ca import Authority, CaDirectory, KeyType
from handclasp.ca.database import (
    AlreadyRevoked,
    BookUnusable,
    CaDatabase,
    NotOnHold,
    UnknownList,
    UnknownSerial,
)
from handclasp.ca.house import ISSUING, ROOT, NoCa
from handclasp.errors import UsageError
from handclasp.x509 import DEFAULT, Certificate, Purpose, RevocationMode, RevocationSources, TrustStore, verify
from handclasp.x509.crl import Crl
from handclasp.x509.errors import CertificateRevoked
from handclasp.x509.identity import Identity

NOW = datetime.datetime.now(UTC) + timedelta(minutes=30)
"""Later than anything that the tests issue, however long they all take."""
HANDCLASP = [sys.executable, "-c", "from handclasp.cli import main; main()"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HANDCLASP, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CaDirectory]:
    with CaDirectory.init(tmp_path / "ca", "Example") as made:
        yield made


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
    with CaDirectory(tmp_path / "ca") as house, pytest.raises(NoCa, match="could not be read"):
        house.issue("server", ("localhost",))
    with CaDirectory(tmp_path / "ca", b"secret") as house:
        _, _, key = house.issue("server", ("localhost",))
    assert b"ENCRYPTED" in key.read_bytes()


def test_a_revoked_certificate_is_on_the_next_list_and_off_it_again(house: CaDirectory) -> None:
    issued, _, _ = house.issue("server", ("localhost",))
    trust = TrustStore.from_file(house.path / "root.pem")

    def judge() -> object:
        sources = RevocationSources.from_path(house.make_crl(), house.make_crl(ROOT))
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
        "house._keep = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "house.issue('server', ('crash.example',))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    with CaDirectory(tmp_path / "ca") as house:
        entry = house.book.find("crash.example")
        assert entry.der is None
        with pytest.raises(NoCa, match="never finished"):
            house.renew(entry)
        house.revoke("crash.example", x509.ReasonFlags.superseded)
        crl = Crl(house.make_crl().read_bytes())
        assert crl.find(entry.serial, house.authority().certificate.subject_canonical)


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
    authority = house.authority()
    for name, good in (("a.inside.example", True), ("a.outside.example", False)):
        issued = authority.server(name)
        report = verify(
            issued.chain, trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW + timedelta(minutes=1), name=name
        )
        assert report.accepted == good
    house.close()


def test_the_key_of_another_authority_issues_nothing(house: CaDirectory) -> None:
    (house.path / "issuing.key").write_bytes((house.path / "root.key").read_bytes())
    with pytest.raises(NoCa, match="does not belong"):
        house.issue("server", ("localhost",))
    assert [one.authority for one in house.book.entries()] == [ROOT]


def test_only_a_hold_is_ever_lifted(house: CaDirectory) -> None:
    """RFC 5280, 5.3.1."""
    house.issue("server", ("localhost",))
    with pytest.raises(NotOnHold):
        house.revoke("localhost", x509.ReasonFlags.remove_from_crl)
    house.revoke("localhost", x509.ReasonFlags.certificate_hold)
    first = house.revoke("localhost", x509.ReasonFlags.key_compromise)
    for reason in (x509.ReasonFlags.superseded, x509.ReasonFlags.certificate_hold):
        with pytest.raises(AlreadyRevoked, match="keyCompromise"):
            house.revoke("localhost", reason)
    with pytest.raises(NotOnHold):
        house.revoke("localhost", x509.ReasonFlags.remove_from_crl)
    assert house.book.find("localhost") == first


def test_a_delta_has_what_changed_since_its_base_and_nothing_else(house: CaDirectory) -> None:
    """RFC 5280, 5.2.4."""
    old, freed, late = (house.issue("server", (f"{name}.example",))[0] for name in ("old", "freed", "late"))
    house.revoke("old.example", x509.ReasonFlags.superseded)
    house.revoke("freed.example", x509.ReasonFlags.certificate_hold)
    base = house.make_crl()
    house.revoke("freed.example", x509.ReasonFlags.remove_from_crl)
    house.revoke("late.example", x509.ReasonFlags.key_compromise)
    delta = Crl(house.make_crl(base=1).read_bytes())
    issuer = house.authority().certificate.subject_canonical
    found = [delta.find(one.certificate.serial_number, issuer) for one in (old, freed, late)]
    assert [one.reason if one else None for one in found] == [None, "removeFromCRL", "keyCompromise"]
    sources = RevocationSources.from_path(base, house.path / "issuing-delta.crl", house.make_crl(ROOT))
    trust = TrustStore.from_file(house.path / "root.pem")
    policy = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
    for one, good in ((old, False), (freed, True), (late, False)):
        at = datetime.datetime.now(UTC)
        report = verify(
            one.chain, trust=trust, policy=policy, purpose=Purpose.SERVER_AUTH, at=at, name=None, revocation=sources
        )
        assert report.accepted == good, report.error
    with pytest.raises(UnknownList):
        house.make_crl(base=99)


def test_an_older_list_never_takes_a_newer_one_s_place(house: CaDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are made at once, and the one with the lower number is written last."""
    target = house.make_crl()
    newer = house.authority().make_crl([], number=7)
    target.write_bytes(newer)
    house.make_crl()
    assert target.read_bytes() == newer


@pytest.mark.parametrize(
    "key", [KeyType.RSA2048, KeyType.ED25519, KeyType.P384, KeyType.MLDSA44], ids=lambda k: k.value
)
def test_a_renewed_client_keeps_its_names_and_kind_of_key(house: CaDirectory, key: KeyType) -> None:
    more = {"uri": "spiffe://example.org/alice", "email": "alice@example.org", "key": key, "days": 30}
    old = house.issue("client", ("alice",), **more)[0].certificate
    new = house.renew(house.book.find("alice"))[0].certificate
    assert new.extension(x509.SubjectAlternativeName) == old.extension(x509.SubjectAlternativeName)
    assert KeyType.of(new.public_key) is key
    assert new.not_after - new.not_before == old.not_after - old.not_before
    assert house.book.find("alice", newest=True).serial == new.serial_number


def test_an_authority_is_not_renewed_as_a_leaf(house: CaDirectory) -> None:
    with pytest.raises(NoCa, match="authority"):
        house.renew(house.book.find("Example Issuing CA"))


def test_a_ca_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("handclasp.ca.house.CaDatabase", full)
    with pytest.raises(OSError, match="No space"):
        CaDirectory.init(tmp_path / "ca", "Example")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"junk" * 200, b""], ids=["junk", "empty"])
def test_a_book_that_is_none_is_named_and_not_begun_anew(house: CaDirectory, content: bytes) -> None:
    (house.path / "book.sqlite").write_bytes(content)
    with pytest.raises(BookUnusable, match=r"book\.sqlite"):
        CaDirectory(house.path)
    assert (house.path / "book.sqlite").read_bytes() == content


@pytest.mark.parametrize(
    "slip",
    [
        lambda house: house.issue("server", ("localhost",), days=0),
        lambda house: house.issue("server", ("localhost",), days=-1),
        lambda house: house.issue("server", ("localhost",), days=10**9),
        lambda house: house.make_crl(days=0),
        lambda house: house.issue("client", ("",)),
        lambda house: house.issue("client", ("a" * 65,)),
        lambda house: house.issue("client", ("a\nb",)),
        lambda house: house.issue("client", ("alice",), email="ä@example.org"),
        lambda house: CaDirectory.init(house.path / "other", " "),
    ],
)
def test_slips_of_the_pen_are_the_caller_s(house: CaDirectory, slip: Callable[[CaDirectory], object]) -> None:
    with pytest.raises(UsageError):
        slip(house)
    assert list((house.path / "issued").iterdir()) == []


def test_many_may_issue_at_once(tmp_path: Path) -> None:
    CaDirectory.init(tmp_path / "ca", "Example").close()
    command = [*HANDCLASP, "ca", "issue", "same.example", "--ca", str(tmp_path / "ca")]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    with CaDirectory(tmp_path / "ca") as house:
        issued = house.book.entries(ISSUING)
    assert len({one.serial for one in issued}) == 4
    assert all(one.der is not None for one in issued)


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
    assert "BEGIN CERTIFICATE" in json.loads(run("ca", "show", issued["serial"], "--ca", ca, "--json").stdout)["pem"]
    assert "127.0.0.1" in run("ca", "show", "localhost", "--ca", ca).stdout
    staple = tmp_path / "staple"
    assert run("ca", "ocsp", "localhost", staple, "--ca", ca).returncode == 0
    assert staple.read_bytes()[0] == 0x30
    assert run("ca", "crl", "--pem", "--ca", ca).returncode == 0
    assert b"BEGIN X509 CRL" in (ca / "issuing.crl.pem").read_bytes()
    target = tmp_path / "localhost.p12"
    exported = run("ca", "export", "localhost", target, "--target-password-file", password, "--ca", ca)
    assert exported.returncode == 0, exported.stderr
    assert Identity.from_pkcs12(target.read_bytes(), b"secret").leaf.subject_text == "CN=localhost"
    assert target.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("key", [KeyType.RSA2048, KeyType.P256], ids=lambda key: key.value)
def test_every_form_that_is_written_is_read_again(tmp_path: Path, key: KeyType) -> None:
    """Mission row S12."""
    with CaDirectory.init(tmp_path / "ca", "Example") as house:
        issued, _, _ = house.issue("server", ("localhost",), key=key)
    password = tmp_path / "password"
    password.write_text("secret\n")

    def export(form: str, *more: str | Path) -> bytes:
        target = tmp_path / f"out.{form}"
        done = run("ca", "export", "localhost", target, "--form", form, "--ca", tmp_path / "ca", *more)
        assert done.returncode == 0, done.stderr
        secret = not form.startswith("cert")
        assert (target.stat().st_mode & 0o077 == 0) == secret
        return target.read_bytes()

    chain, der = export("cert-pem"), export("cert-der")
    assert der == issued.certificate.der
    assert Certificate.load_all(chain) == list(issued.chain)
    kinds = ("key-pem", "key-der", "key-traditional")
    encrypted = ("--target-password-file", password)
    written = [(export(kind), None) for kind in kinds] + [(export(kind, *encrypted), b"secret") for kind in kinds[::2]]
    for data, secret in written:
        assert Identity.from_pem(chain, data, secret).leaf == issued.certificate
    for data, secret in ((export("pem"), None), (export("pem", *encrypted), b"secret")):
        assert Identity.from_pem(data, data, secret).chain == issued.chain
    assert Identity.from_pkcs12(export("p12", *encrypted), b"secret").chain == issued.chain


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


def test_the_command_verify_tells_a_changed_certificate_from_one_of_an_unknown_authority(tmp_path: Path) -> None:
    root = Authority.root("Root")
    issued = root.server("localhost")
    changed = bytearray(issued.certificate.der)
    changed[-1] ^= 1
    (tmp_path / "root.pem").write_bytes(root.certificate_pem)
    (tmp_path / "leaf.der").write_bytes(changed)
    done = run("verify", tmp_path / "leaf.der", "--trust", tmp_path / "root.pem")
    assert done.returncode == 24
    assert "whose key did not sign it" in done.stdout
