"""After a crash at any step of any operation, the book agrees with the folder and nothing half done is left."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from tests.ca.crashes import Killed, dying_at, full

from handclasp.ca import CaDirectory
from handclasp.ca.database import BookUnusable, UnknownList
from handclasp.ca.house import ISSUING, NoCa
from handclasp.cli.app import app
from handclasp.cli.told import run
from handclasp.errors import UsageError
from handclasp.x509.crl import Crl
from handclasp.x509.files import write_whole
from handclasp.x509.identity import Identity
from handclasp.x509.keys import write_owner_only

MOST_STEPS = 500
"""More than any operation has."""


def init(ca: Path) -> None:
    CaDirectory.init(ca, "Another").close()


def issue(ca: Path) -> None:
    with CaDirectory(ca) as house:
        house.issue("server", ("new.example",))


def renew(ca: Path) -> None:
    with CaDirectory(ca) as house:
        house.renew(house.book.find("old.example"))


def revoke(ca: Path) -> None:
    with CaDirectory(ca) as house:
        house.revoke("old.example", x509.ReasonFlags.key_compromise)


def crl(ca: Path) -> None:
    with CaDirectory(ca) as house:
        house.make_crl()


def delta(ca: Path) -> None:
    with CaDirectory(ca) as house:
        house.make_crl(base=1)


def ocsp(ca: Path) -> None:
    with CaDirectory(ca) as house:
        write_whole(ca.parent / "staple", house.ocsp_response(house.book.find("old.example")))


def export(ca: Path) -> None:
    with CaDirectory(ca) as house:
        write_owner_only(ca.parent / "exported.p12", house.export("old.example", b"secret"))


CHANGES = pytest.mark.parametrize(
    "change", [init, issue, renew, revoke, crl, delta, ocsp, export], ids=lambda one: one.__name__
)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A folder with a CA that has issued, and made a list."""
    with CaDirectory.init(tmp_path / "before" / "ca", "Example") as house:
        house.issue("server", ("old.example",))
        house.make_crl()
    return tmp_path / "before"


def check_agreement(ca: Path) -> None:
    """Whatever the book calls issued is whole in the folder, and nothing else is there."""
    with CaDirectory(ca) as house:
        entries = house.book.entries(ISSUING)
        whole = {f"{one.name}-{one.serial:x}": one for one in entries if one.der is not None}
        files = {one.name for one in (ca / "issued").iterdir()}
        assert files == {f"{stem}.{kind}" for stem in whole for kind in ("pem", "key")}
        for stem, entry in whole.items():
            identity = Identity.from_files(ca / "issued" / f"{stem}.pem", ca / "issued" / f"{stem}.key")
            assert identity.leaf == entry.certificate
        newest = Crl((ca / "issuing.crl").read_bytes()).number if (ca / "issuing.crl").exists() else 0
        assert newest is not None
        revoked = {one.serial for one in entries if one.revoked_at is not None}
        house.issue("client", ("after the crash",))
        after = Crl(house.make_crl().read_bytes())
        assert after.number is not None
        assert after.number > newest
        assert {one.serial_number for one in after.parsed} == revoked
    assert [one for one in ca.parent.rglob(".*") if one != ca] == []


