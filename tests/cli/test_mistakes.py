"""What users get wrong, and what goes wrong around them: told in a line, with an exit code, and never a stack trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import World

import handclasp
from handclasp.ca import CaDirectory
from handclasp.cli.app import app
from handclasp.cli.told import run

HANDCLASP = [sys.executable, "-c", "from handclasp.cli import main; main()"]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process; its exit code and all that it printed."""

    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["handclasp", *map(str, arguments)])
        code = run(app)
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err
        return code, " ".join((printed.out + printed.err).split())

    return call


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """A directory with a server's files, and some that are none."""
    world.server.save(tmp_path, "server")
    world.client.save(tmp_path, "locked", password=b"secret")
    (tmp_path / "locked.p12").write_bytes(world.client.pkcs12(b"secret"))
    (tmp_path / "locked.p12").chmod(0o600)
    (tmp_path / "root.pem").write_bytes(world.root.certificate_pem)
    (tmp_path / "junk").write_text("junk\n")
    (tmp_path / "junk").chmod(0o600)
    (tmp_path / "other.ocsp").write_bytes(world.issuing.ocsp_response(world.client.certificate))
    (tmp_path / "link").symlink_to("junk")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("connect ::1:443", "HOST:PORT"),
        ("connect localhost:http", "HOST:PORT"),
        ("connect localhost:²", "HOST:PORT"),
        ("connect [::1:443", "HOST:PORT"),
        ("connect localhost:1 --server-name a..b", "no host name"),
        (f"connect {'a' * 70}.example:443", "no host name"),
        ("connect localhost:1 --timeout 0", "--timeout"),
        ("connect localhost:1 --timeout nan", "--timeout"),
        ("connect localhost:1 --timeout -1", "--timeout"),
        ("connect localhost:1 --timeout 1e300", "--timeout"),
        ("connect localhost:1 --key-log /no/such/place", "/no/such/place: No such file"),
        ("connect localhost:1 --trust junk", "junk"),
        ("connect localhost:1 --cert /tmp", "/tmp could not be read: Is a directory"),
        ("connect localhost:1 --cert locked.p12", "--password-file"),
        ("connect localhost:1 --cert locked.pem --key locked.key", "--password-file"),
        ("connect localhost:1 --cert locked.p12 --password-file junk", "locked.p12"),
        ("connect localhost:1 --cert locked.p12 --password-file /tmp", "/tmp: Is a directory"),
        ("connect localhost:1 --cert server.pem --key server.pem", "no private key"),
        ("serve --port 99999", "--port"),
        ("serve --port -1", "--port"),
        ("serve --key server.key", "--cert"),
        ("serve --cert server.pem --key server.key --save-root x", "--save-root"),
        ("serve --save-root /no/such/place", "/no/such/place: No such file"),
        ("serve --port 0 --host no.such.host.invalid", "handclasp:"),
        ("serve --port 0 --client-ca junk", "junk"),
        ("serve --port 0 --cert server.pem --key server.key --staple junk", "--staple junk"),
        ("serve --port 0 --cert server.pem --key server.key --staple other.ocsp", "nothing of the certificate"),
        ("serve --port 1 --host 192.0.2.1", "192.0.2.1:1: Cannot assign"),
        ("serve --port 0 --follow-links", "--directory"),
        ("serve --port 0 --idle-timeout 0", "--idle-timeout"),
        ("serve --port 0 --answer-timeout nan", "--answer-timeout"),
        ("serve --port 0 --max-handshakes 0", "--max-handshakes"),
        ("serve --port 0 --save-root link", "link: It is a link"),
        ("connect localhost:1 --key-log link", "link: It is a link"),
        ("ca export localhost link --form pem --ca ca", "link: It is a link"),
        ("ca export localhost link --form cert-pem --ca ca", "link: It is a link"),
        ("ca ocsp localhost link --ca ca", "link: It is a link"),
        ("verify server.pem --at 0001-01-01T00:00:00+14:00", "no time"),
        ("verify server.pem --at 9999-12-31T23:59:59-14:00", "no time"),
        ("verify /tmp", "/tmp: Is a directory"),
        ("verify server.key", "server.key: No certificate"),
        ("ca issue x --days 0 --ca ca", "--days"),
        ("ca issue x --days 100000 --ca ca", "--days"),
        ("ca issue x --uri spiffe://x --ca ca", "--kind client"),
        ("ca issue x --kind client --must-staple --ca ca", "--kind server"),
        ("ca crl --days -1 --ca ca", "--days"),
        ("ca crl --delta 99 --ca ca", "no list of number 99"),
        ("ca init Again --ca ca", "not empty"),
        ("ca init Again --ca junk", "not empty"),
        ("ca export localhost out --ca ca", "password"),
        ("ca export localhost out --target-password-file /no/such --ca ca", "/no/such: No such file"),
        ("ca export localhost /no/such/out --form pem --ca ca", "/no/such/out: No such file"),
        ("ca export localhost /tmp --form pem --ca ca", "/tmp: Is a directory"),
        ("ca export localhost out --form cert-der --target-password-file junk --ca ca", "no password"),
        ("ca show nobody --ca ca", "nobody"),
    ],
)
def test_mistakes_are_told_in_a_line(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, text: str
) -> None:
    monkeypatch.chdir(folder)
    if "--ca ca" in arguments:
        with CaDirectory.init("ca", "Example") as house:
            house.issue("server", ("localhost",))
    code, printed = command(*arguments.split())
    assert code == 2, printed
    assert text in printed


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1251"])
def test_a_terminal_without_a_name_s_letters_shows_their_numbers(tmp_path: Path, encoding: str) -> None:
    with CaDirectory.init(tmp_path / "ca", "Example") as house:
        house.issue("client", ("ëж",))
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*HANDCLASP, "ca", "list", "--ca", tmp_path / "ca"], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "ëж".encode(encoding, "backslashreplace") in done.stdout


