"""Nobody vouches for himself: who may sign the list, or the response, that tells of a certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.interop.harness import missing
from tests.x509.chains import HOST, NOW
from tests.x509.papers import CA, NAMES, SIGNS_LISTS, certificate, crl, name_of, response, scope

from handclasp.x509 import DEFAULT, Certificate, Purpose, Report, RevocationMode, RevocationSources, TrustStore, verify
from handclasp.x509.crl import Crl
from handclasp.x509.errors import CertificateRevoked, RevocationUnknown

STOLEN = x509.ReasonFlags.key_compromise
REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
NO_LISTS = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
ROOT = certificate("Root", 0, "Root", 0, CA)
ISSUER = certificate("Issuer", 1, "Root", 0, CA, x509.SubjectKeyIdentifier(b"key 1"))
LEAF = certificate("Leaf", 2, "Issuer", 1, NAMES)
SIBLING = certificate("Sibling", 5, "Root", 0, CA)
BOUND = certificate("Bound", 6, "Root", 0, CA, x509.NameConstraints([x509.DirectoryName(name_of("Bound"))], None))
ROOT_LIST = crl("Root", 0)
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def judge(chain: Sequence[Certificate], lists: Sequence[Crl], responses: Sequence[bytes] = ()) -> Report:
    return verify(
        chain,
        trust=TrustStore.of(ROOT),
        policy=REQUIRED,
        purpose=Purpose.SERVER_AUTH,
        at=NOW,
        name=HOST,
        revocation=RevocationSources(lists, responses),
    )


@dataclass(frozen=True)
class Case:
    """A list in the issuer's name, by a signer that may or may not, beside the lists that nobody doubts."""

    signer: Certificate
    lists: tuple[Crl, ...]
    leaf: Certificate = LEAF
    others: tuple[Certificate, ...] = ()
    good: bool = False


def by(key: int, **more: Any) -> tuple[Crl, ...]:
    return crl("Issuer", key, **more), ROOT_LIST


ELSEWHERE = [x509.DirectoryName(name_of("Lister"))]
INDIRECT = certificate(
    "Leaf",
    2,
    "Issuer",
    1,
    NAMES,
    x509.CRLDistributionPoints([x509.DistributionPoint(ELSEWHERE, None, None, ELSEWHERE)]),
)


def indirectly(key: int, *more: Crl) -> tuple[Crl, ...]:
    return crl("Lister", key, of=scope(indirect_crl=True)), *more, ROOT_LIST


ISSUER_LIST = crl("Issuer", 1, of=scope(only_contains_ca_certs=True), number=7)
"""Of use for whom the issuer named to sign lists; it says nothing of a server."""
OWN_NAME = certificate("Issuer", 2, "Issuer", 1, NAMES, SIGNS_LISTS)
KEY_1 = x509.AuthorityKeyIdentifier(b"key 1", None, None)
KEY_3 = x509.AuthorityKeyIdentifier(b"key 3", None, None)
CASES = {
    "another key of the issuer, by whom named the issuer": Case(
        certificate("Issuer", 3, "Root", 0, SIGNS_LISTS, x509.SubjectKeyIdentifier(b"key 3")),
        by(3, identifier=KEY_3),
        good=True,
    ),
    "another key of the issuer, by the issuer": Case(
        certificate("Issuer", 3, "Issuer", 1, CA, SIGNS_LISTS, x509.SubjectKeyIdentifier(b"key 3"), KEY_1),
        (*by(3, number=2, identifier=KEY_3), ISSUER_LIST),
        good=True,
    ),
    "whom the certificate names, by the root": Case(
        certificate("Lister", 4, "Root", 0, SIGNS_LISTS), indirectly(4), INDIRECT, good=True
    ),
    "whom the certificate names, by another authority": Case(
        certificate("Lister", 4, "Sibling", 5, CA, SIGNS_LISTS),
        indirectly(4, crl("Sibling", 5)),
        INDIRECT,
        (SIBLING,),
        good=True,
    ),
    "without a key usage": Case(certificate("Issuer", 3, "Root", 0), by(3)),
    "with a key usage for other things": Case(certificate("Issuer", 3, "Root", 0, NO_LISTS), by(3)),
    "by a sibling": Case(
        certificate("Issuer", 3, "Sibling", 5, SIGNS_LISTS), (*by(3), crl("Sibling", 5)), others=(SIBLING,)
    ),
    "whom the certificate names, against the names of another authority": Case(
        certificate("Lister", 4, "Bound", 6, SIGNS_LISTS), indirectly(4, crl("Bound", 6)), INDIRECT, (BOUND,)
    ),
    "whom the certificate names, below an authority of no such length": Case(
        certificate("Lister", 4, "Short", 8, CA, SIGNS_LISTS),
        indirectly(4, crl("Short", 8), crl("Middle", 7)),
        INDIRECT,
        (
            certificate("Middle", 7, "Root", 0, x509.BasicConstraints(True, 0)),
            certificate("Short", 8, "Middle", 7, CA),
        ),
    ),
    "whom the certificate names, revoked": Case(
        certificate("Lister", 4, "Root", 0, SIGNS_LISTS),
        (indirectly(4)[0], crl("Root", 0, (certificate("Lister", 4, "Root", 0, SIGNS_LISTS), STOLEN))),
        INDIRECT,
    ),
    "whom the certificate names, told of by its own list alone": Case(
        certificate("Lister", 4, "Issuer", 1, SIGNS_LISTS), indirectly(4, crl("Lister", 4)), INDIRECT
    ),
    "another root's": Case(certificate("Issuer", 3, "Other", 9, SIGNS_LISTS), by(3)),
    "the leaf itself": Case(OWN_NAME, by(2), OWN_NAME),
    "whom the leaf issued": Case(certificate("Issuer", 3, "Leaf", 2, SIGNS_LISTS), by(3)),
    "a list that names another key": Case(
        ISSUER,
        by(1, identifier=x509.AuthorityKeyIdentifier(b"another key", None, None)),
        others=(),
    ),
    "a list that names another serial number": Case(
        ISSUER, by(1, identifier=x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name_of("Root"))], 999))
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_who_may_sign_a_list_is_who_did_not_issue_himself(case: str) -> None:
    what = CASES[case]
    for pool in permutations((ISSUER, what.signer, *what.others)):
        report = judge((what.leaf, *pool), what.lists)
        assert report.accepted is what.good, report.error
        assert what.good or isinstance(report.error, RevocationUnknown)


