"""A folder whose files are served, and nothing outside of it: no pipe or device is opened, no link leads out.

Each name is looked up in the folder that was opened before it, so that nobody who moves or links folders meanwhile
leads us elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from handclasp.errors import UsageError

__all__ = ["Folder"]

MOST_LINKS = 40
"""Links on the way to one file, as many as Linux follows."""
MOST_FOLDERS = 100
"""Folders within each other; each is held open on the way."""


class Folder:
    """One folder, open; `follow_links` has links lead anywhere."""

    def __init__(self, path: Path, *, follow_links: bool = False) -> None:
        if os.open not in os.supports_dir_fd:
            raise UsageError("This system can't open files within a folder alone; no folder is served here.")
        self._follow_links = follow_links
        self._real = os.path.realpath(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    def open(self, names: Sequence[str]) -> int:
        """A descriptor, to read, of the file or folder that is reached by these names.

        Raises OSError where there is none, where it is neither, and where it lies outside.
        """
        if any("/" in name or "\0" in name for name in names):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if self._follow_links:
            return _opened("/".join(names) or ".", self._descriptor, follow=True)
        inside = [os.dup(self._descriptor)]  # folders from this one down to where we are
        rest, links = list(reversed(names)), 0
        try:
            while rest:
                name = rest.pop()
                if name in ("", "."):
                    continue
                if name == "..":
                    os.close(inside.pop())
                    if not inside:
                        raise _outside()
                    continue
                target = _link_at(name, inside[-1])
                if target is None:
                    inside.append(_opened(name, inside[-1], follow=False))
                else:
                    rest += reversed(self._from_root(target, inside) if target.startswith("/") else target.split("/"))
                    links += 1
                if links > MOST_LINKS or len(inside) > MOST_FOLDERS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            return inside.pop()
        finally:
            for descriptor in inside:
                os.close(descriptor)

    def _from_root(self, target: str, inside: list[int]) -> list[str]:
        """The names below this folder that an absolute link leads to; we are at this folder again."""
        if target != self._real and not target.startswith(self._real.rstrip("/") + "/"):
            raise _outside()
        while len(inside) > 1:
            os.close(inside.pop())
        return target[len(self._real) :].split("/")


def _outside() -> PermissionError:
    return PermissionError(errno.EACCES, "The link leads out of the folder")


def _link_at(name: str, folder: int) -> str | None:
    """Where a link leads; None for anything else."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _opened(name: str, folder: int, *, follow: bool) -> int:
    """A file or folder, to read; anything else is not even opened, for that alone may wait, or do something."""
    _check_kind(os.stat(name, dir_fd=folder, follow_symlinks=follow))
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        _check_kind(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise PermissionError(errno.EACCES, "Neither a file nor a folder")