def test_the_version_is_told(command: Command) -> None:
    assert command("--version") == (0, "handclasp 0.1.0")


@pytest.mark.parametrize("name", ["demo", "connect", "serve", "verify", "ca", "ca issue", "ca renew", "ca export"])
def test_each_command_says_what_it_takes(command: Command, name: str) -> None:
    code, printed = command(*name.split(), "--help")
    assert code == 0
    assert "Usage: handclasp" in printed


def test_a_bug_of_ours_is_one_line_too(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr("handclasp.cli.connect.split_host", broken)
    code, printed = command("connect", "localhost:1")
    assert code == 70
    assert "RuntimeError: odd" in printed
    monkeypatch.setenv("HANDCLASP_DEBUG", "1")
    with pytest.raises(RuntimeError):
        command("connect", "localhost:1")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="/dev/full is missing")
@pytest.mark.parametrize("arguments", ["demo", "demo --json", "verify server.pem --trust root.pem", "ca list --ca ca"])
def test_a_full_disk_is_told(folder: Path, arguments: str) -> None:
    CaDirectory.init(folder / "ca", "Example").close()
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*HANDCLASP, *arguments.split()], stdout=full, stderr=subprocess.PIPE, cwd=folder)
    assert done.returncode == 2
    assert done.stderr == b"handclasp: No space left on device\n"


