"""The commands; `main` is what the `handclasp` script calls."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without the extra `cli` it says what to install."""
    # A caller may have closed them; then their numbers would go to the next file or socket that is opened.
    nowhere = open(os.devnull, "r+")  # noqa: SIM115  # as long as the process lives
    sys.stdin, sys.stdout, sys.stderr = sys.stdin or nowhere, sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names in a terminal that has not their letters
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