@CHANGES
def test_a_process_may_end_at_any_step(
    change: Callable[[Path], None], before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(MOST_STEPS):
        place = tmp_path / f"{change.__name__}-{step}"
        shutil.copytree(before, place)
        if change is init:
            shutil.rmtree(place / "ca")
        try:
            with dying_at(step, monkeypatch) as steps:
                change(place / "ca")
        except Killed:
            pass
        if change is init and not (place / "ca").exists():
            with pytest.raises(NoCa, match="holds no CA"):
                CaDirectory(place / "ca")
            assert list(place.iterdir()) == [], "no key of a CA that never was"
            continue
        if change is export:
            target = place / "exported.p12"
            if target.exists():
                Identity.from_pkcs12(target.read_bytes(), b"secret")  # whole, or not there
            export(place / "ca")  # the next one takes away what the last one left
        if change is ocsp:
            ocsp(place / "ca")
        check_agreement(place / "ca")
        if steps.taken <= step:
            break
    else:
        pytest.fail(f"more than {MOST_STEPS} steps")
    assert step >= 3


@CHANGES
def test_a_disk_may_be_full_at_any_step(
    change: Callable[[Path], None], before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    for step in range(MOST_STEPS):
        place = tmp_path / f"{change.__name__}-{step}"
        shutil.copytree(before, place)
        if change is init:
            shutil.rmtree(place / "ca")
        try:
            with dying_at(step, monkeypatch, full) as steps:
                change(place / "ca")
        except (OSError, BookUnusable) as error:
            told.append(error)
        assert [one for one in place.rglob(".*") if one.is_file()] == [], "nothing half written stays"
        if (place / "ca").exists():
            check_agreement(place / "ca")
        if steps.taken <= step:
            break
    else:
        pytest.fail(f"more than {MOST_STEPS} steps")
    assert len(told) > 1
    assert not any("handclasp-" in f"{error} {getattr(error, 'filename', '')}" for error in told), "a name nobody knows"


KILLED = """
import os, pathlib, shutil, signal, sys
import pytest
from tests.ca import crashes, test_crashes

before, places = map(pathlib.Path, sys.argv[1:])
for step in range(test_crashes.MOST_STEPS):
    place = places / str(step)
    shutil.copytree(before, place)
    child = os.fork()
    if child == 0:
        with crashes.dying_at(step, pytest.MonkeyPatch(), lambda _: os.kill(os.getpid(), signal.SIGKILL)):
            test_crashes.issue(place / "ca")
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
"""


def test_a_process_that_is_killed_leaves_the_same(before: Path, tmp_path: Path) -> None:
    """The same by SIGKILL, so that the system itself closes its files and lets go of its locks."""
    places = tmp_path / "places"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", KILLED, str(before), str(places)], cwd=root, check=True, timeout=300)
    folders = sorted(places.iterdir())
    assert len(folders) > 10
    for place in folders:
        check_agreement(place / "ca")


def test_a_list_of_a_number_that_was_never_finished_is_no_base(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CaDirectory(before / "ca") as house:
        house.book.next_list_number(ISSUING, house.authority().certificate.not_before)
        with pytest.raises(UnknownList, match="never finished"):
            house.make_crl(base=2)
        house.make_crl(base=1)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("server", ".".join(["a" * 60] * 4)), ("host", f"{'b' * 63}." * 3 + "c" * 30), ("client", "\U00010400" * 64)],
)
def test_a_name_too_long_for_a_file_is_refused_before_a_number_is_spent(before: Path, kind: str, name: str) -> None:
    with CaDirectory(before / "ca") as house:
        known = house.book.entries()
        with pytest.raises(UsageError, match="too long"):
            house.issue(kind, (name,))
        assert house.book.entries() == known
        if kind != "client":
            issued, certificate, _ = house.issue(kind, ("short.example", name))
            assert certificate.exists()
            assert len(tuple(issued.certificate.extension(x509.SubjectAlternativeName) or ())) == 2


def test_a_certificate_of_another_number_finishes_nothing(before: Path) -> None:
    with CaDirectory(before / "ca") as house:
        house.book.reserve(0x77, ISSUING, "lost.example")
        for kind in ("pem", "key"):
            old = next((before / "ca" / "issued").glob(f"*.{kind}"))
            shutil.copy(old, old.with_name(f"lost.example-77.{kind}"))
    with CaDirectory(before / "ca") as house:
        assert house.book.find("lost.example").der is None


def test_who_may_only_read_sees_what_is_there(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CaDirectory(before / "ca") as house:
        house.book.reserve(0x77, ISSUING, "lost.example")

    def read_only(*_: object) -> None:
        raise BookUnusable("attempt to write a readonly database")

    monkeypatch.setattr("handclasp.ca.house.CaDatabase.alone", read_only)
    with CaDirectory(before / "ca") as house:
        assert [one.name for one in house.book.entries(ISSUING)] == ["old.example", "lost.example"]


def test_what_a_killed_export_left_goes_with_the_next_one(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the two are called."""
    monkeypatch.chdir(before)
    with pytest.raises(Killed), dying_at(2, monkeypatch):
        write_owner_only(Path("first.key"), b"a key")
    assert len(list(before.glob(".*"))) == 1
    monkeypatch.setattr(
        sys, "argv", ["handclasp", *["ca", "export", "old.example", "second.key", "--form", "key-pem", "--ca", "ca"]]
    )
    assert run(app) == 0
    assert sorted(one.name for one in before.iterdir()) == ["ca", "second.key"]
