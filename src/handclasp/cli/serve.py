"""`handclasp serve`: an echo server, a directory over HTTP/1.1, or a page that tells what was agreed."""

from __future__ import annotations

import json
import socket
import sys
import threading
from dataclasses import replace
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Annotated, Any

import typer

import handclasp
from handclasp.ca import Authority
from handclasp.cli import show
from handclasp.cli.files import identity_from, parse_versions, trust_from
from handclasp.cli.told import as_line, telling
from handclasp.explain import StepTrace, explain
from handclasp.x509.files import write_whole

__all__ = ["Mode", "TlsServer", "serve"]

PRINTING = threading.Lock()
"""Held while one connection's lines are printed."""


class Mode(StrEnum):
    """What the server does with a connection."""

    ECHO = "echo"
    STATUS = "status"


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 4433,
    cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM), or PKCS #12. Default: made here.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file with the key's password.")] = None,
    staple: Annotated[Path | None, typer.Option(help="An OCSP response for the certificate, in DER.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="Require client certificates of these authorities, a file or a directory.")
    ] = None,
    directory: Annotated[Path | None, typer.Option(help="Serve this directory over HTTP/1.1.")] = None,
    mode: Annotated[Mode, typer.Option(help="Without a directory: echo, or an HTTP status page.")] = Mode.ECHO,
    tls: Annotated[str, typer.Option(help="Versions, as 1.3 or 1.2,1.3.")] = "1.2,1.3",
    trace: Annotated[bool, typer.Option("--trace", help="Print the steps of each handshake.")] = False,
    save_root: Annotated[Path | None, typer.Option(help="Where to write the root of a certificate made here.")] = None,
) -> None:
    """Serve until Ctrl-C. Without --cert, a root and a certificate for HOST are made and kept in memory."""
    out = show.console(stderr=True)
    with telling():
        if cert is None and key is not None:
            raise handclasp.UsageError("--key is of use with --cert only.")
        if cert is not None and save_root is not None:
            raise handclasp.UsageError("--save-root is of use without --cert only.")
        if cert is None and staple is not None:
            raise handclasp.UsageError("--staple is of use with --cert only.")
        if directory is not None and not directory.is_dir():
            raise handclasp.UsageError(f"--directory {directory}: there is no such directory.")
        config = _config(
            host,
            cert,
            key,
            password_file,
            staple,
            client_ca,
            tls,
            save_root,
            http=directory is not None or mode is Mode.STATUS,
        )
        handler: Any = Echo if mode is Mode.ECHO else Status
        if directory is not None:
            handler = _files_of(directory)
        server = TlsServer((host, port), handler, config, trace=trace)
    with server:
        what = f"{directory}" if directory is not None else mode.value
        out.print(f"Serving {what} on {host}:{server.server_address[1]}; Ctrl-C ends it.", markup=False)
        if cert is None and save_root is None:
            out.print(
                "Nobody trusts its certificate, which is made here: --save-root FILE writes its root.", markup=False
            )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            with PRINTING:
                out.print("Ended.")


def _config(
    host: str,
    cert: Path | None,
    key: Path | None,
    password_file: Path | None,
    staple: Path | None,
    client_ca: Path | None,
    tls: str,
    save_root: Path | None,
    *,
    http: bool,
) -> handclasp.ServerConfig:
    if cert is not None:
        identity = identity_from(cert, key, password_file)
    else:
        root = Authority.root("handclasp serve")
        identity = root.server(*dict.fromkeys((host, "localhost", "127.0.0.1", "::1"))).identity
        if save_root is not None:
            write_whole(save_root, root.certificate_pem)
    if staple is not None:
        identity = replace(identity, ocsp_response=staple.read_bytes())
    return handclasp.ServerConfig(
        identities=(identity,),
        versions=parse_versions(tls),
        alpn=("http/1.1",) if http else (),
        trust=trust_from(client_ca) if client_ca is not None else None,
        client_auth=handclasp.ClientAuth.REQUIRED if client_ca is not None else handclasp.ClientAuth.NONE,
    )


HANDSHAKE_TIMEOUT, IDLE_TIMEOUT = 10.0, 30.0
"""Seconds that a client has for its handshake, and that it may then say nothing."""
MAX_CONNECTIONS = 512
"""Connections held at a time; further ones wait in the backlog until one of these ends."""


class TlsServer(ThreadingTCPServer):
    """A `socketserver` whose connections are TLS; the handshake is done in the connection's own thread."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: Any, config: handclasp.ServerConfig, *, trace: bool = False
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)
        self._listener = handclasp.Listener(self.socket, config)
        self._trace = trace
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread of its own for each connection, while there is room."""
        self._room.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection from its first byte to its last."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handshake, then the handler."""
        request.settimeout(IDLE_TIMEOUT)
        steps = StepTrace()
        tls = self._listener.wrap(request, observer=steps)
        out = show.console(stderr=True)
        try:
            tls.do_handshake(timeout=HANDSHAKE_TIMEOUT)
        except (handclasp.HandclaspError, OSError) as error:
            with PRINTING:
                if self._trace:
                    show.steps(out, steps.steps, f"The handshake with {client_address[0]}, as far as it came")
                out.print(f"A handshake with {client_address[0]} failed.", markup=False)
                show.failure(out, explain(error, steps))
            tls.abort()
            return
        if self._trace:
            with PRINTING:
                show.steps(out, steps.steps, f"The handshake with {client_address[0]}")
        with tls:
            self.RequestHandlerClass(tls, client_address, self)  # type: ignore[arg-type]  # a socket in all but name

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line: what a client does badly is not our stack trace."""
        error = sys.exception()
        why = as_line(error) if isinstance(error, (handclasp.HandclaspError, OSError)) else repr(error)
        with PRINTING:
            show.console(stderr=True).print(f"The connection with {client_address[0]} ended: {why}", markup=False)


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
                "group": str(session.group) if session.group is not None else None,
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
