"""How a handshake waits: for a message, or for an answer.

A handshake is a generator. It yields an `Expect` and gets the message; it yields an `Ask` and
gets the answer. Everything else it does by plain calls on its `Side`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from handclasp.handshake.answers import DEFAULT_ANSWERS
from handclasp.questions import Question
from handclasp.wire.messages import HandshakeMessage

if TYPE_CHECKING:
    from handclasp.handshake.side import Side

__all__ = ["Ask", "Expect", "Steps", "Wait", "ask", "expect", "expect_change_cipher_spec", "maybe"]

M = TypeVar("M", bound=HandshakeMessage)
T = TypeVar("T")


class Expect(NamedTuple):
    """Waits for a message of one kind; where `optional`, any other kind answers None and comes again."""

    kind: type[HandshakeMessage] | None
    """None: a change_cipher_spec record."""
    optional: bool


class Ask(NamedTuple):
    """Waits for the answer to a question."""

    question: Question


Wait = Expect | Ask
Steps = Generator[Wait, Any, T]


def expect(kind: type[M]) -> Steps[M]:
    """The next message, which has to be of this kind; it is in the transcript when this returns."""
    message: M = yield Expect(kind, False)
    return message


def maybe(kind: type[M]) -> Steps[M | None]:
    """The next message if it is of this kind, else None."""
    message: M | None = yield Expect(kind, True)
    return message


def expect_change_cipher_spec() -> Steps[None]:
    """TLS 1.2: the record after which the peer's keys are new (RFC 5246, 7.1)."""
    yield Expect(None, False)


def ask(side: Side[Any], question: Question) -> Steps[Any]:
    """The answer to a question: from the config's function, from our caller, or the default.

    What is not our own is checked; a report that refuses is raised as its error.
    """
    config, kind = side.config, type(question)
    function = config.answers.get(kind)
    if function is not None:
        answer = function(question)
    elif kind in config.ask_caller:
        answer = yield Ask(question)
    else:
        return DEFAULT_ANSWERS[kind](config, question)
    question.check(answer)
    return answer
