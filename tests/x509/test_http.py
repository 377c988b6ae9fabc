"""One document by HTTP, within a size and a time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.x509.web import Web

from handclasp.x509.http import Fetch, FetchFailed, fetch_by_http


def test_a_redirection_is_followed_and_a_ring_of_them_is_not(web: Web) -> None:
    web.documents["there"] = b"it"
    web.redirections |= {"here": "/there", "ring": "/ring", "away": "https://127.0.0.1/", "file": "file:///etc/passwd"}
    assert fetch_by_http(Fetch(web.url("here"), 10), 20) == b"it"
    with pytest.raises(FetchFailed, match="more than 3 redirections"):
        fetch_by_http(Fetch(web.url("ring"), 10), 20)
    for path in ("away", "file"):
        with pytest.raises(FetchFailed, match="not an http:// URL"):
            fetch_by_http(Fetch(web.url(path), 10), 20)


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "ldap://127.0.0.1/", "http:///x", "http://127.0.0.1:x/", ""])
def test_other_urls_are_not_fetched(url: str) -> None:
    with pytest.raises(FetchFailed):
        fetch_by_http(Fetch(url, 10), 20)


def test_a_long_document_is_left(web: Web) -> None:
    web.documents["long"] = bytes(11)
    with pytest.raises(FetchFailed, match="11 bytes; the limit is 10"):
        fetch_by_http(Fetch(web.url("long"), 10), 20)


def served_raw(*pieces: bytes) -> contextlib.AbstractContextManager[int]:
    """A port whose server sends these bytes to who asks, and waits for the client to go; an empty piece closes."""

    @contextlib.contextmanager
    def serve() -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                sock, _ = listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.recv(1 << 16)
                    for piece in pieces:
                        sock.sendall(piece)
                    if pieces[-1:] != (b"",):
                        while sock.recv(1 << 16):
                            pass

            thread = threading.Thread(target=answer)
            thread.start()
            yield listener.getsockname()[1]
            thread.join()

    return serve()


def test_a_server_that_stops_in_the_middle_is_left() -> None:
    with (
        served_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"ab") as port,
        pytest.raises(FetchFailed, match="not done within"),
    ):
        fetch_by_http(Fetch(f"http://127.0.0.1:{port}/", 10), 0.2)


def test_a_document_that_is_cut_short_is_none() -> None:
    cut = served_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"")
    with cut as port, pytest.raises(FetchFailed, match="cut short"):
        fetch_by_http(Fetch(f"http://127.0.0.1:{port}/", 10), 20)


def test_a_stream_without_end_is_left() -> None:
    with (
        served_raw(b"HTTP/1.0 200 OK\r\n\r\n", bytes(100)) as port,
        pytest.raises(FetchFailed, match="more than 10 bytes"),
    ):
        fetch_by_http(Fetch(f"http://127.0.0.1:{port}/", 10), 20)


@pytest.mark.parametrize(
    "place", ["http://[", "http://[::1/", "http://127.0.0.1:99999/", "http://\x1b[2J/", "http://a b/"]
)
def test_a_redirection_to_no_url_is_a_failure_that_prints(web: Web, place: str) -> None:
    web.redirections["here"] = place
    with pytest.raises(FetchFailed) as failed:
        fetch_by_http(Fetch(web.url("here"), 10), 20)
    assert str(failed.value).isprintable()


def test_a_resolver_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    over, ended = threading.Event(), threading.Event()

    def resolve(*_: Any, **__: Any) -> Any:
        over.wait(20)
        ended.set()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(FetchFailed, match="not done within"):
        fetch_by_http(Fetch("http://example.com/", 10), 0.05)
    assert not ended.is_set()
    over.set()


def test_a_host_of_many_addresses_is_tried_at_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    class Refusing(socket.socket):
        def connect(self, address: Any) -> None:
            tried.append(address)
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "socket", Refusing)
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 100)
    with pytest.raises(FetchFailed, match="connection refused"):
        fetch_by_http(Fetch("http://example.com/", 10), 20)
    assert len(tried) == 8


def test_an_address_that_does_not_answer_leaves_time_for_the_next(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.documents["it"] = b"it"
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())  # it has room for no more, so further ones wait
        dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())
        good = (*dead[:4], ("127.0.0.1", web.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [dead, good])
        assert fetch_by_http(Fetch("http://example.com/it", 10), 3) == b"it"
