"""A registry of code points as a typed enum that also holds values nobody has named.

IANA's tables grow, and peers send reserved values on purpose (GREASE, RFC 8701). An unknown
value therefore stays a member of its own type, compares as its number and goes back on the
wire unchanged. Such members are not remembered by the enum, so a peer can't fill our memory;
and they are no more than their number, since one hello may bring thirty thousand.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar, Self

__all__ = ["Registry"]


class Registry(IntEnum):
    """The base of every IANA registry; `size` is the width of a value on the wire in bytes.

    `str()` gives IANA's spelling: "TLS 1.3", "secp256r1", "ecdsa_secp256r1_sha256".
    """

    size: ClassVar[int]
    _value_: int
    _spelling: str

    def __new__(cls, value: int, spelling: str = "") -> Self:
        """A member; `spelling` is IANA's name where Python's is another."""
        member = int.__new__(cls, value)
        member._value_ = value
        member._spelling = spelling
        return member

    def __init_subclass__(cls, *, size: int = 1, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.size = size

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * cls.size:
            return None
        return cls.unknown(value)

    @classmethod
    def unknown(cls, value: int) -> Self:
        """The member for a value that the registry has no name for, and that fits."""
        return int.__new__(cls, value)

    def __getattr__(self, name: str) -> Any:
        """What a known member keeps and an unknown one makes from its number when asked."""
        if name == "_name_":
            return f"UNKNOWN_0x{self:0{2 * self.size}X}"
        if name == "_value_":
            return int(self)
        if name == "_spelling":
            return ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def is_known(self) -> bool:
        """Whether the registry has a name for this value."""
        return int(self) in type(self)._value2member_map_

    @property
    def is_grease(self) -> bool:
        """Whether this is one of the values reserved to be ignored (RFC 8701)."""
        high, low = divmod(int(self), 256)
        return self.size == 2 and high == low and low & 0x0F == 0x0A

    def __str__(self) -> str:
        return self._spelling or self._name_

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self._name_}"
