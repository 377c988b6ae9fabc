"""The commands; `main` is what the `handclasp` script calls."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without the extra `cli` it says what to install."""
    try:
        from handclasp.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("handclasp's commands need Typer and Rich: pip install 'handclasp[cli]'")
    app()
