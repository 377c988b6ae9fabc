"""The checks of a path, one function each, and the work they may take (RFC 5280, 6.1)."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from handclasp.wire.iana import AlertDescription
from handclasp.x509.certificate import NETSCAPE_TYPE, POLICY_MAPPINGS, Certificate, date_text
from handclasp.x509.constraints import forbidden_name
from handclasp.x509.errors import (
    BudgetExceeded,
    CertificateError,
    CertificateExpired,
    CertificateNotYetValid,
    ClientNotAllowed,
    ConstraintViolation,
    FormViolation,
    HostNameMismatch,
    MalformedCertificate,
    PolicyViolation,
    WeakKey,
    WeakSignatureHash,
    WrongPurpose,
)
from handclasp.x509.form import misshapen
from handclasp.x509.names import Identities, PeerName, matches
from handclasp.x509.policies import process_policies
from handclasp.x509.policy import NamePolicy, Profile, Purpose, VerificationPolicy
from handclasp.x509.report import Check, Verdict
from handclasp.x509.text import listed

__all__ = [
    "Findings",
    "check_client",
    "check_leaf",
    "check_path",
    "check_signer_path",
    "is_signed_by",
    "whole",
]

EKU = {
    Purpose.SERVER_AUTH: ExtendedKeyUsageOID.SERVER_AUTH,
    Purpose.CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH,
}

NETSCAPE_BITS = {Purpose.CLIENT_AUTH: 0x80, Purpose.SERVER_AUTH: 0x40}
NETSCAPE_AUTHORITY = 0x04
"""Bits of the Netscape certificate type: SSL client, SSL server, SSL CA (mission row S17)."""

UNDERSTOOD = frozenset(
    kind.oid
    for kind in (
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.SubjectAlternativeName,
        x509.NameConstraints,
        x509.TLSFeature,
        x509.CertificatePolicies,
        x509.PolicyConstraints,
        x509.InhibitAnyPolicy,
        x509.CRLDistributionPoints,
    )
) | {POLICY_MAPPINGS, NETSCAPE_TYPE}
"""Extensions whose criticality is honoured; any other that is critical ends the path."""

STRONG_KEYS = (
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    mldsa.MLDSA44PublicKey,
    mldsa.MLDSA65PublicKey,
    mldsa.MLDSA87PublicKey,
)


class _Budget:
    """Work left for one chain, shared by all paths tried."""

    __slots__ = ("names", "policies", "signatures", "steps", "verified")

    def __init__(self, policy: VerificationPolicy) -> None:
        self.signatures = policy.max_signatures
        self.steps = policy.max_path_steps
        self.names = policy.max_name_comparisons
        self.policies = policy.max_policies
        self.verified: dict[tuple[bytes, bytes], bool] = {}


class Findings:
    """The checks made so far, the first failure, and the work that is left."""

    __slots__ = ("at", "budget", "checks", "error", "now", "policy", "unsettled", "until")

    def __init__(self, policy: VerificationPolicy, at: datetime, budget: _Budget | None = None) -> None:
        self.policy = policy
        self.at = at
        self.now = date_text(at)
        self.budget = budget or _Budget(policy)
        self.checks: list[Check] = []
        self.error: CertificateError | None = None
        self.until = float("inf")
        """Until when a source of revocation says what it says, in seconds since 1970."""
        self.unsettled: list[tuple[Certificate, Certificate]] = []
        """Certificates of which no source told whether they were revoked, each with its issuer."""

    def branch(self) -> Findings:
        """A copy for one path; the budget stays common."""
        twin = Findings(self.policy, self.at, self.budget)
        twin.checks, twin.error = list(self.checks), self.error
        return twin

    def passed(self, name: str, of: Certificate, expected: str, presented: str, section: str) -> None:
        """Note a check that passed."""
        self.checks.append(Check(name, Verdict.PASSED, of, expected, presented, section))

    def skipped(self, name: str, of: Certificate, why: str, section: str) -> None:
        """Note a check that was not made, and why."""
        self.checks.append(Check(name, Verdict.SKIPPED, of, why, "", section))

    def failed(self, name: str, of: Certificate, expected: str, presented: str, error: CertificateError) -> None:
        """Note a check that failed; the first one's error leads."""
        alert = AlertDescription(error.alert)
        self.checks.append(Check(name, Verdict.FAILED, of, expected, presented, error.section, alert))
        if self.error is None:
            self.error = error

    def step(self) -> None:
        """Count one candidate of path building; raises `BudgetExceeded`."""
        self.budget.steps -= 1
        if self.budget.steps < 0:
            raise BudgetExceeded(f"Building a path takes more than {self.policy.max_path_steps} steps.")

    def affords(self, signer: Certificate) -> bool:
        """Count one that may have signed a list; whether its key costs no more than it may. Raises `BudgetExceeded`."""
        self.step()
        return not _is_costly(signer.public_key, self.policy)

    def compare(self) -> None:
        """Count one name held against a constraint; raises `BudgetExceeded`."""
        self.budget.names -= 1
        if self.budget.names < 0:
            raise BudgetExceeded(
                f"More than {self.policy.max_name_comparisons} names would be held against constraints."
            )

    def take_policies(self, count: int) -> None:
        """Count policies taken in; raises `BudgetExceeded`."""
        self.budget.policies -= count
        if self.budget.policies < 0:
            raise BudgetExceeded(f"More than {self.policy.max_policies} certificate policies would be taken in.")

    def signed_by(self, child: Certificate, issuer: Certificate) -> bool:
        """Whether the issuer's key made the child's signature; each pair is tried once.

        A signature over a hash that the policy leaves out is not looked at, nor one by a key that would
        cost too much: the path that has it fails by that, which tells more than that no path was found.
        """
        try:
            name = child.signature_hash
        except MalformedCertificate:
            return False
        if name is not None and name not in self.policy.hashes:
            return True
        try:
            if _is_costly(issuer.public_key, self.policy):
                return True
        except MalformedCertificate:
            return False
        pair = (child.der, issuer.der)
        known = self.budget.verified.get(pair)
        if known is None:
            # What is known from before counts as well: no verdict depends on what was judged earlier.
            self.budget.signatures -= 1
            if self.budget.signatures < 0:
                raise BudgetExceeded(f"More than {self.policy.max_signatures} signatures would be verified.")
            known = self.budget.verified[pair] = child.signer == issuer.der or is_signed_by(child, issuer)
            if known:
                child.signer = issuer.der
        return known


