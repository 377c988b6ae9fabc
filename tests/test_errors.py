"""Errors as Python programs meet them: what catches them, what they say, what they carry, how often they are raised."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from traceback import walk_tb
from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair

import handclasp
from handclasp import (
    CertificateError,
    ConfigError,
    HandclaspError,
    PeerAlert,
    PeerError,
    Truncated,
    UsageError,
)
from handclasp.ca import Authority
from handclasp.errors import anew
from handclasp.handshake.errors import FinishedMismatch
from handclasp.questions import VerifyPeer
from handclasp.wire.iana import AlertDescription
from handclasp.wire.messages import Finished
from handclasp.x509.errors import UnknownAuthority

for module in pkgutil.walk_packages(handclasp.__path__, "handclasp."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


def below(kind: type[HandclaspError]) -> Iterator[type[HandclaspError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from below(one)


KINDS = sorted(set(below(HandclaspError)), key=lambda kind: kind.__name__)
EVERY = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def made(kind: type[HandclaspError]) -> HandclaspError:
    """One of each class, as it is made where it is raised."""
    if kind is PeerAlert:
        return PeerAlert(AlertDescription.UNKNOWN_CA, True)
    error = kind.__new__(kind)
    plain = "__init__" not in vars(kind) or len(inspect.signature(kind).parameters) < 3  # a message, and a report
    (kind if plain else HandclaspError).__init__(error, "What happened, in a sentence.")
    return error


@EVERY
def test_every_error_says_what_it_knows_or_none(kind: type[HandclaspError]) -> None:
    error = made(kind)
    alert, section, mend, step = error.alert, error.section, error.mend, error.step
    assert alert is None or AlertDescription(alert).is_known
    assert section is None or section
    assert mend is None or mend.endswith((".", "?"))
    assert step is None or 1 <= step <= 22
    if isinstance(error, PeerError) and kind is not PeerError:
        assert alert is not None
        assert section is not None


@EVERY
def test_every_error_is_what_programs_catch_around_a_socket(kind: type[HandclaspError]) -> None:
    """As with `ssl.SSLError`; its text is the sentence alone, without a number of the system's."""
    error = made(kind)
    assert isinstance(error, OSError)
    assert str(error).endswith(".")
    assert not str(error).startswith("[")
    assert error.strerror is None
    assert error.filename is None
    assert (error.errno is not None) == isinstance(error, ConnectionResetError)


def test_who_is_to_blame_can_be_told_by_the_class() -> None:
    assert issubclass(Truncated, ConnectionResetError)
    assert issubclass(ConfigError, ValueError)
    for kind in (PeerAlert, CertificateError, UsageError):
        assert not issubclass(kind, ConnectionError | TimeoutError)


@EVERY
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_every_error_survives_being_copied_and_pickled(
    kind: type[HandclaspError], copied: Callable[[Any], Any]
) -> None:
    error = made(kind)
    error.add_note("while the mail was fetched")
    twin = copied(error)
    assert type(twin) is kind
    assert (str(twin), twin.args, twin.errno, vars(twin)) == (str(error), error.args, error.errno, vars(error))


def refused(world: World) -> Pair:
    pair = Pair(world.client_config(), world.server_config())
    pair.server.rewrite(Finished, lambda message: Finished(bytes(len(message.verify_data))))
    pair.run()
    assert isinstance(pair.client.error, FinishedMismatch)
    return pair


def test_a_failed_connection_raises_its_error_anew_each_time(world: World) -> None:
    """No traceback grows, and none of what the caller did with an earlier one is lost or seen again."""
    connection = refused(world).client.connection
    caught: list[Exception] = []
    calls: list[Callable[[], object]] = [
        lambda: connection.receive_data(b""),
        lambda: connection.send_data(b"x"),
        connection.receive_eof,
        connection.update_keys,
        lambda: connection.export(b"x", None, 1),
    ]
    for call in calls * 20:
        with pytest.raises(FinishedMismatch) as raised:
            call()
        caught.append(raised.value)
    assert len(set(map(id, caught))) == len(caught)
    assert len({str(one) for one in caught}) == 1
    assert max(len(list(walk_tb(one.__traceback__))) for one in caught) <= 5
    assert connection.error is not None
    assert connection.error.__traceback__ is None


def test_the_error_that_a_connection_keeps_can_be_raised_by_its_owner(world: World) -> None:
    connection = refused(world).client.connection
    for _ in range(10):
        assert connection.error is not None
        with pytest.raises(FinishedMismatch) as raised:
            raise connection.error
        assert len(list(walk_tb(raised.value.__traceback__))) == 1


def test_frames_of_a_failed_handshake_hold_nothing(world: World) -> None:
    """Keys and secrets are local variables there, and services that collect errors collect those too."""
    pair = Pair(world.client_config(), world.server_config())
    pair.server.rewrite(Finished, lambda message: Finished(bytes(len(message.verify_data))))
    pair.run()
    error = pair.client.error
    assert error is not None
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    inner = [frame for frame in frames if frame.f_globals["__name__"].startswith("handclasp.handshake")]
    assert inner
    assert all(frame.f_locals == {} for frame in inner)


def test_what_an_answer_of_the_callers_raised_keeps_its_frames(world: World) -> None:
    """They are the caller's to look into."""

    def broken(_: VerifyPeer) -> None:
        clue = "what went wrong"
        raise ZeroDivisionError(clue)

    pair = Pair(world.client_config(answers={VerifyPeer: broken}), world.server_config())
    pair.run()
    assert pair.client.error is not None
    last = [frame for frame, _ in walk_tb(pair.client.error.__traceback__)][-1]
    assert last.f_locals["clue"] == "what went wrong"


def test_a_report_raises_its_error_anew_each_time(world: World) -> None:
    pair = Pair(world.client_config(trust=Authority.root("Another").trust), world.server_config())
    pair.run()
    assert isinstance(pair.client.error, UnknownAuthority)
    report = pair.client.error.report
    assert report is not None
    for _ in range(10):
        with pytest.raises(UnknownAuthority) as raised:
            report.raise_if_refused()
        assert raised.value.report is report
    assert report.error is not None
    assert report.error.__traceback__ is None


def test_an_error_anew_has_its_cause_without_frames() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise UsageError("outer") from inner
    except UsageError as outer:
        twin = anew(outer)
    assert twin.__traceback__ is None
    assert isinstance(twin.__cause__, KeyError)
    assert twin.__cause__.__traceback__ is None


def test_an_error_that_no_copy_can_be_made_of_stays_itself() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one + two)

    odd = Odd(1, 2)
    assert anew(odd) is odd
