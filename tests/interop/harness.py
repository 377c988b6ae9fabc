"""How peers that other people wrote are started, waited for and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
BUILD = Path(__file__).parents[2] / ".build"
PATIENCE = 30.0
"""Seconds until a peer that does nothing has failed."""


Command = list[str | Path]


@dataclass(frozen=True)
class Files:
    """The identities as peers want them, in files."""

    folder: Path
    root: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path
    server_p12: Path
    client_p12: Path


@dataclass(frozen=True)
class Running:
    """A peer's server."""

    address: tuple[str, int] | str
    """Host and port, or the path of a Unix socket."""
    log: Path

    def connect(self) -> socket.socket:
        """A connection to it."""
        if isinstance(self.address, str):
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.address)
            except OSError:
                sock.close()
                raise
        else:
            sock = socket.create_connection(self.address)
        sock.settimeout(PATIENCE)
        return sock


def says(running: Running, text: str) -> str:
    """Wait until a server has written this, in whatever case and with spaces for underscores; all it wrote."""
    end = time.monotonic() + PATIENCE
    while True:
        written = running.log.read_text(errors="replace").lower().replace("_", " ")
        if text in written or time.monotonic() > end:
            return written
        # Nothing tells when a foreign process has written: look again, soon.
        threading.Event().wait(0.02)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def missing(program: str, package: str) -> str | None:
    """Why a test of this program can't run, or None."""
    return None if shutil.which(program) else f"{program} is missing; install {package}"


@contextlib.contextmanager
def serving(command: Sequence[str | Path], port: int, *, env: dict[str, str] | None = None) -> Iterator[Running]:
    """Start a server that listens on 127.0.0.1, wait until it does, and end it."""
    with tempfile.TemporaryDirectory() as folder:
        running = Running(("127.0.0.1", port), Path(folder) / "log")
        with _process(command, running, env):
            yield running


@contextlib.contextmanager
def serving_apart(command: Sequence[str | Path], port: int) -> Iterator[Running]:
    """The same in a network of its own, for servers that would listen on every address."""
    with tempfile.TemporaryDirectory() as folder:
        running = Running(str(Path(folder) / "socket"), Path(folder) / "log")
        relay = [*APART, "python3", str(PROGRAMS / "relay.py"), str(running.address), str(port)]
        with _process([*relay, *command], running, None):
            yield running


APART = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")


@contextlib.contextmanager
def _process(
    command: Sequence[str | Path], running: Running, env: dict[str, str] | None
) -> Iterator[subprocess.Popen[bytes]]:
    with running.log.open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            _wait_until_it_listens(process, running)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            if process.stdin is not None:
                process.stdin.close()


def _wait_until_it_listens(process: subprocess.Popen[bytes], running: Running) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            sock = running.connect()
        except OSError:
            pass
        else:
            with sock:
                if not isinstance(running.address, str):
                    return
                # The relay is up; the server behind it is when it does not hang up at once.
                sock.settimeout(0.3)
                try:
                    if sock.recv(1) != b"":
                        return
                except TimeoutError:
                    return
                except OSError:
                    pass
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"{process.args!r} does not listen:\n{running.log.read_text(errors='replace')}")
        # Nothing tells when a foreign process is ready: ask again, soon.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)


def run(command: Sequence[str | Path], *, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
    """Run a client to its end; its output, errors too."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=2 * PATIENCE,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return done.stdout.decode(errors="replace")
