"""The commands; `main` is what the `handclasp` script calls."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without the extra `cli` it says what to install."""
    nowhere = open(os.devnull, "w")  # noqa: SIM115  # as long as the process lives
    sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere  # a caller may have closed them
    try:
        from handclasp.cli.app import app
        from handclasp.cli.told import run
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("handclasp's commands need Typer and Rich: pip install 'handclasp[cli]'")
    sys.exit(run(app))