EXPONENT_LIMIT = 1 << 64
"""Public exponents of RSA are below it; the largest in use has 17 bits."""


def _is_costly(key: object, policy: VerificationPolicy) -> bool:
    """Whether a key is so large that verifying with it is work that a peer should not have us do."""
    return isinstance(key, rsa.RSAPublicKey) and (
        key.key_size > policy.max_rsa_bits or key.public_numbers().e >= EXPONENT_LIMIT
    )


def is_signed_by(child: Certificate, issuer: Certificate) -> bool:
    """By the key alone; that the names fit, as RFC 5280, 7.1 compares them, is the path builder's to see."""
    try:
        if not child.frame_is_exact:
            return False
        parsed, signed, key = child.parsed, child.signed_bytes, issuer.public_key
        parameters = parsed.signature_algorithm_parameters
        if isinstance(key, rsa.RSAPublicKey) and issuer.is_rsa_pss_key and not isinstance(parameters, padding.PSS):
            return False  # a key for PSS alone (RFC 4055, 1.2)
        if parameters is None:
            key.verify(parsed.signature, signed)
        elif isinstance(parameters, ec.ECDSA):
            key.verify(parsed.signature, signed, parameters)
        else:
            key.verify(parsed.signature, signed, parameters, parsed.signature_hash_algorithm)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm, MalformedCertificate):
        return False
    except (TypeError, AttributeError):
        return False  # a key of another kind than the signature, or one that can verify nothing, as X25519's
    return True


def check_leaf(
    findings: Findings, leaf: Certificate, identities: Identities, purpose: Purpose, name: PeerName | None
) -> None:
    """What concerns the peer's own certificate alone."""
    _check_name(findings, leaf, identities, name)
    _check_purpose(findings, leaf, purpose)


def check_path(findings: Findings, path: tuple[Certificate, ...], purpose: Purpose) -> None:
    """What concerns each certificate of a path and its place in it; signatures that count are good already.

    Where one does not count, by its hash or its key, the path ends with that: anybody can have written the rest.
    """
    last = path[-1]
    if not _check_algorithms(findings, path):
        return
    judged = whole(findings.policy, path)
    above = judged[1:]
    _check_form(findings, path, judged, purpose)
    for one in judged:
        _check_dates(findings, one)
        _check_critical(findings, one)
    for issuer in above:
        if issuer.extension(x509.ExtendedKeyUsage) is not None or issuer.netscape_type is not None:
            _check_purpose(findings, issuer, purpose, signs=False)
    as_host = purpose is Purpose.SERVER_AUTH and findings.policy.names is NamePolicy.SAN_THEN_CN
    for depth, issuer in enumerate(above):
        _check_authority(findings, issuer, sum(not one.is_self_issued for one in path[1 : depth + 1]))
        _check_name_constraints(findings, issuer, path[: depth + 1], as_host=as_host)
    _check_policies(findings, path)
    findings.passed("authority", last, "a trusted root", last.subject_text, "RFC 5280, 6.1")


