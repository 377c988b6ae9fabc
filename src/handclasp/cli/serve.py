"""`handclasp serve`: an echo server, a directory over HTTP/1.1, or a page that tells what was agreed."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Annotated, Any

import typer

import handclasp
from handclasp.ca import Authority
from handclasp.cli import show
from handclasp.cli.connect import parse_versions
from handclasp.explain import StepTrace, explain

__all__ = ["Mode", "TlsServer", "serve"]


class Mode(StrEnum):
    """What the server does with a connection."""

    ECHO = "echo"
    STATUS = "status"


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 4433,
    cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM), or PKCS #12. Default: made here.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file with the key's password.")] = None,
    client_ca: Annotated[Path | None, typer.Option(help="Require client certificates of these authorities.")] = None,
    directory: Annotated[Path | None, typer.Option(help="Serve this directory over HTTP/1.1.")] = None,
    mode: Annotated[Mode, typer.Option(help="Without a directory: echo, or an HTTP status page.")] = Mode.ECHO,
    tls: Annotated[str, typer.Option(help="Versions, as 1.3 or 1.2,1.3.")] = "1.2,1.3",
    trace: Annotated[bool, typer.Option("--trace", help="Print the steps of each handshake.")] = False,
    save_root: Annotated[Path | None, typer.Option(help="Where to write the root of a certificate made here.")] = None,
) -> None:
    """Serve until Ctrl-C. Without --cert, a root and a certificate for HOST are made and kept in memory."""
    out = show.console(stderr=True)
    try:
        config = _config(
            host, cert, key, password_file, client_ca, tls, save_root, http=directory is not None or mode is Mode.STATUS
        )
        if directory is not None and not directory.is_dir():
            raise handclasp.UsageError(f"--directory {directory}: there is no such directory.")
        handler: Any = Echo if mode is Mode.ECHO else Status
        if directory is not None:
            handler = _files_of(directory)
        server = TlsServer((host, port), handler, config, trace=trace)
    except (handclasp.UsageError, OSError) as error:
        out.print(f"handclasp: {error}", markup=False)
        raise typer.Exit(show.EXIT_USAGE) from None
    with server:
        what = f"{directory}" if directory is not None else mode.value
        out.print(f"Serving {what} on {host}:{server.server_address[1]}; Ctrl-C ends it.", markup=False)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            out.print("Ended.")


def _config(
    host: str,
    cert: Path | None,
    key: Path | None,
    password_file: Path | None,
    client_ca: Path | None,
    tls: str,
    save_root: Path | None,
    *,
    http: bool,
) -> handclasp.ServerConfig:
    if cert is not None:
        password = password_file.read_bytes().rstrip(b"\r\n") if password_file is not None else None
        identity = handclasp.Identity.from_files(cert, key, password)
    else:
        root = Authority.root("handclasp serve")
        identity = root.server(*dict.fromkeys((host, "localhost", "127.0.0.1", "::1"))).identity
        if save_root is not None:
            save_root.write_bytes(root.certificate_pem)
    return handclasp.ServerConfig(
        identities=(identity,),
        versions=parse_versions(tls),
        alpn=("http/1.1",) if http else (),
        trust=handclasp.TrustStore.from_file(client_ca) if client_ca is not None else None,
        client_auth=handclasp.ClientAuth.REQUIRED if client_ca is not None else handclasp.ClientAuth.NONE,
    )


class TlsServer(ThreadingTCPServer):
    """A `socketserver` whose connections are TLS; the handshake is done in the connection's own thread."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: Any, config: handclasp.ServerConfig, *, trace: bool = False
    ) -> None:
        if ":" in address[0]:
            import socket

            self.address_family = socket.AF_INET6
        super().__init__(address, handler)
        self._listener = handclasp.Listener(self.socket, config)
        self._trace = trace

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handshake, then the handler."""
        request.settimeout(30)
        steps = StepTrace()
        tls = self._listener.wrap(request, observer=steps)
        out = show.console(stderr=True)
        try:
            tls.do_handshake()
        except (handclasp.HandclaspError, OSError) as error:
            if self._trace:
                show.steps(out, steps.steps, f"The handshake with {client_address[0]}, as far as it came")
            out.print(f"A handshake with {client_address[0]} failed.", markup=False)
            show.failure(out, explain(error, steps))
            return
        if self._trace:
            show.steps(out, steps.steps, f"The handshake with {client_address[0]}")
        with tls:
            self.RequestHandlerClass(tls, client_address, self)  # type: ignore[arg-type]  # a socket in all but name

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line: what a client does badly is not our stack trace."""
        error = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]
        show.console(stderr=True).print(f"The connection with {client_address[0]} ended: {error}", markup=False)


class Echo(BaseRequestHandler):
    """Sends back what comes, until the client is done."""

    def handle(self) -> None:
        """One connection."""
        while data := self.request.recv():
            self.request.sendall(data)


class Status(BaseHTTPRequestHandler):
    """An HTTP page on the connection it comes over."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The session, as JSON."""
        connection: Any = self.connection
        session = connection.session
        report = session.peer_report
        body = json.dumps(
            {
                "version": str(session.version),
                "cipher_suite": str(session.cipher_suite),
                "group": str(session.group),
                "alpn": session.alpn,
                "resumed": session.resumed,
                "client": report.identities.subject if report is not None and report.identities else None,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are no news."""


def _files_of(directory: Path) -> Any:
    class Files(SimpleHTTPRequestHandler):
        """The files of one directory."""

        protocol_version = "HTTP/1.1"

        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(directory))

        def log_message(self, format: str, *args: object) -> None:
            """Requests are no news."""

    return Files
