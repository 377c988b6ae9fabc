"""`handclasp connect`: standard input and output through a connection, with every step on request."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

import handclasp
from handclasp.cli import show
from handclasp.explain import StepTrace, explain
from handclasp.facts import Observer
from handclasp.keylog import key_log_to, observe_with
from handclasp.x509.online import Online

__all__ = ["connect", "parse_versions", "split_host"]

VERSIONS = {"1.2": handclasp.ProtocolVersion.TLS12, "1.3": handclasp.ProtocolVersion.TLS13}


def connect(
    peer: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Whom to connect to; [::1]:443 for IPv6.")],
    trust: Annotated[
        Path | None, typer.Option(help="Trusted authorities: a PEM file or a directory. Default: the system's.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="Our certificate chain (PEM), or a PKCS #12 file.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key; left out where it is in the same file.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file with the key's password.")] = None,
    server_name: Annotated[str | None, typer.Option(help="The name to ask for and check; default HOST.")] = None,
    alpn: Annotated[str, typer.Option(help="Application protocols, as h2,http/1.1.")] = "",
    tls: Annotated[str, typer.Option(help="Versions, as 1.3 or 1.2,1.3.")] = "1.2,1.3",
    fetch: Annotated[
        bool,
        typer.Option("--fetch", help="Fetch missing issuers, CRLs and OCSP responses from where certificates say."),
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Print the steps on standard error.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Do the handshake alone and print it as JSON on standard output.")
    ] = False,
    key_log: Annotated[
        Path | None,
        typer.Option(
            envvar="SSLKEYLOGFILE", help="Append the session's secrets here: whoever has them reads the traffic."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the peer in the handshake.")] = 30.0,
) -> None:
    """Connect, and carry standard input and output through the connection.

    Exit codes: 0 done, 1 the handshake failed, 2 wrong options or files, 3 no connection,
    4 the connection was cut before the peer said that it was done.
    """
    err = show.console(stderr=True)
    steps = StepTrace()
    try:
        address = split_host(peer)
        config = handclasp.ClientConfig(
            trust=_trust(trust),
            identities=_identities(cert, key, password_file),
            versions=parse_versions(tls),
            alpn=tuple(name for name in alpn.split(",") if name),
            online=Online() if fetch else None,
        )
    except (handclasp.UsageError, OSError) as error:
        err.print(f"handclasp: {error}", markup=False)
        raise typer.Exit(show.EXIT_USAGE) from None
    observer: Observer = steps if key_log is None else observe_with(steps, key_log_to(key_log))
    try:
        connection = handclasp.connect(address, config, server_name=server_name, timeout=timeout, observer=observer)
    except (handclasp.HandclaspError, OSError) as error:
        _report_failure(err, error, steps, trace, as_json)
        network = isinstance(error, OSError) and not steps.has(6)
        raise typer.Exit(show.EXIT_NETWORK if network else show.EXIT_FAILED) from None
    if as_json:
        _print_json(connection, steps)
        connection.close()
        return
    if trace:
        show.steps(err, steps.steps, f"The handshake with {peer}")
        err.print(f"session: {show.session_line(connection.session)}", markup=False)
    raise typer.Exit(_carry(connection, err))


def split_host(peer: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[address]:port"; raises `UsageError`."""
    host, colon, port = peer.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise handclasp.UsageError(f"{peer!r} is not HOST:PORT, as in example.com:443 or [::1]:443.")
    return host, int(port)


def parse_versions(text: str) -> tuple[handclasp.ProtocolVersion, ...]:
    """The versions of "1.2,1.3", the highest first; raises `UsageError`."""
    names = [name.strip().lower().removeprefix("tls").removeprefix("v") for name in text.split(",") if name.strip()]
    if not names or any(name not in VERSIONS for name in names):
        raise handclasp.UsageError(f"--tls {text!r}: versions are 1.2 and 1.3.")
    return tuple(sorted({VERSIONS[name] for name in names}, reverse=True))


def _trust(path: Path | None) -> handclasp.TrustStore:
    if path is None:
        return handclasp.TrustStore.system()
    return handclasp.TrustStore.from_directory(path) if path.is_dir() else handclasp.TrustStore.from_file(path)


def _identities(cert: Path | None, key: Path | None, password_file: Path | None) -> tuple[handclasp.Identity, ...]:
    if cert is None:
        if key is not None:
            raise handclasp.UsageError("--key is of use with --cert only.")
        return ()
    password = password_file.read_bytes().rstrip(b"\r\n") if password_file is not None else None
    return (handclasp.Identity.from_files(cert, key, password),)


def _report_failure(err: object, error: Exception, steps: StepTrace, trace: bool, as_json: bool) -> None:
    explanation = explain(error, steps)
    if as_json:
        document = {"session": None, "steps": [one.to_dict() for one in steps.steps], "failure": explanation.to_dict()}
        typer.echo(json.dumps(document, indent=2))
        return
    out = show.console(stderr=True)
    if trace:
        show.steps(out, steps.steps, "The handshake, as far as it came")
    out.print("The connection failed.")
    show.failure(out, explanation)


def _print_json(connection: handclasp.TlsSocket, steps: StepTrace) -> None:
    session = connection.session
    report = session.peer_report
    document = {
        "session": {
            "version": str(session.version),
            "cipher_suite": str(session.cipher_suite),
            "group": str(session.group) if session.group is not None else None,
            "signature_scheme": str(session.signature_scheme) if session.signature_scheme is not None else None,
            "alpn": session.alpn,
            "resumed": session.resumed,
        },
        "peer": report.to_dict() if report is not None else None,
        "steps": [one.to_dict() for one in steps.steps],
        "failure": None,
    }
    typer.echo(json.dumps(document, indent=2))


def _carry(connection: handclasp.TlsSocket, err: object) -> int:
    """Both directions at once, until both are done; the answer is the exit code."""
    sending = threading.Thread(target=_send_input, args=(connection,), daemon=True)
    sending.start()
    code = 0
    try:
        while data := connection.recv():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except handclasp.Truncated as error:
        show.console(stderr=True).print(f"handclasp: {error}", markup=False)
        code = show.EXIT_TRUNCATED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # so that Python's own flush at exit has somewhere to go
    except (handclasp.HandclaspError, OSError) as error:
        show.console(stderr=True).print(f"handclasp: {error}", markup=False)
        code = show.EXIT_FAILED
    except KeyboardInterrupt:
        code = 130
    connection.close()
    return code


def _send_input(connection: handclasp.TlsSocket) -> None:
    """Standard input to the peer; at its end we say so, and go on reading."""
    try:
        while data := os.read(0, 1 << 16):
            connection.sendall(data)
        connection.shutdown()
    except (handclasp.HandclaspError, OSError):
        return  # the reading side sees the same end and tells of it
