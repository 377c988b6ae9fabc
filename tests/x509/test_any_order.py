"""A verdict does not depend on the order in which its sources, lists, responses and certificates come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.x509.chains import HOST, NOW
from tests.x509.papers import CA, NAMES, SIGNS_LISTS, certificate, crl, response, scope

from handclasp.x509 import DEFAULT, Certificate, Purpose, RevocationMode, RevocationSources, TrustStore, verify
from handclasp.x509.crl import ALL_REASONS, Crl
from handclasp.x509.errors import BudgetExceeded, CertificateRevoked, RevocationUnknown
from handclasp.x509.reload import CrlFiles

ROOT = certificate("Root", 0, "Root", 0, CA)
ISSUER = certificate("Issuer", 1, "Root", 0, CA)
LEAF = certificate("Leaf", 2, "Issuer", 1, NAMES)
BESIDE = certificate("Issuer", 3, "Root", 0, SIGNS_LISTS)
"""By which the issuer signs lists with another key."""
STOLEN, HOLD, LIFTED = (
    x509.ReasonFlags.key_compromise,
    x509.ReasonFlags.certificate_hold,
    x509.ReasonFlags.remove_from_crl,
)
TRUST = TrustStore.of(ROOT)
REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED, revocation_of_leaf_alone=True)
LENIENT = replace(REQUIRED, revocation=RevocationMode.WHEN_AVAILABLE)


def judge(documents: Sequence[Crl | bytes], *pool: Certificate, policy: Any = REQUIRED) -> type[BaseException] | None:
    """The class of the refusal, None where there is none."""
    sources = RevocationSources(
        [one for one in documents if isinstance(one, Crl)], [one for one in documents if isinstance(one, bytes)]
    )
    chain = [LEAF, *(pool or (ISSUER, BESIDE))]
    report = verify(
        chain, trust=TRUST, policy=policy, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST, revocation=sources
    )
    return None if report.error is None else type(report.error)


def told(*reasons: x509.ReasonFlags, by: int = 1, **more: Any) -> Crl:
    return crl("Issuer", by, *((LEAF, reason) for reason in reasons), **more)


def answered(status: str, **more: Any) -> bytes:
    return response(LEAF, ISSUER, 1, status, **more)


TRUTHS: dict[str, tuple[list[Crl | bytes], type[BaseException] | None]] = {
    "the newer list revokes": ([told(number=5), told(STOLEN, number=6)], CertificateRevoked),
    "the newer list has no hold any more": ([told(HOLD, number=5), told(number=6)], None),
    "two lists have one number": ([told(STOLEN, number=5), told(number=5)], CertificateRevoked),
    "the newer has not begun": ([told(number=5), told(STOLEN, number=6, period="not begun")], None),
    "the newer has ended": ([told(number=5), told(STOLEN, number=6, period="ended")], CertificateRevoked),
    "the older has ended": ([told(number=5), told(STOLEN, number=4, period="ended")], None),
    "the newest is a stranger's": ([told(STOLEN, number=5), told(number=6, by=9)], CertificateRevoked),
    "each key of the issuer counts its own lists": (
        [told(STOLEN, number=5), told(number=900, by=3)],
        CertificateRevoked,
    ),
    "a list of another scope revokes": (
        [told(number=6), told(STOLEN, number=5, of=scope(only_contains_user_certs=True))],
        CertificateRevoked,
    ),
    "a list of authorities alone says nothing of a server": (
        [told(number=5, of=scope(only_contains_ca_certs=True)), told(HOLD, number=9, period="ended")],
        RevocationUnknown,
    ),
    "reasons in two lists": (
        [
            told(number=1, of=scope(only_some_reasons=frozenset({STOLEN}))),
            told(number=1, of=scope(only_some_reasons=ALL_REASONS - {STOLEN})),
        ],
        None,
    ),
    "a delta revokes": ([told(number=5), told(STOLEN, number=6, base=5)], CertificateRevoked),
    "a delta lifts a hold": ([told(HOLD, number=5), told(LIFTED, number=6, base=5)], None),
    "a delta lifts nothing else": ([told(STOLEN, number=5), told(LIFTED, number=6, base=5)], CertificateRevoked),
    "no complete list lifts anything": ([told(LIFTED, number=5)], CertificateRevoked),
    "the newer delta holds again": (
        [told(HOLD, number=5), told(LIFTED, number=6, base=5), told(HOLD, number=7, base=5)],
        CertificateRevoked,
    ),
    "the newer delta lifts": (
        [told(HOLD, number=5), told(HOLD, number=6, base=5), told(LIFTED, number=7, base=5)],
        None,
    ),
    "a delta to an older list than the newest": (
        [told(number=5), told(number=8), told(STOLEN, number=6, base=5)],
        None,
    ),
    "a delta to a list that nobody has": ([told(number=5), told(STOLEN, number=9, base=8)], CertificateRevoked),
    "a list without a number beside an older one": (
        [told(number=5, period="ended"), told(STOLEN, number=None)],
        CertificateRevoked,
    ),
    "a list without an end": ([told(number=5), told(STOLEN, number=6, period="without end")], CertificateRevoked),
    "a list without an end clears": ([told(number=5, period="without end")], None),
    "a good response and a list that revokes": ([answered("good"), told(STOLEN)], CertificateRevoked),
    "two responses": ([answered("good"), answered("revoked")], CertificateRevoked),
    "a response that has ended revokes": (
        [answered("good"), answered("revoked", reason=STOLEN, period="ended")],
        CertificateRevoked,
    ),
    "a hold in a response that has ended": (
        [answered("good"), answered("revoked", reason=HOLD, period="ended")],
        None,
    ),
    "a response that knows nothing": ([answered("unknown"), answered("good")], None),
}


@pytest.mark.parametrize("case", TRUTHS)
def test_what_counts_of_several_documents_counts_in_any_order(case: str) -> None:
    documents, truth = TRUTHS[case]
    assert {judge(order) for order in permutations(documents)} == {truth}


PERIOD = st.sampled_from(("in force", "in force", "without end", "ended", "not begun"))
REASON = st.sampled_from(((), (STOLEN,), (HOLD,), (LIFTED,)))
SCOPES = (
    None,
    None,
    scope(only_contains_user_certs=True),
    scope(only_contains_ca_certs=True),
    scope(only_some_reasons=frozenset({STOLEN})),
    scope(indirect_crl=True),
)
LISTS = st.builds(
    lambda reasons, **fields: told(*reasons, **fields),
    REASON,
    by=st.sampled_from((1, 1, 3, 9)),
    number=st.sampled_from((None, 1, 2, 3)),
    base=st.sampled_from((None, None, 1, 2)),
    of=st.sampled_from(SCOPES),
    period=PERIOD,
)
RESPONSES = st.builds(answered, st.sampled_from(("good", "revoked", "unknown")), period=PERIOD)
CROSS = certificate("Issuer", 1, "Root", 0, CA, serial=71)
TOO_WEAK = certificate("Issuer", 1, "Root", 0, serial=72)
POOL = (ISSUER, BESIDE, CROSS, TOO_WEAK, certificate("Issuer", 4, "Root", 0, CA), ROOT)


@given(
    st.data(),
    st.lists(LISTS | RESPONSES, max_size=5, unique_by=id),
    st.lists(st.sampled_from(POOL), min_size=1, unique=True),
)
@settings(max_examples=120, deadline=None)
def test_any_order_gives_the_same_verdict(data: st.DataObject, documents: list[Any], pool: list[Certificate]) -> None:
    for policy in (REQUIRED, LENIENT):
        orders = [(data.draw(st.permutations(documents)), data.draw(st.permutations(pool))) for _ in range(3)]
        assert len({judge(lists, *certificates, policy=policy) for lists, certificates in orders}) == 1


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_how_files_of_lists_are_called_changes_nothing(tmp_path: Path, names: tuple[str, str]) -> None:
    for file, one in zip(names, (told(number=5), told(STOLEN, number=6)), strict=True):
        (tmp_path / f"{file}.crl").write_bytes(one.der)
    for sources in (RevocationSources.from_path(tmp_path), CrlFiles(tmp_path).current()):
        assert judge(sources.crls) is CertificateRevoked


def test_a_verdict_does_not_depend_on_what_was_judged_before() -> None:
    """Neither on whether a signature of the chain is known to be good, where the budget is tight."""
    tight = replace(LENIENT, max_signatures=1)
    before = judge([], ISSUER, policy=tight)
    assert judge([], ISSUER, policy=LENIENT) is None
    assert judge([], ISSUER, policy=tight) is before is BudgetExceeded
