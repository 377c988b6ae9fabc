"""Files that others had a hand in: what somebody planted is neither written through nor waited for."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import World

from handclasp.errors import ConfigError
from handclasp.facts import SecretMade
from handclasp.keylog import key_log_to
from handclasp.x509 import files
from handclasp.x509.files import clear_leftovers, read_regular, whole_folder, write_whole
from handclasp.x509.keys import KeyFileWarning, write_owner_only
from handclasp.x509.reload import CrlFiles, KeyStore, TrustFiles
from handclasp.x509.revocation import RevocationSources
from handclasp.x509.trust import TrustStore

WRITERS = pytest.mark.parametrize("write", [write_whole, write_owner_only], ids=["anything", "keys"])
Writer = Callable[[Path, bytes], None]


def part_of(target: Path) -> Path:
    """The name that a file has until it is whole."""
    with pytest.raises(RuntimeError), whole_folder(target) as part:
        raise RuntimeError
    return part


def plant_link(place: Path, victim: Path) -> None:
    place.symlink_to(victim)


def plant_dangling_link(place: Path, victim: Path) -> None:
    place.symlink_to(victim.with_name("nothing yet"))


def plant_hard_link(place: Path, victim: Path) -> None:
    place.hardlink_to(victim)


def plant_file(place: Path, victim: Path) -> None:
    place.write_text("planted")
    place.chmod(0o666)


def plant_pipe(place: Path, victim: Path) -> None:
    os.mkfifo(place)


def plant_socket(place: Path, victim: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(place.relative_to(Path.cwd())))


def plant_folder(place: Path, victim: Path) -> None:
    place.mkdir()
    (place / "something").write_text("planted")


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that nobody meant to change."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "victim"
    path.write_text("dear")
    path.chmod(0o644)
    return path


@WRITERS
@pytest.mark.parametrize("plant", [plant_link, plant_dangling_link])
def test_nothing_is_written_through_a_link(write: Writer, victim: Path, plant: Callable[[Path, Path], None]) -> None:
    target = victim.with_name("target")
    plant(target, victim)
    with pytest.raises(OSError, match="link"):
        write(target, b"a key")
    assert target.is_symlink()
    assert victim.read_text() == "dear"
    assert sorted(one.name for one in victim.parent.iterdir()) == ["target", "victim"]


@WRITERS
@pytest.mark.parametrize("plant", [plant_file, plant_hard_link])
def test_a_file_that_is_there_is_replaced_and_not_written_into(
    write: Writer, victim: Path, plant: Callable[[Path, Path], None]
) -> None:
    target = victim.with_name("target")
    plant(target, victim)
    with target.open() as held:
        write(target, b"a key")
        assert "key" not in held.read()
    assert target.read_bytes() == b"a key"
    assert target.stat().st_nlink == 1
    assert victim.read_text() == "dear"


@WRITERS
@pytest.mark.parametrize(
    "plant", [plant_link, plant_dangling_link, plant_hard_link, plant_pipe, plant_socket, plant_folder, plant_file]
)
def test_what_lies_where_a_file_is_made_is_not_written_into(
    write: Writer, victim: Path, plant: Callable[[Path, Path], None]
) -> None:
    target = victim.with_name("target")
    plant(part_of(target), victim)
    write(target, b"a key")
    assert target.is_file()
    assert not target.is_symlink()
    assert target.read_bytes() == b"a key"
    assert victim.read_text() == "dear"
    assert not victim.with_name("nothing yet").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
@pytest.mark.parametrize("plant", [plant_file, plant_folder])
def test_somebody_else_s_is_left_alone(victim: Path, plant: Callable[[Path, Path], None]) -> None:
    part = part_of(victim.with_name("target"))
    plant(part, victim)
    os.chown(part, 65534, 65534)
    write_owner_only(victim.with_name("target"), b"a key")
    clear_leftovers(victim.parent)
    assert part.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_no_key_goes_into_somebody_else_s_pipe(victim: Path) -> None:
    pipe = victim.with_name("pipe")
    os.mkfifo(pipe)
    os.chown(pipe, 65534, 65534)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(PermissionError, match="pipe"):
        write_owner_only(pipe, b"a key")
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_pipes_and_devices_of_one_s_own_stay_what_they_are(victim: Path) -> None:
    pipe = victim.with_name("pipe")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_owner_only(pipe, b"a key")
    assert os.read(reader, 100) == b"a key"
    assert pipe.is_fifo()
    os.close(reader)
    write_owner_only(Path(os.devnull), b"a key")
    assert Path(os.devnull).is_char_device()
    with pytest.raises(IsADirectoryError):
        write_owner_only(victim.parent, b"a key")


@pytest.mark.skipif(not Path("/dev/stdout").is_symlink(), reason="/dev/stdout is missing")
@pytest.mark.parametrize("stream", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("end", ["pipe", "file"])
def test_the_system_s_own_links_are_followed(stream: str, end: str, victim: Path) -> None:
    script = f"from handclasp.x509.keys import write_owner_only; write_owner_only({stream!r}, b'a key')"
    with victim.open("ab") as file:
        done = subprocess.run(
            [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE if end == "pipe" else file
        )
    assert (done.stdout if end == "pipe" else victim.read_bytes()) == (b"a key" if end == "pipe" else b"deara key")


@pytest.mark.parametrize(("mode", "warned"), [(0o777, True), (0o1777, False), (0o755, False)])
def test_a_folder_that_all_may_write_into_is_warned_of(tmp_path: Path, mode: int, warned: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.warns(KeyFileWarning, match="chmod o-w") if warned else contextlib.nullcontext():
        write_owner_only(folder / "key", b"a key")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_whole(folder / "no key", b"a certificate")


def test_what_a_living_process_writes_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def meanwhile(source: Path, target: Path) -> None:
        clear_leftovers(tmp_path)
        assert Path(source).exists()
        monkeypatch.setattr(os, "replace", replace)
        write_whole(tmp_path / "target", b"another's")
        replace(source, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    write_whole(tmp_path / "target", b"the last one's")
    assert (tmp_path / "target").read_bytes() == b"the last one's"
    with whole_folder(tmp_path / "folder") as part:
        clear_leftovers(tmp_path)
        assert part.is_dir()
        with whole_folder(tmp_path / "folder"):
            pass
        (tmp_path / "folder").rmdir()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "target"]


def test_one_who_clears_up_may_come_between_making_and_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, rivals = files._held, [tmp_path, None]

    def late(descriptor: int, place: Path) -> bool:
        if rivals.pop() is None:
            clear_leftovers(tmp_path)
        return held(descriptor, place)

    monkeypatch.setattr(files, "_held", late)
    write_whole(tmp_path / "target", b"whole")
    assert rivals == []
    assert [one.name for one in tmp_path.iterdir()] == ["target"]


def test_only_files_are_read(victim: Path) -> None:
    link = victim.with_name("link")
    link.symlink_to(victim)
    assert read_regular(link) == b"dear"
    for plant in (plant_pipe, plant_socket, plant_folder):
        place = victim.with_name(plant.__name__)
        plant(place, victim)
        with pytest.raises(OSError, match=r"not a file|directory"):
            read_regular(place)
    for device in ("/dev/null", "/dev/zero"):
        with pytest.raises(OSError, match="device"):
            read_regular(device)


def test_a_file_that_becomes_a_pipe_before_it_is_opened_is_not_waited_for(
    victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular = victim.stat()
    pipe = victim.with_name("pipe")
    os.mkfifo(pipe)
    monkeypatch.setattr(os, "stat", lambda *_, **__: regular)
    with pytest.raises(OSError, match="not a file"):
        read_regular(pipe)


@pytest.mark.parametrize("plant", [plant_link, plant_dangling_link, plant_hard_link])
def test_no_secret_goes_into_a_key_log_that_leads_elsewhere(victim: Path, plant: Callable[[Path, Path], None]) -> None:
    log = victim.with_name("log")
    plant(log, victim)
    with pytest.raises(OSError, match="link"):
        key_log_to(log)
    assert victim.read_text() == "dear"
    assert not victim.with_name("nothing yet").exists()


def test_a_key_log_is_looked_at_each_time(victim: Path) -> None:
    log = victim.with_name("log")
    observe = key_log_to(log)
    secret = SecretMade("CLIENT_TRAFFIC_SECRET_0", bytes(32), bytes(32))
    observe(secret)
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.read_text().startswith("CLIENT_TRAFFIC_SECRET_0 00")
    log.unlink()
    log.symlink_to(victim)
    with pytest.raises(OSError, match="link"):
        observe(secret)
    assert victim.read_text() == "dear"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_key_log_that_is_open_to_others_is_warned_of(victim: Path, mode: int) -> None:
    victim.chmod(mode)
    with pytest.warns(KeyFileWarning, match="chmod 600"):
        key_log_to(victim)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_no_secret_goes_into_somebody_else_s_file(victim: Path) -> None:
    os.chown(victim, 65534, 65534)
    with pytest.raises(PermissionError, match="somebody else"):
        key_log_to(victim)


def test_pipes_and_devices_in_folders_are_passed_over(world: World, tmp_path: Path) -> None:
    """A folder of lists, of authorities, of keys."""
    folder, lists, authorities = (tmp_path / name for name in ("folder", "lists", "authorities"))
    lists.mkdir()
    authorities.mkdir()
    world.server.save(folder, "server")
    (lists / "list.crl").write_bytes(world.root.make_crl([], number=1))
    (authorities / "root.pem").write_bytes(world.root.certificate_pem)
    for place in (folder, lists, authorities):
        for name in ("a.pem", "b.key", "c.p12", "d.ocsp"):
            os.mkfifo(place / name)
        (place / "endless.crl").symlink_to("/dev/zero")
    assert TrustStore.from_directory(authorities).anchors == (world.root.certificate,)
    assert TrustFiles(authorities).current().anchors == (world.root.certificate,)
    assert [one.leaf for one in KeyStore(folder)] == [world.server.certificate]
    assert len(RevocationSources.from_path(lists).crls) == 1
    assert len(CrlFiles(lists).current().crls) == 1


@pytest.mark.parametrize("kind", ["lists", "authorities"])
def test_a_file_that_turned_into_a_pipe_leaves_the_old_contents_in_force(
    world: World, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(world.root.make_crl([], number=1) if kind == "lists" else world.root.certificate_pem)
    watched: CrlFiles | TrustFiles = CrlFiles(file) if kind == "lists" else TrustFiles(file)
    before = watched.current()
    file.unlink()
    os.mkfifo(file)
    assert watched.current() is before
    assert isinstance(watched.error, ConfigError)
