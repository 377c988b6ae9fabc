"""The matrix that `make interop` prints finds every cell in the names of the tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from tests.interop import test_as_client, test_as_server


def tool() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "interop_matrix.py"
    spec = importlib.util.spec_from_file_location("interop_matrix", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_peer_and_version_has_a_cell(tmp_path: Path) -> None:
    cases = [
        (side.__name__, f"test_simple[{case.id}]")
        for side in (test_as_client, test_as_server)
        for case in (*side.EVERY, *side.MODERN)
    ]
    report = tmp_path / "report.xml"
    lines = (f'<testcase classname="{module}" name="{name}"/>' for module, name in cases)
    report.write_text(f"<testsuite>{''.join(lines)}</testsuite>")
    cells, reasons = tool().read(report)
    assert len(cells) == len(cases)
    assert ("as_client", "openssl", "simple 1.3") in cells
    assert not reasons


@pytest.mark.parametrize(("inside", "word"), [("<failure/>", "NO"), ("<error/>", "NO"), ("", "ok")])
def test_a_cell_says_how_its_test_ended(tmp_path: Path, inside: str, word: str) -> None:
    report = tmp_path / "report.xml"
    report.write_text(f'<a><testcase classname="test_as_client" name="test_retry[go]">{inside}</testcase></a>')
    assert tool().read(report)[0] == {("as_client", "go", "retry"): word}
