"""Two engines joined in memory, with a hand on what goes between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from handclasp import ClientConfig, ClientConnection, ServerConfig, ServerConnection
from handclasp.connection import Connection
from handclasp.events import DataReceived, Event, HandshakeCompleted
from handclasp.facts import AlertSeen, Fact
from handclasp.handshake.side import Side
from handclasp.questions import VerifyPeer
from handclasp.wire.iana import AlertDescription
from handclasp.wire.messages import HandshakeMessage
from handclasp.x509 import Certificate, Report

M = TypeVar("M", bound=HandshakeMessage)
Change = Callable[[Any], HandshakeMessage | None]


class TamperingSide(Side[Any]):
    """A side that changes messages before it sends them, and believes that it sent the changed ones."""

    __slots__ = ()
    changes: ClassVar[dict[int, list[tuple[type[HandshakeMessage], Change]]]] = {}

    def send(self, message: HandshakeMessage) -> None:
        changed: HandshakeMessage | None = message
        for kind, change in self.changes[id(self)]:
            if type(message) is kind and changed is not None:
                changed = change(changed)
        if changed is not None:
            super().send(changed)


class Party:
    """One of the two, with all that it told."""

    def __init__(self, connection: Connection, facts: list[Fact]) -> None:
        self.connection = connection
        TamperingSide.changes.pop(id(connection._side), None)  # of an earlier side at the same place
        self.facts = facts
        self.events: list[Event] = []
        self.error: Exception | None = None

    def rewrite(self, kind: type[M], change: Callable[[M], M | None]) -> None:
        """Let this party send something else than it should; None: nothing at all."""
        side: Any = self.connection._side
        side.__class__ = TamperingSide
        TamperingSide.changes.setdefault(id(side), []).append((kind, change))

    def receive(self, data: bytes) -> None:
        try:
            self.events += self.connection.receive_data(data)
        except Exception as error:
            self.error = error
        if self.connection.error is not None and self.error is None:
            self.error = self.connection.error

    @property
    def data(self) -> bytes:
        """All data delivered."""
        return b"".join(event.data for event in self.events if isinstance(event, DataReceived))

    @property
    def heard(self) -> AlertDescription | None:
        """The last alert that the other party sent."""
        alerts = [f.description for f in self.facts if isinstance(f, AlertSeen) and f.direction == "received"]
        return alerts[-1] if alerts else None

    @property
    def done(self) -> bool:
        return any(isinstance(event, HandshakeCompleted) for event in self.events)


class Pair:
    """A client and a server."""

    def __init__(self, client: ClientConfig, server: ServerConfig, *, server_name: str | None = "localhost") -> None:
        client_facts: list[Fact] = []
        server_facts: list[Fact] = []
        self.client = Party(
            ClientConnection(client, server_name=server_name, observer=client_facts.append), client_facts
        )
        self.server = Party(ServerConnection(server, observer=server_facts.append), server_facts)
        self.to_server: Callable[[bytes], bytes] = lambda data: data
        self.to_client: Callable[[bytes], bytes] = lambda data: data

    def shake(self) -> None:
        """Run the handshake; raises the first error of either."""
        self.run()
        for party in (self.client, self.server):
            if party.error is not None and not _by_alert(party.error):
                raise party.error
        for party in (self.client, self.server):
            if party.error is not None:
                raise party.error

    def run(self) -> None:
        """Start both and carry bytes until there are none; errors stay with the parties."""
        self.client.events += self.client.connection.start()
        self.server.events += self.server.connection.start()
        self.carry()

    def carry(self) -> None:
        """Carry bytes both ways until there are none."""
        for _ in range(64):
            there = self.client.connection.data_to_send()
            if there:
                self.server.receive(self.to_server(there))
            back = self.server.connection.data_to_send()
            if back:
                self.client.receive(self.to_client(back))
            if not there and not back:
                return
        raise AssertionError("the two never come to an end")

    def say(self, text: bytes = b"ping") -> None:
        """Data both ways."""
        self.client.connection.send_data(text)
        self.server.connection.send_data(text[::-1])
        self.carry()


def anybody(question: VerifyPeer) -> Report:
    """An answer that takes any peer for good."""
    leaf = Certificate(question.chain[0])
    return Report(leaf=leaf, path=(leaf,), checks=(), paths=(), error=None, identities=None)


def noting(asked: list[VerifyPeer]) -> Callable[[VerifyPeer], Report]:
    """The same, and the questions are kept in this list."""

    def answer(question: VerifyPeer) -> Report:
        asked.append(question)
        return anybody(question)

    return answer


def _by_alert(error: Exception) -> bool:
    return type(error).__name__ == "PeerAlert"


def records(data: bytes) -> list[bytes]:
    """The records in some bytes."""
    found, at = [], 0
    while at < len(data):
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        found.append(data[at:end])
        at = end
    return found
