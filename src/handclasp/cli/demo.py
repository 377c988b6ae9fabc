"""`handclasp demo`: authorities and certificates on the spot, handshakes over loopback, the 22 steps, a failure."""

from __future__ import annotations

import json
import threading
from typing import Annotated, Any

import typer

import handclasp
from handclasp.ca import Authority
from handclasp.cli import show
from handclasp.explain import Explanation, Step, StepTrace, explain

__all__ = ["demo"]

GREETING = b"A word from the client.\n"
REPLY = b"And one from the server.\n"


def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Make certificates, connect over loopback with simple and mutual TLS, and show every step.

    Then fail on purpose, by a wrong host name, and show what handclasp says about it.
    """
    root = Authority.root("Demo Root")
    issuing = root.intermediate("Demo Issuing CA")
    server = issuing.server("localhost", "127.0.0.1")
    client = issuing.client("demo client")
    simple = handclasp.ServerConfig(identities=(server.identity,))
    mutual = handclasp.ServerConfig(
        identities=(server.identity,), trust=root.trust, client_auth=handclasp.ClientAuth.REQUIRED
    )
    plain = handclasp.ClientConfig(trust=root.trust)
    known = handclasp.ClientConfig(trust=root.trust, identities=(client.identity,))
    old = handclasp.ClientConfig(trust=root.trust, versions=(handclasp.ProtocolVersion.TLS12,))
    results = [
        _run("Simple TLS: the server shows a certificate", simple, plain, "localhost"),
        _run("Mutual TLS: both show one", mutual, known, "localhost"),
        _run("Simple TLS in version 1.2", simple, old, "localhost"),
        _run("A failure: the client asks for another host", simple, plain, "other.example"),
    ]
    if as_json:
        typer.echo(json.dumps([result.to_dict() for result in results], indent=2))
    else:
        out = show.console()
        out.print("A root, an issuing CA, a server's and a client's certificate are made and held in memory.\n")
        for result in results:
            result.print(out)
    if any((result.explanation is None) == result.should_fail for result in results):
        raise typer.Exit(show.EXIT_FAILED)


class _Result:
    """One connection of the demo, as both sides saw it."""

    def __init__(self, title: str, should_fail: bool) -> None:
        self.title = title
        self.should_fail = should_fail
        self.client, self.server = StepTrace(), StepTrace()
        self.session = ""
        self.lines: list[str] = []
        self.explanation: Explanation | None = None

    def steps(self) -> list[Step]:
        """The client's view, and what only the server saw, each in its place."""
        merged = list(self.client.steps)
        for step in self.server.steps:
            if step.number in (17, 18, 20) and not any(one.number == step.number for one in merged):
                at = next((i for i, one in enumerate(merged) if one.number == 22), len(merged))
                merged.insert(at, step)
        return merged

    def to_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "session": self.session,
            "steps": [step.to_dict() for step in self.steps()],
            "data": self.lines,
            "failure": self.explanation.to_dict() if self.explanation is not None else None,
        }

    def print(self, out: Any) -> None:
        show.steps(out, self.steps(), self.title)
        if self.session:
            out.print(f"\n  session: {self.session}", markup=False)
        elif self.lines:
            out.print()
        for line in self.lines:
            out.print(f"  {line}", markup=False)
        if self.explanation is not None:
            out.print()
            show.failure(out, self.explanation)
        out.print()


def _run(
    title: str, server_config: handclasp.ServerConfig, client_config: handclasp.ClientConfig, name: str
) -> _Result:
    result = _Result(title, should_fail=name != "localhost")
    with handclasp.listen(("127.0.0.1", 0), server_config) as listener:
        listener.settimeout(10)
        serving = threading.Thread(target=_serve_one, args=(listener, result), daemon=True)
        serving.start()
        try:
            with handclasp.connect(
                ("127.0.0.1", listener.port), client_config, server_name=name, timeout=10, observer=result.client
            ) as tls:
                tls.settimeout(10)
                tls.sendall(GREETING)
                received = tls.recv()
                result.session = show.session_line(tls.session)
                result.lines.append(f"client received {received!r}")
        except (handclasp.HandclaspError, OSError) as error:
            result.explanation = explain(error, result.client)
        serving.join(10)
    return result


def _serve_one(listener: handclasp.Listener, result: _Result) -> None:
    try:
        tls, _ = listener.accept(timeout=10, observer=result.server)
    except (handclasp.HandclaspError, OSError) as error:
        result.lines.append(f"the server saw: {error}")
        return
    with tls:
        tls.settimeout(10)
        received = tls.recv()
        result.lines.append(f"server received {received!r}")
        tls.sendall(REPLY)
