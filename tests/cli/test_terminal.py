"""Nothing that a peer chose reaches a terminal or a log as it came: it could move the cursor, or forge a line."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from rich.console import Console
from tests.conftest import World

import handclasp
from handclasp.ca import CaDirectory
from handclasp.ca.house import ISSUING
from handclasp.cli import serve, show
from handclasp.cli.app import app
from handclasp.cli.told import run
from handclasp.explain import Explanation, Step
from handclasp.x509 import Certificate
from handclasp.x509.identity import Identity

EVIL = "\x1b]0;title\x07\x1b[31mred\r\nFORGED line\x9b1m\u202egpj\u2028x\x7f"
"""A title, a colour, a line of its own, a C1 control, a turned direction, another line's end."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
Command = Callable[..., tuple[int, str]]


def check_clean(printed: str) -> None:
    """All that is printed are characters and ends of lines, and no line is a peer's."""
    assert printed
    assert [one for one in printed if not one.isprintable() and one != "\n"] == []
    assert not any(line.lstrip().startswith("FORGED") for line in printed.splitlines())
    assert "FORGED" in printed, "what was hidden could not be found"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process; its exit code and all that it printed."""

    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["handclasp", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        code = run(app)
        printed = capfd.readouterr()
        return code, printed.out + printed.err

    return call


@pytest.fixture(scope="session")
def evil(world: World) -> Identity:
    """A certificate whose every name is hostile."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    attributes = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.EMAIL_ADDRESS)
    alternative = [x509.UniformResourceIdentifier("x:\x1b[31m\nFORGED"), x509.RFC822Name("\x1b[31m\nFORGED@example")]
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(one, EVIL) for one in attributes]))
        .issuer_name(world.root.certificate.subject_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("\x1b[31m\nFORGED.example"), *alternative]), False)
    )
    root: Any = world.root
    certificate = built.sign(root._private_key, hashes.SHA256())
    return Identity((Certificate(certificate.public_bytes(Encoding.DER)),), key)


@contextmanager
def serving(world: World, handler: Any, **changes: object) -> Iterator[int]:
    """A server of the command's own, for one connection, at a port."""
    server = serve.TlsServer(("127.0.0.1", 0), handler, world.server_config(**changes), trace=True)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with server:
        yield server.server_address[1]
        thread.join(20)


@pytest.mark.parametrize("said", ["GET /{} HTTP/1.1\r\n\r\n", "{}", "EHLO {}\r\n"])
def test_what_is_no_tls_is_escaped_in_the_server_s_log(
    world: World, capfd: pytest.CaptureFixture[str], said: str
) -> None:
    with serving(world, serve.Status) as port, socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(said.format(EVIL).encode())
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    printed = capfd.readouterr().err
    assert [one for one in printed if not one.isprintable() and one != "\n"] == []
    assert not any(line.lstrip().startswith("FORGED") for line in printed.splitlines())
    assert "failed" in printed


@pytest.mark.parametrize("field", ["server name", "protocol"])
def test_a_client_s_hello_is_escaped_in_the_server_s_log(
    world: World, capfd: pytest.CaptureFixture[str], field: str
) -> None:
    config = world.client_config(alpn=("x" * len(EVIL.encode()),))
    name = f"{'n' * 50}.example"
    hello = handclasp.ClientConnection(config, server_name=name)
    hello.start()
    was = name.encode() if field == "server name" else b"x" * len(EVIL.encode())
    data = hello.data_to_send().replace(was, EVIL.encode()[: len(was)].ljust(len(was), b"."))
    assert b"FORGED" in data
    with (
        serving(world, serve.Status, alpn=("http/1.1",)) as port,
        socket.create_connection(("127.0.0.1", port)) as sock,
    ):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    check_clean(capfd.readouterr().err)


def test_a_client_s_certificate_is_escaped_in_the_server_s_log_and_page(
    world: World, evil: Identity, capfd: pytest.CaptureFixture[str]
) -> None:
    page = b""
    with serving(world, serve.Status, client_auth=handclasp.ClientAuth.REQUIRED, trust=world.root.trust) as port:
        config = world.client_config(identities=(evil,))
        with handclasp.connect(("127.0.0.1", port), config, server_name="localhost", timeout=20) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while data := tls.recv():
                page += data
    body = page.partition(b"\r\n\r\n")[2]
    assert "FORGED" in json.loads(body)["client"]
    check_clean(body.decode())
    check_clean(capfd.readouterr().err)


