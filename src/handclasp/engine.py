"""How the engine works inside: the handshake driven, records sorted, errors turned into one alert.

The handshake is a generator (see `handshake.flow`); this module gives it the messages it expects.
`Connection`, in `connection.py`, is what callers see of it.
"""

from __future__ import annotations

from typing import Any, NoReturn

from handclasp.config import ClientConfig, Config, ServerConfig
from handclasp.endings import (
    PeerAlert,
    QuestionMismatch,
    Truncated,
)
from handclasp.errors import PeerError, anew, empty_frames
from handclasp.events import (
    Asked,
    DataReceived,
    Event,
    HandshakeCompleted,
    PeerClosed,
    TicketReceived,
)
from handclasp.facts import (
    AlertSeen,
    ChangeCipherSpecSeen,
    Closed,
    Failed,
    Finish,
    KeyInstalled,
    MessageSeen,
    Observer,
    Role,
)
from handclasp.handshake import client, server
from handclasp.handshake.answers import DEFAULT_ANSWERS
from handclasp.handshake.errors import IllegalValue, LimitExceeded, UnexpectedMessage
from handclasp.handshake.established import Established
from handclasp.handshake.flow import Ask, Expect, Steps, Wait
from handclasp.handshake.side import Side
from handclasp.pickling import refuse_copies
from handclasp.questions import KeepSession, Question
from handclasp.record_layer import PASSED_OVER, RecordLayer
from handclasp.wire.codec import DecodeError
from handclasp.wire.iana import (
    AlertDescription,
    AlertLevel,
    ContentType,
    HandshakeType,
    KeyUpdateRequest,
    ProtocolVersion,
)
from handclasp.wire.messages import HandshakeMessage, KeyUpdate, NewSessionTicket
from handclasp.wire.messages12 import HelloRequest
from handclasp.wire.records import CHANGE_CIPHER_SPEC

__all__ = ["Engine"]

TLS13 = ProtocolVersion.TLS13
HANDSHAKE, APPLICATION_DATA = int(ContentType.HANDSHAKE), int(ContentType.APPLICATION_DATA)
ALERT, CHANGE_CIPHER_SPEC_TYPE = int(ContentType.ALERT), int(ContentType.CHANGE_CIPHER_SPEC)

KEY_UPDATES = "KeyUpdates without data between them, theirs or ours"

WISHES = "wishes to renegotiate"


