"""What goes wrong, told in a line: no stack trace reaches a user."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

import handclasp
from handclasp.cli import show
from handclasp.x509.text import printable

__all__ = ["as_line", "run", "telling"]

DEBUG = "HANDCLASP_DEBUG"
"""The environment variable that shows the stack trace of a bug of ours."""
EXIT_BUG = 70
EXIT_INTERRUPTED = 130


def run(app: Callable[[], object]) -> int:
    """Run a command; the answer is its exit code. Whatever it raises is told in a line on standard error."""
    warnings.showwarning = lambda message, *_, **__: _tell(f"handclasp: {message}")
    try:
        try:
            app()
        except SystemExit as ended:
            code = ended.code
        else:
            code = 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # so that Python's own flush at exit has somewhere to go
        return show.EXIT_FAILED
    except handclasp.HandclaspError as error:  # a command tells of those itself
        return _told_as_bug(error)
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for the same reason
        _tell(f"handclasp: {as_line(error)}")
        return show.EXIT_USAGE
    except Exception as error:
        return _told_as_bug(error)
    if isinstance(code, str):
        _tell(code)
        return show.EXIT_FAILED
    return code or 0


@contextmanager
def telling() -> Iterator[None]:
    """Wrong options and files end the command with `EXIT_USAGE`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _tell(f"handclasp: {as_line(error)}")
        raise typer.Exit(show.EXIT_USAGE) from None


def as_line(error: BaseException) -> str:
    """An error in one line, without the number that the system gives it."""
    if isinstance(error, OSError) and error.strerror:
        return printable(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return printable(" ".join(str(error).split())) or type(error).__name__


def _told_as_bug(error: Exception) -> int:
    if os.environ.get(DEBUG):
        raise error
    _tell(f"handclasp: this is a bug of handclasp's: {type(error).__name__}: {error} (set {DEBUG}=1 for its trace)")
    return EXIT_BUG


def _tell(text: str) -> None:
    show.console(stderr=True).print(printable(" ".join(text.split())), markup=False)