def whole(policy: VerificationPolicy, path: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    """Those of a path that are judged as certificates: without the anchor, where that is a name and a key."""
    return path[:-1] if policy.anchors_by_name_and_key and len(path) > 1 else path


def _check_algorithms(findings: Findings, path: tuple[Certificate, ...]) -> bool:
    """Keys and hashes of a path; whether they are such that its signatures mean something."""
    before = len(findings.checks)
    for one in path:
        _check_key(findings, one)
        if one is not path[-1]:
            _check_hash(findings, one)
    sound = all(check.verdict is Verdict.PASSED for check in findings.checks[before:])
    for one in path[:-1]:
        if sound:
            findings.passed("signature", one, "the issuer's signature", "good", "RFC 5280, 6.1.3")
        else:
            findings.skipped("signature", one, "a key or a hash of the path does not count", "RFC 5280, 6.1.3")
    return sound


def check_signer_path(findings: Findings, path: tuple[Certificate, ...]) -> None:
    """The same for whoever signs a list or a response: any purpose will do (RFC 5280, 6.3.3 (f))."""
    if not _check_algorithms(findings, path):
        return
    judged = whole(findings.policy, path)
    for one in judged:
        _check_dates(findings, one)
        _check_critical(findings, one)
    for depth, issuer in enumerate(judged[1:]):
        _check_authority(findings, issuer, sum(not one.is_self_issued for one in path[1 : depth + 1]))
        _check_name_constraints(findings, issuer, path[: depth + 1], as_host=False)


def check_client(findings: Findings, leaf: Certificate, identities: Identities) -> None:
    """Whether the policy lets this client in, by one of its names (mission row S20)."""
    allowed = findings.policy.allowed_clients
    if allowed is None:
        return
    wanted = listed(map(str, allowed)) or "nobody"
    if any(one.admits(identities) for one in allowed):
        findings.passed("identity", leaf, wanted, identities.presented(), "RFC 5280, 4.2.1.6")
        return
    presented = identities.presented()
    error = ClientNotAllowed(f"The client is {presented}; allowed are {wanted}.")
    findings.failed("identity", leaf, wanted, presented, error)


def _check_policies(findings: Findings, path: tuple[Certificate, ...]) -> None:
    outcome = process_policies(path, findings.policy.policies, findings.take_policies)
    found = listed(sorted(outcome.policies)) or "none"
    if outcome.refused is None:
        findings.passed("policies", path[0], "as the policy's inputs want", found, "RFC 5280, 6.1.5")
    else:
        error = PolicyViolation(f"The path of {path[0].subject_text} has no policy that will do: {outcome.refused}.")
        findings.failed("policies", path[0], "a policy that is wanted", found, error)


def _check_name(findings: Findings, leaf: Certificate, identities: Identities, name: PeerName | None) -> None:
    if name is None:
        findings.skipped("host name", leaf, "no name was asked for", "RFC 9525, 6")
        return
    presented = identities.presented()
    if matches(name, identities, findings.policy):
        findings.passed("host name", leaf, str(name), presented, "RFC 9525, 6")
        return
    error = HostNameMismatch(f"The certificate is for {presented}; the connection asked for {name}.")
    findings.failed("host name", leaf, str(name), presented, error)


def _check_form(
    findings: Findings, path: tuple[Certificate, ...], judged: tuple[Certificate, ...], purpose: Purpose
) -> None:
    if findings.policy.profile is Profile.PATH:
        return
    for one, wrong, section in misshapen(path, findings.policy, purpose):
        if one not in judged:
            continue
        error = FormViolation(f"The certificate of {one.subject_text} is not as {section} wants it: {wrong}.")
        findings.failed("constraints", one, section, wrong, error)


def _check_purpose(findings: Findings, one: Certificate, purpose: Purpose, *, signs: bool = True) -> None:
    usage = one.extension(x509.ExtendedKeyUsage)
    wanted = EKU[purpose]
    if usage is not None and wanted not in usage and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usage:
        uses = listed(oid._name if oid._name != "Unknown OID" else oid.dotted_string for oid in usage)
        error = WrongPurpose(f"The certificate of {one.subject_text} is for {uses}, and not for {purpose.value}.")
        findings.failed("purpose", one, purpose.value, uses, error)
        return
    key_usage = one.extension(x509.KeyUsage)
    if signs and key_usage is not None and not key_usage.digital_signature:
        error = WrongPurpose(f"The key of {one.subject_text} may not sign, as a handshake has it do.")
        findings.failed("purpose", one, "digitalSignature", "another key usage", error)
        return
    bits = one.netscape_type
    if bits is not None and not bits & (NETSCAPE_BITS[purpose] if signs else NETSCAPE_AUTHORITY):
        error = WrongPurpose(
            f"The certificate of {one.subject_text} is by its Netscape certificate type not for {purpose.value}."
        )
        findings.failed("purpose", one, purpose.value, f"Netscape certificate type {bits:08b}", error)
        return
    findings.passed("purpose", one, purpose.value, "allowed", "RFC 5280, 4.2.1.12")


def _check_dates(findings: Findings, one: Certificate) -> None:
    first, last = one.validity_text
    if findings.at < one.not_before:
        error: CertificateError = CertificateNotYetValid(
            f"The certificate of {one.subject_text} is valid from {first}; it is {findings.now} now."
        )
    elif findings.at.replace(microsecond=0) > one.not_after:
        error = CertificateExpired(
            f"The certificate of {one.subject_text} expired on {last}; it is {findings.now} now."
        )
    else:
        findings.passed("expiration", one, findings.now, f"{first} to {last}", "RFC 5280, 4.1.2.5")
        return
    findings.failed("expiration", one, findings.now, f"{first} to {last}", error)


def _check_key(findings: Findings, one: Certificate) -> None:
    key, policy = one.public_key, findings.policy
    if isinstance(key, rsa.RSAPublicKey):
        strong = key.key_size >= policy.min_rsa_bits and not _is_costly(key, policy)
        presented = f"RSA, {key.key_size} bits"
        if key.public_numbers().e >= EXPONENT_LIMIT:
            presented += " and an exponent out of all proportion"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        strong, presented = key.curve.name in policy.curves, f"elliptic curve {key.curve.name}"
    else:
        strong, presented = isinstance(key, STRONG_KEYS), type(key).__name__.removesuffix("PublicKey")
    if strong:
        findings.passed("key strength", one, "a strong key", presented, WeakKey.section)
    else:
        error = WeakKey(f"The key of {one.subject_text} is not one that this policy takes: {presented}.")
        findings.failed("key strength", one, "a strong key", presented, error)


def _check_hash(findings: Findings, one: Certificate) -> None:
    name = one.signature_hash
    presented = "none of its own" if name is None else name
    if name is None or name in findings.policy.hashes:
        findings.passed("signature hash", one, "SHA-256 or stronger", presented, "RFC 9155, 2")
        return
    error = WeakSignatureHash(f"The certificate of {one.subject_text} is signed over {presented}.")
    findings.failed("signature hash", one, "SHA-256 or stronger", presented, error)


def _check_critical(findings: Findings, one: Certificate) -> None:
    unknown = [oid.dotted_string for oid in one.critical_extensions - UNDERSTOOD]
    if unknown:
        error = ConstraintViolation(
            f"The certificate of {one.subject_text} has a critical extension that is not understood: {unknown[0]}."
        )
        findings.failed("constraints", one, "known critical extensions", listed(unknown), error)


def _check_authority(findings: Findings, issuer: Certificate, below: int) -> None:
    """`below`: the intermediates between this issuer and the leaf, self-issued ones left out."""
    basic = issuer.extension(x509.BasicConstraints)
    usage = issuer.extension(x509.KeyUsage)
    if basic is None or not basic.ca:
        presented = "no authority"
    elif usage is not None and not usage.key_cert_sign:
        presented = "an authority whose key may not sign certificates"
    elif basic.path_length is not None and below > basic.path_length:
        presented = f"an authority with at most {basic.path_length} intermediates below it; here are {below}"
    else:
        findings.passed("constraints", issuer, "an authority", "an authority", "RFC 5280, 4.2.1.9")
        return
    error = ConstraintViolation(f"{issuer.subject_text} issued in this path and is {presented}.")
    findings.failed("constraints", issuer, "an authority", presented, error)


def _check_name_constraints(
    findings: Findings, issuer: Certificate, below: tuple[Certificate, ...], *, as_host: bool
) -> None:
    """`as_host`: the leaf's common name counts as a host's, and is held to the constraints as one."""
    if issuer.extension(x509.NameConstraints) is None:
        return
    for one in below:
        if one.is_self_issued and one is not below[0]:
            continue
        bad = forbidden_name(issuer, one, findings.compare, common_names=as_host and one is below[0])
        if bad is not None:
            error = ConstraintViolation(f"{issuer.subject_text} may not issue for {bad}.")
            findings.failed("constraints", one, "names that the authority may issue for", bad, error)
            return
    findings.passed("constraints", issuer, "names it may issue for", "kept", "RFC 5280, 4.2.1.10")
