"""The command line: one function a command, in a module each."""

from __future__ import annotations

from typing import Annotated

import typer

import handclasp
from handclasp.cli.ca import ca_app
from handclasp.cli.connect import connect
from handclasp.cli.demo import demo
from handclasp.cli.serve import serve
from handclasp.cli.verify import verify

__all__ = ["app"]

app = typer.Typer(
    name="handclasp",
    help="TLS that says of each failure which step, which side, why, and how to mend it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"handclasp {handclasp.__version__}")
        raise typer.Exit


@app.callback()
def handclasp_(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """TLS that says of each failure which step, which side, why, and how to mend it."""


app.command()(demo)
app.command()(connect)
app.command()(serve)
app.command()(verify)
app.add_typer(ca_app, name="ca")
