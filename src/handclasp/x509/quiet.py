"""The parser's warnings are not for who runs this: a peer chose the names, numbers and keys that it warns of.

What is odd in a certificate is judged by name (`form.py`). Filters of warnings are the process's, and two threads
that set them at a time would leave them set: so one at a time does, and only for what the parser may warn of.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from threading import RLock

from handclasp.x509.der import after, content_of

__all__ = ["is_plain", "quietly", "serial_at"]

_lock = RLock()
_ODD = re.compile(
    # A Diffie-Hellman key (RFC 3279, 2.3.3; PKCS #3).
    rb"\x06\x07\x2a\x86\x48\xce\x3e\x02\x01|\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01"
    # A common name of no or of more than 64 bytes, or a country (of registration, too) of other than two.
    rb"|\x06\x03\x55\x04\x03(?![\x0c\x13\x16][\x01-\x40])"
    rb"|\x06(?:\x03\x55\x04\x06|\x0b\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x03)(?![\x0c\x13]\x02)",
    re.S,
)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Nothing that is done here warns."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_plain(der: bytes) -> bool:
    """Whether the parser has nothing to warn of in a certificate; False too where nothing can be told yet."""
    try:
        start, end = content_of(der, serial_at(der))
        return der[start] < 0x80 and any(der[start:end]) and _ODD.search(der) is None
    except IndexError:
        return False


def serial_at(der: bytes) -> int:
    """Where a certificate's serial number begins; raises `IndexError` past the end."""
    at = content_of(der, content_of(der, 0)[0])[0]
    return after(der, at) if der[at] == 0xA0 else at  # a version may come first
