"""The command `serve` while strangers do their worst: it serves the others, and only what is in its folder."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import World

import handclasp
from handclasp.cli import folder as folders
from handclasp.cli import places, serve
from handclasp.cli.folder import Folder
from handclasp.cli.pages import files_of
from handclasp.cli.places import Limits


class Serving:
    """A server of the command's own in a thread."""

    def __init__(self, world: World, handler: Any, **limits: float) -> None:
        self.world = world
        self.server = serve.TlsServer(
            ("127.0.0.1", 0),
            handler,
            world.server_config(alpn=("http/1.1",)),
            limits=Limits(**limits),  # type: ignore[arg-type]
        )
        self.address = ("127.0.0.1", self.server.socket.getsockname()[1])

    def connect(self) -> handclasp.TlsSocket:
        tls = handclasp.connect(self.address, self.world.client_config(), server_name="localhost", timeout=20)
        tls.settimeout(20)
        return tls

    def get(self, target: str | bytes, *, method: bytes = b"GET", more: bytes = b"") -> tuple[int, bytes, bytes]:
        """Status, head and body of one answer."""
        wanted = target.encode() if isinstance(target, str) else target
        with self.connect() as tls:
            tls.sendall(
                method + b" " + wanted + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + more + b"\r\n"
            )
            answer = b""
            while data := tls.recv():
                answer += data
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), head, body


@contextmanager
def serving(world: World, handler: Any, **limits: float) -> Iterator[Serving]:
    made = Serving(world, handler, **limits)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        for one in (thread, *(one for one in threading.enumerate() if one.name == serve.THREAD)):
            one.join(20)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET / "], ids=["nothing", "half a hello", "junk"])
