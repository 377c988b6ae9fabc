"""Fuzz target: bytes as a CRL or an OCSP response. Run: python -m tests.fuzz.fuzz_revocation -max_total_time=60.

Whatever comes, only `MalformedCrl` and `BadStaple` are raised, and nothing makes a revoked certificate good.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509

from handclasp.ca import Authority
from handclasp.x509 import DEFAULT, Purpose, RevocationMode, RevocationSources, verify
from handclasp.x509.crl import Crl, MalformedCrl
from handclasp.x509.errors import BadStaple
from handclasp.x509.ocsp import check_response
from handclasp.x509.revocation import Status

__all__ = ["one_input"]

NOW = datetime.datetime.now(datetime.UTC)
ROOT = Authority.root("Fuzz Root")
LEAF = ROOT.server("localhost").certificate
REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
REVOKED = [(LEAF.serial_number, NOW, x509.ReasonFlags.key_compromise)]


def one_input(data: bytes) -> None:
    """Judge one input; raises where something is wrong with us."""
    lists: list[Crl] = []
    try:
        lists += Crl.load_all(data)
        for crl in lists:
            found = crl.find(LEAF.serial_number, ROOT.certificate.subject_canonical)
            if found is None and crl.signed_by(ROOT.certificate):
                raise AssertionError("a changed list is believed and hides a revocation")
    except MalformedCrl:
        pass
    at: dict[str, Any] = {"at": NOW, "purpose": Purpose.SERVER_AUTH, "name": "localhost"}
    if verify(
        [LEAF], trust=ROOT.trust, policy=REQUIRED, revocation=RevocationSources(lists), staple=data, **at
    ).accepted:
        raise AssertionError("a revoked certificate is accepted")
    try:
        status = check_response(data, LEAF, ROOT.certificate, NOW)
    except BadStaple:
        return
    if status.status is Status.GOOD:
        raise AssertionError("a changed response makes a revoked certificate good")


if __name__ == "__main__":
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "crl").write_bytes(ROOT.make_crl(REVOKED, number=1))
        (Path(folder) / "ocsp").write_bytes(ROOT.ocsp_response(LEAF, revoked_at=NOW))
        atheris.instrument_all()
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()
