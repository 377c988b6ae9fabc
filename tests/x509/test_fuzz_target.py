"""The fuzz target itself works: it takes good input and bad, and notices what it is there to notice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.fuzz_x509 import GOOD, one_input


@given(st.integers(0, 3), st.integers(0, 2000), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_the_target_takes_a_certificate_with_any_byte_changed(place: int, at: int, value: int) -> None:
    der = bytearray(GOOD.chain[place % 3])
    der[at % len(der)] = value
    one_input(bytes((place,)) + der)


def test_the_target_notices_a_changed_chain_that_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    other = GOOD.chain
    monkeypatch.setattr("tests.fuzz.fuzz_x509.GOOD", type(GOOD)((*other[:2], other[1]), GOOD.root))
    with pytest.raises(AssertionError, match="changed"):
        one_input(bytes((2,)) + other[2])
