"""One certificate, parsed once: what the checks need of it, by short names (RFC 5280, 4).

Parsing is `cryptography`'s. Whatever goes wrong in it, on whatever bytes, comes out as
`MalformedCertificate`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar, overload
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handclasp.values import check_type, checked
from handclasp.x509.der import after, content_of, element, oid_text
from handclasp.x509.enclosed import certificates_in
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.fields import Fields, fields_at
from handclasp.x509.kept import Kept
from handclasp.x509.pem import as_pem
from handclasp.x509.quiet import is_plain, quietly, serial_at
from handclasp.x509.text import shortened

__all__ = [
    "MAX_SIZE",
    "NETSCAPE_TYPE",
    "POLICY_MAPPINGS",
    "Certificate",
    "canonical_name",
    "date_text",
    "interned",
    "keep_accepted",
    "shared",
]

UNREAD = "(not parsed)"
"""Stands for a name that cannot be read."""
MAX_SIZE = 1 << 17
"""Bytes of the longest certificate that is looked at."""

NETSCAPE_TYPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")
POLICY_MAPPINGS = x509.ObjectIdentifier("2.5.29.33")
RSASSA_PSS = "1.2.840.113549.1.1.10"
_T = TypeVar("_T")


class _Kept(Generic[_T]):
    """A property that is made when it is first asked for, and stays; what goes wrong is a `MalformedCertificate`."""

    def __init__(self, make: Callable[[Certificate], _T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, one: None, owner: type) -> _Kept[_T]: ...
    @overload
    def __get__(self, one: Certificate, owner: type) -> _T: ...
    def __get__(self, one: Certificate | None, owner: type) -> _Kept[_T] | _T:
        if one is None:
            return self
        value = one.made(self._make, one)
        one.__dict__[self._name] = value  # found before this descriptor from now on
        return value


class _Layout(NamedTuple):
    """Where the elements of a certificate begin (RFC 5280, 4.1)."""

    tbs: int
    serial_number: int
    algorithm: int
    issuer: int
    validity: int
    subject: int
    key: int
    outer_algorithm: int
    """Where what is signed ends, too."""


class Certificate:
    """A certificate by its DER; equal where the bytes are equal."""

    def __init__(self, der: bytes) -> None:
        if not isinstance(der, bytes):
            check_type("der", der, bytes)
        if len(der) > MAX_SIZE:
            raise MalformedCertificate(f"A certificate of {len(der)} bytes; at most {MAX_SIZE} are looked at.")
        self.der = bytes(der)
        self._is_plain = is_plain(self.der)
        self.signer: bytes | None = None
        """The certificate, in DER, that its signature was found to be by, which stays so."""

    @classmethod
    @checked
    def load(cls, data: bytes) -> Certificate:
        """The first certificate in PEM or DER bytes."""
        return cls.load_all(data)[0]

    @classmethod
    @checked
    def load_all(cls, data: bytes) -> list[Certificate]:
        """All certificates in PEM bytes, or the one in DER; raises `MalformedCertificate` for none.

        In PEM they may be in PKCS #7 too (RFC 2315), and with OpenSSL's words about trust if those limit nothing.
        """
        data = as_pem(data)
        if b"-----BEGIN" not in data:
            certificate = cls(data)
            _ = certificate.parsed
            return [certificate]
        found = [interned(der) for der in certificates_in(data)]
        if not found:
            raise MalformedCertificate("No certificate in these PEM bytes.")
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __reduce__(self) -> tuple[Any, ...]:
        return interned, (self.der,)

    def __repr__(self) -> str:
        return f"<Certificate {self.subject_text}>"

    def made(self, make: Callable[..., _T], *arguments: Certificate) -> _T:
        """What this makes; whatever goes wrong in it is a `MalformedCertificate`, and it warns of nothing."""
        try:
            if self._is_plain:
                return make(*arguments)
            with quietly():
                return make(*arguments)
        except MalformedCertificate:
            raise
        except (ValueError, TypeError, UnsupportedAlgorithm, OverflowError, x509.InvalidVersion) as error:
            raise MalformedCertificate(f"A certificate does not parse: {error}") from None
        except Exception as error:  # the parser's own errors have no common class
            raise MalformedCertificate(f"A certificate does not parse: {type(error).__name__}.") from None

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """What `make` makes of it, kept under a name; whatever goes wrong in that is `MalformedCertificate`."""
        kept = self.__dict__
        if name not in kept:
            kept[name] = self.made(make)
        value: _T = kept[name]
        return value

    @_Kept
    def parsed(self) -> x509.Certificate:
        """`cryptography`'s view of it."""
        return x509.load_der_x509_certificate(self.der)

    @_Kept
    def _layout(self) -> _Layout:
        _ = self.parsed  # so the elements are where they should be
        der = self.der
        tbs = content_of(der, 0)[0]
        serial = serial_at(der)
        algorithm = after(der, serial)
        issuer = after(der, algorithm)
        validity = after(der, issuer)
        subject = after(der, validity)
        return _Layout(tbs, serial, algorithm, issuer, validity, subject, after(der, subject), after(der, tbs))

    @_Kept
    def fields(self) -> Fields:
        """How its parts are written, and what its extensions were before they were parsed."""
        layout = self._layout
        return fields_at(self.der, layout.tbs, layout.algorithm, layout.validity, layout.key)

    @_Kept
    def public_key(self) -> Any:
        """Its public key, an object of `cryptography`'s."""
        return self.parsed.public_key()

    @_Kept
    def key_bytes(self) -> bytes:
        """The public key as SubjectPublicKeyInfo in DER."""
        der: bytes = self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return der

    @_Kept
    def is_rsa_pss_key(self) -> bool:
        """Whether its RSA key is for PSS alone (RFC 4055, 1.2)."""
        return self.parsed.public_key_algorithm_oid.dotted_string == RSASSA_PSS

    @_Kept
    def subject_name(self) -> x509.Name:
        """The subject's name, parsed."""
        return self.parsed.subject

    @_Kept
    def issuer_text(self) -> str:
        """The issuer's name for people."""
        try:
            return shortened(self.parsed.issuer.rfc4514_string())
        except Exception:  # the parser's own errors have no common class
            return UNREAD

    @_Kept
    def signature_hash(self) -> str | None:
        """The hash that its signature is over; None where the algorithm brings its own, as Ed25519 does.

        An algorithm that nobody knows is named by its OID. The two hashes of PSS have to be one (RFC 8446, 4.2.3).
        """
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

    @_Kept
    def signed_bytes(self) -> bytes:
        """What its signature is over, as it stands in it."""
        return self.der[self._layout.tbs : self._layout.outer_algorithm]

    @_Kept
    def frame_is_exact(self) -> bool:
        """Whether what the signature does not cover can be no other way (RFC 5280, 4.1.1.2 and 4.1.1.3).

        The outer algorithm is the one that was signed, and the signature is of whole bytes.
        """
        der, layout = self.der, self._layout
        end = after(der, layout.outer_algorithm)
        same = der[layout.algorithm : layout.issuer] == der[layout.outer_algorithm : end]
        return same and der[content_of(der, end)[0]] == 0

    @_Kept
    def subject(self) -> bytes:
        """The subject's name in DER."""
        return self.der[self._layout.subject : self._layout.key]

    @_Kept
    def issuer(self) -> bytes:
        """The issuer's name in DER."""
        return self.der[self._layout.issuer : self._layout.validity]

    @_Kept
    def subject_canonical(self) -> tuple[Any, ...]:
        """The subject's name in canonical form."""
        return _canonical(self.subject, lambda: self.subject_name)

    @_Kept
    def issuer_canonical(self) -> tuple[Any, ...]:
        """The issuer's name in canonical form."""
        return _canonical(self.issuer, lambda: self.parsed.issuer)

    @_Kept
    def netscape_type(self) -> int | None:
        """The bits of its Netscape certificate type, the first of them highest; None where it has none."""
        raw = self.raw_extension(NETSCAPE_TYPE)
        if raw is None:
            return None
        content = element(raw, 0, 0x03)
        if len(content) < 2:
            raise ValueError("an empty certificate type")
        return content[1]

    @_Kept
    def policy_mappings(self) -> tuple[tuple[str, str], ...]:
        """Pairs of policies, the issuer's and the subject's, as dotted OIDs (RFC 5280, 4.2.1.5)."""
        raw = self.raw_extension(POLICY_MAPPINGS)
        return () if raw is None else tuple(oid_pairs(raw))

    @_Kept
    def subject_text(self) -> str:
        """The subject for people: the beginning of its name, or of its first alternative name if it has none."""
        try:
            text = self.subject_name.rfc4514_string()
            if not text:
                names = self.extension(x509.SubjectAlternativeName)
                text = next((str(name.value) for name in names or ()), "(no subject)")
            return shortened(text)
        except Exception:  # the parser's own errors have no common class
            return UNREAD

    @_Kept
    def serial_number(self) -> int:
        """Its serial number, which some authorities made zero, negative or too long."""
        # From the DER: the parser's own would warn of the odd ones, and silencing it takes a lock.
        return int.from_bytes(element(self.der, self._layout.serial_number, 0x02), "big", signed=True)

    @_Kept
    def not_before(self) -> datetime:
        """The first moment of its validity."""
        return self.parsed.not_valid_before_utc

    @_Kept
    def not_after(self) -> datetime:
        """The last moment of its validity, itself included."""
        return self.parsed.not_valid_after_utc

    @_Kept
    def validity_text(self) -> tuple[str, str]:
        """Both moments for people."""
        return date_text(self.not_before), date_text(self.not_after)

    @_Kept
    def is_self_issued(self) -> bool:
        """Whether subject and issuer have the same name."""
        return self.subject == self.issuer or self.subject_canonical == self.issuer_canonical

    @_Kept
    def fingerprint(self) -> bytes:
        """SHA-256 of the DER."""
        return hashlib.sha256(self.der).digest()

    def extension(self, kind: type[x509.ExtensionType]) -> Any:
        """The value of an extension, None where it is absent."""
        found = self._extensions.get(kind.oid)
        return None if found is None else found.value

    def extension_critical(self, kind: type[x509.ExtensionType]) -> bool:
        """Whether that extension is there and critical."""
        found = self._extensions.get(kind.oid)
        return found is not None and found.critical

    @_Kept
    def critical_extensions(self) -> frozenset[x509.ObjectIdentifier]:
        """The extensions that whoever reads this certificate has to understand."""
        return frozenset(oid for oid, one in self._extensions.items() if one.critical)

    def raw_extension(self, oid: x509.ObjectIdentifier) -> bytes | None:
        """The bytes of an extension that `cryptography` has no class for."""
        found = self._extensions.get(oid)
        value = None if found is None else found.value
        return value.value if isinstance(value, x509.UnrecognizedExtension) else None

    def extension_bytes(self, oid: x509.ObjectIdentifier) -> bytes | None:
        """The value of any extension in DER, None where it is absent."""
        found = self._extensions.get(oid)
        return None if found is None else found.value.public_bytes()

    @_Kept
    def _extensions(self) -> dict[x509.ObjectIdentifier, x509.Extension[Any]]:
        return {one.oid: one for one in self.parsed.extensions}


