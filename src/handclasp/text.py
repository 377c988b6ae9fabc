"""Text that a peer may have chosen, put so that logs and terminals can show it; and values in one line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any

__all__ = ["in_a_line", "printable"]

WIDTH = 120
"""Characters of a line."""
PART = 48
"""Characters of one value in it."""


def printable(text: str) -> str:
    r"""With what does not print, such as a line's end, as RFC 4514, 2.4 escapes it: its bytes as \xx."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else "".join(f"\\{byte:02x}" for byte in one.encode(errors="surrogatepass"))
        for one in text
    )


def in_a_line(one: Any) -> str:
    """The `__repr__` of a dataclass whose fields may be long: they are cut, and lists and bytes are counted."""
    parts = []
    for field in fields(one):
        value = getattr(one, field.name)
        if field.repr and value is not None and value != () and value != field.default:
            parts.append(f"{field.name}={_brief(value)}")
    text = f"{type(one).__name__}({', '.join(parts)})"
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 2]}…)"


def _brief(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    if isinstance(value, Collection) and not isinstance(value, str):
        return f"<{len(value)} of {type(value).__name__}>"
    text = printable(repr(value))
    return text if len(text) <= PART else f"{text[: PART - 1]}…"