@pytest.mark.parametrize("case", CASES)
def test_openssl_refuses_the_same(case: str, tmp_path: Path) -> None:
    """But that its command passes over the length of a signer's path."""
    if (why := missing("openssl", "openssl")) is not None:
        pytest.skip(why)
    what = CASES[case]
    files: dict[str, list[Any]] = {
        "root": [ROOT.parsed],
        "leaf": [what.leaf.parsed],
        "others": [one.parsed for one in dict.fromkeys((ISSUER, what.signer, *what.others))],
        "lists": [one.parsed for one in what.lists],
    }
    for file, some in files.items():
        (tmp_path / file).write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in some))
    arguments = f"verify -crl_check_all -extended_crl -no-CAfile -no-CApath -attime {NOW.timestamp():.0f}"
    command = f"openssl {arguments} -CAfile root -untrusted others -CRLfile lists leaf".split()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    wider = {case for case in CASES if "length" in case}
    assert (done.returncode == 0) == what.good or case in wider, done.stderr


TWIN = certificate("Issuer", 1, "Root", 0, CA, serial=71)
"""The issuer's key, certified once more."""


@pytest.mark.parametrize("above", ["Issuer", "Sub"])
def test_an_authority_that_was_revoked_clears_itself_by_nobody(above: str) -> None:
    """Not by whom it issued in its issuer's name, nor by whom those issued, and not over another certificate of its
    key."""
    sub = certificate("Sub", 10, "Issuer", 1, CA)
    fake = certificate("Root", 3, above, 1 if above == "Issuer" else 10, CA, SIGNS_LISTS)
    lists = crl("Root", 3, number=10**6), crl("Issuer", 1), crl("Sub", 10)
    true = crl("Root", 0, (ISSUER, STOLEN), (TWIN, STOLEN), number=9)
    for pool in permutations((ISSUER, TWIN, fake, sub)):
        for documents in permutations((true, *lists)):
            assert isinstance(judge((LEAF, *pool), documents).error, CertificateRevoked | RevocationUnknown)
        assert isinstance(judge((LEAF, *pool), lists).error, RevocationUnknown)


RESPONDER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
ANSWERING = certificate("Leaf", 2, "Issuer", 1, NAMES, x509.ExtendedKeyUsage([*RESPONDER, *SERVER]))
RESPONDERS = {
    "whom the issuer named": (certificate("Responder", 4, "Issuer", 1, RESPONDER), LEAF, ISSUER, True),
    "the leaf itself": (ANSWERING, ANSWERING, ISSUER, False),
    "another certificate of the leaf's key": (certificate("R", 2, "Issuer", 1, RESPONDER), LEAF, ISSUER, False),
    "whom the leaf named": (certificate("Responder", 4, "Leaf", 2, RESPONDER), LEAF, ISSUER, False),
    "whom a sibling named": (certificate("Responder", 4, "Sibling", 5, RESPONDER), LEAF, ISSUER, False),
    "against the issuer's names": (
        certificate("Responder", 4, "Bound", 6, RESPONDER),
        certificate("Bound", 2, "Bound", 6, NAMES),
        BOUND,
        False,
    ),
    "with another key's identifier": (
        certificate("Responder", 4, "Issuer", 1, RESPONDER, KEY_3),
        LEAF,
        ISSUER,
        False,
    ),
}


@pytest.mark.parametrize("case", RESPONDERS)
def test_who_may_answer_is_who_was_named_by_the_issuer_and_is_not_asked_about(case: str) -> None:
    responder, leaf, issuer, good = RESPONDERS[case]
    key = 2 if "leaf itself" in case or "leaf's key" in case else 4
    answer = response(leaf, issuer, key, responder=responder)
    assert judge((leaf, issuer, SIBLING), [ROOT_LIST], [answer]).accepted is good
