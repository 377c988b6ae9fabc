"""Certificates taken apart and put together again with one thing changed, as no library would make them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

__all__ = ["Parts", "children", "oid", "parts_of", "sequence", "tlv"]

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
ECDSA_SHA512 = bytes.fromhex("300a06082a8648ce3d040304")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
ED25519 = bytes.fromhex("300506032b6570")


def tlv(tag: int, content: bytes) -> bytes:
    """An element in DER."""
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*elements: bytes) -> bytes:
    """A SEQUENCE of these."""
    return tlv(0x30, b"".join(elements))


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *others = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *others):
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        content += bytes(reversed(digits))
    return tlv(0x06, content)


def children(content: bytes) -> Iterable[bytes]:
    """The elements that stand one after the other in this content."""
    at = 0
    while at < len(content):
        end = after(content, at)
        yield content[at:end]
        at = end


def inside(element: bytes) -> bytes:
    """The content of one element."""
    return element[2 if element[1] < 0x80 else 2 + (element[1] & 0x7F) :]


def after(data: bytes, at: int) -> int:
    size, start = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[start : start + count], "big"), start + count
    return start + size


@dataclass(slots=True)
class Parts:
    """What a certificate is put together of, each in DER."""

    version: bytes
    serial: bytes
    algorithm: bytes
    issuer: bytes
    validity: bytes
    subject: bytes
    key: bytes
    unique: bytes
    """Issuer's and subject's unique identifiers."""
    extensions: dict[str, tuple[bool, bytes]] | None
    """By dotted OID: whether critical, and the value."""
    outer_algorithm: bytes | None = None
    """If another than the signed one."""
    also: bytes = b""
    """One more extension, whole."""

    def put(
        self, which: str | x509.ObjectIdentifier, value: bytes | x509.ExtensionType, critical: bool = False
    ) -> None:
        """Have an extension with this value, in place of the one it had."""
        assert self.extensions is not None
        dotted = which if isinstance(which, str) else which.dotted_string
        self.extensions[dotted] = critical, value if isinstance(value, bytes) else value.public_bytes()

    def drop(self, *kinds: type[x509.ExtensionType]) -> None:
        """Have none of these extensions."""
        assert self.extensions is not None
        for kind in kinds:
            self.extensions.pop(kind.oid.dotted_string, None)

    def signed(self, key: Any) -> bytes:
        """The certificate, with a signature by this key over what it says."""
        tbs = sequence(
            self.version,
            self.serial,
            self.algorithm,
            self.issuer,
            self.validity,
            self.subject,
            self.key,
            self.unique,
            self._extensions(),
        )
        outer = self.algorithm if self.outer_algorithm is None else self.outer_algorithm
        return sequence(tbs, outer, tlv(0x03, b"\0" + sign(key, tbs, self.algorithm)))

    def _extensions(self) -> bytes:
        if self.extensions is None:
            return b""
        found = [
            sequence(oid(dotted), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))
            for dotted, (critical, value) in self.extensions.items()
        ]
        return tlv(0xA3, sequence(*found, self.also))


def sign(key: Any, data: bytes, algorithm: bytes) -> bytes:
    """With the hash that an algorithm names, SHA-256 where it names none that is known."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        digest = {ECDSA_SHA384: hashes.SHA384(), ECDSA_SHA512: hashes.SHA512()}.get(algorithm, hashes.SHA256())
        return key.sign(data, ec.ECDSA(digest))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    signature: bytes = key.sign(data)
    return signature


def parts_of(der: bytes) -> Parts:
    """Take a certificate of version 3 apart."""
    version, serial, algorithm, issuer, validity, subject, key, *more = children(
        inside(next(iter(children(inside(der)))))
    )
    unique = b"".join(one for one in more if one[0] != 0xA3)
    extensions: dict[str, tuple[bool, bytes]] = {}
    for one in x509.load_der_x509_certificate(der).extensions:
        extensions[one.oid.dotted_string] = one.critical, one.value.public_bytes()
    return Parts(version, serial, algorithm, issuer, validity, subject, key, unique, extensions)
