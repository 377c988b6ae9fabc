"""One certificate, parsed once: what the checks need of it, by short names (RFC 5280, 4).

Parsing is `cryptography`'s. Whatever goes wrong in it, on whatever bytes, comes out as
`MalformedCertificate`.
"""

from __future__ import annotations

import hashlib
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handclasp.x509.der import after, content_of, element, oid_text
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.pem import blocks
from handclasp.x509.text import shortened

__all__ = ["MAX_SIZE", "NETSCAPE_TYPE", "POLICY_MAPPINGS", "Certificate", "canonical_name", "interned"]

MAX_SIZE = 1 << 17
"""Bytes of the longest certificate that is looked at."""

NETSCAPE_TYPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")
POLICY_MAPPINGS = x509.ObjectIdentifier("2.5.29.33")
RSASSA_PSS = "1.2.840.113549.1.1.10"
_quiet_lock = Lock()
"""Filters of warnings are the process's: two threads that set them at a time would leave them set."""


class Certificate:
    """A certificate by its DER; equal where the bytes are equal."""

    __slots__ = ("__weakref__", "_cache", "der")

    def __init__(self, der: bytes) -> None:
        if len(der) > MAX_SIZE:
            raise MalformedCertificate(f"A certificate of {len(der)} bytes; at most {MAX_SIZE} are looked at.")
        self.der = bytes(der)
        self._cache: dict[str, Any] = {}

    @classmethod
    def load(cls, data: bytes) -> Certificate:
        """The first certificate in PEM or DER bytes."""
        return cls.load_all(data)[0]

    @classmethod
    def load_all(cls, data: bytes) -> list[Certificate]:
        """All certificates in PEM bytes, or the one in DER; raises `MalformedCertificate` for none."""
        if b"-----BEGIN" not in data:
            certificate = cls(data)
            _ = certificate.parsed
            return [certificate]
        try:
            found = [interned(der) for der in blocks(data, b"CERTIFICATE", b"X509 CERTIFICATE")]
        except ValueError as error:
            raise MalformedCertificate(f"PEM that does not decode: {error}.") from None
        if not found:
            raise MalformedCertificate("No certificate in these PEM bytes.")
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<Certificate {self.subject_text}>"

    def _get(self, name: str, make: Any) -> Any:
        try:
            return self._cache[name]
        except KeyError:
            pass
        try:
            value = self._cache[name] = make()
        except MalformedCertificate:
            raise
        except (ValueError, TypeError, UnsupportedAlgorithm, OverflowError, x509.InvalidVersion) as error:
            raise MalformedCertificate(f"A certificate does not parse: {error}") from None
        except Exception as error:  # the parser's own errors have no common class
            raise MalformedCertificate(f"A certificate does not parse: {type(error).__name__}.") from None
        return value

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` makes of it, kept under a name; whatever goes wrong in that is `MalformedCertificate`."""
        return self._get(name, make)

    @property
    def parsed(self) -> x509.Certificate:
        """`cryptography`'s view of it."""
        parsed: x509.Certificate = self._get("parsed", self._parse)
        return parsed

    def _parse(self) -> x509.Certificate:
        with _quiet_lock, warnings.catch_warnings():
            # It warns of odd serial numbers and the like, which are `form`'s to judge.
            warnings.simplefilter("ignore")
            return x509.load_der_x509_certificate(self.der)

    @property
    def public_key(self) -> Any:
        """Its public key, an object of `cryptography`'s."""
        return self._get("public_key", lambda: self.parsed.public_key())

    @property
    def key_bytes(self) -> bytes:
        """The public key as SubjectPublicKeyInfo in DER."""
        der: bytes = self._get(
            "key_bytes",
            lambda: self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        )
        return der

    @property
    def is_rsa_pss_key(self) -> bool:
        """Whether its RSA key is for PSS alone (RFC 4055, 1.2)."""
        oid = self._get("key_oid", lambda: self.parsed.public_key_algorithm_oid.dotted_string)
        return bool(oid == RSASSA_PSS)

    @property
    def subject_name(self) -> x509.Name:
        """The subject's name, parsed."""
        name: x509.Name = self._get("subject_name", lambda: self.parsed.subject)
        return name

    @property
    def issuer_text(self) -> str:
        """The issuer's name for people."""
        try:
            text: str = self._get("issuer_text", lambda: shortened(self.parsed.issuer.rfc4514_string()))
        except MalformedCertificate:
            return "(not parsed)"
        return text

    @property
    def signature_hash(self) -> str | None:
        """The hash that its signature is over; None where the algorithm brings its own, as Ed25519 does.

        An algorithm that nobody knows is named by its OID. The two hashes of PSS have to be one (RFC 8446, 4.2.3).
        """
        name: str | None = self._get("signature_hash", self._signature_hash)
        return name

    def _signature_hash(self) -> str | None:
        try:
            algorithm = self.parsed.signature_hash_algorithm
        except UnsupportedAlgorithm:
            return self.parsed.signature_algorithm_oid.dotted_string
        if algorithm is None:
            return None
        parameters = self.parsed.signature_algorithm_parameters
        if isinstance(parameters, padding.PSS) and parameters.mgf._algorithm.name != algorithm.name:
            return f"{algorithm.name} with a mask over {parameters.mgf._algorithm.name}"
        return algorithm.name

    @property
    def frame_is_exact(self) -> bool:
        """Whether what the signature does not cover can be no other way (RFC 5280, 4.1.1.2 and 4.1.1.3).

        The outer algorithm is the one that was signed, and the signature is of whole bytes.
        """
        exact: bool = self._get("frame_is_exact", self._frame_is_exact)
        return exact

    def _frame_is_exact(self) -> bool:
        tbs = content_of(self.der, 0)[0]
        outer = after(self.der, tbs)
        at = content_of(self.der, tbs)[0]
        if self.der[at] == 0xA0:
            at = after(self.der, at)  # version
        inner = after(self.der, at)  # serial number
        same = self.der[inner : after(self.der, inner)] == self.der[outer : after(self.der, outer)]
        signature = content_of(self.der, after(self.der, outer))[0]
        return same and self.der[signature] == 0

    @property
    def subject(self) -> bytes:
        """The subject's name in DER."""
        names: tuple[bytes, bytes] = self._get("names", self._names)
        return names[1]

    @property
    def issuer(self) -> bytes:
        """The issuer's name in DER."""
        names: tuple[bytes, bytes] = self._get("names", self._names)
        return names[0]

    def _names(self) -> tuple[bytes, bytes]:
        """Issuer and subject as they stand in it, which costs a tenth of building the parser's names."""
        _ = self.parsed  # so the elements are where they should be
        der = self.der
        at = content_of(der, content_of(der, 0)[0])[0]
        if der[at] == 0xA0:
            at = after(der, at)  # version
        issuer = after(der, after(der, at))  # behind serial number and signature algorithm
        validity = after(der, issuer)
        subject = after(der, validity)
        return der[issuer:validity], der[subject : after(der, subject)]

    @property
    def subject_canonical(self) -> tuple[Any, ...]:
        """The subject's name in canonical form."""
        name: tuple[Any, ...] = self._get(
            "subject_canonical", lambda: _canonical(self.subject, lambda: self.parsed.subject)
        )
        return name

    @property
    def issuer_canonical(self) -> tuple[Any, ...]:
        """The issuer's name in canonical form."""
        name: tuple[Any, ...] = self._get(
            "issuer_canonical", lambda: _canonical(self.issuer, lambda: self.parsed.issuer)
        )
        return name

    @property
    def netscape_type(self) -> int | None:
        """The bits of its Netscape certificate type, the first of them highest; None where it has none."""
        bits: int | None = self._get("netscape_type", self._netscape_type)
        return bits

    def _netscape_type(self) -> int | None:
        raw = self.raw_extension(NETSCAPE_TYPE)
        if raw is None:
            return None
        content = element(raw, 0, 0x03)
        if len(content) < 2:
            raise ValueError("an empty certificate type")
        return content[1]

    @property
    def policy_mappings(self) -> tuple[tuple[str, str], ...]:
        """Pairs of policies, the issuer's and the subject's, as dotted OIDs (RFC 5280, 4.2.1.5)."""
        pairs: tuple[tuple[str, str], ...] = self._get("policy_mappings", self._policy_mappings)
        return pairs

    def _policy_mappings(self) -> tuple[tuple[str, str], ...]:
        raw = self.raw_extension(POLICY_MAPPINGS)
        return () if raw is None else tuple(oid_pairs(raw))

    @property
    def subject_text(self) -> str:
        """The subject for people: the beginning of its name, or of its first alternative name if it has none."""
        try:
            text: str = self._get("subject_text", self._subject_text)
        except MalformedCertificate:
            return "(not parsed)"
        return text

    def _subject_text(self) -> str:
        text = self.parsed.subject.rfc4514_string()
        if not text:
            names = self.extension(x509.SubjectAlternativeName)
            text = next((str(name.value) for name in names or ()), "(no subject)")
        return shortened(text)

    @property
    def serial_number(self) -> int:
        """Its serial number, which some authorities made zero, negative or too long."""
        number: int = self._get("serial_number", self._serial_number)
        return number

    def _serial_number(self) -> int:
        """From the DER: the parser's own would warn of the odd ones, and silencing it takes a lock."""
        _ = self.parsed  # so the elements are where they should be
        at = content_of(self.der, content_of(self.der, 0)[0])[0]
        if self.der[at] == 0xA0:
            at = after(self.der, at)  # version
        return int.from_bytes(element(self.der, at, 0x02), "big", signed=True)

    @property
    def not_before(self) -> datetime:
        """The first moment of its validity."""
        when: datetime = self._get("not_before", lambda: self.parsed.not_valid_before_utc)
        return when

    @property
    def not_after(self) -> datetime:
        """The last moment of its validity, itself included."""
        when: datetime = self._get("not_after", lambda: self.parsed.not_valid_after_utc)
        return when

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer have the same name."""
        return self.subject == self.issuer or self.subject_canonical == self.issuer_canonical

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the DER."""
        digest: bytes = self._get("fingerprint", lambda: hashlib.sha256(self.der).digest())
        return digest

    def extension(self, kind: type[x509.ExtensionType]) -> Any:
        """The value of an extension, None where it is absent."""
        extensions = self._get("extensions", self._extensions)
        return extensions.get(kind.oid, (None, False))[0]

    def extension_critical(self, kind: type[x509.ExtensionType]) -> bool:
        """Whether that extension is there and critical."""
        return bool(self._get("extensions", self._extensions).get(kind.oid, (None, False))[1])

    @property
    def critical_extensions(self) -> frozenset[x509.ObjectIdentifier]:
        """The extensions that whoever reads this certificate has to understand."""
        extensions = self._get("extensions", self._extensions)
        return frozenset(oid for oid, (_, critical) in extensions.items() if critical)

    def raw_extension(self, oid: x509.ObjectIdentifier) -> bytes | None:
        """The bytes of an extension that `cryptography` has no class for."""
        value = self._get("extensions", self._extensions).get(oid, (None, False))[0]
        return value.value if isinstance(value, x509.UnrecognizedExtension) else None

    def _extensions(self) -> dict[x509.ObjectIdentifier, tuple[Any, bool]]:
        return {one.oid: (one.value, one.critical) for one in self.parsed.extensions}


CANONICAL_NAMES = 1024
"""Names kept in canonical form: an authority's stands in each certificate that it issued."""
CANONICAL_SIZE = 1024
"""Bytes of the longest of them."""
_canonical_names: dict[bytes, tuple[Any, ...]] = {}


def _canonical(der: bytes, parse: Callable[[], x509.Name]) -> tuple[Any, ...]:
    known = _canonical_names.get(der)
    if known is None:
        known = canonical_name(parse())
        if len(_canonical_names) >= CANONICAL_NAMES:
            _canonical_names.clear()
        if len(der) <= CANONICAL_SIZE:
            _canonical_names[der] = known
    return known


def canonical_name(name: x509.Name) -> tuple[Any, ...]:
    """A name as RFC 5280, 7.1 compares it: case and runs of spaces don't count, nor does the string's type."""
    return tuple(frozenset((attribute.oid, _prepared(str(attribute.value))) for attribute in rdn) for rdn in name.rdns)


def _prepared(text: str) -> str:
    """A string as RFC 4518, 2 prepares it: one form for letters that Unicode can write in several."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(text.casefold().split())


def oid_pairs(der: bytes) -> Iterator[tuple[str, str]]:
    """The OIDs of a DER SEQUENCE OF SEQUENCE of two; raises `ValueError` for anything else."""
    outer = element(der, 0, 0x30)
    at = 0
    while at < len(outer):
        pair = element(outer, at, 0x30)
        first = element(pair, 0, 0x06)
        yield oid_text(first), oid_text(element(pair, after(pair, 0), 0x06))
        at = after(outer, at)


SMALL, LARGE = 1 << 11, 1 << 14
"""Bytes of certificates that are kept parsed: of a thousand small ones, of a hundred large ones."""


def interned(der: bytes) -> Certificate:
    """The one `Certificate` of these bytes, so that each is parsed once; one that is very large is parsed each time."""
    size = len(der)
    return _small(der) if size <= SMALL else _large(der) if size <= LARGE else Certificate(der)


_small = lru_cache(maxsize=1024)(Certificate)
_large = lru_cache(maxsize=128)(Certificate)
