"""NIST's PKITS, all of it: path validation by RFC 5280 with its policies and CRLs.

The certificates and lists are in the package `cryptography_vectors`; what each test expects is in data
beside the project, which is no part of it.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest

from handclasp.x509 import (
    Certificate,
    NamePolicy,
    PolicyInputs,
    Profile,
    Purpose,
    Report,
    RevocationMode,
    RevocationSources,
    TrustStore,
    Verdict,
    VerificationPolicy,
    verify,
)
from handclasp.x509.policies import ANY_POLICY

EXPECTED = Path(__file__).parents[3] / "shared" / "conformance" / "pkits-expected.json"
VECTORS = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
POLICIES = {"anyPolicy": ANY_POLICY, **{f"NIST-test-policy-{n}": f"2.16.840.1.101.3.2.1.48.{n}" for n in range(1, 13)}}

KNOWN = {
    "4.1.4": "DSA keys have no place in TLS any more, so our floor leaves them out",
    "4.1.5": "the same, with inherited parameters",
    "4.14.30": "the list that tells of its signer is the signer's own; nobody vouches for himself, to OpenSSL neither",
}
"""Tests that we fail by decision, each with its reason; an unexpected pass fails too."""


def cases() -> list[Any]:
    if not EXPECTED.exists():
        absent = pytest.mark.skip("shared/conformance is not beside the project")
        return [pytest.param(None, marks=absent, id="absent")]
    return [
        pytest.param(test, id=f"{test['number']} {test['name']}") for test in json.loads(EXPECTED.read_text())["tests"]
    ]


def load(kind: str, name: str, ending: str) -> bytes:
    return (VECTORS / kind / f"{name}.{ending}").read_bytes()


def inputs(test: dict[str, Any]) -> PolicyInputs:
    return PolicyInputs(
        initial_policies=frozenset(POLICIES[name] for name in test.get("initial_policy_set", ["anyPolicy"])),
        inhibit_mapping=test.get("initial_policy_mapping_inhibit", False),
        require_explicit=test.get("initial_explicit_policy", False),
        inhibit_any=test.get("initial_inhibit_any_policy", False),
    )


def judge(test: dict[str, Any], profile: Profile) -> Report:
    anchor, *others = (Certificate(load("certs", name, "crt")) for name in test["certs"])
    lists = RevocationSources.of(*(load("crls", name, "crl") for name in test["crls"]))
    policy = VerificationPolicy(
        profile=profile,
        names=NamePolicy.OFF,
        revocation=RevocationMode.REQUIRED,
        policies=inputs(test),
        max_chain_depth=16,
    )
    return verify(
        [*reversed(others)] or [anchor],
        trust=TrustStore.of(anchor),
        policy=policy,
        purpose=Purpose.CLIENT_AUTH,
        at=datetime.datetime(2011, 4, 15, tzinfo=datetime.UTC),
        name=None,
        revocation=lists,
    )


@pytest.mark.parametrize("test", cases())
def test_pkits(test: dict[str, Any]) -> None:
    report = judge(test, Profile.PATH)
    good = report.accepted == test["should_validate"]
    assert good != (test["number"] in KNOWN), f"{report.error!r}; known: {KNOWN.get(test['number'])}"


FORM = {
    "RFC 5280, 4.1.2.5": "4.2.4 has a GeneralizedTime before 2050",
    "RFC 5280, 4.1.2.8": "4.3.6 has unique identifiers",
    "RFC 5280, 4.2.1.9": "4.6.4 has basic constraints that are not critical",
    "RFC 5280, 4.2.1.11": "most tests of policies have constraints of them that are not critical",
}
"""What certificates of PKITS have, and section 4 has otherwise."""


@pytest.mark.parametrize("test", [one for one in cases() if one.values[0] is None or one.values[0]["should_validate"]])
def test_the_profile_rfc5280_refuses_no_more_than_the_form_that_is_known(test: dict[str, Any]) -> None:
    found = sections(judge(test, Profile.RFC5280))
    assert found <= FORM.keys()


def sections(report: Report) -> set[str]:
    failed = [check.expected for check in report.checks if check.verdict is Verdict.FAILED]
    return {one for one in failed if one.startswith("RFC 5280, 4.")}