def test_slow_clients_of_one_address_keep_nobody_waiting(world: World, said: bytes) -> None:
    with serving(world, serve.Echo, max_connections=8, max_handshakes=4) as server, ExitStack() as held:
        for _ in range(30):
            slow = held.enter_context(socket.create_connection(server.address))
            slow.sendall(said)
        with server.connect() as tls:
            tls.sendall(b"hello")
            assert tls.recv() == b"hello"


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: ", b"GET"], ids=["nothing", "half a head", "a word"])
def test_a_request_has_a_deadline(world: World, said: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    limits = {"request_timeout": 0.2, "idle_timeout": 60.0} if said else {"idle_timeout": 0.2}
    with serving(world, serve.Status, **limits) as server, server.connect() as tls:
        if said:
            tls.sendall(said)
            with pytest.raises((handclasp.Truncated, ConnectionError)):
                tls.recv()
        else:
            assert tls.recv() == b""
        assert server.get("/")[0] == 200
    assert ("its request took longer than 0.2 seconds" in " ".join(capfd.readouterr().err.split())) == bool(said)


def test_a_request_that_drips_has_the_same_deadline(world: World) -> None:
    """Each byte comes well within the time for saying something; all together do not."""
    with serving(world, serve.Status, request_timeout=0.3, idle_timeout=60) as server, server.connect() as tls:
        tls.sendall(b"GET / HTTP/1.1\r\n")
        tls.settimeout(0.01)
        sent = 0
        with pytest.raises((handclasp.HandclaspError, OSError)):  # noqa: PT012  # whichever call finds out
            while sent < 1 << 16:
                tls.sendall(b"X")
                sent += 1
                try:
                    if not tls.recv():
                        raise OSError("it ended the connection")
                except TimeoutError:
                    continue
        assert sent < 1 << 16


def test_clients_that_take_no_answer_keep_nobody_waiting(
    world: World, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They asked for more than fits on the way to them, and read none of it."""
    monkeypatch.setattr(places, "GRACE", 0.05)
    with (site / "large").open("wb") as large:
        large.truncate(1 << 26)
    with opened(site) as folder, serving(world, files_of(folder), max_connections=3) as server, ExitStack() as held:
        for _ in range(3):
            tls = server.connect()
            held.callback(tls.abort)
            tls.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert tls.recv(4) == b"HTTP"
        answers: list[bytes] = []
        while not answers:  # it is refused until one of them has taken nothing for so long
            with contextlib.suppress(OSError):
                answers.append(server.get("/page.txt")[2])
        assert answers == [b"a page"]


def test_many_requests_come_over_one_connection(world: World) -> None:
    with serving(world, serve.Status) as server, server.connect() as tls:
        for _ in range(3):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += tls.recv()
            assert answer.startswith(b"HTTP/1.1 200")


def test_a_body_is_no_further_request(world: World) -> None:
    with serving(world, serve.Status) as server:
        _, _, body = server.get("/", more=b"Content-Length: 40\r\n\r\nGET /hidden HTTP/1.1\r\nHost: localhost\r\n")
    assert b"HTTP/1.1" not in body


def test_a_process_that_may_open_no_more_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptors are all used up; one that says nothing makes room."""
    with serving(world, serve.Echo) as server, socket.create_connection(server.address) as silent:
        accept, failures = server.server.socket.accept, [OSError(errno.EMFILE, "Too many open files")]

        class Full:
            def accept(self) -> Any:
                if failures and len(server.server.places) > 0:
                    raise failures.pop()
                return accept()

            def __getattr__(self, name: str) -> Any:
                return getattr(plain, name)

        plain = server.server.socket
        monkeypatch.setattr(server.server, "socket", Full())
        with server.connect() as tls:
            tls.sendall(b"hello")
            assert tls.recv() == b"hello"
        silent.settimeout(20)
        assert silent.recv(100) == b""
        assert failures == []


# What is in the folder.


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with files, links, and what is neither; and something beside it."""
    site = tmp_path / "site"
    (site / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "file").write_text("secret")
    (tmp_path / "site2").mkdir()
    (tmp_path / "site2" / "file").write_text("secret")
    (site / "page.txt").write_text("a page")
    (site / "deep" / "page.txt").write_text("a deep page")
    (site / "ä b%2f.txt").write_text("odd")
    (site / "inside").symlink_to("deep/page.txt")
    (site / "absolute").symlink_to(site / "deep" / "page.txt")
    (site / "folder").symlink_to("deep")
    (site / "deep" / "up").symlink_to("../page.txt")
    (site / "deep" / "around").symlink_to("../folder/../deep/./page.txt")
    (site / "outside").symlink_to("../secret")
    (site / "far").symlink_to("/etc/hostname")
    (site / "beside").symlink_to("../beside")
    (site / "alike").symlink_to(tmp_path / "site2" / "file")
    (site / "twice").symlink_to("deep/../outside")
    (site / "circle").symlink_to("circle")
    (site / "out and in").symlink_to("../site/page.txt")
    os.mkfifo(site / "pipe")
    (site / "to the pipe").symlink_to("pipe")
    (site / "zero").symlink_to("/dev/zero")
    (site / "piped").mkdir()
    os.mkfifo(site / "piped" / "index.html")
    (site / "indexed").mkdir()
    (site / "indexed" / "index.html").write_text("an index")
    with socket.socket(socket.AF_UNIX) as sock:
        here = Path.cwd()
        os.chdir(site)  # the names of sockets are short
        try:
            sock.bind("socket")
        finally:
            os.chdir(here)
    return site


@contextmanager
def opened(path: Path, **more: bool) -> Iterator[Folder]:
    folder = Folder(path, **more)
    try:
        yield folder
    finally:
        folder.close()


def read(folder: Folder, name: str) -> str:
    with os.fdopen(folder.open(name.split("/"))) as file:
        return file.read()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.txt", "a page"),
        ("deep/page.txt", "a deep page"),
        ("inside", "a deep page"),
        ("absolute", "a deep page"),
        ("folder/page.txt", "a deep page"),
        ("deep/up", "a page"),
        ("deep/around", "a deep page"),
    ],
)
def test_files_and_links_that_stay_inside_are_served(site: Path, name: str, text: str) -> None:
    with opened(site) as folder:
        assert read(folder, name) == text


LEADING_OUT = ["outside", "far", "beside/file", "alike", "twice", "out and in", "../secret", "deep/../../secret"]
NO_FILES = ["pipe", "to the pipe", "zero", "socket", "circle", "no such", "page.txt/x", "a\0b", "x" * 300]


@pytest.mark.parametrize("name", [*LEADING_OUT, *NO_FILES])
def test_nothing_else_is_opened(site: Path, name: str) -> None:
    with opened(site) as folder, pytest.raises(OSError, match=r"."):
        folder.open(name.split("/"))


def test_a_name_is_one_name(site: Path) -> None:
    with opened(site) as folder, pytest.raises(FileNotFoundError):
        folder.open(["beside/file"])


@pytest.mark.parametrize("name", ["outside", "beside/file", "alike"])
def test_links_lead_out_where_that_was_asked_for(site: Path, name: str) -> None:
    with opened(site, follow_links=True) as folder:
        assert read(folder, name) == "secret"
        for none in ("pipe", "to the pipe", "zero", "socket"):
            with pytest.raises(OSError, match=r"."):
                folder.open([none])


def test_who_exchanges_things_meanwhile_leads_nowhere(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was a folder or a file when it was looked at is a link, or a pipe, when it is opened."""
    look = folders._check_kind

    def exchange(name: str, make: Callable[[Path], None]) -> Callable[[os.stat_result], None]:
        def looked_at(status: os.stat_result) -> None:
            look(status)
            monkeypatch.setattr(folders, "_check_kind", look)
            (site / name).rename(site / f"old {name}")
            make(site / name)

        return looked_at

    for names, make in (
        (["deep", "file"], lambda path: path.symlink_to("../beside")),
        (["page.txt"], lambda path: path.symlink_to("../secret")),
        (["indexed"], os.mkfifo),
    ):
        monkeypatch.setattr(folders, "_check_kind", exchange(names[0], make))
        with opened(site) as folder, pytest.raises(OSError, match=r"."):
            folder.open(names)


def test_no_descriptor_is_left_open(site: Path) -> None:
    with opened(site) as folder:
        before = len(os.listdir("/proc/self/fd"))
        for name in [*LEADING_OUT, *NO_FILES]:
            with pytest.raises(OSError, match=r"."):
                folder.open(name.split("/"))
        read(folder, "deep/around")
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/page.txt", 200, b"a page"),
        ("/page.txt?a=b", 200, b"a page"),
        ("//page.txt", 200, b"a page"),
        ("/deep/../page.txt", 200, b"a page"),
        ("/%70age.txt", 200, b"a page"),
        ("/%C3%A4%20b%252f.txt", 200, b"odd"),
        ("/inside", 200, b"a deep page"),
        ("/indexed/", 200, b"an index"),
        ("/indexed", 301, b""),
        ("/page.txt/", 404, None),
        ("/../secret", 404, None),
        ("/..%2fsecret", 404, None),
        ("/%2e%2e/secret", 404, None),
        ("/%2e%2e%2fsecret", 404, None),
        ("/..%252fsecret", 404, None),
        ("/..\\secret", 404, None),
        ("/..%5csecret", 404, None),
        ("/..%c0%afsecret", 404, None),
        ("/page.txt%00", 404, None),
        ("/%00", 404, None),
        ("/%ff", 404, None),
        ("/outside", 404, None),
        ("/beside/", 404, None),
        ("/pipe", 404, None),
        ("/zero", 404, None),
        ("/" + "a/" * 5000, 404, None),
    ],
)
def test_paths_lead_to_files_of_the_folder_alone(
    world: World, site: Path, target: str, status: int, body: bytes | None
) -> None:
    with opened(site) as folder, serving(world, files_of(folder)) as server:
        found, head, page = server.get(target)
    assert found == status, page
    if body is not None:
        assert page == body
    assert b"secret" not in page or b"secret" not in target.encode()
    if status == 301:
        assert b"Location: ./indexed/\r\n" in head


