"""Connections that nobody closed, and ends that nobody waits for: those of sockets that do not block.

One thread sees to all of them, as long as there are any. The end of the process waits for it, and then sees to the
connections that are still open. A child made by `fork` leaves all that alone: they are its parent's.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from handclasp.endings import DeliveryUncertain, DeliveryWarning
from handclasp.io.closing import Farewell, finish, wait_for_any

__all__ = ["Generation", "forget", "in_background", "later", "register"]

MOST_AT_ONCE = 1024
"""Ends that are waited for at a time; one more, and the oldest is over."""


class Generation:
    """Grows in a child made by `fork`, so that what it has from its parent is known."""

    now = 0


_open: dict[int, tuple[weakref.ref[Any], Any]] = {}
"""The connections, and the sockets below them, which are not collected before their connection has ended them."""
_farewells: deque[Farewell] = deque()
_new: deque[Farewell] = deque()
_lock = threading.RLock()
"""Held for a moment; the garbage collector may come in between, so one thread may take it twice."""
_thread: threading.Thread | None = None


def register(connection: Any, sock: Any) -> None:
    """A connection whose `left_open()` is called at the end of the process; it gives its farewell, or None."""
    _open[id(connection)] = weakref.ref(connection), sock


def forget(connection: Any) -> None:
    """A connection that has ended."""
    _open.pop(id(connection), None)


def later(farewell: Farewell) -> None:
    """See to an end, and warn where something was lost."""
    global _thread
    with _lock:
        _new.append(farewell)
        if _thread is not None:
            return
        thread = threading.Thread(target=_work, name="handclasp-closing")
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending
            _new.remove(farewell)
        else:
            _thread = thread
            return
    finish([farewell])
    _warn(farewell)


def in_background(end: Callable[[], DeliveryUncertain | None]) -> None:
    """See to an end that can only be waited for, in a thread of its own, and warn where something was lost."""

    def run() -> None:
        error: OSError | None
        try:
            error = end()
        except OSError as problem:  # what carries the bytes was closed by somebody else
            error = problem
        if error is not None:
            warnings.warn(str(error), DeliveryWarning, stacklevel=2)

    try:
        threading.Thread(target=run, name="handclasp-closing").start()
    except RuntimeError:  # the interpreter is ending
        run()


def _work() -> None:
    global _thread
    try:
        while _take_new():
            for one in list(_farewells):
                if one.advance():
                    _farewells.remove(one)
                    _warn(one)
            if _farewells:
                wait_for_any(list(_farewells), min(one.pause for one in _farewells))
    except BaseException:  # a warning that is an error: the next one who comes begins again
        _thread = None
        raise


def _take_new() -> bool:
    """Whether there is anything to see to; where there is not, the thread is over, and the next one who comes knows."""
    global _thread
    with _lock:
        _farewells.extend(_new)
        _new.clear()
        for one in list(_farewells)[: max(len(_farewells) - MOST_AT_ONCE, 0)]:
            one.hurry()
        if not _farewells:
            _thread = None
        return bool(_farewells)


def _warn(farewell: Farewell) -> None:
    if farewell.error is not None:
        warnings.warn(str(farewell.error), DeliveryWarning, stacklevel=2)


def _at_exit() -> None:
    """All at once, so that many take no longer than one."""
    found: list[Farewell] = []
    for connection, _ in list(_open.values()):
        one = connection()
        if one is not None and (farewell := one.left_open()) is not None:
            found.append(farewell)
    finish(found)
    for farewell in found:
        _warn(farewell)


def _in_child() -> None:
    global _lock, _thread
    Generation.now += 1
    _lock = threading.RLock()
    _thread = None
    for one in (*_farewells, *_new):
        one.sock.close()  # of this process alone
    _farewells.clear()
    _new.clear()
    _open.clear()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
