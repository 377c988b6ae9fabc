"""What a handshake acts on: its config, its transcript, its way to the records.

One `Side` lives as long as the handshake does; nothing of it stays when that ends.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from handclasp.config import ClientConfig, Config, ServerConfig
from handclasp.facts import (
    ChangeCipherSpecSeen,
    Checked,
    Choice,
    Fact,
    KeyInstalled,
    MessageSeen,
    Observer,
    Role,
    SecretMade,
)
from handclasp.handshake.errors import UnexpectedMessage
from handclasp.handshake.established import Bound
from handclasp.handshake.transcript import Transcript
from handclasp.wire.iana import CipherSuite, ProtocolVersion
from handclasp.wire.messages import HandshakeMessage

if TYPE_CHECKING:
    from handclasp.record_layer import Opener, RecordLayer, Sealer

__all__ = ["ClientSide", "ServerSide", "Side"]

C = TypeVar("C", bound=Config)


class Side(Generic[C]):
    """One party of a handshake in progress."""

    __slots__ = (
        "bound",
        "ccs_sent",
        "client_random",
        "config",
        "observer",
        "port",
        "records",
        "role",
        "server_name",
        "transcript",
        "version",
    )

    def __init__(
        self,
        role: Role,
        config: C,
        records: RecordLayer,
        *,
        server_name: str | None,
        observer: Observer | None,
        port: int | None = None,
    ) -> None:
        self.role: Role = role
        self.config = config
        self.records = records
        self.server_name = server_name
        self.port = port
        """A client's: the server's port, where it is known; sessions are kept by it too."""
        self.bound = Bound()
        self.observer = observer
        self.transcript = Transcript()
        self.client_random = b""
        self.version: ProtocolVersion | None = None
        self.ccs_sent = False

    def random(self, size: int) -> bytes:
        """Fresh randomness, from the config where a test injected it."""
        return (self.config.random or os.urandom)(size)

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.config.now() * 1000)

    def now(self) -> datetime:
        """The same as a date."""
        return datetime.fromtimestamp(self.config.now(), UTC)

    def send(self, message: HandshakeMessage) -> None:
        """Send a message and add it to the transcript; the peer's flight has to be over."""
        if self.records.handshake_in:
            raise UnexpectedMessage("The peer began another message before it had our answer to those it had sent.")
        raw = message.to_bytes()
        self.transcript.add(raw)
        self.records.write_handshake(raw)
        if self.observer is not None:
            self.observer(MessageSeen("sent", message, self.version))

    def send_change_cipher_spec(self) -> None:
        """Send a change_cipher_spec record."""
        self.ccs_sent = True
        self.records.write_change_cipher_spec()
        if self.observer is not None:
            self.observer(ChangeCipherSpecSeen("sent"))

    def write_with(self, sealer: Sealer, label: str, suite: CipherSuite) -> None:
        """Protect what we send from here on by this key."""
        self.records.install_sealer(sealer)
        if self.observer is not None:
            self.observer(KeyInstalled("sent", label, suite))

    def read_with(self, opener: Opener, label: str, suite: CipherSuite) -> None:
        """Open what we receive from here on by this key."""
        self.records.install_opener(opener)
        if self.observer is not None:
            self.observer(KeyInstalled("received", label, suite))

    def note(self, fact: Fact) -> None:
        """Tell the observer; where building the fact costs something, ask `observer` first."""
        if self.observer is not None:
            self.observer(fact)

    def note_secret(self, label: str, secret: bytes) -> None:
        """Tell the observer of a secret, by its name in key logs."""
        if self.observer is not None:
            self.observer(SecretMade(label, self.client_random, secret))

    def note_choice(
        self,
        what: str,
        by: Role,
        offered: tuple[object, ...],
        possible: tuple[object, ...],
        taken: object,
        why: str,
    ) -> None:
        """Tell the observer of a decision."""
        if self.observer is not None:
            self.observer(Choice(what, by, offered, possible, taken, why))

    def note_check(self, what: str, passed: bool, why: str) -> None:
        """Tell the observer of a check of the handshake itself."""
        if self.observer is not None:
            self.observer(Checked(what, passed, why))


ClientSide = Side[ClientConfig]
ServerSide = Side[ServerConfig]
