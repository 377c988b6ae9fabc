"""The keys of tickets: rotated, shared between processes, handed over."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handclasp import CipherSuite, ProtocolVersion
from handclasp.errors import ConfigError
from handclasp.sessions import Session, TicketKeys
from handclasp.x509.keys import KeyFileExposed, KeyFilePolicy, KeyFileWarning, UnreadableKey

SESSION = Session(ProtocolVersion.TLS13, CipherSuite.TLS_AES_128_GCM_SHA256, b"s" * 32, 0, 100)
ONE, TWO, THREE = b"1" * 32, b"2" * 48, b"3" * 80


def own(rotate_after: int = 10, lifetime: int = 20) -> TicketKeys:
    return TicketKeys(rotate_after=rotate_after, lifetime=lifetime, now=lambda: 0.0)


def test_a_ticket_is_opened_as_long_as_its_key_is_kept_and_no_longer() -> None:
    """The key seals for ten seconds, and opens for another twenty."""
    keys = own()
    ticket = keys.seal(SESSION, 0)
    assert keys.open(ticket, 0) == SESSION
    assert keys.open(ticket, 29_999) == SESSION
    assert keys.open(ticket, 30_000) is None
    assert keys.open(ticket, 0) is None  # what is over stays over


def test_a_new_key_seals_after_each_period() -> None:
    keys = own()
    names = [keys.seal(SESSION, at)[:16] for at in (0, 9_999, 10_000, 25_000, 1_000_000)]
    assert names[0] == names[1]
    assert len(set(names)) == 4


@pytest.mark.parametrize("at", [0, 15, 16, 27, 28, -1])
def test_a_changed_ticket_is_nobody_s(at: int) -> None:
    keys = own()
    ticket = bytearray(keys.seal(SESSION, 0))
    ticket[at] ^= 1
    assert keys.open(bytes(ticket), 0) is None
    for size in range(len(ticket)):
        assert keys.open(keys.seal(SESSION, 0)[:size], 0) is None


def test_what_is_sealed_and_is_no_session_is_not_opened() -> None:
    """As from a program of another version that has the same secret."""
    keys = TicketKeys([ONE])
    [key] = keys._keys(0)
    assert keys.open(key.seal(b"something else", bytes(12)), 0) is None


TWINS: list[Callable[[TicketKeys], TicketKeys]] = [
    copy.copy,
    copy.deepcopy,
    lambda one: pickle.loads(pickle.dumps(one)),
]


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 10**5), max_size=4),
    st.lists(st.integers(0, 10**5), max_size=4),
    st.sampled_from(TWINS),
)
def test_whoever_has_begun_with_the_same_keys_has_the_same_later(
    begin: int, steps: list[int], others: list[int], twin_of: Callable[[TicketKeys], TicketKeys]
) -> None:
    """However often and when each of the two was used, and with no word between them."""
    one = own()
    one.seal(SESSION, begin)
    other = twin_of(one)
    for keys, path in ((one, steps), (other, others)):
        at = begin
        for step in path:
            at += step
            keys.seal(SESSION, at)
    now = begin + sum(steps) + sum(others)
    assert other.open(one.seal(SESSION, now), now) == SESSION
    assert one.open(other.seal(SESSION, now), now) == SESSION


def test_processes_that_are_forked_open_each_others_tickets() -> None:
    program = """
import os
from handclasp import CipherSuite, ProtocolVersion
from handclasp.sessions import Session, TicketKeys
session = Session(ProtocolVersion.TLS13, CipherSuite.TLS_AES_128_GCM_SHA256, b"s" * 32, 0, 100)
keys = TicketKeys(rotate_after=10, now=lambda: 0.0)
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, keys.seal(session, 55_000))
    os._exit(0)
ticket = os.read(reading, 65536)
os.wait()
assert keys.open(ticket, 56_000) == session
assert keys.open(keys.seal(session, 70_000), 70_000) == session
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_keys_that_are_over_cannot_be_had_from_those_that_are_not() -> None:
    keys = own()
    first = pickle.dumps(keys)
    [ratchet] = [keys._ratchet]
    assert ratchet is not None
    gone = [ratchet._state.secret, *(key._secret for key in ratchet.keys(0))]
    assert all(secret in first for secret in gone)
    keys.seal(SESSION, 10**6)
    assert not any(secret in pickle.dumps(keys) for secret in gone)


