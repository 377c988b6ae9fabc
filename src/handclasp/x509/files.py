"""Files that others may have had a hand in: written whole or not at all and through no link, read where they are files.

What is written has another name first, `.handclasp-….part`, and its own once its bytes are on the disk. Whoever
writes holds a lock on it (flock), so that the next writer can tell what a killed process left, and takes it away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

if sys.platform != "win32":  # it has no such locks; there, what a killed process left stays
    import fcntl

__all__ = [
    "append_owner_only",
    "clear_leftovers",
    "files_in",
    "open_plainly",
    "read_regular",
    "whole_folder",
    "write_whole",
]

PART = ".handclasp-{}.part"
PART_LENGTH = len(PART.format("0" * 16))
STREAMS = tuple(map(Path, ("/dev", "/dev/fd", "/proc/self/fd")))
"""Where the links are the system's, such as /dev/stdout."""

_CLOEXEC, _NOFOLLOW, _NONBLOCK = (getattr(os, f"O_{name}", 0) for name in ("CLOEXEC", "NOFOLLOW", "NONBLOCK"))


def write_whole(path: str | os.PathLike[str], data: bytes, mode: int = 0o666) -> None:
    """Write a file, whole or not at all, with this mode less the process's mask; raises OSError as `open` does.

    Another file of this name is replaced, not written into, so whoever linked to it keeps the old one. A link is
    refused: whoever planted it would choose what is overwritten, or who reads the key. A pipe or device is written to.
    """
    target = Path(path)
    status = _status(target)
    if status is not None and not stat.S_ISREG(status.st_mode):
        _write_into(target, status, data, secret=mode & 0o077 == 0)
        return
    with _naming(target):
        descriptor, part = _begin(target, lambda place: os.open(place, _NEW, mode))
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
        part.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not error.filename:
            error.filename = str(target)
        raise
    finally:
        os.close(descriptor)
    _settle(target.parent)


def append_owner_only(path: str | os.PathLike[str], data: bytes) -> int:
    """Add to the end of a file that is made for its owner alone; the answer is its mode, which may be a wider one.

    Raises OSError as `open` does, and for a link, for a file of somebody else's and for one that has another name too.
    """
    target = Path(path)
    status = _status(target)
    if status is not None and not stat.S_ISREG(status.st_mode):
        _write_into(target, status, data, secret=True)
        return 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOFOLLOW | _NONBLOCK | _CLOEXEC
    descriptor = os.open(target, flags, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _no_file(target)
        if sys.platform != "win32" and status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "It is somebody else's file, and no secret goes into that", str(target))
        if status.st_nlink != 1:
            raise PermissionError(errno.EPERM, "It has another name too (a hard link); name a new file", str(target))
        with _naming(target):
            _write_all(descriptor, data)
    finally:
        os.close(descriptor)
    return status.st_mode & 0o777


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder for its owner alone, filled under another name before it gets its own: whole, or not there at all."""
    target = target.absolute()
    with _naming(target):
        descriptor, part = _begin(target, _make_folder)
    try:
        yield part
        _settle(part)
        part.rename(target)  # over an empty folder, and over nothing else
    except BaseException as error:
        if isinstance(error, OSError) and error.filename:
            error.filename = str(error.filename).replace(str(part), str(target))
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)
    _settle(target.parent)


def clear_leftovers(folder: Path) -> None:
    """Take away what killed processes left half written in a folder; what a living one writes stays."""
    try:
        with os.scandir(folder) as entries:
            found = [Path(one.path) for one in entries if one.name.startswith(".handclasp-")]
    except OSError:
        return
    for place in found:
        if place.suffix == ".part":
            _cleared(place)


def files_in(folder: Path) -> list[Path]:
    """The regular files of a folder, by their names, also those behind links; pipes and devices are passed over."""
    return sorted(one for one in folder.iterdir() if one.is_file())


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file; a pipe or device, which might never end, is an OSError."""
    with os.fdopen(open_plainly(path), "rb") as file:
        return file.read()


def open_plainly(path: str | os.PathLike[str], *, folder: int | None = None, flags: int = 0) -> int:
    """A descriptor of a regular file, to read; raises OSError for anything else, which is not even opened.

    With `folder`, a descriptor of one, the path is looked up in there. With `os.O_NOFOLLOW` a link is no file.
    """
    if not stat.S_ISREG(os.stat(path, dir_fd=folder, follow_symlinks=not flags & _NOFOLLOW).st_mode):
        raise _no_file(path)
    # It may have become a pipe by now: without waiting, and looked at again.
    descriptor = os.open(path, os.O_RDONLY | _CLOEXEC | _NONBLOCK | flags, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return descriptor


def _no_file(path: str | os.PathLike[str]) -> OSError:
    if os.path.isdir(path):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    return OSError(errno.EINVAL, "It is a pipe, a device or a link, not a file", os.fspath(path))


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Errors name the file that the caller knows."""
    try:
        yield
    except OSError as error:
        error.filename = str(target)
        raise


def _begin(target: Path, make: Callable[[Path], int]) -> tuple[int, Path]:
    """The file or folder that will be the target, made and locked, under a name that goes with the target's."""
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    place = target.with_name(PART.format(digest))
    for _ in range(16):
        try:
            descriptor = make(place)
        except FileExistsError:
            if not _cleared(place):  # it is another writer's, or was planted
                place = target.with_name(PART.format(secrets.token_hex(8)))
            continue
        if _held(descriptor, place):
            return descriptor, place
        os.close(descriptor)
    raise FileExistsError(errno.EEXIST, "Others write it all the time", str(target))


def _make_folder(place: Path) -> int:
    place.mkdir(mode=0o700)
    return os.open(place, os.O_RDONLY | _NOFOLLOW | _CLOEXEC)


def _held(descriptor: int, place: Path) -> bool:
    """Whether it is locked now and still has its name: one who clears up may have come before the lock."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks on this file system: nobody clears up there
    status = _status(place)
    return status is not None and os.path.samestat(os.fstat(descriptor), status)


def _cleared(place: Path) -> bool:
    """Take away what a dead process of ours left; False where it is alive or somebody else's."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(place, os.O_RDONLY | _NOFOLLOW | _NONBLOCK | _CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR) or status.st_uid != os.geteuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        now = _status(place)
        if now is not None and os.path.samestat(status, now):
            shutil.rmtree(place) if kind == stat.S_IFDIR else place.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _write_into(target: Path, status: os.stat_result, data: bytes, *, secret: bool) -> None:
    """Into a pipe or device, and through no link but the system's own."""
    system = target.parent in STREAMS
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if stat.S_ISLNK(status.st_mode) and not system:
        raise OSError(errno.ELOOP, "It is a link, which may lead anywhere; name the file itself", str(target))
    if secret and stat.S_ISFIFO(status.st_mode) and status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "It is somebody else's pipe, and no key goes into that", str(target))
    descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | _CLOEXEC | (0 if system else _NOFOLLOW))
    try:
        if not system and not os.path.samestat(os.fstat(descriptor), status):
            raise OSError(errno.EAGAIN, "It was changed while it was opened", str(target))
        _write_all(descriptor, data)
    except OSError as error:
        error.filename = error.filename or str(target)
        raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _settle(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can be told so."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | _CLOEXEC)
    except PermissionError:  # one that may be written but not read; on Windows, any
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # this file system knows no such thing
            error.filename = str(folder)
            raise
    finally:
        os.close(descriptor)
