"""How steps and failures look: tables on a terminal, plain lines in a pipe.

Peers choose much of it: each text goes through `printable` here, so that none moves the cursor or forges a line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from handclasp.explain import Explanation, Step
from handclasp.handshake.established import Established
from handclasp.x509 import Report
from handclasp.x509.text import printable

__all__ = [
    "EXIT_FAILED",
    "EXIT_NETWORK",
    "EXIT_TRUNCATED",
    "EXIT_USAGE",
    "NARROW",
    "console",
    "failure",
    "pairs",
    "session_line",
    "steps",
]

EXIT_FAILED = 1
"""The handshake failed."""
EXIT_USAGE = 2
"""The command's own words or files are wrong."""
EXIT_NETWORK = 3
"""The network gave no connection."""
EXIT_TRUNCATED = 4
"""The connection was cut before the peer said that it was done."""

NARROW = 90
"""Columns that a table needs; in fewer its cells go one below the other."""

PARTY_COLOUR = {"client": "cyan", "server": "magenta"}


def console(*, stderr: bool = False) -> Console:
    """A console for standard output or error; colour only where a person looks."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty())


def steps(out: Console, trace: Sequence[Step], title: str) -> None:
    """Print the steps in the order in which they happened."""
    title = printable(title)
    if not out.is_terminal:
        out.print(title, markup=False)
        for step in trace:
            size = f" [{step.size} bytes]" if step.size else ""
            out.print(f"  {step.number:>2} {step.party} {step.title}: {printable(step.decision)}{size}", markup=False)
        return
    if out.width < NARROW:
        out.print(title, style="bold", markup=False)
        below = Table.grid(padding=(0, 1, 0, 0))
        below.add_column(justify="right", no_wrap=True)
        below.add_column(overflow="fold")
        for step in trace:
            what = f"[{PARTY_COLOUR[step.party]}]{step.party}[/] {step.title}"
            below.add_row(str(step.number), f"{what}:\n{_cell(step.decision)}")
        out.print(below)
        return
    table = Table(title=escape(title), title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    table.add_column("step", justify="right")
    table.add_column("party")
    table.add_column("does", max_width=36)
    table.add_column("decision and value", ratio=1, overflow="fold")
    table.add_column("bytes", justify="right")
    for step in trace:
        colour = PARTY_COLOUR[step.party]
        table.add_row(
            str(step.number),
            f"[{colour}]{step.party}[/]",
            step.title,
            _cell(step.decision),
            str(step.size) if step.size else "",
        )
    out.print(table)


def failure(out: Console, explanation: Explanation) -> None:
    """Print which step, which side, why, and the mend."""
    from handclasp.explain import STEPS

    step = explanation.step
    where = "" if step is None else f"{step}: the {STEPS[step][0]} {STEPS[step][1]}"
    who = f"the {explanation.side} ({explanation.refused_by})" if explanation.side else explanation.refused_by
    rows = [
        ("step", where),
        ("refused by", who + (f", alert {explanation.alert}" if explanation.alert else "")),
        ("why", explanation.what),
        ("standard", explanation.section),
        ("mend", explanation.mend),
    ]
    if not out.is_terminal:
        # One write, so that what other threads print does not come in between.
        out.print("\n".join(f"  {name:>10}  {printable(text)}" for name, text in rows if text), markup=False)
        return
    pairs(out, rows)


def fetched(out: Console, report: Report | None) -> None:
    """What was asked of the network for a verdict, a line each."""
    for one in () if report is None else report.fetched:
        out.print(printable(f"fetched {one.what} from {one.url}: {one.error or 'good'}"), markup=False)


def pairs(out: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Names and what they stand for; long texts go on below themselves, empty ones are left out."""
    if not out.is_terminal:
        for name, text in rows:
            if text:
                out.print(f"{name:>12}  {printable(text)}", markup=False)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", justify="right", min_width=12, no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        if text:
            table.add_row(name, _cell(text))
    out.print(table)


def session_line(session: Established) -> str:
    """One line on what was agreed."""
    parts = [str(session.version), str(session.cipher_suite)]
    if session.group is not None:
        parts.append(str(session.group))
    if session.signature_scheme is not None:
        parts.append(f"peer signed with {session.signature_scheme}")
    if session.alpn is not None:
        parts.append(f"ALPN {session.alpn}")
    if session.resumed:
        parts.append("resumed")
    return printable(", ".join(parts))


def _cell(text: str) -> str:
    return escape(printable(text))
