"""What `pickle` may carry to another process, and what to say of what it can't.

Configs, trust stores, identities, reports and errors go to worker processes, as those that `spawn` starts.
A live connection goes nowhere: two copies of it would protect different data with the same key and number.
"""

from __future__ import annotations

import pickle
from typing import Any, NoReturn

__all__ = ["check_pickles", "refuse_copies"]


def check_pickles(what: str, value: object) -> None:
    """Raise a `TypeError` that names the value where `pickle` can't carry it."""
    try:
        pickle.dumps(value)
    except Exception as error:  # whatever somebody else's class makes of it
        raise TypeError(
            f"{what} is a {type(value).__qualname__} that pickle cannot carry ({error}); "
            "make it anew in the other process, or use what stands in a module under its own name."
        ) from None


def refuse_copies(one: Any) -> NoReturn:
    """The `__reduce__` of what is alive: raises a `TypeError`."""
    raise TypeError(
        f"A {type(one).__name__} is alive and can be neither copied nor pickled; make another one from its config."
    )
