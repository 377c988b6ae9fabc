"""handclasp as a validator of x509-limbo's cases; `limbo_run.py` calls `validate`.

The suite's namespaces say which rules a case is about: `webpki::` the CA/Browser Forum's, of which
`webpki::cn` alone has the one on common names (other cases there break it and are to pass); all
others RFC 5280's. Where a case has CRLs, revocation is required.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import replace
from typing import Any

from handclasp.x509 import (
    RFC5280,
    WEB,
    Certificate,
    NamePolicy,
    Purpose,
    RevocationMode,
    RevocationSources,
    TrustStore,
    VerificationPolicy,
    verify,
)
from handclasp.x509.errors import CertificateError

USAGES = {
    "digitalSignature": "digital_signature",
    "contentCommitment": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}


def validate(case: dict[str, Any]) -> tuple[str, str]:
    """The verdict, "accept", "reject" or "skip", and its reason."""
    at = case["validation_time"]
    when = datetime.datetime.fromisoformat(at) if at else datetime.datetime.now(datetime.UTC)
    server = case["validation_kind"] == "SERVER"
    purpose = Purpose.SERVER_AUTH if server else Purpose.CLIENT_AUTH
    if case["extended_key_usage"] not in ([], [purpose.value]):
        purpose = Purpose(case["extended_key_usage"][0])
    policy = policy_of(case["id"])
    if case["max_chain_depth"] is not None:
        policy = replace(policy, max_chain_depth=case["max_chain_depth"])
    if server and case["expected_peer_name"] is None:
        policy = replace(policy, names=NamePolicy.OFF)
    try:
        trust = TrustStore.of(*(Certificate.load(pem.encode()) for pem in case["trusted_certs"]))
        pool = [Certificate.load(pem.encode()) for pem in case["untrusted_intermediates"]]
        leaf = Certificate.load(case["peer_certificate"].encode())
        name = case["expected_peer_name"]["value"] if server and case["expected_peer_name"] else None
        lists = RevocationSources.of(*(pem.encode() for pem in case["crls"])) if case["crls"] else None
        if lists is not None:
            policy = replace(policy, revocation=RevocationMode.REQUIRED)
        report = verify(
            [leaf, *pool], trust=trust, policy=policy, purpose=purpose, at=when, name=name, revocation=lists
        )
        report.raise_if_refused()
        missing = [] if server else missing_names(report.identities, case["expected_peer_names"])
        if missing:
            return "reject", f"the certificate does not name {missing}"
        if not usage_allowed(leaf, case["key_usage"]):
            return "reject", "key usage"
    except CertificateError as error:
        return "reject", f"{type(error).__name__}: {error}"
    return "accept", ""


def policy_of(name: str) -> VerificationPolicy:
    """The policy whose rules a case is about."""
    if not name.startswith("webpki::"):
        return RFC5280
    return WEB if name.startswith("webpki::cn::") else replace(WEB, common_name_in_san=False)


def missing_names(identities: Any, names: list[dict[str, str]]) -> list[str]:
    """Names that a client's certificate should have and has not."""
    have: set[Any] = {*identities.dns, *identities.addresses, *identities.emails}
    wanted = [ipaddress.ip_address(n["value"]) if n["kind"] == "IP" else n["value"] for n in names]
    return [str(name) for name in wanted if name not in have]


def usage_allowed(leaf: Certificate, wanted: list[str]) -> bool:
    """Whether the leaf's key usage, where it has one, allows all of these."""
    from cryptography import x509

    usage = leaf.extension(x509.KeyUsage)
    return usage is None or all(getattr(usage, USAGES[name]) for name in wanted)
