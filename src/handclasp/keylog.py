"""The key log that Wireshark and others read (RFC 9850): whoever has it can read the traffic."""

from __future__ import annotations

import os
import threading
import warnings

from handclasp.facts import Fact, Observer, SecretMade
from handclasp.values import checked
from handclasp.x509.files import append_owner_only
from handclasp.x509.keys import KeyFileWarning

__all__ = ["key_log_to", "observe_with"]


@checked
def key_log_to(path: str | os.PathLike[str]) -> Observer:
    """An observer that appends secrets to a file that only its owner may read.

    For debugging: the file undoes what TLS is for. The environment variable SSLKEYLOGFILE is honoured
    by the command `handclasp connect`, never by the library. Raises `OSError` at once where the file can't be
    written, is reached by a link or is somebody else's; warns with `KeyFileWarning` of one that others may read.
    """
    lock = threading.Lock()
    mode = append_owner_only(path, b"")
    if os.name == "posix" and mode & 0o077:
        message = f"The key log {path} is open to others than its owner (mode {mode:03o}): chmod 600 {path}"
        warnings.warn(message, KeyFileWarning, stacklevel=2)

    def observe(fact: Fact) -> None:
        if type(fact) is SecretMade:
            line = f"{fact.label} {fact.client_random.hex()} {fact.secret.hex()}\n"
            with lock:
                append_owner_only(path, line.encode())

    return observe


def observe_with(*observers: Observer) -> Observer:
    """One observer that tells several."""

    def observe(fact: Fact) -> None:
        for one in observers:
            one(fact)

    return observe
