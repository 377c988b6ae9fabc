"""The key log that Wireshark and others read (RFC 9850): whoever has it can read the traffic."""

from __future__ import annotations

import os
import threading

from handclasp.facts import Fact, Observer, SecretMade

__all__ = ["key_log_to", "observe_with"]


def key_log_to(path: str | os.PathLike[str]) -> Observer:
    """An observer that appends secrets to a file that only its owner may read.

    For debugging: the file undoes what TLS is for. The environment variable SSLKEYLOGFILE is honoured
    by the command `handclasp connect`, never by the library. Raises `OSError` at once where the file can't be written.
    """
    lock = threading.Lock()
    _append(path, "")

    def observe(fact: Fact) -> None:
        if type(fact) is SecretMade:
            line = f"{fact.label} {fact.client_random.hex()} {fact.secret.hex()}\n"
            with lock:
                _append(path, line)

    return observe


def _append(path: str | os.PathLike[str], text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def observe_with(*observers: Observer) -> Observer:
    """One observer that tells several."""

    def observe(fact: Fact) -> None:
        for one in observers:
            one(fact)

    return observe
