"""`handclasp connect`: standard input and output through a connection, with every step on request."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import handclasp
from handclasp.cli import show
from handclasp.cli.files import identity_from, parse_versions, trust_from
from handclasp.cli.told import as_line, telling
from handclasp.explain import StepTrace, explain
from handclasp.facts import Observer
from handclasp.keylog import key_log_to, observe_with
from handclasp.x509.names import PeerName
from handclasp.x509.online import Online

__all__ = ["connect", "split_host"]

MAX_TIMEOUT = 86400.0
LATE = 3.0
"""Seconds that a server has to refuse our certificate, or to end the connection."""


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
    half_close: Annotated[
        bool,
        typer.Option(
            "--half-close",
            help="Say close_notify at the end of the input and read on. Many servers take that for a client that has"
            " gone; without it we wait until the server ends.",
        ),
    ] = False,
) -> None:
    """Connect, and carry standard input and output through the connection, until the server ends.

    At a terminal Ctrl-D ends our side; an empty input does too.

    Exit codes: 0 done; 1 the handshake failed; 2 wrong options or files; 3 no connection;
    4 cut before all was said; 130 interrupted.
    """
    err = show.console(stderr=True)
    steps = StepTrace()
    with telling():
        address = split_host(peer)
        PeerName.of(address[0] if server_name is None else server_name)
        if not 0 < timeout <= MAX_TIMEOUT:
            raise handclasp.UsageError(f"--timeout {timeout:g}: more than 0 and at most {MAX_TIMEOUT:g} seconds.")
        if cert is None and key is not None:
            raise handclasp.UsageError("--key is of use with --cert only.")
        config = handclasp.ClientConfig(
            trust=trust_from(trust),
            identities=() if cert is None else (identity_from(cert, key, password_file),),
            versions=parse_versions(tls),
            alpn=tuple(name for name in alpn.split(",") if name),
            online=Online() if fetch else None,
        )
        observer: Observer = steps if key_log is None else observe_with(steps, key_log_to(key_log))
    try:
        connection = handclasp.connect(address, config, server_name=server_name, timeout=timeout, observer=observer)
    except (handclasp.HandclaspError, OSError) as error:
        _report_failure(err, error, steps, trace, as_json)
        network = not isinstance(error, handclasp.HandclaspError) and not steps.has(6)
        raise typer.Exit(show.EXIT_NETWORK if network else show.EXIT_FAILED) from None
    except KeyboardInterrupt:
        if trace:
            show.steps(err, steps.steps, "The handshake, as far as it came")
        err.print("Interrupted.")
        raise typer.Exit(130) from None
    if as_json:
        refused = _late_refusal(connection) if steps.has(11) else None
        if refused is not None:
            _report_failure(err, refused, steps, trace, as_json)
            raise typer.Exit(show.EXIT_FAILED)
        _print_json(connection, steps)
        connection.close()
        return
    if trace:
        show.steps(err, steps.steps, f"The handshake with {peer}")
        show.fetched(err, connection.session.peer_report)
        err.print(f"session: {show.session_line(connection.session)}", markup=False)
    elif err.is_terminal and sys.stdin.isatty():
        err.print(f"Connected: {show.session_line(connection.session)}. Ctrl-D ends.", markup=False)
    raise typer.Exit(_carry(connection, err, steps, half_close or sys.stdin.isatty()))


def split_host(peer: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[address]:port"; raises `UsageError`."""
    host, colon, port = peer.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    good = ":" not in bare or host == f"[{bare}]"
    if not colon or not bare or not good or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise handclasp.UsageError(f"{peer!r} is not HOST:PORT, as in example.com:443 or [::1]:443.")
    return bare, int(port)


def _report_failure(out: Console, error: Exception, steps: StepTrace, trace: bool, as_json: bool) -> None:
    explanation = explain(error, steps)
    report = error.report if isinstance(error, handclasp.CertificateError) else None
    if as_json:
        document = {
            "session": None,
            "peer": None if report is None else report.to_dict(),
            "steps": [one.to_dict() for one in steps.steps],
            "failure": explanation.to_dict(),
        }
        typer.echo(json.dumps(document, indent=2))
        return
    if trace:
        show.steps(out, steps.steps, "The handshake, as far as it came")
    out.print("The connection failed.")
    show.fetched(out, report)
    show.failure(out, explanation)


def _late_refusal(connection: handclasp.TlsSocket) -> Exception | None:
    """In TLS 1.3 a server that asked for a certificate judges it after the client is done: wait for its word."""
    connection.settimeout(LATE)
    try:
        connection.shutdown()
        for _ in range(64):
            if not connection.recv():
                break
    except handclasp.PeerAlert as error:
        return error
    except (handclasp.HandclaspError, OSError):
        pass  # it said nothing against us
    return None


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


def _carry(connection: handclasp.TlsSocket, err: Console, steps: StepTrace, half_close: bool) -> int:
    """Both directions at once, until the peer is done; the answer is the exit code."""
    unsent: list[Exception] = []
    sending = threading.Thread(target=_send_input, args=(connection, unsent, half_close), daemon=True)
    sending.start()
    code = 0
    try:
        while data := connection.recv():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        if unsent:
            err.print(f"handclasp: the peer took not all of the input: {as_line(unsent[0])}", markup=False)
            code = show.EXIT_TRUNCATED
    except handclasp.Truncated as error:
        err.print(f"handclasp: {as_line(error)}", markup=False)
        code = show.EXIT_TRUNCATED
    except BrokenPipeError:
        connection.abort()
        raise
    except handclasp.PeerAlert as error:
        err.print("The peer refused the connection after the handshake.")
        show.failure(err, explain(error, steps))
        code = show.EXIT_FAILED
    except (handclasp.HandclaspError, OSError) as error:
        err.print(f"handclasp: {as_line(error)}", markup=False)
        code = show.EXIT_FAILED
    except KeyboardInterrupt:
        code = 130
    if code:
        connection.abort()
        return code
    try:
        connection.close()
    except handclasp.DeliveryUncertain as error:
        err.print(f"handclasp: {as_line(error)}", markup=False)
        code = show.EXIT_TRUNCATED
    return code


def _send_input(connection: handclasp.TlsSocket, unsent: list[Exception], half_close: bool) -> None:
    """Standard input to the peer. At its end we say so where that is wanted, or nothing was said that has an answer."""
    silent = True
    try:
        while data := _input():
            silent = False
            connection.sendall(data)
    except (handclasp.HandclaspError, OSError) as error:
        unsent.append(error)  # the reading side sees the end and tells of it
        return
    if not half_close and not silent:
        return
    with contextlib.suppress(handclasp.HandclaspError, OSError):
        connection.shutdown()  # whoever is gone by now has no use for it; what it said the reading side tells


def _input() -> bytes:
    """Some of standard input; what cannot be read is at its end."""
    try:
        return os.read(sys.stdin.fileno(), 1 << 16)
    except OSError:
        return b""