def date_text(moment: datetime) -> str:
    """A moment for people, in UTC."""
    return moment.astimezone(UTC).isoformat(" ", "seconds")[:19] + " UTC"


NAMES_KEPT = 1 << 16
"""Bytes of names kept in canonical form, which takes up to forty times as many: an authority's stands in each
certificate that it issued."""
_canonical_names: Kept[bytes, tuple[Any, ...]] = Kept(NAMES_KEPT)


def _canonical(der: bytes, parse: Callable[[], x509.Name]) -> tuple[Any, ...]:
    known = _canonical_names.get(der)
    if known is None:
        known = canonical_name(parse())
        if len(der) <= NAMES_KEPT // 64:
            _canonical_names.keep(der, known, len(der))
    return known


def canonical_name(name: x509.Name) -> tuple[Any, ...]:
    """A name as RFC 5280, 7.1 compares it: case and runs of spaces don't count, nor does the string's type."""
    return tuple(frozenset((attribute.oid, prepared(str(attribute.value))) for attribute in rdn) for rdn in name.rdns)


def prepared(text: str) -> str:
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


KEPT = 1 << 20
"""Bytes of certificates that are kept parsed, which takes some ten times as many."""
LARGE = 1 << 14
"""Bytes of the longest of them."""
_alive: WeakValueDictionary[bytes, Certificate] = WeakValueDictionary()
_accepted: Kept[bytes, Certificate] = Kept(KEPT)


def interned(der: bytes) -> Certificate:
    """The one `Certificate` of these bytes as long as somebody has it, so that each is parsed once."""
    found = _alive.get(der)
    if found is None:
        found = Certificate(der)
        found = _alive.setdefault(found.der, found)
    return found


def shared(der: bytes) -> bytes:
    """The same bytes as a `Certificate` at hand has them, so that they are in memory once."""
    found = _alive.get(der)
    return der if found is None else found.der


def keep_accepted(path: Iterable[Certificate]) -> None:
    """Keep these parsed, which some authority vouches for: what a stranger sends is gone with the connection."""
    for one in path:
        if len(one.der) <= LARGE:
            _accepted.keep(one.der, one, len(one.der))
