"""Run the interop tests and print who spoke with whom, and what about: `make interop`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASE = re.compile(r"test_(?P<feature>\w+)\[(?P<peer>[a-z0-9]+)(?:-TLS (?P<version>[\d.]+))?\]")


def main() -> int:
    """Run, print the matrix, answer pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--junitxml={report}", "tests/interop"]
        done = subprocess.run(command, cwd=ROOT, check=False)
        cells, reasons = read(report)
    for side in ("as_client", "as_server"):
        print(f"\nhandclasp {side.replace('_', ' ')}")
        columns = sorted({column for where, _, column in cells if where == side})
        peers = list(dict.fromkeys(peer for where, peer, _ in cells if where == side))
        print(f"{'':12}" + "".join(f"{column:>16}" for column in columns))
        for peer in peers:
            print(f"{peer:12}" + "".join(f"{cells.get((side, peer, column), ''):>16}" for column in columns))
    if reasons:
        print("\nnot run:")
        for reason in sorted(reasons):
            print(f"  {reason}")
    return done.returncode


def read(report: Path) -> tuple[dict[tuple[str, str, str], str], set[str]]:
    """Each cell's word, and why what was not run was not."""
    cells: dict[tuple[str, str, str], str] = {}
    reasons: set[str] = set()
    for case in ET.parse(report).iter("testcase"):  # our own pytest wrote it
        match = CASE.match(case.get("name", ""))
        if match is None:
            continue
        side = case.get("classname", "").rpartition(".")[2].removeprefix("test_")
        column = match["feature"] + (f" {match['version']}" if match["version"] else "")
        skipped = case.find("skipped")
        if skipped is not None:
            why = skipped.get("message", "")
            word = "not possible" if "does not do this" in why else "missing"
            if word == "missing":
                reasons.add(f"{match['peer']}: {why}")
        else:
            word = "NO" if case.find("failure") is not None or case.find("error") is not None else "ok"
        cells[side, match["peer"], column] = word
    return cells, reasons


if __name__ == "__main__":
    sys.exit(main())
