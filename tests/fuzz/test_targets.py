"""The fuzz targets themselves hold for inputs at hand; `make fuzz` looks for others."""

from __future__ import annotations

import os
from types import ModuleType

import pytest
from tests.fuzz import fuzz_connection, fuzz_keystore, fuzz_revocation


@pytest.mark.parametrize("target", [fuzz_connection, fuzz_keystore, fuzz_revocation], ids=lambda t: t.__name__)
def test_a_target_takes_any_bytes(target: ModuleType) -> None:
    for data in (
        b"",
        b"\x16\x03\x01\x00\x01\x01",
        b"-----BEGIN PRIVATE KEY-----",
        os.urandom(300),
        b"\x30\x82\xff\xff",
    ):
        target.one_input(data)
