"""What we can do with cipher suites: the algorithms behind each code point.

Suites of TLS 1.3 name a cipher and a hash; those of TLS 1.2 also how keys are agreed on and who
signs. Static RSA, DHE and CBC suites will have their rows here, under their own protections.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from handclasp.wire.iana import CipherSuite, ProtocolVersion

__all__ = ["SUITES", "SuiteParameters"]

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


@dataclass(frozen=True, slots=True)
class SuiteParameters:
    """The algorithms of one suite; sizes in bytes."""

    suite: CipherSuite
    version: ProtocolVersion
    aead: str
    """One of "AES-GCM", "ChaCha20-Poly1305", "AES-CCM" or "AES-CCM-8"."""
    key_length: int
    hash_name: str
    """As `hashlib` names it: of the key schedule in TLS 1.3, of the PRF in TLS 1.2."""
    key_exchange: str | None
    """The string "ECDHE"; None in TLS 1.3, where suites do not say."""
    authentication: str | None
    """The string "ECDSA" (EdDSA and ML-DSA keys too) or "RSA"; None in TLS 1.3."""
    tag_length: int
    fixed_iv_length: int
    """TLS 1.2: of the nonce's part that comes from the key block."""
    explicit_nonce_length: int
    """TLS 1.2: of the nonce's part that goes with each record."""
    record_limit: int
    """Records that one key may protect (RFC 8446, 5.5)."""


_AES_GCM_LIMIT = 1 << 24
"""About 2^24.5 full records keep the attacker's chance below 2^-57 (RFC 8446, 5.5)."""
_CCM_LIMIT = 1 << 23
_CHACHA_LIMIT = 1 << 62

_ROWS: tuple[tuple[CipherSuite, str, int, str, str | None], ...] = (
    (CipherSuite.TLS_AES_128_GCM_SHA256, "AES-GCM", 16, "sha256", None),
    (CipherSuite.TLS_AES_256_GCM_SHA384, "AES-GCM", 32, "sha384", None),
    (CipherSuite.TLS_CHACHA20_POLY1305_SHA256, "ChaCha20-Poly1305", 32, "sha256", None),
    (CipherSuite.TLS_AES_128_CCM_SHA256, "AES-CCM", 16, "sha256", None),
    (CipherSuite.TLS_AES_128_CCM_8_SHA256, "AES-CCM-8", 16, "sha256", None),
    (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "AES-GCM", 16, "sha256", "ECDSA"),
    (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "AES-GCM", 32, "sha384", "ECDSA"),
    (CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ChaCha20-Poly1305", 32, "sha256", "ECDSA"),
    (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM, "AES-CCM", 16, "sha256", "ECDSA"),
    (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_CCM, "AES-CCM", 32, "sha256", "ECDSA"),
    (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, "AES-CCM-8", 16, "sha256", "ECDSA"),
    (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8, "AES-CCM-8", 32, "sha256", "ECDSA"),
    (CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "AES-GCM", 16, "sha256", "RSA"),
    (CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "AES-GCM", 32, "sha384", "RSA"),
    (CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ChaCha20-Poly1305", 32, "sha256", "RSA"),
)


def _parameters(
    suite: CipherSuite, aead: str, key_length: int, hash_name: str, authentication: str | None
) -> SuiteParameters:
    chacha = aead == "ChaCha20-Poly1305"
    ccm8 = aead == "AES-CCM-8"
    return SuiteParameters(
        suite=suite,
        version=TLS13 if authentication is None else TLS12,
        aead=aead,
        key_length=key_length,
        hash_name=hash_name,
        key_exchange=None if authentication is None else "ECDHE",
        authentication=authentication,
        tag_length=8 if ccm8 else 16,
        fixed_iv_length=12 if chacha else 4,
        explicit_nonce_length=0 if chacha else 8,
        record_limit=_CHACHA_LIMIT if chacha else _AES_GCM_LIMIT if aead == "AES-GCM" else _CCM_LIMIT,
    )


SUITES = MappingProxyType({row[0]: _parameters(*row) for row in _ROWS})
"""Every suite that the engine can speak."""
