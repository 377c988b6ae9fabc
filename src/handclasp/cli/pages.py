"""What `serve` answers with: an echo, a page about the connection, the files of a folder."""

from __future__ import annotations

import html
import io
import json
import os
import stat
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from socketserver import BaseRequestHandler
from typing import IO, Any
from urllib.parse import quote, unquote_to_bytes

from handclasp.cli.folder import Folder
from handclasp.cli.places import Place, Stage
from handclasp.x509.text import printable

__all__ = ["Echo", "Status", "files_of"]

PIECE = 1 << 14
"""Bytes of a file that are sent at a time, those of one record."""
INDEXES = ("index.html", "index.htm")


class Echo(BaseRequestHandler):
    """Sends back what comes, until the client is done."""

    def __init__(self, *arguments: Any, place: Place) -> None:
        self.place = place
        super().__init__(*arguments)

    def handle(self) -> None:
        """One connection."""
        while data := self._received():
            self.place.enter(Stage.ANSWER)
            self.request.sendall(data)

    def _received(self) -> bytes:
        self.place.enter(Stage.IDLE)
        data: bytes = self.request.recv()
        return data


class Timed(BaseHTTPRequestHandler):
    """HTTP/1.1 whose requests have a time to come in and one to be answered."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, place: Place, **more: Any) -> None:
        self.place = place
        super().__init__(*arguments, **more)

    def handle_one_request(self) -> None:
        """From its first byte to the last of the answer."""
        self.place.enter(Stage.IDLE)
        source: Any = self.rfile  # buffered, as `StreamRequestHandler` makes it
        try:
            self.close_connection = not source.peek(1)
        except TimeoutError:
            self.close_connection = True
        if not self.close_connection:
            self.place.enter(Stage.REQUEST)
            super().handle_one_request()

    def parse_request(self) -> bool:
        """Its head is in."""
        whole = super().parse_request()
        self.place.enter(Stage.ANSWER)
        if whole and not {"content-length", "transfer-encoding"}.isdisjoint(map(str.lower, self.headers)):
            self.close_connection = True  # nobody reads a body here, and it is no further request
        return whole

    def log_message(self, format: str, *args: object) -> None:
        """Requests are no news."""


class Status(Timed):
    """An HTTP page on the connection it comes over."""

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
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class FileChanged(OSError):
    """A file that became shorter while it was sent."""


class Files(Timed, SimpleHTTPRequestHandler):
    """The files of one folder."""

    folder: Folder
    _announced = 0
    """Bytes of the answer, as its head says."""

    def send_head(self) -> IO[bytes] | None:  # type: ignore[override]  # what is asked for: something to read
        """The head of the answer; what is to be sent after it, if anything."""
        names, names_folder = _names_in(self.path)
        try:
            descriptor = self.folder.open(names)
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND, "There is no such file")
            return None
        found = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        if found is None:
            try:
                if names_folder:
                    return self._folder_head(names, descriptor)
                self._to_folder(names[-1])
                return None
            finally:
                os.close(descriptor)
        if names_folder:
            found.close()
            self.send_error(HTTPStatus.NOT_FOUND, "There is no such folder")
            return None
        return self._file_head(found, names[-1])

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """As many bytes as were announced, however the file changes meanwhile."""
        left = self._announced
        while left > 0:
            piece = source.read(min(PIECE, left))
            if not piece:
                raise FileChanged("a file became shorter while it was sent")
            outputfile.write(piece)
            self.place.move()
            left -= len(piece)

    def _file_head(self, file: IO[bytes], name: str) -> IO[bytes] | None:
        status = os.fstat(file.fileno())
        if self._is_known(status.st_mtime):
            file.close()
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.end_headers()
            return None
        self._announced = status.st_size
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(name))
        self.send_header("Content-Length", str(self._announced))
        self.send_header("Last-Modified", self.date_time_string(int(status.st_mtime)))
        self.end_headers()
        return file

    def _is_known(self, changed: float) -> bool:
        """Whether the client has it as it is (RFC 9110, 13.1.3)."""
        if "If-Modified-Since" not in self.headers or "If-None-Match" in self.headers:
            return False
        try:
            return int(changed) <= parsedate_to_datetime(self.headers["If-Modified-Since"]).timestamp()
        except (TypeError, ValueError, OverflowError, IndexError):
            return False

    def _to_folder(self, name: str) -> None:
        """A folder's name ends in a slash, so that names in its page are looked up in there."""
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", f"./{quote(os.fsencode(name), safe='')}/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _folder_head(self, names: list[str], descriptor: int) -> IO[bytes] | None:
        for index in INDEXES:
            try:
                page = self.folder.open([*names, index])
            except OSError:
                continue
            if stat.S_ISREG(os.fstat(page).st_mode):
                return self._file_head(os.fdopen(page, "rb"), index)
            os.close(page)
        body = _page_of(names, descriptor)
        self._announced = len(body)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(self._announced))
        self.end_headers()
        return io.BytesIO(body)


def files_of(folder: Folder) -> type[Files]:
    """A handler for the files of a folder."""

    class FilesThere(Files):
        """The files of this folder."""

    FilesThere.folder = folder
    return FilesThere


def _names_in(path: str) -> tuple[list[str], bool]:
    """The names in a request's path, its dots resolved (RFC 3986, 5.2.4), and whether a folder is asked for."""
    text = path.partition("?")[0].partition("#")[0]
    names: list[str] = []
    decoded = os.fsdecode(unquote_to_bytes(text.encode("latin-1", "replace"))).split("/")
    for name in decoded:
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return names, not names or decoded[-1] in ("", ".", "..")


def _page_of(names: list[str], descriptor: int) -> bytes:
    """What is in a folder, with links; what could not be opened is left out."""
    title = html.escape(printable("/" + "/".join(names)))
    lines = "".join(f'<li><a href="{link}">{text}</a></li>\n' for link, text in _entries_of(descriptor))
    page = f"<!DOCTYPE html>\n<meta charset=utf-8>\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n{lines}</ul>\n"
    return page.encode(errors="replace")


def _entries_of(descriptor: int) -> Iterator[tuple[str, str]]:
    with os.scandir(descriptor) as entries:
        for one in sorted(entries, key=lambda entry: entry.name.lower()):
            slash = "/" if one.is_dir(follow_symlinks=False) else ""
            if slash or one.is_symlink() or one.is_file(follow_symlinks=False):
                yield f"./{quote(os.fsencode(one.name), safe='')}{slash}", html.escape(printable(one.name) + slash)
