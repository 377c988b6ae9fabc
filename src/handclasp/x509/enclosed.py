"""What blocks of PEM hold certificates: bare, in PKCS #7, or with words of OpenSSL's about trust."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from handclasp.x509.der import after, element
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.pem import labelled_blocks

__all__ = ["certificates_in"]


def certificates_in(pem: bytes) -> list[bytes]:
    """The certificates in PEM bytes, each in DER as far as its beginning says; raises `MalformedCertificate`."""
    try:
        held = labelled_blocks(pem, *_LABELS)
    except ValueError as error:
        raise MalformedCertificate(f"PEM that does not decode: {error}.") from None
    return [der for label, body in held for der in _LABELS[label](body)]


def _alone(der: bytes) -> list[bytes]:
    return [der]


def _without_words(body: bytes) -> list[bytes]:
    """A certificate before what `openssl x509 -trustout` adds: its uses, its name for people, its key's identifier."""
    try:
        end = after(body, 0)
        words, at = element(body, end, 0x30) if end < len(body) else b"", 0
        while at < len(words):
            if words[at] in (0x30, 0xA0):  # what it is trusted for, and what not
                raise MalformedCertificate(
                    "A TRUSTED CERTIFICATE whose uses are limited, which is not read here; "
                    "take the limits out with `openssl x509 -in FILE -clrtrust -clrreject`."
                )
            at = after(words, at)
    except (ValueError, IndexError):
        raise MalformedCertificate("A TRUSTED CERTIFICATE that does not parse.") from None
    return [body[:end]]


def _of_pkcs7(body: bytes) -> list[bytes]:
    # Here, since it brings in all of `email`.
    from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

    try:
        return [one.public_bytes(Encoding.DER) for one in load_der_pkcs7_certificates(body)]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedCertificate(f"PKCS #7 that does not parse: {error}") from None


_LABELS: dict[bytes, Callable[[bytes], list[bytes]]] = {
    b"CERTIFICATE": _alone,
    b"X509 CERTIFICATE": _alone,
    b"TRUSTED CERTIFICATE": _without_words,
    b"PKCS7": _of_pkcs7,
    b"CMS": _of_pkcs7,
}
"""What a block of PEM may be called that has certificates, and how they are taken out."""
