"""The engine: bytes in, events out; decisions as questions; no I/O, no clock, no randomness of its own.

    connection = ClientConnection(config, server_name="example.com")
    connection.start()
    send(connection.data_to_send())
    for event in connection.receive_data(received): ...

A failed connection stays failed and keeps its cause. If data came in before an error in the same
call, the data is returned first and the error raised by the next call: nothing authentic is lost.
How it works inside is in `engine.py`.
"""

from __future__ import annotations

from handclasp.config import ClientConfig, Config, ServerConfig
from handclasp.endings import AlreadyStarted, ConnectionClosed, HandshakePending, NotStarted
from handclasp.engine import Engine
from handclasp.errors import UsageError, anew
from handclasp.events import (
    Event,
)
from handclasp.facts import (
    Closed,
    Observer,
    Started,
)
from handclasp.questions import Question, WrongAnswer
from handclasp.values import check_type
from handclasp.wire.iana import (
    AlertDescription,
    AlertLevel,
    KeyUpdateRequest,
)
from handclasp.x509.names import PeerName
from handclasp.x509.policy import NamePolicy

__all__ = ["ClientConnection", "Connection", "ServerConnection"]


NOT_STARTED = "The connection was not started: call start() first, once, and send what data_to_send() gives."


class Connection(Engine):
    """One TLS connection, either role; build a `ClientConnection` or a `ServerConnection`."""

    __slots__ = ()

    def start(self) -> list[Event]:
        """Begin the handshake: a client's hello is then in `data_to_send`. Call it once, first."""
        if self._started:
            raise AlreadyStarted("start() was called before; a connection is started once.")
        if self._write_closed:
            raise ConnectionClosed("The connection was closed before it was started.")
        self._started = True
        if self._observer is not None and self._side is not None:
            self._observer(Started(self.role, self._side.server_name))
        return self._guarded(self._advance, None)

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes from the peer; raises the error that ends the connection.

        While a question waits, bytes are held up to `limits.buffered_bytes`.
        """
        if self._error is not None:
            self._raise_if_failed()
        if not self._started:
            raise NotStarted(NOT_STARTED)
        try:
            self._receive(data)
        except Exception as error:
            data = b""  # which the traceback would keep
            self._fail(error)
            if not self._events:
                raise
        events, self._events = self._events, []
        return events

    def receive_eof(self) -> list[Event]:
        """The transport has ended; raises `Truncated` unless the peer had said so by close_notify.

        With `allow_truncation` in the config it is taken for the end of the data, once the handshake is done.
        """
        if not self._started:
            raise NotStarted(NOT_STARTED)
        return self._guarded(self._receive_eof, None)

    def data_to_send(self) -> bytes:
        """Bytes for the peer, each once; also after an error, for the alert is among them."""
        if self._owes_key_update:
            self._answer_key_update()
        return self._records.take_output()

    def send_data(self, data: bytes | bytearray | memoryview) -> None:
        """Protect application data; the records are then in `data_to_send`."""
        if self._error is not None:
            self._raise_if_failed()
        if self._write_closed:
            raise ConnectionClosed("Data cannot be sent after close().")
        established = self.established
        if established is None:
            if not self._started:
                raise NotStarted(NOT_STARTED)
            raise HandshakePending("Data cannot be sent before the handshake is done.")
        if self._owes_key_update:
            self._answer_key_update()
        if type(data) is memoryview:
            data = data.cast("B")
        if not data:
            return
        records, after = self._records, established.after
        if after is not None and records.sealer is not None and records.sealer.sequence >= after.suite.record_limit:
            self.update_keys(request_peer=False)
        records.write_data(data)

    def close(self) -> None:
        """Say close_notify: we send no more. The peer may go on sending (RFC 8446, 6.1).

        In the handshake it is the end of both directions, since there is no session to read from. Before
        `start` nothing is said: the peer knows of no connection.
        """
        if not self._started:
            self._write_closed = self._peer_closed = True
            self._handshake = self._side = None
        if self._error is None and not self._write_closed:
            self._write_closed = True
            self._send_alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)
            if self._observer is not None:
                self._observer(Closed("sent"))
            if self._handshake is not None:
                self._handshake = self._side = self._wait = self._pending = None
                self._peer_closed = True
            self._drop_keys_when_over()

    def answer(self, question: Question, answer: object) -> list[Event]:
        """Answer an open question; the handshake goes on.

        A `Report` that refuses the peer ends the connection by its error; what is no answer, by `WrongAnswer`.
        """
        self._take_pending(question)
        return self._guarded(self._answered, answer)

    def refuse(self, question: Question, error: Exception) -> list[Event]:
        """Answer an open question by an error, which ends the connection.

        An earlier session's peer (`VerifyPeer` with `resumed`) that is refused by a `CertificateError` ends nothing:
        that session is not resumed.
        """
        if not isinstance(error, Exception):
            raise WrongAnswer(question, "an exception, where it is refused", error)
        self._take_pending(question)
        return self._guarded(self._refused, error)

    def update_keys(self, *, request_peer: bool = True) -> None:
        """Renew our key, and ask the peer to renew its own (RFC 8446, 4.6.3)."""
        self._raise_if_failed()
        if self.established is None or self.established.after is None:
            raise HandshakePending("Keys are updated in an established TLS 1.3 session only.")
        if self._write_closed:
            raise ConnectionClosed("Keys cannot be updated after close().")
        wish = KeyUpdateRequest.UPDATE_REQUESTED if request_peer else KeyUpdateRequest.UPDATE_NOT_REQUESTED
        self._write_key_update(wish)

    def export(self, label: bytes, context: bytes | None, length: int) -> bytes:
        """Keying material that both sides can make and nobody else (RFC 8446, 7.5; RFC 5705)."""
        self._raise_if_failed()
        if self.established is None:
            raise HandshakePending("Keys are exported from an established session only.")
        return self.established.exporter.export(label, context, length)

    @property
    def error(self) -> Exception | None:
        """What ended the connection, if it failed; it stays, and can be raised as often as one likes."""
        return None if self._error is None else anew(self._error).with_traceback(None)

    @property
    def unused_data(self) -> bytes:
        """Bytes that came behind the peer's close_notify; they are no part of the connection.

        As many as `limits.buffered_bytes` are kept; whoever goes on in clear text reads no further than that.
        """
        return bytes(self._unused)

    @property
    def bytes_wanted(self) -> int:
        """Bytes that are missing of the record that comes next, or of its header; to read no further than it."""
        return self._records.bytes_wanted

    @property
    def peer_closed(self) -> bool:
        """Whether the peer has said close_notify."""
        return self._peer_closed

    @property
    def write_closed(self) -> bool:
        """Whether we have said close_notify."""
        return self._write_closed

    @property
    def handshaking(self) -> bool:
        """Whether the handshake is still going on."""
        return self._handshake is not None and self._error is None


class ClientConnection(Connection):
    """A client's side of one connection to `server_name`, a host name or an IP address.

    Without a name the server's certificate is judged but for its name, which says little about
    who the server is; so the config's verification policy has to say that names are not checked
    (`NamePolicy.OFF`). `port`, where it is known, keeps sessions with other servers of the same host apart.
    Raises `UsageError` for no name where names are checked, and for one that no host can have.
    """

    __slots__ = ()

    def __init__(
        self,
        config: ClientConfig,
        *,
        server_name: str | None,
        port: int | None = None,
        observer: Observer | None = None,
    ) -> None:
        _check_arguments(config, ClientConfig, observer)
        if server_name is not None:
            PeerName.of(server_name)  # raises for what is no name, before anything is sent
        elif config.verification.names is not NamePolicy.OFF:
            raise UsageError(
                "server_name: name the server, or anybody with a certificate of a trusted authority passes for it; "
                "who wants that says so in the policy: verification=replace(DEFAULT, names=NamePolicy.OFF)."
            )
        super().__init__("client", config, server_name, observer, port)


class ServerConnection(Connection):
    """A server's side of one connection."""

    __slots__ = ()

    def __init__(self, config: ServerConfig, *, observer: Observer | None = None) -> None:
        _check_arguments(config, ServerConfig, observer)
        super().__init__("server", config, None, observer)


def _check_arguments(config: object, kind: type[Config], observer: object) -> None:
    """Every connection comes by here: looked at twice only where it is none of what it should be."""
    if not isinstance(config, kind):
        check_type("config", config, kind)
    if observer is not None and not callable(observer):
        check_type("observer", observer, Observer, None)
