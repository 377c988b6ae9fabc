"""The roots of every error that handclasp raises.

One class for each cause. The classes live with the layer that finds the cause; only their
roots are here. A `PeerError` is something the other side did, and knows the alert to answer
with; the connection turns it into that alert in one place. A `UsageError` is something our
caller did, and never reaches the wire.

All are `OSError`, as `ssl.SSLError` is one, so that programs that catch what a socket raises
catch these too. docs/errors.md lists what to catch.
"""

from __future__ import annotations

from copy import copy
from traceback import walk_tb
from typing import Any

from handclasp.text import printable

__all__ = ["ConfigError", "HandclaspError", "PeerError", "UsageError", "anew", "empty_frames"]


class HandclaspError(OSError):
    """The root of all errors raised on purpose by handclasp.

    `alert` is the code of the alert that goes with it, the one that we answered with or that the
    peer sent (an `AlertDescription`); `section` the text of a standard that was broken ("RFC 8446,
    4.4.4"); `mend` one sentence on how to put it right, beyond the message; `step` the number of
    the handshake step (1 to 22) where it is found, where one is certain. Each is None where there
    is none. `errno` is None too, but for those errors that are a `ConnectionResetError`.
    """

    alert: int | None = None
    section: str | None = None
    mend: str | None = None
    step: int | None = None

    def __init__(self, message: str = "") -> None:
        # One argument: of two, OSError would make errno and strerror. A peer may have chosen words in it.
        super().__init__(printable(message))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled by what it holds, whatever arguments its class is made with."""
        return _made, (type(self), self.args), {**self.__dict__, "errno": self.errno}


class UsageError(HandclaspError):
    """The caller asked for something that cannot be: a call out of order, a bad argument."""


class ConfigError(UsageError, ValueError):
    """A configuration that contradicts itself; the message names the field and the mend."""


class PeerError(HandclaspError):
    """Something the peer sent, or did not send, that ends the connection; `alert` is our answer."""

    alert: int
    section: str


def anew(error: Exception) -> Exception:
    """The same error without its traceback, to be kept, or raised once more.

    A traceback grows by each raise, and holds every frame on its way with all that was in it,
    keys among it. The cause stays, without its traceback too. An error of somebody else's that
    can't be copied is kept as it is.
    """
    twin = _copied(error)
    if twin is not error and error.__cause__ is not None and isinstance(error.__cause__, Exception):
        twin.__cause__ = _copied(error.__cause__)
    return twin


def empty_frames(error: BaseException) -> None:
    """Take the local variables out of our own frames in an error's traceback, and in those of what it came from.

    Whoever keeps the error, or sends it to a service that collects errors with their variables, would keep
    keys and what was said in secret. Frames that still run stay as they are.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        for frame, _ in walk_tb(at.__traceback__):
            if str(frame.f_globals.get("__name__", "")).startswith("handclasp."):
                try:
                    frame.clear()
                except RuntimeError:
                    pass  # it runs
        at = at.__cause__ or at.__context__


def _copied(error: Exception) -> Exception:
    try:
        twin = copy(error)
    except Exception:  # whatever a class of somebody else's makes of that
        return error
    return twin if type(twin) is type(error) else error


def _made(kind: type[HandclaspError], args: tuple[Any, ...]) -> HandclaspError:
    error = kind.__new__(kind)
    error.args = args
    return error