def test_a_reader_that_has_enough_is_no_failure_to_tell(folder: Path) -> None:
    done = subprocess.run(
        f"'{sys.executable}' -c 'from handclasp.cli import main; main()' demo | head -n 1",
        shell=True,
        capture_output=True,
    )
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_closed_standard_output_is_no_bug(folder: Path) -> None:
    done = subprocess.run(
        f"exec '{sys.executable}' -c 'from handclasp.cli import main; main()' verify server.pem --trust root.pem >&-",
        shell=True,
        capture_output=True,
        cwd=folder,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("moment", ["before the handshake", "after it"])
def test_control_c_ends_connect_at_once(world: World, folder: Path, moment: str) -> None:
    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:
        process = subprocess.Popen(
            [*HANDCLASP, "connect", f"127.0.0.1:{listener.port}", "--trust", str(folder / "root.pem")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        tls, _ = listener.accept_raw()
        if moment == "after it":
            tls.do_handshake(timeout=20)
            tls.sendall(b"ready")
            assert process.stdout is not None
            assert process.stdout.read(5) == b"ready"
        else:
            assert tls._sock.recv(5, socket.MSG_PEEK)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        tls.abort()
    assert process.returncode == 130
    assert b"Traceback" not in errors


@pytest.mark.parametrize("as_json", [False, True])
def test_a_refusal_after_the_handshake_is_explained(world: World, folder: Path, as_json: bool) -> None:
    """TLS 1.3: the server judges the client's certificate when the client is already done."""
    config = world.server_config(trust=world.root.trust, client_auth=handclasp.ClientAuth.REQUIRED)
    with handclasp.listen(("127.0.0.1", 0), config) as listener:

        def serve() -> None:
            with pytest.raises(handclasp.PeerError):
                listener.accept(timeout=20)

        thread = threading.Thread(target=serve)
        thread.start()
        done = subprocess.run(
            [
                *HANDCLASP,
                "connect",
                f"127.0.0.1:{listener.port}",
                "--trust",
                str(folder / "root.pem"),
                *(["--json"] if as_json else []),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        thread.join(20)
    assert done.returncode == 1
    if as_json:
        assert json.loads(done.stdout)["failure"]["alert"] == "certificate_required"
        return
    assert "the server (the peer), alert certificate_required" in done.stderr
    assert "client certificate" in done.stderr


def test_a_peer_that_goes_before_the_end_of_an_empty_input_took_all_of_it(world: World) -> None:
    from handclasp.cli.connect import _send_input

    with handclasp.listen(("127.0.0.1", 0), world.server_config()) as listener:

        def reset() -> None:
            tls, _ = listener.accept(timeout=20)
            tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            tls.abort()

        thread = threading.Thread(target=reset)
        thread.start()
        address = ("127.0.0.1", listener.port)
        with handclasp.connect(address, world.client_config(), server_name="localhost") as tls:
            thread.join(20)
            unsent: list[Exception] = []
            _send_input(tls, unsent, True)
            assert unsent == []


@pytest.mark.filterwarnings("default")
def test_a_key_that_others_may_read_is_warned_of_in_a_line(command: Command, folder: Path) -> None:
    (folder / "server.key").chmod(0o644)
    arguments = ["--trust", folder / "root.pem", "--cert", folder / "server.pem", "--key", folder / "server.key"]
    code, printed = command("connect", "localhost:1", *arguments)
    assert code == 3
    assert "chmod 600" in printed
    assert ".py" not in printed


def test_what_serve_holds_has_limits(world: World, folder: Path) -> None:
    """A client that says nothing in its handshake is let go, and many at once are all served."""
    from handclasp.cli import serve

    server = serve.TlsServer(("127.0.0.1", 0), serve.Echo, world.server_config())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        import handclasp

        def talk(failed: list[BaseException]) -> None:
            try:
                with handclasp.connect(
                    server.server_address[:2], world.client_config(), server_name="localhost"
                ) as tls:
                    tls.sendall(b"hello")
                    assert tls.recv() == b"hello"
            except BaseException as error:
                failed.append(error)

        failed: list[BaseException] = []
        clients = [threading.Thread(target=talk, args=(failed,)) for _ in range(50)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(30)
        assert failed == []
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_silent_clients_are_let_go(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    from handclasp.cli import serve
    from handclasp.cli.places import Limits

    limits = Limits(handshake_timeout=0.1)
    server = serve.TlsServer(("127.0.0.1", 0), serve.Echo, world.server_config(), limits=limits)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with server, socket.create_connection(server.socket.getsockname()) as silent:
        silent.settimeout(20)
        assert silent.recv(1) == b""
        thread.join(10)
    assert "did not answer in time" in " ".join(capfd.readouterr().err.split())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_told(command: Command, folder: Path) -> None:
    CaDirectory.init(folder / "ca", "Example").close()
    (folder / "ca" / "issued").chmod(0o500)
    code, printed = command("ca", "issue", "localhost", "--ca", folder / "ca")
    assert code == 2
    assert "Permission denied" in printed
