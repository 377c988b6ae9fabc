"""Signatures by their TLS name: which a key can make, making one, verifying one (RFC 8446, 4.2.3)."""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa

from handclasp.errors import PeerError
from handclasp.wire.iana import AlertDescription, ProtocolVersion, SignatureScheme

__all__ = [
    "SUPPORTED_SCHEMES",
    "BadSignature",
    "certificate_verify_content",
    "known_in",
    "schemes_for",
    "sign",
    "verify",
]

S = SignatureScheme


class BadSignature(PeerError):
    """A signature that the key in the certificate did not make over this (RFC 8446, 4.4.3)."""

    alert = AlertDescription.DECRYPT_ERROR
    section = "RFC 8446, 4.4.3"
    mend = "The peer's private key and certificate may not belong together, or the handshake was changed."


_SHA256, _SHA384, _SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()


def _pss(algorithm: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)


_RSA: dict[SignatureScheme, tuple[Any, hashes.HashAlgorithm]] = {
    S.RSA_PSS_RSAE_SHA256: (_pss(_SHA256), _SHA256),
    S.RSA_PSS_RSAE_SHA384: (_pss(_SHA384), _SHA384),
    S.RSA_PSS_RSAE_SHA512: (_pss(_SHA512), _SHA512),
    S.RSA_PSS_PSS_SHA256: (_pss(_SHA256), _SHA256),
    S.RSA_PSS_PSS_SHA384: (_pss(_SHA384), _SHA384),
    S.RSA_PSS_PSS_SHA512: (_pss(_SHA512), _SHA512),
    S.RSA_PKCS1_SHA256: (padding.PKCS1v15(), _SHA256),
    S.RSA_PKCS1_SHA384: (padding.PKCS1v15(), _SHA384),
    S.RSA_PKCS1_SHA512: (padding.PKCS1v15(), _SHA512),
}
_ECDSA: dict[SignatureScheme, tuple[str, ec.ECDSA]] = {
    S.ECDSA_SECP256R1_SHA256: ("secp256r1", ec.ECDSA(_SHA256)),
    S.ECDSA_SECP384R1_SHA384: ("secp384r1", ec.ECDSA(_SHA384)),
    S.ECDSA_SECP521R1_SHA512: ("secp521r1", ec.ECDSA(_SHA512)),
}
_PLAIN: dict[SignatureScheme, type[Any]] = {
    S.ED25519: ed25519.Ed25519PublicKey,
    S.ED448: ed448.Ed448PublicKey,
    S.MLDSA44: mldsa.MLDSA44PublicKey,
    S.MLDSA65: mldsa.MLDSA65PublicKey,
    S.MLDSA87: mldsa.MLDSA87PublicKey,
}

SUPPORTED_SCHEMES = (*_ECDSA, *_PLAIN, *_RSA)
"""Every scheme that the engine can make and verify."""

_RSAE = (S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_RSAE_SHA384, S.RSA_PSS_RSAE_SHA512)
_PSS = (S.RSA_PSS_PSS_SHA256, S.RSA_PSS_PSS_SHA384, S.RSA_PSS_PSS_SHA512)
_PKCS1 = (S.RSA_PKCS1_SHA256, S.RSA_PKCS1_SHA384, S.RSA_PKCS1_SHA512)
_MLDSA = (S.MLDSA44, S.MLDSA65, S.MLDSA87)
_BY_CURVE = {curve: scheme for scheme, (curve, _) in _ECDSA.items()}


def schemes_for(key: object, version: ProtocolVersion, *, rsa_pss_key: bool = False) -> tuple[SignatureScheme, ...]:
    """The schemes that a public key verifies, and so its private key makes, in handshakes of this version.

    TLS 1.3 binds each curve to its hash and has no PKCS #1 signatures; in TLS 1.2 an ECDSA key of
    the three NIST curves goes with any hash (RFC 8446, 4.2.3; RFC 8422, 5.1.1). `rsa_pss_key`: the
    certificate says that its RSA key is for PSS alone (id-RSASSA-PSS).
    """
    old = version < ProtocolVersion.TLS13
    if isinstance(key, ec.EllipticCurvePublicKey):
        scheme = _BY_CURVE.get(key.curve.name)
        if scheme is None:
            return ()
        return tuple(_ECDSA) if old else (scheme,)
    if isinstance(key, rsa.RSAPublicKey):
        if rsa_pss_key:
            return _fitting(key.key_size, _PSS)
        return _fitting(key.key_size, _RSAE) + (_PKCS1 if old else ())
    for scheme, kind in _PLAIN.items():
        if isinstance(key, kind):
            return () if old and scheme not in (S.ED25519, S.ED448) else (scheme,)
    return ()


def known_in(version: ProtocolVersion, schemes: tuple[SignatureScheme, ...]) -> tuple[SignatureScheme, ...]:
    """Those of some schemes that handshakes of this version know: ML-DSA is TLS 1.3's alone (draft-ietf-tls-mldsa)."""
    if version >= ProtocolVersion.TLS13:
        return schemes
    return tuple([scheme for scheme in schemes if scheme not in _MLDSA])


def _fitting(bits: int, schemes: tuple[SignatureScheme, ...]) -> tuple[SignatureScheme, ...]:
    """PSS needs room for hash, salt and two bytes more (RFC 8017, 9.1.1)."""
    return tuple([scheme for scheme in schemes if (bits + 6) // 8 >= 2 * _RSA[scheme][1].digest_size + 2])


def sign(scheme: SignatureScheme, private_key: Any, data: bytes) -> bytes:
    """The signature over `data`; ECDSA's in DER (RFC 8446, 4.2.3).

    The key is one of `cryptography`'s or any object with their `sign`: `sign(data, padding, hash)` for RSA,
    `sign(data, ec.ECDSA(hash))` for ECDSA, `sign(data)` for the others. Raises whatever that raises.
    """
    if scheme in _ECDSA:
        signature: bytes = private_key.sign(data, _ECDSA[scheme][1])
    elif scheme in _RSA:
        signature = private_key.sign(data, *_RSA[scheme])
    else:
        signature = private_key.sign(data)
    return signature


def verify(scheme: SignatureScheme, public_key: Any, signature: bytes, data: bytes) -> None:
    """Return if the signature is good; raise `BadSignature` if it is not."""
    try:
        if scheme in _ECDSA:
            public_key.verify(signature, data, _ECDSA[scheme][1])
        elif scheme in _RSA:
            public_key.verify(signature, data, *_RSA[scheme])
        else:
            public_key.verify(signature, data)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        raise BadSignature(f"The {scheme} signature is not by the certificate's key over this handshake.") from None


_CONTEXT = {role: b" " * 64 + b"TLS 1.3, " + role.encode() + b" CertificateVerify\0" for role in ("client", "server")}


def certificate_verify_content(role: str, transcript_hash: bytes) -> bytes:
    """What a CertificateVerify of `role` ("client" or "server") signs (RFC 8446, 4.4.3)."""
    return _CONTEXT[role] + transcript_hash
