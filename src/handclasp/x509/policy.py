"""What a verifier insists on, frozen and shared (mission rows S14 to S20)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from handclasp.errors import ConfigError
from handclasp.values import check_fields
from handclasp.x509.clients import AllowedClient
from handclasp.x509.policies import ANY_POLICIES, PolicyInputs

__all__ = [
    "DEFAULT",
    "DEPLOYMENT",
    "RFC5280",
    "WEB",
    "NamePolicy",
    "Profile",
    "Purpose",
    "RevocationMode",
    "VerificationPolicy",
]


class Purpose(Enum):
    """What the certificate is to be used for (RFC 5280, 4.2.1.12)."""

    SERVER_AUTH = "serverAuth"
    CLIENT_AUTH = "clientAuth"


class NamePolicy(Enum):
    """Where a server's name is looked for (mission row S18)."""

    SAN_ONLY = "san-only"
    SAN_THEN_CN = "san-then-cn"
    """The subject's common name counts, and only where there is no SAN."""
    OFF = "off"
    """The server's name is not checked: anybody with a certificate of a trusted authority will do."""


class RevocationMode(Enum):
    """Whether revocation is checked (mission row S21)."""

    OFF = "off"
    WHEN_AVAILABLE = "when-available"
    """What the sources know counts; what they do not know is let pass."""
    REQUIRED = "required"
    """A certificate of which no current source speaks is refused."""


class Profile(Enum):
    """Which rules a path keeps beyond the validation of RFC 5280, section 6."""

    PATH = "path"
    """None: what section 6 accepts is accepted, however it was issued."""
    RFC5280 = "rfc5280"
    """The form that section 4 wants of certificates, too."""
    WEB = "web"
    """The CA/Browser Forum's rules on top, as browsers have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationPolicy:
    """How strict to be; the defaults suit a client that meets any server."""

    profile: Profile = Profile.PATH
    common_name_in_san: bool = False
    """Whether a server's common name has to be one of its alternative names (CA/Browser BR, 7.1.4.3)."""
    names: NamePolicy = NamePolicy.SAN_ONLY
    wildcards: bool = True
    """Whether "*.example.com" matches one label (RFC 9525, 6.3; mission row S19)."""
    hashes: frozenset[str] = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})
    """Hashes that a signature may be over; signatures that bring their own, as Ed25519, always may."""
    min_rsa_bits: int = 2048
    max_rsa_bits: int = 8192
    """Longer keys are refused before they cost anything."""
    curves: frozenset[str] = frozenset({"secp256r1", "secp384r1", "secp521r1"})
    allowed_clients: tuple[AllowedClient, ...] | None = None
    """Which clients a server lets in, by their certificate's names; None: all whose certificate is good."""
    anchors_by_name_and_key: bool = False
    """Whether an anchor counts by its name and key alone (RFC 5280, 6.1.1 (d)), be it expired or of version 1.

    If not, its dates, extensions and constraints count as any certificate's in the path. Its key has to be strong
    enough either way, and a peer's own certificate that is an anchor itself is always judged whole."""
    policies: PolicyInputs = ANY_POLICIES
    """What certificate policies the path has to be valid under (RFC 5280, 6.1.1)."""
    revocation: RevocationMode = RevocationMode.WHEN_AVAILABLE
    """Of use with sources alone; without any, only REQUIRED refuses."""
    revocation_of_leaf_alone: bool = False
    """Leave out whether the authorities between leaf and anchor were revoked."""
    max_chain_depth: int = 8
    """Intermediates in a path; self-issued ones, as for a new key of the same authority, may double it."""
    max_signatures: int = 64
    """Signatures verified for one chain."""
    max_path_steps: int = 256
    """Candidates tried while a path is built."""
    max_name_comparisons: int = 4096
    """Names held against name constraints for one chain."""
    max_policies: int = 16384
    """Certificate policies and mappings of them that are taken in for one chain."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("max_signatures", "max_path_steps", "max_name_comparisons", "max_policies"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} has to be at least 1.")


DEFAULT = VerificationPolicy()
"""RFC 5280's validation, names from the SAN alone, wildcards for one label."""

RFC5280 = VerificationPolicy(profile=Profile.RFC5280)
"""The same, for certificates in the form that RFC 5280 wants."""

WEB = VerificationPolicy(profile=Profile.WEB, common_name_in_san=True)
"""The public web's rules."""

DEPLOYMENT = VerificationPolicy(wildcards=False, names=NamePolicy.SAN_THEN_CN)
"""A deployment's own rules: no wildcards, the common name where an old certificate has no SAN."""
