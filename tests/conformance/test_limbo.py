"""C2SP's x509-limbo, run by the runner that came with its data; the data is not part of this project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DATA = HERE.parents[2] / "shared" / "conformance"


@pytest.mark.parametrize("suite", ["limbo-open", "limbo-pathbuilding-open"])
def test_limbo(suite: str) -> None:
    if not DATA.is_dir():
        pytest.skip("the folder shared/conformance is not beside the project")
    known = ["--known", str(HERE / "limbo_known.txt")] if suite == "limbo-open" else []
    command = [sys.executable, str(DATA / "limbo_run.py"), str(DATA / f"{suite}.json.gz"), "limbo_handclasp", *known]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
