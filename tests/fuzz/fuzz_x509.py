"""Fuzz target: bytes as a chain. Run: python -m tests.fuzz.fuzz_x509 -max_total_time=60.

Whatever comes, `verify` answers with a report, and an accepted one is of the chain we began with.
The first input byte says which certificate of a good chain the rest replaces, or that it is a stapled response.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.x509.chains import HOST, NOW, Link, leaf, make_chain

from handclasp.x509 import DEFAULT, WEB, Certificate, CertificateError, Purpose, TrustStore, verify

__all__ = ["GOOD", "one_input"]

GOOD = make_chain(leaf(), Link(), Link())
TRUST = TrustStore.of(GOOD.root)


def one_input(data: bytes) -> None:
    """Judge one input; raises where something is wrong with us."""
    place, rest = (data[0] if data else 0), data[1:]
    chain = list(GOOD.chain)
    staple = rest if place >= len(chain) else None
    if staple is None:
        chain[place] = rest
    for policy in (DEFAULT, WEB):
        report = verify(
            chain, trust=TRUST, policy=policy, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST, staple=staple
        )
        report.to_dict()
        if report.accepted and (staple is not None or tuple(chain) != GOOD.chain):
            raise AssertionError("a changed chain was accepted")
    try:
        Certificate.load_all(rest)
    except CertificateError:
        pass


if __name__ == "__main__":
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        for number, der in enumerate(GOOD.chain):
            (Path(folder) / str(number)).write_bytes(bytes((number,)) + der)
        atheris.instrument_all()
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()