def test_a_list_shows_what_is_there_and_can_be_opened(world: World, site: Path) -> None:
    (site / "<b>\n\x1b.txt").write_text("odd")
    with opened(site) as folder, serving(world, files_of(folder)) as server:
        _, _, page = server.get("/")
        text = page.decode()
        assert "page.txt" in text
        assert "indexed/" in text
        assert 'href="./pipe"' not in text
        assert 'href="./socket"' not in text
        assert "<b>" not in text
        assert "\x1b" not in text
        assert b"an index" not in page
        assert server.get("/piped/")[0] == 200, "an index that is none is passed over"
        assert server.get("/", method=b"HEAD")[2] == b""


def test_a_client_that_has_it_is_told_so(world: World, site: Path) -> None:
    with opened(site) as folder, serving(world, files_of(folder)) as server:
        _, head, _ = server.get("/page.txt")
        date = next(line for line in head.split(b"\r\n") if line.startswith(b"Last-Modified: ")).partition(b": ")[2]
        assert server.get("/page.txt", more=b"If-Modified-Since: " + date + b"\r\n")[0] == 304
        for other in (b"Mon, 01 Jan 2001 00:00:00 GMT", b"junk", b"Mon, 99 Jan 99999 00:00:00 GMT"):
            assert server.get("/page.txt", more=b"If-Modified-Since: " + other + b"\r\n")[0] == 200


@pytest.mark.parametrize("change", ["longer", "shorter"])
def test_a_file_that_changes_while_it_is_sent(
    world: World, site: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """One that grows is sent as it was announced; one that shrinks ends the connection without a close_notify."""
    with opened(site) as folder:
        handler = files_of(folder)
        head = handler._file_head

        def changing(self: Any, file: Any, name: str) -> Any:
            answer = head(self, file, name)
            (site / "page.txt").write_text("a longer page" if change == "longer" else "a")
            return answer

        monkeypatch.setattr(handler, "_file_head", changing)
        with serving(world, handler) as server:
            if change == "longer":
                assert server.get("/page.txt")[2] == b"a long"
            else:
                with pytest.raises(handclasp.Truncated):
                    server.get("/page.txt")
