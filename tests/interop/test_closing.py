"""What we sent before we ended a connection, other people's programs have, whichever side ends first."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import World
from tests.interop.harness import BUILD, PROGRAMS, Command, Files, free_port, missing, run, says, serving
from tests.interop.servers import build_once, number

import handclasp
from handclasp import ProtocolVersion
from handclasp.facts import Fact, KeyInstalled

pytestmark = pytest.mark.interop
TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
VERSIONS = pytest.mark.parametrize("version", [TLS13, TLS12], ids=str)
UPLOAD, ANSWER = 1_500_000, 2_500_000


def go() -> Command:
    target = BUILD / "go-closing"
    need(missing("go", "golang-go") or build_once(target, ["go", "build", "-o", target, "."], PROGRAMS / "closing"))
    return [target]


def java() -> Command:
    folder = BUILD / "java-closing"
    command: Command = ["javac", "-d", folder, PROGRAMS / "Closing.java", PROGRAMS / "Peer.java"]
    need(missing("javac", "default-jdk-headless") or build_once(folder / "Closing.class", command, PROGRAMS))
    return ["java", "-cp", folder, "Closing"]


def node() -> Command:
    need(missing("node", "nodejs"))
    return ["node", PROGRAMS / "closing.js"]


def need(why: str | None) -> None:
    if why is not None:
        pytest.skip(why)


PEERS = pytest.mark.parametrize("peer", [go, java, node], ids=lambda peer: peer.__name__)


def sink(peer: Callable[[], Command], files: Files, port: int, version: ProtocolVersion) -> Command:
    """A server that reads to the end, not in a hurry, and says how much it got."""
    identity: Command = [files.server_p12] if peer is java else [files.server_cert, files.server_key]
    return [*peer(), "sink", str(port), number(version), *identity]


@VERSIONS
@PEERS
def test_who_only_writes_is_heard_to_the_end(
    world: World, files: Files, peer: Callable[[], Command], version: ProtocolVersion
) -> None:
    """Tickets, which the client never reads, are no reason to lose what it wrote."""
    port = free_port()
    with serving(sink(peer, files, port, version), port) as running:
        with handclasp.connect(running.connect(), world.client_config(), server_name="localhost") as tls:
            tls.sendall(bytes(UPLOAD))
        assert f"got {UPLOAD} end" in says(running, "got")


@VERSIONS
def test_openssl_s_server_has_all_that_was_written(world: World, files: Files, version: ProtocolVersion) -> None:
    """It writes what it gets, and was content with a part of it."""
    need(missing("openssl", "openssl"))
    port = free_port()
    command: Command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-key", files.server_key]
    command += ["-cert", files.server_cert, "-cert_chain", files.server_cert]
    with serving([*command, f"-tls{number(version).replace('.', '_')}"], port) as running:
        with handclasp.connect(running.connect(), world.client_config(), server_name="localhost") as tls:
            tls.sendall(b"\x01" * UPLOAD + b"the end")
        says(running, "the end")
        assert running.log.read_bytes().count(b"\x01") == UPLOAD


def answering(world: World, version: ProtocolVersion, ask: Callable[[int], str]) -> str:
    """What a client gets from a server of ours that answers much and closes at once."""
    with handclasp.listen(("127.0.0.1", 0), world.server_config(versions=(version,))) as listener:

        def serve() -> None:
            with contextlib.suppress(handclasp.HandclaspError), listener.accept(timeout=30)[0] as tls:
                tls.recv()
                tls.sendall(b"\x01" * ANSWER)

        thread = threading.Thread(target=serve)
        thread.start()
        output = ask(listener.port)
        thread.join(60)
        assert not thread.is_alive()
    return output


@VERSIONS
@PEERS
def test_a_client_that_has_said_its_end_has_the_whole_answer(
    world: World, files: Files, peer: Callable[[], Command], version: ProtocolVersion
) -> None:
    command = [*peer(), "ask"]
    output = answering(world, version, lambda port: run([*command, str(port), number(version), files.root]))
    assert f"got {ANSWER} end" in output


@VERSIONS
@pytest.mark.parametrize("name", ["openssl", "gnutls"])
def test_a_command_line_client_has_the_whole_answer(
    world: World, files: Files, name: str, version: ProtocolVersion
) -> None:
    """gnutls-cli says its end once its input has ended; s_client waits for the server's."""
    if name == "openssl":
        need(missing("openssl", "openssl"))
        command: Command = ["openssl", "s_client", "-quiet", "-ign_eof", "-CAfile", files.root, "-connect"]
    else:
        need(missing("gnutls-cli", "gnutls-bin"))
        command = ["gnutls-cli", "--x509cafile", files.root, "--sni-hostname", "localhost", "--verify-hostname"]
        command += ["localhost", "--port"]

    def ask(port: int) -> str:
        where = [f"127.0.0.1:{port}"] if name == "openssl" else [str(port), "127.0.0.1"]
        return run([*command, *where], stdin=b"what is it?\n")

    assert answering(world, version, ask).count("\x01") == ANSWER


def test_java_may_ask_for_new_keys_again_and_again(world: World, files: Files, tmp_path: Path) -> None:
    """With a limit on how much it takes under one key it asks anew for each record that was on its way."""
    limits = tmp_path / "limits"
    limits.write_text("jdk.tls.keyLimits=AES/GCM/NoPadding KeyUpdate 2^20\n")
    port, size = free_port(), 30_000_000
    command = sink(java, files, port, TLS13)
    command.insert(1, f"-Djava.security.properties={limits}")
    facts: list[Fact] = []
    with serving(command, port) as running:
        tls = handclasp.connect(
            running.connect(), world.client_config(), server_name="localhost", observer=facts.append
        )
        ended: list[Exception | bytes] = []

        def wait() -> None:
            try:
                ended.append(tls.recv())
            except OSError as error:
                ended.append(error)

        reader = threading.Thread(target=wait)
        reader.start()
        for _ in range(size // 100_000):
            tls.sendall(bytes(100_000))
        assert not ended
        tls.shutdown()
        # Java asks once more after our end, and may find its own socket closed.
        assert f"got {size} " in says(running, "got")
        reader.join(60)
        tls.abort()
    asked = [f for f in facts if isinstance(f, KeyInstalled) and f.label == "application, updated"]
    answered = [f for f in facts if isinstance(f, KeyInstalled) and f.label.startswith("application ")]
    assert len(asked) > 64
    assert 10 < len(answered) <= len(asked) + 1