@pytest.mark.parametrize("more", [[], ["--trace"], ["--json"]])
def test_a_server_s_certificate_is_escaped_in_the_client_s_words(
    world: World, evil: Identity, command: Command, tmp_path: Path, more: list[str]
) -> None:
    (tmp_path / "root.pem").write_bytes(world.root.certificate_pem)
    with serving(world, serve.Echo, identities=(evil,)) as port:
        code, printed = command("connect", f"localhost:{port}", "--trust", tmp_path / "root.pem", *more)
    assert code == 1
    check_clean(printed)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_server_that_speaks_something_else_is_escaped(
    command: Command, tmp_path: Path, world: World, more: list[str]
) -> None:
    (tmp_path / "root.pem").write_bytes(world.root.certificate_pem)
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def greet() -> None:
            sock, _ = plain.accept()
            with sock:
                sock.sendall(b"220 " + EVIL.encode() + b"\r\n")
                sock.recv(1 << 16)

        thread = threading.Thread(target=greet)
        thread.start()
        port = plain.getsockname()[1]
        code, printed = command("connect", f"localhost:{port}", "--trust", tmp_path / "root.pem", *more)
        thread.join(20)
    assert code == 1
    assert [one for one in printed if not one.isprintable() and one != "\n"] == []
    assert not any(line.startswith("FORGED") for line in printed.splitlines())


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_certificate_s_names_are_escaped_where_it_is_judged(
    world: World, evil: Identity, command: Command, tmp_path: Path, more: list[str]
) -> None:
    (tmp_path / "root.pem").write_bytes(world.root.certificate_pem)
    (tmp_path / "evil.der").write_bytes(evil.leaf.der)
    for host in ([], ["--host", "localhost"]):
        _, printed = command("verify", tmp_path / "evil.der", "--trust", tmp_path / "root.pem", *host, *more)
        check_clean(printed)
        if more:
            json.loads(printed)


@pytest.mark.parametrize(
    "arguments",
    ["list", "list --json", "show 77", "show 77 --json", "revoke 77", "crl --authority root", "export 77 x"],
)
def test_what_is_in_a_book_is_escaped(
    evil: Identity, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    """Somebody else's certificate, and a name that another program wrote."""
    monkeypatch.chdir(tmp_path)
    with CaDirectory.init("ca", "Example") as house:
        house.book.reserve(0x77, ISSUING, EVIL)
        with house.book.alone() as book:
            book.execute("UPDATE certificate SET der = ? WHERE serial = '77'", (evil.leaf.der,))
    code, printed = command("ca", *arguments.split())
    assert code == (2 if "export" in arguments else 0), printed
    if "crl" not in arguments:
        check_clean(printed)


@pytest.mark.parametrize("name", [f"{EVIL}.crl", f"\udcff{EVIL}"])
def test_the_name_of_a_file_is_escaped(command: Command, tmp_path: Path, world: World, name: str) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / name.replace("/", "_")).write_text("junk")
    world.server.save(tmp_path, "server")
    code, printed = command("verify", tmp_path / "server.pem", "--crl", folder)
    assert code == 2
    check_clean(printed)


@pytest.mark.parametrize("width", [40, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_every_text_that_is_shown_is_escaped(width: int, terminal: bool) -> None:
    failure = Explanation(step=None, what=EVIL, mend=EVIL, section=EVIL, alert=EVIL, refused_by=EVIL)
    shown: list[Callable[[Console], None]] = [
        lambda out: show.steps(out, [Step(2, "client", "requests TLS", EVIL)], EVIL),
        lambda out: show.failure(out, failure),
        lambda out: show.pairs(out, [("name", EVIL)]),
    ]
    for one in shown:
        out = Console(
            file=io.StringIO(), width=width, force_terminal=terminal, color_system="standard", soft_wrap=not terminal
        )
        one(out)
        assert isinstance(out.file, io.StringIO)
        printed = COLOURS.sub("", out.file.getvalue())
        assert [char for char in printed if not char.isprintable() and char != "\n"] == []
        assert "\\1b" in "".join(printed.split())
