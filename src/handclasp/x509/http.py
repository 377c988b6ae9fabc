"""One document by HTTP, within a size and a time: how issuers, lists and OCSP responses are fetched.

Plain HTTP is what certificates name for these (RFC 5280, 4.2.1.13 and 8): each document is signed by
whoever made it, and fetching a list over TLS might need that very list. The standard library's
client bounds each wait; a timer bounds the whole, so a server that sends a byte a second ends too.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from handclasp.errors import HandclaspError

__all__ = ["Fetch", "FetchFailed", "fetch_by_http"]

REDIRECTS = 3
"""Redirections followed for one document."""


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


def fetch_by_http(fetch: Fetch, seconds: float) -> bytes:
    """Get a document within so many seconds, looking up the host's address aside; raises `FetchFailed`."""
    deadline = time.monotonic() + seconds
    url = fetch.url
    for _ in range(REDIRECTS + 1):
        try:
            answer = _ask(url, fetch, deadline - time.monotonic())
        except (FetchFailed, OSError, http.client.HTTPException, ValueError) as error:
            late = time.monotonic() >= deadline
            raise FetchFailed(f"not done within {seconds:.1f} s" if late else _reason(error)) from None
        if isinstance(answer, bytes):
            return answer
        url = urljoin(url, answer)
    raise FetchFailed(f"more than {REDIRECTS} redirections")


def _ask(url: str, fetch: Fetch, seconds: float) -> bytes | str:
    """The document, or where it is to be found instead."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise FetchFailed("not an http:// URL")
    if seconds <= 0:
        raise TimeoutError
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=seconds)
    timer = threading.Timer(seconds, _give_up, (connection,))
    timer.daemon = True
    timer.start()
    try:
        if fetch.body is None:
            connection.request("GET", target)
        else:
            connection.request("POST", target, fetch.body, {"Content-Type": "application/ocsp-request"})
        return _document(connection.getresponse(), fetch.limit)
    finally:
        timer.cancel()
        connection.close()


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


def _give_up(connection: http.client.HTTPConnection) -> None:
    """End whatever the other thread waits for."""
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was over already


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
