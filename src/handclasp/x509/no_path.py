"""Why no path leads from a certificate to a trusted authority: the sentence that tells whom to ask for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography import x509

from handclasp.x509.certificate import Certificate
from handclasp.x509.checks import Findings
from handclasp.x509.errors import (
    BudgetExceeded,
    CertificateError,
    MalformedCertificate,
    SignatureInvalid,
    UnknownAuthority,
)
from handclasp.x509.trust import TrustStore

__all__ = ["why_no_path"]

Pool = dict[tuple[Any, ...], list[Certificate]]


def why_no_path(leaf: Certificate, pool: Pool, trust: TrustStore, findings: Findings) -> CertificateError:
    """The error of a chain that ends before a trusted authority; raises `BudgetExceeded`."""
    way = [leaf]
    while (above := _above(way, pool, findings)) is not None:
        way.append(above)
    top = way[-1]
    anchors = trust.named(top.issuer_canonical)
    if any(findings.signed_by(top, anchor) for anchor in anchors):
        return BudgetExceeded(
            f"The path of {leaf.subject_text} has more than the {findings.policy.max_chain_depth} intermediates "
            "that the policy allows."
        )
    named = [*anchors, *(one for one in pool.get(top.issuer_canonical, ()) if one is not top)]
    if any(_is_meant(top, one) for one in named):
        return SignatureInvalid(
            f"The certificate of {top.subject_text} names {top.issuer_text} as its issuer, whose key did not sign it."
        )
    if anchors and not top.is_self_issued:
        return UnknownAuthority(
            f"The certificate of {top.subject_text} was issued by another {top.issuer_text} than the one trusted here: "
            "the names are the same, the keys are not."
        )
    if top.is_self_issued:
        if top is leaf:
            return UnknownAuthority(f"The certificate of {leaf.subject_text} is signed by itself and not trusted here.")
        return UnknownAuthority(
            f"The certificate of {leaf.subject_text} leads to {top.subject_text}, {_absent(trust)}."
        )
    return UnknownAuthority(
        f"The certificate of {leaf.subject_text} leads to {top.issuer_text}, {_absent(trust)}, and whose certificate "
        "was not sent."
    )


def _absent(trust: TrustStore) -> str:
    count = len(trust.anchors)
    return "which is not " + ("the one authority" if count == 1 else f"among the {count} authorities") + " trusted here"


def _above(way: Sequence[Certificate], pool: Pool, findings: Findings) -> Certificate | None:
    """A certificate of the pool that issued the last of the way."""
    for one in pool.get(way[-1].issuer_canonical, ()):
        findings.step()
        if one not in way and findings.signed_by(way[-1], one):
            return one
    return None


def _is_meant(child: Certificate, one: Certificate) -> bool:
    """Whether a certificate has the key that the child says it is signed by (RFC 5280, 4.2.1.1)."""
    try:
        named, own = child.extension(x509.AuthorityKeyIdentifier), one.extension(x509.SubjectKeyIdentifier)
    except MalformedCertificate:
        return False
    return named is not None and own is not None and named.key_identifier == own.digest
