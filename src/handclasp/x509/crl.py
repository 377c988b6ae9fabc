"""A certificate revocation list and its entries (RFC 5280, 5).

The list itself is parsed by `cryptography`. Its entries are indexed here, by a walk over their DER, so
that a list of a million answers as fast as one of ten; what an entry says is parsed when asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from handclasp.errors import UsageError
from handclasp.values import checked
from handclasp.x509.certificate import Certificate, canonical_name
from handclasp.x509.der import after, content_of
from handclasp.x509.pem import blocks
from handclasp.x509.quiet import quietly
from handclasp.x509.text import shortened

__all__ = ["Crl", "Entry", "MalformedCrl", "is_meant"]

ALL_REASONS = frozenset(flag for flag in x509.ReasonFlags if flag.name not in ("unspecified", "remove_from_crl"))
UNDERSTOOD = frozenset(
    {x509.CRLNumber.oid, x509.DeltaCRLIndicator.oid, x509.IssuingDistributionPoint.oid, x509.AuthorityKeyIdentifier.oid}
)
INDEXED = 200
"""Bytes of memory that the index takes for an entry."""
REMEMBERED_KEYS = 64
"""Keys of which a list remembers whether they signed it."""


class MalformedCrl(UsageError):
    """Bytes that are no certificate revocation list."""


class Crl:
    """One list by its DER."""

    __slots__ = (
        "_extensions",
        "_index",
        "_keys",
        "_tbs",
        "_text",
        "der",
        "is_believed",
        "issuer",
        "next_update",
        "parsed",
        "this_update",
    )

    def __init__(self, der: bytes) -> None:
        try:
            self.der = der
            self.parsed = x509.load_der_x509_crl(der)
            self.this_update = self.parsed.last_update_utc
            self.next_update = self.parsed.next_update_utc
            with quietly():
                self.issuer: tuple[Any, ...] = canonical_name(self.parsed.issuer)
                """The issuer's name in canonical form."""
                self._text = self.parsed.issuer.rfc4514_string()
                self._extensions: dict[x509.ObjectIdentifier, tuple[Any, bool]] = {
                    one.oid: (one.value, one.critical) for one in self.parsed.extensions
                }
            start, _ = content_of(der, 0)
            # The parser writes these bytes anew when asked, for a second in a list of a million.
            self._tbs = der[start : after(der, start)]
            self._keys: dict[bytes, bool] = {}
            self.is_believed = False
            """Whether somebody who may have signed it was found to have, at some time."""
            self._index: dict[Any, dict[bytes, int]] | None = None
        except Exception as error:  # the parser's own errors have no common class
            raise MalformedCrl(f"A CRL does not parse: {error}") from None

    def __repr__(self) -> str:
        return f"<Crl of {shortened(self._text)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Crl, (self.der,)

    @classmethod
    @checked
    def load_all(cls, data: bytes, *, whole: bool = True) -> list[Crl]:
        """All lists in PEM bytes, or the one in DER; raises `MalformedCrl` for none.

        Where not `whole`, the entries are read when they are first asked for: nobody may have signed the list.
        """
        try:
            found = [cls(data)] if b"-----BEGIN" not in data else [cls(der) for der in blocks(data, b"X509 CRL")]
        except ValueError as error:
            raise MalformedCrl(f"PEM that does not decode: {error}.") from None
        if not found:
            raise MalformedCrl("No CRL in these PEM bytes.")
        for one in found if whole else ():
            one.read()
        return found

    def read(self) -> dict[Any, dict[bytes, int]]:
        """Where each entry begins, by the canonical name of its issuer and its serial number; raises `MalformedCrl`."""
        index = self._index
        if index is None:
            try:
                if self.scope is not None and self.scope.indirect_crl:
                    with quietly():
                        index = self._by_issuer()
                else:
                    index = {self.issuer: self._by_serial()}
            except Exception as error:  # the parser's own errors have no common class
                raise MalformedCrl(f"A CRL's entries do not parse: {error}") from None
            self._index = index
        return index

    def extension(self, kind: type[x509.ExtensionType]) -> Any:
        """The value of an extension, None where it is absent."""
        return self._extensions.get(kind.oid, (None, False))[0]

    @property
    def number(self) -> int | None:
        """Its number, growing with each list of a scope."""
        number = self.extension(x509.CRLNumber)
        return None if number is None else int(number.crl_number)

    @property
    def base_number(self) -> int | None:
        """Of a delta list: the number of the list that it goes with; None for a complete list."""
        delta = self.extension(x509.DeltaCRLIndicator)
        return None if delta is None else int(delta.crl_number)

    @property
    def scope(self) -> x509.IssuingDistributionPoint | None:
        """Which certificates it speaks of, where not of all."""
        scope: x509.IssuingDistributionPoint | None = self.extension(x509.IssuingDistributionPoint)
        return scope

    @property
    def is_understood(self) -> bool:
        """Whether all its critical extensions are."""
        critical = {oid for oid, (_, is_critical) in self._extensions.items() if is_critical}
        return critical <= UNDERSTOOD

    @property
    def has_number(self) -> bool:
        """Whether it has the number that every list has, and that is never critical (RFC 5280, 5.2.3)."""
        return not self._extensions.get(x509.CRLNumber.oid, (None, True))[1]

    @property
    def signature_hash(self) -> str | None:
        """The name of the hash that is signed; None where the scheme has its own, "unknown" where we know neither."""
        try:
            algorithm = self.parsed.signature_hash_algorithm
        except Exception:  # the parser's own errors have no common class
            return "unknown"
        return None if algorithm is None else algorithm.name

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, about."""
        return 2 * len(self.der) + INDEXED * sum(map(len, (self._index or {}).values()))

    def is_current(self, at: datetime) -> bool:
        """Whether it speaks of this time."""
        return self.this_update <= at and (self.next_update is None or at <= self.next_update)

    def signed_by(self, signer: Certificate) -> bool:
        """Whether this certificate's key made its signature; the keys asked about last are remembered."""
        key = signer.key_bytes
        known = self._keys.get(key)
        if known is None:
            try:
                self._verify(signer.public_key)
                known = True
            except Exception:  # a signature that is false, or a key and parameters that no signature can be made with
                known = False
            if len(self._keys) >= REMEMBERED_KEYS:
                self._keys.clear()
            self._keys[key] = known
        return known

    def _verify(self, key: Any) -> None:
        """Return if the key made the signature over the bytes as they came; the parser compared both algorithms."""
        parameters, algorithm = self.parsed.signature_algorithm_parameters, self.parsed.signature_hash_algorithm
        signed = self.parsed.signature, self._tbs
        if isinstance(key, rsa.RSAPublicKey):
            if not isinstance(parameters, (padding.PKCS1v15, padding.PSS)) or algorithm is None:
                raise InvalidSignature
            key.verify(*signed, parameters, algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            if not isinstance(parameters, ec.ECDSA):
                raise InvalidSignature
            key.verify(*signed, parameters)
        elif algorithm is None and parameters is None:
            key.verify(*signed)
        else:
            raise InvalidSignature

    def find(self, serial: int, issuer: tuple[Any, ...]) -> Entry | None:
        """The entry of a certificate by its serial number and its issuer's canonical name; raises `MalformedCrl`."""
        key = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
        at = self.read().get(issuer, {}).get(key)
        if at is None:
            return None
        try:
            return parse_entry(self._tbs, at)
        except (IndexError, ValueError):  # an entry of no form that we know still names whom it names
            return Entry("unspecified", understood=False)

    def _by_serial(self) -> dict[bytes, int]:
        """Where each serial number's entry begins: one pass over the DER, whatever the entries say."""
        return {serial: at for at, serial in entries(self._tbs)}

    def _by_issuer(self) -> dict[Any, dict[bytes, int]]:
        """An indirect list: an entry's issuer holds for those after it (RFC 5280, 5.3.3).

        One that is not named as issuers are, by a directory name, is none that we ask about.
        """
        found: dict[Any, dict[bytes, int]] = {}
        current: Any = self.issuer
        for entry, (at, serial) in zip(self.parsed, entries(self._tbs), strict=True):
            for one in entry.extensions:
                if isinstance(one.value, x509.CertificateIssuer):
                    names = one.value.get_values_for_type(x509.DirectoryName)
                    current = canonical_name(names[0]) if names else None
            found.setdefault(current, {})[serial] = at
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list says of one certificate."""

    reason: str
    """As RFC 5280 names it, such as "keyCompromise"; "unspecified" where it gives none."""
    understood: bool
    """Whether all critical extensions of the entry are."""

    @property
    def word(self) -> str:
        """The reason as it stands in a sentence."""
        return self.reason if self.understood else "in a way that is not understood"


def is_meant(identifier: x509.AuthorityKeyIdentifier | None, signer: Certificate) -> bool:
    """Whether an authority key identifier is this signer's, as far as both say (RFC 5280, 4.2.1.1 and 5.2.1).

    The key identifiers are compared where there are two; else the signer's own issuer and serial number.
    """
    if identifier is None:
        return True
    own = signer.extension(x509.SubjectKeyIdentifier)
    if identifier.key_identifier is not None and own is not None:
        return bool(identifier.key_identifier == own.digest)
    if identifier.authority_cert_serial_number not in (None, signer.serial_number):
        return False
    named = [
        canonical_name(n.value) for n in identifier.authority_cert_issuer or () if isinstance(n, x509.DirectoryName)
    ]
    return not named or signer.issuer_canonical in named


HOLD, REMOVED = "certificateHold", "removeFromCRL"
REASONS = {
    0: "unspecified",
    1: "keyCompromise",
    2: "cACompromise",
    3: "affiliationChanged",
    4: "superseded",
    5: "cessationOfOperation",
    6: HOLD,
    8: REMOVED,
    9: "privilegeWithdrawn",
    10: "aACompromise",
}
REASON, INVALIDITY, ISSUER = b"\x55\x1d\x15", b"\x55\x1d\x18", b"\x55\x1d\x1d"


def entries(tbs: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each entry of a TBSCertList begins, and its serial number's bytes (RFC 5280, 5.1.2.6)."""
    at, end = content_of(tbs, 0)
    if tbs[at] == 0x02:
        at = after(tbs, at)  # version
    for _ in range(3):
        at = after(tbs, at)  # signature, issuer, thisUpdate
    if at < end and tbs[at] in (0x17, 0x18):
        at = after(tbs, at)  # nextUpdate
    if at >= end or tbs[at] != 0x30:
        return
    at, end = content_of(tbs, at)
    while at < end:
        start, stop = content_of(tbs, at)
        number = start + 2  # a serial number has a length of one byte
        yield at, tbs[number : number + tbs[start + 1]]
        at = stop


def parse_entry(tbs: bytes, at: int) -> Entry:
    """The entry that begins there."""
    start, end = content_of(tbs, at)
    start = after(tbs, after(tbs, start))  # serial number and date
    reason, understood = "unspecified", True
    if start < end:
        start, end = content_of(tbs, start)
    while start < end:
        inner, stop = content_of(tbs, start)
        oid_start, oid_end = content_of(tbs, inner)
        oid, rest = tbs[oid_start:oid_end], oid_end
        critical = tbs[rest] == 0x01
        if critical:
            rest = after(tbs, rest)
        value = tbs[slice(*content_of(tbs, rest))]
        if oid == REASON:
            reason = REASONS.get(value[-1], "unspecified")
        elif critical and oid not in (INVALIDITY, ISSUER):
            understood = False
        start = stop
    return Entry(reason, understood)
