"""Fuzz target: bytes as a private key or a PKCS #12 file. Run: python -m tests.fuzz.fuzz_keystore -max_total_time=60.

Whatever comes, only `UnreadableKey`, `UnreadableIdentity` and `KeyMismatch` are raised.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from handclasp.ca import Authority
from handclasp.errors import UsageError
from handclasp.x509.identity import Identity
from handclasp.x509.keys import load_private_keys

__all__ = ["one_input"]

ISSUED = Authority.root("Fuzz Root").server("localhost")


def one_input(data: bytes) -> None:
    """Judge one input; raises where something is wrong with us."""
    for password in (None, b"password"):
        try:
            load_private_keys(data, password)
        except UsageError:
            pass
        try:
            Identity.from_pem(ISSUED.chain_pem, data, password)
        except UsageError:
            pass
        try:
            Identity.from_pkcs12(data, password)
        except UsageError:
            pass


if __name__ == "__main__":
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pem").write_bytes(ISSUED.key_pem())
        (Path(folder) / "encrypted").write_bytes(ISSUED.key_pem(b"password"))
        (Path(folder) / "p12").write_bytes(ISSUED.pkcs12(b"password"))
        atheris.instrument_all()
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()
