"""`handclasp serve`: an echo server, a directory over HTTP/1.1, or a page that tells what was agreed."""

from __future__ import annotations

import errno
import socket
import threading
import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Annotated, Any

import typer

import handclasp
from handclasp.ca import Authority
from handclasp.cli import show
from handclasp.cli.files import identity_from, parse_versions, trust_from
from handclasp.cli.folder import Folder
from handclasp.cli.pages import Echo, Status, files_of
from handclasp.cli.places import Limits, Place, Places, Stage
from handclasp.cli.told import as_line, telling
from handclasp.explain import explain
from handclasp.x509 import Certificate
from handclasp.x509.files import write_whole
from handclasp.x509.ocsp import is_about
from handclasp.x509.revocation import MalformedResponse

__all__ = ["Echo", "Mode", "Status", "TlsServer", "serve"]

LIMITS = Limits()

PRINTING = threading.Lock()
"""Held while one connection's lines are printed."""
THREAD = "connection"
"""The name of the thread of each."""
PAUSE = 0.1
"""Seconds until a connection is asked for again that the process could not open."""


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
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Serve what links in the directory lead to, outside of it too.")
    ] = False,
    max_connections: Annotated[int, typer.Option(min=1, help="Connections at a time.")] = LIMITS.max_connections,
    max_per_address: Annotated[
        int, typer.Option(min=1, help="Connections at a time of one address, in IPv6 of 64 bits of one.")
    ] = LIMITS.max_per_address,
    max_handshakes: Annotated[
        int, typer.Option(min=1, help="Handshakes at a time of one address.")
    ] = LIMITS.max_handshakes,
    handshake_timeout: Annotated[float, typer.Option(help="Seconds for a handshake.")] = LIMITS.handshake_timeout,
    request_timeout: Annotated[float, typer.Option(help="Seconds for a request to come in.")] = LIMITS.request_timeout,
    answer_timeout: Annotated[float, typer.Option(help="Seconds for an answer to be taken.")] = LIMITS.answer_timeout,
    idle_timeout: Annotated[float, typer.Option(help="Seconds in which nothing is said.")] = LIMITS.idle_timeout,
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
        if directory is None and follow_links:
            raise handclasp.UsageError("--follow-links is of use with --directory only.")
        limits = Limits(
            max_connections=max_connections,
            max_per_address=max_per_address,
            max_handshakes=max_handshakes,
            handshake_timeout=handshake_timeout,
            request_timeout=request_timeout,
            answer_timeout=answer_timeout,
            idle_timeout=idle_timeout,
        )
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
            handler = files_of(Folder(directory, follow_links=follow_links))
        try:
            server = TlsServer((host, port), handler, config, trace=trace, limits=limits)
        except OSError as error:
            error.filename = f"{host}:{port}"
            raise
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
        identity = replace(identity, ocsp_response=_response_about(identity.leaf, staple))
    return handclasp.ServerConfig(
        identities=(identity,),
        versions=parse_versions(tls),
        alpn=("http/1.1",) if http else (),
        trust=trust_from(client_ca) if client_ca is not None else None,
        client_auth=handclasp.ClientAuth.REQUIRED if client_ca is not None else handclasp.ClientAuth.NONE,
    )


def _response_about(certificate: Certificate, file: Path) -> bytes:
    """The OCSP response in a file; clients would refuse one that does not parse, or is another certificate's."""
    response = file.read_bytes()
    try:
        about = is_about(response, certificate)
    except MalformedResponse as error:
        raise handclasp.UsageError(f"--staple {file}: {error}") from None
    if not about:
        raise handclasp.UsageError(f"--staple {file}: it says nothing of the certificate.")
    return response


class TlsServer(ThreadingTCPServer):
    """A `socketserver` whose connections are TLS, each in a thread of its own; `limits` says what clients may hold."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: Any,
        config: handclasp.ServerConfig,
        *,
        trace: bool = False,
        limits: Limits | None = None,
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)
        self._listener = handclasp.Listener(self.socket, config)
        self._trace = trace
        self.places = Places(limits or Limits())

    def get_request(self) -> Any:
        """The next connection; where the process may open no further one, one that waits makes room."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and not self.places.make_room():
                time.sleep(PAUSE)  # it stays in the backlog, and asking again at once would be all that we do
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread of its own for each connection that has a place."""
        place = self.places.take(request, client_address[0])
        if place is None:
            self.shutdown_request(request)
            self._say(f"A connection from {client_address[0]} was refused: there is no room for more.")
            return
        try:
            arguments = (request, client_address, place)
            threading.Thread(target=self._serve_one, args=arguments, name=THREAD, daemon=True).start()
        except BaseException:
            self.places.release(place)
            raise

    def service_actions(self) -> None:
        """Now and then: those whose time is over."""
        self.places.end_late()

    def _serve_one(self, request: Any, client_address: Any, place: Place) -> None:
        """One connection from its first byte to its last."""
        try:
            self._talk(request, client_address, place)
        except Exception as error:
            known = isinstance(error, (handclasp.HandclaspError, OSError))
            why = place.ended or (as_line(error) if known else repr(error))
            self._say(f"The connection with {client_address[0]} ended: {why}")
        finally:
            self.shutdown_request(request)
            self.places.release(place)

    def _talk(self, request: Any, client_address: Any, place: Place) -> None:
        """Handshake, then the handler."""
        request.settimeout(place.limits.idle_timeout)
        tls = self._listener.wrap(request, observer=place.steps)
        try:
            tls.do_handshake(timeout=place.limits.handshake_timeout)
        except (handclasp.HandclaspError, OSError) as error:
            self._tell_failure(client_address[0], error, place)
            tls.abort()
            return
        if self._trace:
            with PRINTING:
                show.steps(show.console(stderr=True), place.steps.steps, f"The handshake with {client_address[0]}")
        with tls:
            self.RequestHandlerClass(tls, client_address, self, place=place)  # type: ignore[call-arg, arg-type]  # ours
            place.enter(Stage.IDLE)  # while it is closed

    def _tell_failure(self, address: str, error: Exception, place: Place) -> None:
        out = show.console(stderr=True)
        with PRINTING:
            if self._trace:
                show.steps(out, place.steps.steps, f"The handshake with {address}, as far as it came")
            if place.ended:
                out.print(f"A handshake with {address} was ended: {place.ended}.", markup=False)
                return
            out.print(f"A handshake with {address} failed.", markup=False)
            show.failure(out, explain(error, place.steps))

    def _say(self, line: str) -> None:
        with PRINTING:
            show.console(stderr=True).print(line, markup=False)
