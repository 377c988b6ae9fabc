"""An authority's key as the builders of `cryptography` take it: theirs, or any object that signs as theirs do."""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa

from handclasp.errors import HandclaspError
from handclasp.x509.keys import UnsupportedKey

__all__ = ["AuthorityKeyFailed", "signed", "signer"]


class AuthorityKeyFailed(HandclaspError):
    """The authority's key did not sign, or not so that it verifies; the cause is attached."""


_KINDS: tuple[tuple[type[Any], Any], ...] = (
    (rsa.RSAPublicKey, rsa.RSAPrivateKey),
    (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey),
    (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey),
    (ed448.Ed448PublicKey, ed448.Ed448PrivateKey),
    (mldsa.MLDSA44PublicKey, mldsa.MLDSA44PrivateKey),
    (mldsa.MLDSA65PublicKey, mldsa.MLDSA65PrivateKey),
    (mldsa.MLDSA87PublicKey, mldsa.MLDSA87PrivateKey),
)


class _Signer:
    """Somebody else's key; the builders ask for one of `cryptography`'s classes, and then for these two alone."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def public_key(self) -> Any:
        return self._key.public_key()

    def sign(self, data: bytes, *how: Any) -> bytes:
        try:
            signature = bytes(self._key.sign(data, *how))
            self.public_key().verify(signature, data, *how)
        except InvalidSignature as error:
            raise AuthorityKeyFailed(
                "What came from the authority's key is no signature by it; ECDSA signatures have to be in DER."
            ) from error
        except Exception as error:  # whatever somebody else's object raises
            raise AuthorityKeyFailed(f"The authority's key did not sign: {type(error).__name__}.") from error
        return signature


def _named(kind: Any) -> type[_Signer]:
    """A class of signers that passes for a kind of key."""
    made = type(f"{kind.__name__}Signer", (_Signer,), {})
    kind.register(made)
    return made


_SIGNERS = tuple((public, private, _named(private)) for public, private in _KINDS)


def signer(private_key: Any, public_key: Any) -> Any:
    """What the builders take for a key that belongs to this public key; raises `UnsupportedKey`."""
    for public, private, wrapped in _SIGNERS:
        if isinstance(public_key, public):
            if isinstance(private_key, private):
                return private_key
            if callable(getattr(private_key, "sign", None)):
                return wrapped(private_key)
    raise UnsupportedKey(
        f"A {type(private_key).__name__} cannot sign certificates; use RSA, EC, Ed25519, Ed448 or ML-DSA."
    )


def signed(builder: Any, key: Any) -> Any:
    """What a builder has in hand, signed over the hash that fits the key: SHA-256 or stronger.

    Ed25519, Ed448 and ML-DSA bring their own.
    """
    public = key.public_key()
    algorithm: hashes.HashAlgorithm | None = None
    if isinstance(public, ec.EllipticCurvePublicKey):
        algorithm = {256: hashes.SHA256(), 384: hashes.SHA384()}.get(public.key_size, hashes.SHA512())
    elif isinstance(public, rsa.RSAPublicKey):
        algorithm = hashes.SHA256()
    return builder.sign(key, algorithm)
