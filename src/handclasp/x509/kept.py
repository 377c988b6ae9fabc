"""What is kept to save work, within a number of bytes: the oldest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Kept"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by their keys; each comes with the bytes that a peer sent for it, of which there are so many in all."""

    def __init__(self, size: int) -> None:
        self._most = size
        self._size = 0
        self._lock = Lock()
        self._found: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What is kept under a key."""
        found = self._found.get(key)
        return None if found is None else found[0]

    def keep(self, key: K, value: V, size: int) -> None:
        """Keep it as the newest, and as many of the others as there is room for."""
        with self._lock:
            self._size += size - self._found.pop(key, (None, 0))[1]
            self._found[key] = value, size
            while self._size > self._most:
                self._size -= self._found.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Keep nothing of all that."""
        with self._lock:
            self._found.clear()
            self._size = 0

    def __len__(self) -> int:
        return len(self._found)
