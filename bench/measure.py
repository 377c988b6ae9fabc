"""Medians of interleaved rounds, in seconds of the processor: what else runs on the machine counts little."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

NAMES = ("handclasp", "ssl", "pyopenssl", "tlslite", "floor")


@dataclass
class Row:
    """One line of the table: what was done, and how often in a second by each."""

    what: str
    unit: str
    figures: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        figures = {name: round(self.figures[name], 1) if name in self.figures else None for name in NAMES}
        return {"what": self.what, "unit": self.unit, **figures}


def rates(
    what: str,
    unit: str,
    competitors: dict[str, Callable[[], object]],
    *,
    per_call: float = 1.0,
    seconds: float = 0.12,
    rounds: int = 9,
) -> Row:
    """How many units each competitor does in a second, the median of all rounds."""
    counts = {name: _count(step, seconds) for name, step in competitors.items()}
    seen: dict[str, list[float]] = {name: [] for name in competitors}
    for _ in range(rounds):
        for name, step in competitors.items():
            gc.collect()
            seen[name].append(counts[name] * per_call / _time(step, counts[name]))
    return Row(what, unit, {name: statistics.median(values) for name, values in seen.items()})


def _count(step: Callable[[], object], seconds: float) -> int:
    """Calls that take about so long; the first ones warm up."""
    for _ in range(3):
        step()
    took = _time(step, 3) / 3
    return max(1, int(seconds / max(took, 1e-9)))


def _time(step: Callable[[], object], count: int) -> float:
    begin = time.process_time()
    for _ in range(count):
        step()
    return time.process_time() - begin