class Engine:
    """The inside of one connection; see `Connection` for what callers do with it."""

    __slots__ = (
        "_config",
        "_counts",
        "_error",
        "_events",
        "_handshake",
        "_observer",
        "_owes_key_update",
        "_paid_updates",
        "_peer_closed",
        "_pending",
        "_records",
        "_records_sent",
        "_side",
        "_started",
        "_unused",
        "_wait",
        "_write_closed",
        "established",
        "role",
    )

    def __init__(
        self,
        role: Role,
        config: Config,
        server_name: str | None,
        observer: Observer | None,
        port: int | None = None,
    ) -> None:
        self.role: Role = role
        self.established: Established | None = None
        """The session, once the handshake is done."""
        self._config = config
        self._observer = observer
        self._records = RecordLayer(config.limits.handshake_message_size, config.record_padding)
        side: Side[Any] = Side(role, config, self._records, server_name=server_name, observer=observer, port=port)
        self._side: Side[Any] | None = side
        self._handshake: Steps[Established] | None = (
            client.handshake(side) if role == "client" else server.handshake(side)
        )
        self._wait: Expect | None = None
        self._pending: Question | None = None
        self._events: list[Event] = []
        self._error: Exception | None = None
        self._started = self._peer_closed = self._write_closed = False
        self._counts: dict[str, int] = {}
        self._unused = b""
        """What came behind the peer's close_notify."""
        self._owes_key_update = False
        """Whether the peer waits for a KeyUpdate of ours; one answers all that were asked for till then."""
        self._records_sent = 0
        """Records with data that we sent under keys that are gone."""
        self._paid_updates = 0
        """KeyUpdates of the peer's that records of ours have paid for."""

    def __repr__(self) -> str:
        state = "failed" if self._error else "established" if self.established else "handshaking"
        return f"<{type(self).__name__} {state}>"

    def __reduce__(self) -> NoReturn:
        refuse_copies(self)

    # One place where errors become alerts.

    def _guarded(self, step: Any, argument: Any) -> list[Event]:
        self._raise_if_failed()
        try:
            step(argument)
        except Exception as error:
            self._fail(error)
            if not self._events:
                raise
        events, self._events = self._events, []
        return events

    def _raise_if_failed(self) -> None:
        if self._error is not None:
            raise anew(self._error).with_traceback(None)

    def _fail(self, error: Exception) -> None:
        self._error = kept = anew(error)
        empty_frames(error)
        if not self._write_closed:
            if isinstance(error, PeerError):
                self._send_alert(AlertLevel.FATAL, AlertDescription(error.alert))
            elif isinstance(error, PeerAlert) and error.description == AlertDescription.CLOSE_NOTIFY:
                self._send_alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)  # RFC 8446, 6.1
            elif not isinstance(error, (PeerAlert, Truncated)):
                self._send_alert(AlertLevel.FATAL, AlertDescription.INTERNAL_ERROR)
        self._write_closed = True
        if isinstance(error, (PeerError, PeerAlert)):
            self._forget_session()
        if self._observer is not None:
            self._observer(Failed(kept, isinstance(error, PeerAlert)))
        self._records.drop_keys()
        self._handshake = self._side = self._wait = self._pending = None

    def _forget_session(self) -> None:
        """A session that ended by an alert is not resumed (RFC 5246, 7.2.2; RFC 8446, 6.2)."""
        config, established, side = self._config, self.established, self._side
        if isinstance(config, ClientConfig):
            bound = established.bound if established is not None else side.bound if side is not None else None
            if config.sessions is not None and bound is not None:
                config.sessions.discard(bound.scope)
        elif isinstance(config, ServerConfig) and config.sessions is not None and established is not None:
            # Anybody can say an ID that went over the wire; a session is its client's once that has finished.
            config.sessions.discard(established.session_id)

    def _send_alert(self, level: AlertLevel, description: AlertDescription) -> None:
        self._records.write_alert(level, description)
        if self._observer is not None:
            self._observer(AlertSeen("sent", level, description))

    # The handshake's generator.

    def _advance(self, value: object) -> None:
        """Send the generator what it waited for, and note what it waits for next."""
        generator = self._handshake
        if generator is None:
            return
        try:
            wait = generator.send(value)
        except StopIteration as done:
            self._complete(done.value)
            return
        self._wait_for(wait)

    def _wait_for(self, wait: Wait) -> None:
        if type(wait) is Ask:
            self._wait = None
            self._pending = wait.question
            self._events.append(Asked(wait.question))
        else:
            self._wait = wait  # type: ignore[assignment]  # an Expect, being no Ask

    def _complete(self, established: Established) -> None:
        self.established = established
        self._handshake = self._side = self._wait = None
        self._counts = {}
        self._records.handshake_over = True
        self._records.flush()
        if self._observer is not None:
            self._observer(Finish(established.version, established.resumed))
        self._events.append(HandshakeCompleted(established))

    def _take_pending(self, question: Question) -> None:
        self._raise_if_failed()
        if question is not self._pending:
            raise QuestionMismatch("That question is not open in this connection.")
        self._pending = None

    def _answered(self, answer: object) -> None:
        self._advance(answer)
        self._pump()

    def _refused(self, error: Exception) -> None:
        """Throw the error where the question was asked; what is refused may be something to do without."""
        if self._handshake is not None:
            self._wait_for(self._handshake.throw(error))
            self._pump()

    # Incoming.

    def _receive(self, data: bytes | bytearray | memoryview) -> None:
        if self._peer_closed:  # nothing after close_notify counts (RFC 8446, 6.1)
            self._unused += bytes(data[: max(self._config.limits.buffered_bytes - len(self._unused), 0)])
            return
        self._records.feed(data)
        if self._pending is None:
            self._pump()
        elif self._records.buffered > self._config.limits.buffered_bytes:
            raise LimitExceeded(
                f"The peer sent more than {self._config.limits.buffered_bytes} bytes while a decision was awaited."
            )

    def _receive_eof(self, _: None) -> None:
        if self._config.allow_truncation and self.established is not None and not self._peer_closed:
            self._peer_closed = True
            self._events.append(PeerClosed())
            self._drop_keys_when_over()
        if not self._peer_closed:
            when = "before the handshake was done" if self.established is None else "without close_notify"
            raise Truncated(f"The connection ended {when}; data may be missing.", WISHES in self._counts)

    def _pump(self) -> None:
        """Handle all that is there, until a question waits or bytes run out."""
        records = self._records
        while self._pending is None and not self._peer_closed:
            if records.handshake_in:
                raw = records.next_message()
                if raw is not None:
                    self._on_message(raw)
                    continue
            record = records.next_record()
            if record is None:
                return
            content_type, payload = record
            if content_type == APPLICATION_DATA:
                if payload and self.established is not None and not records.handshake_in and not self._counts:
                    self._events.append(DataReceived(payload))
                else:
                    self._on_data(payload)
            elif content_type == HANDSHAKE:
                records.add_handshake(payload)
            elif records.handshake_in:
                raise UnexpectedMessage("Another kind of record came in the middle of a handshake message.")
            elif content_type == ALERT:
                self._on_alert(payload)
            elif content_type == CHANGE_CIPHER_SPEC_TYPE:
                self._on_change_cipher_spec(payload)
            elif content_type == PASSED_OVER:
                continue
            else:
                raise UnexpectedMessage(f"A record of content type {content_type}, which TLS does not use here.")

    def _on_data(self, payload: bytes) -> None:
        established = self.established
        if established is None:
            raise UnexpectedMessage("Application data came before the handshake was done.")
        if self._records.handshake_in:
            raise UnexpectedMessage("Application data came in the middle of a handshake message.")
        if not payload:
            self._count("empty records", self._config.limits.empty_records)
            return
        self._counts.pop("empty records", None)
        self._counts.pop(KEY_UPDATES, None)
        self._events.append(DataReceived(payload))

    def _on_message(self, raw: bytes) -> None:
        if self.established is not None:
            self._on_late_message(raw)
            return
        wait, side = self._wait, self._side
        if wait is None or side is None:
            raise UnexpectedMessage(f"{_name(raw)} came where nothing was expected.")
        kind = wait.kind
        if wait.optional and (kind is None or raw[0] != kind.handshake_type):
            self._advance(None)
            self._on_message(raw) if self._pending is None else self._records.push_back(raw)
            return
        if kind is None or raw[0] != kind.handshake_type:
            wanted = "change_cipher_spec" if kind is None else kind.__name__
            raise UnexpectedMessage(f"{_name(raw)} came where {wanted} is expected.")
        message = kind.parse(raw)
        side.transcript.add(raw)
        if self._observer is not None:
            self._observer(MessageSeen("received", message, side.version))
        self._advance(message)

    def _on_change_cipher_spec(self, payload: bytes) -> None:
        if payload != CHANGE_CIPHER_SPEC:
            raise UnexpectedMessage("A change_cipher_spec record with another body than 1.")
        side = self._side
        early = side is not None and side.version is None and self.role == "client" and TLS13 in self._config.versions
        if side is None or (side.version is None and not early):
            raise UnexpectedMessage("change_cipher_spec came at no place where it may.")
        if self._observer is not None:
            self._observer(ChangeCipherSpecSeen("received"))
        if side.version == TLS13 or early:  # from the first ClientHello on (RFC 8446, 5)
            self._count("change_cipher_spec records", self._config.limits.change_cipher_specs)
        elif self._wait is not None and self._wait.kind is None:
            self._advance(None)
        else:
            raise UnexpectedMessage("change_cipher_spec came before its time.")

    def _on_alert(self, payload: bytes) -> None:
        if not payload:
            raise UnexpectedMessage("An empty alert record, which RFC 8446, 5.1 forbids.")
        if len(payload) != 2:
            raise DecodeError(f"An alert record with {len(payload)} bytes; an alert has 2.")
        level, description = AlertLevel(payload[0]), AlertDescription(payload[1])
        if not level.is_known:
            raise IllegalValue(f"An alert of level {level:d}, which is neither a warning nor fatal.")
        if self._observer is not None:
            self._observer(AlertSeen("received", level, description))
        if description == AlertDescription.CLOSE_NOTIFY:
            self._on_close_notify()
            return
        version = self.established.version if self.established else self._side.version if self._side else None
        harmless = description == AlertDescription.USER_CANCELED if version == TLS13 else level == AlertLevel.WARNING
        if harmless:  # TLS 1.3 reads no levels (RFC 8446, 6)
            self._count("warning alerts", self._config.limits.warning_alerts)
            return
        raise PeerAlert(description, self.established is None, WISHES in self._counts)

    def _on_close_notify(self) -> None:
        if self.established is None:
            raise PeerAlert(AlertDescription.CLOSE_NOTIFY, True)
        self._peer_closed = True
        self._unused = self._records.take_input()
        if self._observer is not None:
            self._observer(Closed("received"))
        self._events.append(PeerClosed())
        self._drop_keys_when_over()

    def _drop_keys_when_over(self) -> None:
        if self._peer_closed and self._write_closed:
            self._records.drop_keys()

    def _count(self, what: str, limit: int) -> None:
        self._counts[what] = count = self._counts.get(what, 0) + 1
        if count > limit:
            raise LimitExceeded(f"The peer sent more than {limit} {what}.")

    # After the handshake.

    def _on_late_message(self, raw: bytes) -> None:
        established = self.established
        assert established is not None  # the caller's branch
        kind = raw[0]
        if established.after is None:
            self._on_renegotiation(raw)
        elif kind == HandshakeType.KEY_UPDATE:
            self._on_key_update(self._parse_late(KeyUpdate, raw))
        elif kind == HandshakeType.NEW_SESSION_TICKET and self.role == "client":
            self._on_ticket(self._parse_late(NewSessionTicket, raw))
        else:
            raise UnexpectedMessage(f"{_name(raw)} came after the handshake.")

    def _parse_late(self, kind: type[Any], raw: bytes) -> Any:
        message: HandshakeMessage = kind.parse(raw)
        if self._observer is not None:
            self._observer(MessageSeen("received", message, TLS13))
        return message

    def _on_renegotiation(self, raw: bytes) -> None:
        """TLS 1.2: another handshake is declined by a warning; the session goes on (RFC 5246, 7.2.2)."""
        wish = HandshakeType.HELLO_REQUEST if self.role == "client" else HandshakeType.CLIENT_HELLO
        if raw[0] != wish:
            raise UnexpectedMessage(f"{_name(raw)} came after the handshake.")
        if self.role == "client":
            HelloRequest.parse(raw)
        self._count(WISHES, self._config.limits.warning_alerts)
        if not self._write_closed:
            self._send_alert(AlertLevel.WARNING, AlertDescription.NO_RENEGOTIATION)

    def _on_key_update(self, message: KeyUpdate) -> None:
        established = self.established
        after = established.after if established is not None else None
        assert after is not None  # the caller's branch
        self._count_key_update()
        opener, wanted = after.take_key_update(message)
        self._records.install_opener(opener)
        if self._observer is not None:
            self._observer(KeyInstalled("received", "application, updated", after.suite.suite))
        self._owes_key_update |= wanted

    def _count_key_update(self) -> None:
        """A receiver may ask again for each record that was on its way when it first asked: ours pay for as many."""
        if self._paid_updates < self._records_sent + self._sent_under_this_key():
            self._paid_updates += 1
        else:
            self._count(KEY_UPDATES, self._config.limits.key_updates)

    def _sent_under_this_key(self) -> int:
        sealer = self._records.sealer
        return 0 if sealer is None else sealer.sequence

    def _answer_key_update(self) -> None:
        """Before our next bytes, of whatever kind; once, however often it was asked for (RFC 8446, 4.6.3)."""
        self._owes_key_update = False
        if not self._write_closed:
            self._write_key_update(KeyUpdateRequest.UPDATE_NOT_REQUESTED)

    def _write_key_update(self, wish: KeyUpdateRequest) -> None:
        self._owes_key_update = False
        self._records_sent += self._sent_under_this_key()
        established = self.established
        after = established.after if established is not None else None
        assert after is not None  # the callers' checks
        message = KeyUpdate(wish)
        self._records.write_handshake(message.to_bytes())
        self._records.install_sealer(after.next_sealer())
        if self._observer is not None:
            self._observer(MessageSeen("sent", message, TLS13))
            self._observer(KeyInstalled("sent", f"application {after.generation + 1}", after.suite.suite))

    def _on_ticket(self, message: NewSessionTicket) -> None:
        established, config = self.established, self._config
        after = established.after if established is not None else None
        assert established is not None  # the caller's branch
        assert after is not None
        now_ms = int(config.now() * 1000)
        session = after.take_ticket(message, established, now_ms, config.limits)
        if session is None:
            return
        self._events.append(TicketReceived(session))
        if KeepSession not in config.ask_caller:
            keep = config.answers.get(KeepSession)
            question = KeepSession(session, established.server_name, None)
            if keep is not None:
                keep(question)
            else:
                DEFAULT_ANSWERS[KeepSession](config, question)


def _name(raw: bytes) -> str:
    return str(HandshakeType(raw[0]))
