"""How steps and failures look, wide and narrow, with colour and without."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.conftest import World
from tests.explain.test_explain import run

from handclasp import ProtocolVersion
from handclasp.cli import show
from handclasp.explain import explain

WIDTHS = pytest.mark.parametrize("width", [40, 60, 89, 90, 120, 200])


def on(width: int, *, terminal: bool = True, colour: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        no_color=not colour,
        color_system="standard",
        highlight=False,
    )


def lines(out: Console) -> list[str]:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()


@WIDTHS
def test_nothing_is_cut_off_and_nothing_is_too_wide(world: World, width: int) -> None:
    steps, _, client = run(world, ProtocolVersion.TLS13, "other.example")
    assert client.error is not None
    out = on(width)
    show.steps(out, steps.steps, "A title")
    show.failure(out, explain(client.error, steps))
    printed = lines(out)
    assert max(map(len, printed)) <= width
    assert not any("…" in line for line in printed)
    text = "".join(" ".join(printed).split())
    assert "refusedby" in text
    assert "theclient(us),alertbad_certificate" in text
    if width >= show.NARROW or width == 60:
        assert any("TLS_CHACHA20_POLY1305_SHA256" in line for line in printed)


def test_a_pipe_gets_a_line_for_each_step(world: World) -> None:
    steps, _, client = run(world, ProtocolVersion.TLS13, "other.example")
    assert client.error is not None
    out = on(80, terminal=False)
    out.soft_wrap = True
    show.steps(out, steps.steps, "A title")
    show.failure(out, explain(client.error, steps))
    printed = lines(out)
    assert len(printed) == 1 + len(steps.steps) + 5
    assert not any("\x1b" in line for line in printed)


def test_what_a_peer_sends_is_no_markup() -> None:
    out = on(100)
    show.failure(out, explain(ValueError("[red]x[/] \\[/]")))
    assert any("[red]x[/]" in line for line in lines(out))
