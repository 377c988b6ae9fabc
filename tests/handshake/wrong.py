"""What tests of wrong messages share: messages with other extensions, and how a refusal looks from both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.pair import Pair

from handclasp import ProtocolVersion
from handclasp.errors import PeerError
from handclasp.facts import AlertSeen
from handclasp.wire.extensions import (
    KeyShareClientHello,
    KeyShareEntry,
    KeyShareServerHello,
    find,
    pack,
)
from handclasp.wire.iana import (
    ExtensionType,
)
from handclasp.wire.messages import (
    ClientHello,
    HandshakeMessage,
    ServerHello,
)

TLS11, TLS12, TLS13 = ProtocolVersion.TLS11, ProtocolVersion.TLS12, ProtocolVersion.TLS13
SSL3 = ProtocolVersion.SSL3
E = ExtensionType


def extended(message: Any, *bodies: Any, without: tuple[ExtensionType, ...] = (), **raw: bytes) -> Any:
    """The message with extensions added, replaced or left out."""
    extensions = {kind: data for kind, data in message.extensions.items() if kind not in without}
    extensions |= pack(*bodies)
    extensions |= {ExtensionType[name]: data for name, data in raw.items()}
    return replace(message, extensions=extensions)


def shares_of(hello: ClientHello) -> list[KeyShareEntry]:
    found = find(hello.extensions, KeyShareClientHello)
    assert found is not None
    return found.client_shares


def server_share(hello: ServerHello) -> KeyShareEntry:
    found = find(hello.extensions, KeyShareServerHello)
    assert found is not None
    return found.server_share


Change = Callable[[Any], HandshakeMessage | None]


def failing(pair: Pair, expected: type[Exception], finder: Any, other: Any) -> None:
    """The finder raises this error; the other hears its alert; neither has a session or data."""
    pair.run()
    assert type(finder.error) is expected, repr(finder.error)
    if isinstance(finder.error, PeerError):
        assert other.heard == finder.error.alert or isinstance(other.error, Exception)
        sent = [f for f in finder.facts if isinstance(f, AlertSeen) and f.direction == "sent"]
        assert [f.description for f in sent] == [finder.error.alert]
    assert str(finder.error)
    assert not finder.done
    with pytest.raises(expected):
        finder.connection.receive_data(b"")
    with pytest.raises(expected):
        finder.connection.send_data(b"x")
