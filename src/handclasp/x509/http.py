"""One document by HTTP, within a size and a time: how issuers, lists and OCSP responses are fetched.

Plain HTTP is what certificates name for these (RFC 5280, 4.2.1.13 and 8): each document is signed by
whoever made it, and fetching a list over TLS might need that very list. A thread of its own fetches, and
is left at the deadline, whatever it waits for then: a resolver, one address of many, a byte a second.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from handclasp.errors import HandclaspError
from handclasp.x509.text import shortened

__all__ = ["Fetch", "FetchFailed", "fetch_by_http"]

REDIRECTS = 3
"""Redirections followed for one document."""
ADDRESSES = 8
"""Addresses of one host that are tried; each may take an equal part of the time that is left."""


class FetchFailed(HandclaspError):
    """A document that did not come; the message says why."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One document to get."""

    url: str
    limit: int
    """Bytes that it may have at most."""
    body: bytes | None = None
    """An OCSP request to be posted (RFC 6960, A.1); None: the document is got."""
    what: str = ""
    """One of "issuer", "OCSP response" and "CRL"."""
    spare: bool = False
    """Whether one like it came already, so that it is worth no long wait."""


def fetch_by_http(fetch: Fetch, seconds: float) -> bytes:
    """Get a document within so many seconds, looking up the host's address included; raises `FetchFailed`."""
    work = _Work(fetch, time.monotonic() + seconds)
    thread = threading.Thread(target=work.run, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the system has no more threads
        raise FetchFailed(str(error)) from None
    thread.join(max(seconds, 0))
    outcome = work.outcome
    if isinstance(outcome, bytes):
        return outcome
    work.end()
    raise FetchFailed(outcome or f"not done within {seconds:.1f} s")


class _Work:
    """The fetching of one document, in its own thread."""

    def __init__(self, fetch: Fetch, deadline: float) -> None:
        self.outcome: bytes | str | None = None
        """The document, or the reason why there is none; None while, or because, the time is over."""
        self._fetch = fetch
        self._deadline = deadline
        self._sock: socket.socket | None = None

    def run(self) -> None:
        """Do it; nothing is raised."""
        try:
            self.outcome = self._follow(self._fetch.url)
        except Exception as error:  # whatever a server makes of the library's client
            if time.monotonic() < self._deadline:
                self.outcome = _reason(error)

    def end(self) -> None:
        """End whatever the thread waits for of a server."""
        sock = self._sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was over already

    def _follow(self, url: str) -> bytes:
        for _ in range(REDIRECTS + 1):
            answer = self._ask(url)
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer)
        raise FetchFailed(f"more than {REDIRECTS} redirections")

    def _ask(self, url: str) -> bytes | str:
        """The document, or where it is to be found instead."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise FetchFailed("not an http:// URL")
        host, port = parts.hostname, 80 if parts.port is None else parts.port
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection(host, port)
        try:
            connection.sock = self._connect(host, port)
            if self._fetch.body is None:
                connection.request("GET", target)
            else:
                connection.request("POST", target, self._fetch.body, {"Content-Type": "application/ocsp-request"})
            return _document(connection.getresponse(), self._fetch.limit)
        finally:
            connection.close()

    def _connect(self, host: str, port: int) -> socket.socket:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:ADDRESSES]
        failed: OSError = TimeoutError()
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._left() / (len(addresses) - index))
                sock.connect(address)
                self._sock = sock  # from here on `end` reaches it; before, the deadline is looked at below
                sock.settimeout(self._left())
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a request goes in two pieces
            except OSError as error:
                sock.close()
                failed = error
            else:
                return sock
        raise failed

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _document(response: http.client.HTTPResponse, limit: int) -> bytes | str:
    if response.status in (301, 302, 303, 307, 308):
        place = response.getheader("Location")
        if place is None:
            raise FetchFailed("a redirection that leads nowhere")
        return place
    if response.status != 200:
        raise FetchFailed(f"HTTP status {response.status}")
    if (response.length or 0) > limit:
        raise FetchFailed(f"a document of {response.length} bytes; the limit is {limit}")
    document = response.read(limit + 1)
    if len(document) > limit:
        raise FetchFailed(f"a document of more than {limit} bytes")
    if response.length:
        raise FetchFailed("the document was cut short")
    return document


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return shortened(str(error)) or type(error).__name__