def test_many_threads_rotate_and_none_loses_a_ticket() -> None:
    keys = own(rotate_after=1, lifetime=20)
    clock = iter(range(1_000_000))
    failures: list[object] = []

    def work() -> None:
        for _ in range(300):
            now = 20 * next(clock)  # so that there are several new keys in each thread
            if keys.open(keys.seal(SESSION, now), now) != SESSION:
                failures.append(now)

    threads = [threading.Thread(target=work) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures


# Secrets that are handed over.


def test_the_first_secret_seals_and_all_open() -> None:
    ticket = TicketKeys([ONE]).seal(SESSION, 0)
    assert TicketKeys([TWO, ONE]).open(ticket, 10**12) == SESSION
    assert TicketKeys([TWO, ONE]).seal(SESSION, 0)[:16] == TicketKeys([TWO]).seal(SESSION, 0)[:16]
    assert TicketKeys([TWO]).open(ticket, 0) is None


def test_a_function_gives_the_secrets_of_the_moment() -> None:
    secrets = [ONE]
    keys = TicketKeys(lambda: secrets)
    ticket = keys.seal(SESSION, 0)
    secrets[:] = [TWO, ONE]
    assert keys.open(ticket, 0) == SESSION
    secrets[:] = [THREE, TWO]
    assert keys.open(ticket, 0) is None


def test_secrets_that_are_given_are_not_changed_from_outside() -> None:
    secrets = [ONE]
    keys = TicketKeys(secrets)
    secrets[:] = [TWO]
    assert TicketKeys([ONE]).open(keys.seal(SESSION, 0), 0) == SESSION


@pytest.mark.parametrize("bad", [[], [b"short"], [bytes(1025)], ["text" * 10], [None], [ONE, b""]])
def test_what_is_no_secret_is_refused_when_handed_over(bad: list[bytes]) -> None:
    with pytest.raises(ConfigError, match="secret"):
        TicketKeys(bad)
    with pytest.raises(ConfigError, match="secret"):
        TicketKeys(lambda: bad)


def test_bad_secrets_later_leave_those_before_in_force() -> None:
    secrets: list[bytes] = [ONE]
    keys = TicketKeys(lambda: secrets)
    ticket = keys.seal(SESSION, 0)
    secrets[:] = [b"short"]
    assert keys.open(ticket, 0) == SESSION
    assert isinstance(keys.error, ConfigError)
    secrets[:] = [ONE]
    assert keys.open(ticket, 0) == SESSION
    assert keys.error is None


def test_times_that_are_none_are_refused() -> None:
    for wrong in ({"rotate_after": 0}, {"lifetime": -1}):
        with pytest.raises(ConfigError):
            TicketKeys(**wrong)  # type: ignore[arg-type]


def key_file(path: Path, secret: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(secret)
    return path


def test_secrets_in_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    current, previous = key_file(tmp_path / "current", ONE), key_file(tmp_path / "previous", TWO)
    keys = TicketKeys.from_files(current, previous)
    twin = pickle.loads(pickle.dumps(keys))
    ticket = keys.seal(SESSION, 0)
    assert TicketKeys([ONE]).open(ticket, 0) == SESSION
    current.rename(previous)
    assert keys.open(ticket, 0) == SESSION  # between the two moves those before stay in force
    key_file(current, THREE)
    for one in (keys, twin):
        assert one.open(ticket, 0) == SESSION
        assert TicketKeys([THREE]).open(one.seal(SESSION, 0), 0) == SESSION
        assert one.open(TicketKeys([TWO]).seal(SESSION, 0), 0) is None


def test_a_file_of_secrets_that_others_may_read_is_told_of(tmp_path: Path) -> None:
    file = key_file(tmp_path / "key", ONE)
    file.chmod(0o644)
    with pytest.warns(KeyFileWarning):
        TicketKeys.from_files(file)
    with pytest.raises(KeyFileExposed):
        TicketKeys.from_files(file, exposed=KeyFilePolicy.REFUSE)
    TicketKeys.from_files(file, exposed=KeyFilePolicy.ALLOW)


def test_a_file_that_is_not_there_or_holds_no_secret_is_refused_when_handed_over(tmp_path: Path) -> None:
    with pytest.raises(UnreadableKey):
        TicketKeys.from_files(tmp_path / "none")
    with pytest.raises(ConfigError):
        TicketKeys.from_files(key_file(tmp_path / "short", b"short"))
    with pytest.raises(ConfigError):
        TicketKeys.from_files()


def test_no_secret_is_in_a_repr() -> None:
    for keys in (own(), TicketKeys([ONE])):
        text = repr(keys) + repr(keys._keys(0)) + repr(keys._ratchet)
        assert "111" not in text
        assert len(text) < 250
