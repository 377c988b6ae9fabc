"""A process that ends at any of its steps, a step being a call that changes something on the disk.

What a killed process would leave is left, for its clean-up can do nothing more either.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CALLS = ("open", "write", "fsync", "replace", "rename", "link", "mkdir", "unlink", "rmdir", "chmod", "truncate")


class Killed(BaseException):
    """The process is no more."""


class Steps:
    """Counts the steps; once so many are taken, `die` is called with the name of each further one."""

    def __init__(self, last: int, die: Callable[[str], None]) -> None:
        self.taken = 0
        self._last, self._die = last, die

    def take(self, name: str) -> None:
        self.taken += 1
        if self.taken > self._last:
            self._die(name)


class Connection(sqlite3.Connection):
    """A book whose statements are steps; where it dies, what was not committed is taken back, as the next would."""

    steps: Steps

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if not sql.startswith(("SELECT", "PRAGMA")):
            self.steps.take(sql.split()[0])
        return super().execute(sql, *parameters)


def killed(_: str) -> None:
    raise Killed


def full(name: str) -> None:
    """The disk is full: what needs no room still works."""
    if name in ("BEGIN", "INSERT", "UPDATE", "COMMIT"):
        raise sqlite3.OperationalError("database or disk is full")
    if name in ("open", "write", "fsync", "mkdir"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def dying_at(step: int, patch: pytest.MonkeyPatch, die: Callable[[str], None] = killed) -> Iterator[Steps]:
    """Only so many steps are taken in here; half of what would be written by the one after them is written, too."""
    steps = Steps(step, die)
    books: list[Connection] = []

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **more: Any) -> Any:
            if call is write and steps.taken == step:
                write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            if call is not opened or arguments[1] & os.O_CREAT:
                steps.take(call.__name__)
            return call(*arguments, **more)

        return stepping

    def connect(*arguments: Any, **more: Any) -> Connection:
        book = Connection(*arguments, **more)
        book.steps = steps
        books.append(book)
        return book

    write, opened = os.write, os.open
    with patch.context() as inside:
        for name in CALLS:
            inside.setattr(os, name, counted(getattr(os, name)))
        inside.setattr(sqlite3, "connect", connect)
        try:
            yield steps
        finally:
            for book in books:
                book.close()
