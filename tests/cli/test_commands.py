"""The commands, run as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import World

import handclasp

HANDCLASP = [sys.executable, "-c", "from handclasp.cli import main; main()"]


def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*HANDCLASP, *map(str, arguments)], input=stdin, capture_output=True, timeout=60, check=False)


@pytest.fixture
def root_file(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    path.write_bytes(world.root.certificate_pem)
    return path


@pytest.fixture
def port(world: World) -> Iterator[int]:
    """An echo server of ours."""
    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    tls, _ = listener.accept(timeout=10)
                except (OSError, handclasp.HandclaspError):
                    continue
                with tls:
                    try:
                        while data := tls.recv():
                            tls.sendall(data)
                    except (OSError, handclasp.HandclaspError):
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.port
        ended.set()
        with socket.create_connection(("127.0.0.1", listener.port)):
            pass
        thread.join(20)


def test_demo_shows_every_step_and_explains_its_failure() -> None:
    done = run("demo")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "client validates the server's certificate" in text
    assert "bad_certificate" in text
    assert "other.example" in text
    assert "\x1b[" not in text, "no colour in a pipe"


def test_demo_in_json_has_all_22_steps() -> None:
    results = json.loads(run("demo", "--json").stdout)
    mutual = next(one for one in results if one["title"].startswith("Mutual"))
    assert {step["step"] for step in mutual["steps"]} == set(range(1, 23))
    assert results[-1]["failure"]["step"] == 13


def test_connect_carries_standard_input_and_output(port: int, root_file: Path) -> None:
    data = os.urandom(200_000)
    arguments: list[str | Path] = [
        "connect",
        f"127.0.0.1:{port}",
        "--trust",
        root_file,
        "--server-name",
        "localhost",
        "--half-close",
    ]
    done = run(*arguments, stdin=data)
    assert done.returncode == 0, done.stderr
    assert done.stdout == data
    assert done.stderr == b""


@pytest.mark.parametrize("half_close", [False, True])
def test_connect_goes_on_until_the_server_ends_unless_told_otherwise(
    world: World, root_file: Path, half_close: bool
) -> None:
    """A server may take an end of our side for a client that has gone, and then answers nobody, as Node and Go do."""
    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:

        def serve() -> None:
            with listener.accept(timeout=20)[0] as tls:
                tls.recv()
                tls.settimeout(0.5)
                try:
                    gone = not tls.recv()
                except TimeoutError:
                    gone = False
                tls.settimeout(20)
                tls.sendall(b"gone" if gone else b"an answer")

        thread = threading.Thread(target=serve)
        thread.start()
        more = ["--half-close"] if half_close else []
        done = run(
            "connect", f"localhost:{listener.port}", "--trust", root_file, *more, stdin=b"GET / HTTP/1.1\r\n\r\n"
        )
        thread.join(20)
    assert done.stdout == (b"gone" if half_close else b"an answer")
    assert done.returncode == 0, done.stderr


def test_connect_with_an_empty_input_waits_for_nobody(port: int, root_file: Path) -> None:
    done = run("connect", f"127.0.0.1:{port}", "--trust", root_file)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


def test_connect_prints_the_steps_on_request(port: int, root_file: Path) -> None:
    done = run("connect", f"127.0.0.1:{port}", "--trust", root_file, "--trace", "--half-close", stdin=b"x")
    assert done.stdout == b"x"
    assert b"22 client has a session" in done.stderr
    assert b"TLS_AES_128_GCM_SHA256" in done.stderr


def test_connect_honours_the_variable_for_key_logs(
    port: int, root_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert run("connect", f"127.0.0.1:{port}", "--trust", root_file, "--json").returncode == 0
    assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_text()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


def test_connect_in_json(port: int, root_file: Path) -> None:
    document = json.loads(run("connect", f"127.0.0.1:{port}", "--trust", root_file, "--json").stdout)
    assert document["session"]["version"] == "TLS 1.3"
    assert document["peer"]["accepted"] is True
    assert document["failure"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nonsense"], 2, "HOST:PORT"),
        (["127.0.0.1:99999"], 2, "HOST:PORT"),
        (["127.0.0.1:1", "--trust", "/no/such/file"], 2, "/no/such/file"),
        (["127.0.0.1:1", "--tls", "1.1"], 2, "1.2 and 1.3"),
        (["127.0.0.1:1", "--key", "x"], 2, "--cert"),
        (["127.0.0.1:1"], 3, "Nobody listens"),
    ],
)
def test_connect_says_what_is_wrong_with_its_words(arguments: list[str], code: int, text: str) -> None:
    done = run("connect", *arguments)
    assert done.returncode == code
    assert text in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_connect_explains_a_refusal(port: int, root_file: Path) -> None:
    done = run("connect", f"127.0.0.1:{port}", "--trust", root_file, "--server-name", "other.example")
    assert done.returncode == 1
    assert "13: the client validates" in done.stderr.decode()
    in_json = run("connect", f"127.0.0.1:{port}", "--trust", root_file, "--server-name", "other.example", "--json")
    assert in_json.returncode == 1
    assert json.loads(in_json.stdout)["failure"]["step"] == 13


def test_connect_refuses_a_wrong_password(world: World, tmp_path: Path, root_file: Path) -> None:
    cert, key = world.client.save(tmp_path, "client", password=b"right")
    password = tmp_path / "password"
    password.write_text("wrong\n")
    arguments: list[str | Path] = ["--trust", root_file, "--cert", cert, "--key", key, "--password-file", password]
    done = run("connect", "127.0.0.1:1", *arguments)
    assert done.returncode == 2
    assert "password is another" in done.stderr.decode()


def test_connect_tells_a_plain_server_from_a_tls_one(root_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def greet() -> None:
            sock, _ = plain.accept()
            with sock:
                sock.sendall(b"220 hello\r\n")
                sock.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        done = run("connect", f"127.0.0.1:{plain.getsockname()[1]}", "--trust", root_file)
        thread.join(10)
    assert done.returncode == 1
    assert "STARTTLS" in done.stderr.decode()


@pytest.mark.parametrize("mode", ["echo", "status", "directory"])
def test_serve_serves_until_it_is_interrupted(mode: str, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    (tmp_path / "index.html").write_text("a page\n")
    what = ["--directory", str(tmp_path)] if mode == "directory" else ["--mode", mode]
    server = subprocess.Popen(
        [*HANDCLASP, "serve", "--port", "0", "--save-root", str(root), "--trace", *what],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        line = server.stderr.readline()
        port = int(line.rpartition(":")[2].partition(";")[0]) if ";" in line else 0
        request = b"hello" if mode == "echo" else b"GET / HTTP/1.0\r\n\r\n"
        end = ["--half-close"] if mode == "echo" else []
        done = run("connect", f"127.0.0.1:{port}", "--trust", root, *end, stdin=request)
        assert done.returncode == 0, done.stderr
        expected = {"echo": b"hello", "status": b"X25519MLKEM768", "directory": b"a page"}[mode]
        assert expected in done.stdout
        refused = run("connect", f"127.0.0.1:{port}")
        assert refused.returncode == 1
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=20)
        assert server.returncode == 0
        assert "Ended." in errors
        assert "failed" in errors
        assert "Traceback" not in errors
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--cert", "/no/such/file"], "/no/such/file"),
        (["--directory", "/no/such/place"], "/no/such/place"),
        (["--tls", "9"], "1.2 and 1.3"),
        (["--host", "192.0.2.1", "--port", "0"], "assign"),
    ],
)
def test_serve_says_what_is_wrong_with_its_words(arguments: list[str], text: str) -> None:
    done = run("serve", *arguments)
    assert done.returncode == 2
    assert text in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
