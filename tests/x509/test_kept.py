"""What is kept in memory of whom: within so many bytes, and nothing of who was refused."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from tests.x509.chains import HOST, NOW
from tests.x509.papers import CA, NAMES, certificate

from handclasp.x509 import DEFAULT, Certificate, Purpose, Report, TrustStore, verify
from handclasp.x509.certificate import LARGE, interned, shared
from handclasp.x509.kept import Kept

ROOT = certificate("Root", 0, "Root", 0, CA)


def judge(*chain: bytes, trusted: Certificate = ROOT) -> Report:
    return verify(chain, trust=TrustStore.of(trusted), purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST)


def fresh(serial: int, *extensions: x509.ExtensionType) -> bytes:
    """A certificate that nothing else in these tests has, by nothing but its bytes."""
    return certificate.__wrapped__("Leaf", 2, "Root", 0, NAMES, *extensions, serial=serial).der


def is_alive(one: weakref.ref[Any]) -> bool:
    gc.collect()
    return one() is not None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60))))
def test_never_more_is_kept_than_there_is_room_for(entries: list[tuple[int, int]]) -> None:
    kept: Kept[int, int] = Kept(100)
    for key, size in entries:
        kept.keep(key, size, size)
        assert kept.get(key) == size
        assert sum(kept.get(one) or 0 for one in range(6)) <= 100


def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    kept: Kept[str, str] = Kept(100)
    kept.keep("a", "small", 50)
    kept.keep("b", "large", 101)
    assert len(kept) == 0
    kept.keep("c", "small", 50)
    assert kept.get("c") == "small"


def test_after_a_clearing_all_the_room_is_there_again() -> None:
    kept: Kept[str, str] = Kept(100)
    kept.keep("a", "one", 60)
    kept.clear()
    kept.keep("b", "another", 60)
    kept.keep("c", "a third", 40)
    assert [kept.get(key) for key in "abc"] == [None, "another", "a third"]


@pytest.mark.parametrize("accepted", [True, False])
def test_a_certificate_is_kept_parsed_where_it_was_accepted(accepted: bool) -> None:
    """A stranger's is gone with the connection: it may hold thousands of names, each an object of its own."""
    der = fresh(9000 + accepted)
    report = judge(der, trusted=ROOT if accepted else certificate("Other", 9, "Other", 9, CA))
    assert report.accepted is accepted
    leaf = weakref.ref(report.leaf)
    del report
    assert is_alive(leaf) is accepted


def test_a_certificate_beside_the_path_is_not_kept() -> None:
    beside = fresh(9100)
    report = judge(fresh(9101), beside)
    assert report.accepted
    other = weakref.ref(interned(beside))
    assert not is_alive(other)


def test_a_very_large_certificate_is_not_kept_parsed() -> None:
    long = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(LARGE))
    report = judge(fresh(9200, long), *([fresh(9201)] * 80))
    assert report.accepted
    leaf = weakref.ref(report.leaf)
    del report
    assert not is_alive(leaf)


def test_connections_to_one_peer_hold_its_bytes_once() -> None:
    der = fresh(9300)
    again = bytes(bytearray(der))
    assert shared(again) is again
    assert judge(der).accepted
    assert shared(again) is der


REFUSED: dict[str, tuple[Any, ...]] = {
    "bytes that are no certificate": (b"\x30\x00",),
    "no path": (certificate("Leaf", 2, "Nobody", 8, NAMES).der,),
    "too much work": (certificate("Leaf", 2, "Root", 9, NAMES).der, {"policy": replace(DEFAULT, max_signatures=1)}),
    "a staple that says nothing": (certificate("Leaf", 2, "Root", 0, NAMES).der, {"staple": b"\x30\x00"}),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_refusal_keeps_no_more_than_its_report(why: str) -> None:
    """Frames would keep all that was looked at, and an error is what people keep."""
    der, *more = REFUSED[why]
    arguments: dict[str, Any] = more[0] if more else {}
    pool = [certificate("Root", 20 + key, "Root", 20 + key, CA).der for key in range(3)]
    trust = TrustStore.of(*pool, ROOT)
    report = verify([der], trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST, **arguments)
    error = report.error
    assert error is not None
    assert error.report is report
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
