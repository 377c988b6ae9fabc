"""Authorities and what they issue, one line each:

    root = Authority.root("Example Root")
    issuing = root.intermediate("Example Issuing CA")
    server = issuing.server("localhost", "127.0.0.1")
    client = issuing.client("alice")

Signatures are over SHA-256 or stronger (mission row S14); there is no way to ask for less. Keys
are written for their owner's eyes alone (S15).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
)
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from handclasp.ca.bounds import below, bound_to, check_names
from handclasp.ca.issued import Issued, made_again
from handclasp.ca.signer import signed, signer
from handclasp.errors import UsageError
from handclasp.pickling import check_pickles
from handclasp.values import checked
from handclasp.x509 import Certificate, TrustStore
from handclasp.x509.identity import KeyMismatch
from handclasp.x509.keys import carried, key_bytes, signer_key_bytes
from handclasp.x509.names import normalize_host

__all__ = ["Authority", "Issued", "KeyType"]

DAY = timedelta(days=1)
OVERLAP = timedelta(minutes=5)
"""Certificates begin so much before they are issued, for clocks that are behind."""
MAX_DAYS = 36525
"""A century: what is valid for longer is a slip of the pen."""


class KeyType(Enum):
    """Keys that we make."""

    P256 = "p256"
    P384 = "p384"
    P521 = "p521"
    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    ED25519 = "ed25519"
    ED448 = "ed448"
    MLDSA44 = "mldsa44"
    MLDSA65 = "mldsa65"
    MLDSA87 = "mldsa87"

    def generate(self) -> Any:
        """A new private key."""
        if self in _CURVES:
            return ec.generate_private_key(_CURVES[self])
        if self.value.startswith("rsa"):
            return rsa.generate_private_key(65537, int(self.value[3:]))
        return _PLAIN[self][0].generate()

    @classmethod
    def of(cls, public_key: Any) -> KeyType:
        """The kind of a key that we have made; raises `UsageError` for another."""
        for one in cls:
            if one in _CURVES:
                same = isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.name == _CURVES[one].name
            elif one in _PLAIN:
                same = isinstance(public_key, _PLAIN[one][1])
            else:
                same = isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size == int(one.value[3:])
            if same:
                return one
        raise UsageError(f"A {type(public_key).__name__} is no key that is made here.")


_CURVES: dict[KeyType, ec.EllipticCurve] = {
    KeyType.P256: ec.SECP256R1(),
    KeyType.P384: ec.SECP384R1(),
    KeyType.P521: ec.SECP521R1(),
}
_PLAIN: dict[KeyType, tuple[Any, Any]] = {
    KeyType.ED25519: (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey),
    KeyType.ED448: (ed448.Ed448PrivateKey, ed448.Ed448PublicKey),
    KeyType.MLDSA44: (mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey),
    KeyType.MLDSA65: (mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey),
    KeyType.MLDSA87: (mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey),
}


class Authority:
    """An authority: its certificate, its key, and the intermediates between it and its root.

    The key is a private key, or an object with `public_key` and `sign`, as of an HSM; see `Identity.private_key`.
    """

    @checked
    def __init__(self, certificate: Certificate, private_key: Any, above: tuple[Certificate, ...] = ()) -> None:
        if signer_key_bytes(private_key) != certificate.key_bytes:
            raise KeyMismatch(f"The private key does not belong to the authority {certificate.subject_text}.")
        self.certificate = certificate
        self._private_key = private_key
        self._signer = signer(private_key, certificate.public_key)
        self._above = above
        """The authority's own certificate and those up to the root, the root left out."""
        self.keeps_constraints = False
        """Whether it refuses to issue what its own name constraints forbid, and those above it.

        If not, it signs what it is asked to, and verifiers refuse it, as a test may want to see."""
        self.on_serial: Callable[[int], None] | None = None
        """Hears of each serial number before a certificate is signed with it."""
        self.crl_url: str | None = None
        """Where its CRL will be found; goes into what it issues (RFC 5280, 4.2.1.13)."""
        self.ocsp_url: str | None = None
        """Where its OCSP responder will be found; goes into what it issues (RFC 5280, 4.2.2.1)."""
        self.issuer_url: str | None = None
        """Where its own certificate will be found, in DER; goes into what it issues (RFC 5280, 4.2.2.1)."""

    def __repr__(self) -> str:
        return f"<Authority {self.certificate.subject_text}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """The private key is in it, as it is; `on_serial` has to be something that `pickle` can carry."""
        check_pickles("on_serial", self.on_serial)
        key = carried(self._private_key, self.certificate.subject_text)
        settings = ("keeps_constraints", "on_serial", "crl_url", "ocsp_url", "issuer_url")
        more = {name: getattr(self, name) for name in settings}
        return made_again, (Authority, self.certificate, key, self._above), more

    @classmethod
    @checked
    def root(
        cls,
        name: str,
        *,
        key: KeyType = KeyType.P256,
        days: int = 3650,
        at: datetime | None = None,
    ) -> Authority:
        """A new root, which signs itself."""
        private = key.generate()
        start = _start(at)
        subject = _name(name)
        builder = (
            _begin(subject, subject, private.public_key(), start, start + _span(days))
            .serial_number(x509.random_serial_number())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_AUTHORITY_USAGE, critical=True)
        )
        return cls(_sign(builder, private), private)

    @checked
    def intermediate(
        self,
        name: str,
        *,
        key: KeyType = KeyType.P256,
        days: int = 1825,
        at: datetime | None = None,
        path_length: int | None = 0,
        permitted_dns: Sequence[str] = (),
    ) -> Authority:
        """An authority below this one; `permitted_dns` are the domains it may issue for.

        With these it is bound in names of every kind: hosts, e-mail addresses and URIs are of those domains,
        addresses of no network, and subjects and other directory names lie below an organization of its own name.
        """
        constraints = bound_to(permitted_dns, name, self._binding) if permitted_dns else None
        subject = below(_name(name), self._binding)
        self._check_names(subject, ())
        private = key.generate()
        builder = self._begin_child(subject, private.public_key(), at, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        builder = builder.add_extension(_AUTHORITY_USAGE, critical=True)
        if constraints is not None:
            builder = builder.add_extension(constraints, critical=True)
        certificate = _sign(builder, self._signer)
        return Authority(certificate, private, (certificate, *self._above))

    @checked
    def server(
        self,
        *names: str,
        key: KeyType = KeyType.P256,
        days: int = 397,
        at: datetime | None = None,
        must_staple: bool = False,
    ) -> Issued:
        """A certificate for a server of these host names and addresses; `must_staple` promises OCSP (RFC 7633)."""
        return self._leaf(names, (ExtendedKeyUsageOID.SERVER_AUTH,), key, days, at, must_staple=must_staple)

    @checked
    def host(self, *names: str, key: KeyType = KeyType.P256, days: int = 397, at: datetime | None = None) -> Issued:
        """A certificate for a host that is both server and client."""
        return self._leaf(names, (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH), key, days, at)

    @checked
    def client(
        self,
        name: str,
        *,
        uri: str | None = None,
        email: str | None = None,
        key: KeyType = KeyType.P256,
        days: int = 397,
        at: datetime | None = None,
    ) -> Issued:
        """A certificate for a client; its name is the common name, `uri` and `email` go into the SAN."""
        san: list[x509.GeneralName] = []
        try:
            if uri is not None:
                san.append(x509.UniformResourceIdentifier(uri))
            if email is not None:
                san.append(x509.RFC822Name(email))
        except ValueError as error:
            raise UsageError(f"A client's URI or e-mail address is not as a certificate can have it: {error}") from None
        return self._issue(below(_name(name), self._binding), san, (ExtendedKeyUsageOID.CLIENT_AUTH,), key, days, at)

    @checked
    def renewed(self, old: Certificate, *, at: datetime | None = None) -> Issued:
        """A certificate for the same party as an earlier one: its names, uses and kind of key, for as many days."""
        uses = tuple(old.extension(x509.ExtendedKeyUsage) or ())
        san = tuple(old.extension(x509.SubjectAlternativeName) or ())
        key, days = KeyType.of(old.public_key), max(1, (old.not_after - old.not_before).days)
        must_staple = old.extension(x509.TLSFeature) is not None
        return self._issue(old.parsed.subject, san, uses, key, days, at, must_staple=must_staple)

    @checked
    def ocsp_response(
        self,
        certificate: Certificate,
        *,
        revoked_at: datetime | None = None,
        reason: x509.ReasonFlags | None = None,
        days: int = 7,
        at: datetime | None = None,
    ) -> bytes:
        """What a server staples: that a certificate of this authority's is good, or was revoked (RFC 6960)."""
        start = _start(at)
        good = ocsp.OCSPCertStatus.GOOD if revoked_at is None else ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            certificate.parsed,
            self.certificate.parsed,
            hashes.SHA256(),
            good,
            start,
            start + _span(days),
            revoked_at,
            reason,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate.parsed)
        made: bytes = signed(builder, self._signer).public_bytes(Encoding.DER)
        return made

    @cached_property
    def trust(self) -> TrustStore:
        """A trust store with this authority alone; always the same, so that judged chains are remembered."""
        return TrustStore.of(self.certificate)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate in PEM."""
        return self.certificate.parsed.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes | None = None) -> bytes:
        """The authority's key in PEM (PKCS #8), encrypted where a password is given."""
        return key_bytes(self._private_key, password=password)

    def _leaf(
        self,
        names: Sequence[str],
        uses: tuple[x509.ObjectIdentifier, ...],
        key: KeyType,
        days: int,
        at: datetime | None,
        *,
        must_staple: bool = False,
    ) -> Issued:
        if not names:
            raise UsageError("A server's certificate needs at least one host name or address.")
        san = [_general_name(name) for name in names]
        common = next((str(one.value) for one in san if len(str(one.value)) <= 64), None)
        subject = x509.Name([]) if common is None else _name(common)
        return self._issue(below(subject, self._binding), san, uses, key, days, at, must_staple=must_staple)

    def _issue(
        self,
        subject: x509.Name,
        san: Sequence[x509.GeneralName],
        uses: tuple[x509.ObjectIdentifier, ...],
        key: KeyType,
        days: int,
        at: datetime | None,
        *,
        must_staple: bool = False,
    ) -> Issued:
        self._check_names(subject, san)
        private = key.generate()
        builder = self._begin_child(subject, private.public_key(), at, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # Verifiers of old want RSA keys to encipher too, as in TLS 1.2 without ECDHE.
        usage = _usage(authority=False, enciphers=isinstance(private, rsa.RSAPrivateKey))
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if must_staple:
            feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
            builder = builder.add_extension(feature, critical=False)
        if san:
            # Critical where no subject is there to name (RFC 5280, 4.1.2.6).
            builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=not subject.rdns)
        return Issued((_sign(builder, self._signer), *self._above), private)

    def _begin_child(
        self, subject: x509.Name, public_key: Any, at: datetime | None, days: int
    ) -> x509.CertificateBuilder:
        start = _start(at)
        own = self.certificate.parsed
        end = min(start + _span(days), self.certificate.not_after)
        if end <= start:
            raise UsageError(f"The authority {self.certificate.subject_text} has expired, on {end:%Y-%m-%d}.")
        builder = _begin(subject, own.subject, public_key, start, end)
        identifier = own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        builder = builder.add_extension(authority, critical=False)
        if self.crl_url is not None:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(self.crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        if (access := self._access()) is not None:
            builder = builder.add_extension(access, critical=False)
        serial = x509.random_serial_number()
        if self.on_serial is not None:
            self.on_serial(serial)
        return builder.serial_number(serial)

    def _check_names(self, subject: x509.Name, san: Sequence[x509.GeneralName]) -> None:
        if self.keeps_constraints:
            check_names(subject, san, self._binding)

    @property
    def _binding(self) -> tuple[Certificate, ...]:
        return (self.certificate, *self._above)

    def _access(self) -> x509.AuthorityInformationAccess | None:
        places = (
            (AuthorityInformationAccessOID.OCSP, self.ocsp_url),
            (AuthorityInformationAccessOID.CA_ISSUERS, self.issuer_url),
        )
        found = [x509.AccessDescription(how, x509.UniformResourceIdentifier(url)) for how, url in places if url]
        return x509.AuthorityInformationAccess(found) if found else None

    @checked
    def make_crl(
        self,
        revoked: Sequence[tuple[int, datetime, x509.ReasonFlags | None]],
        *,
        number: int,
        days: int = 7,
        at: datetime | None = None,
        base_number: int | None = None,
    ) -> bytes:
        """A CRL in DER: serial numbers, when and why they were revoked (RFC 5280, 5).

        With `base_number` it is a delta list to the one of that number: what changed since, and with
        `remove_from_crl` what is free again.
        """
        start = _start(at)
        own = self.certificate.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject_name)
            .last_update(start)
            .next_update(start + OVERLAP + _span(days))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
        )
        if base_number is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base_number), critical=True)
        for serial, when, reason in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when)
            if reason not in (None, x509.ReasonFlags.unspecified):
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        made: bytes = signed(builder, self._signer).public_bytes(Encoding.DER)
        return made


def _usage(*, authority: bool, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


_AUTHORITY_USAGE = _usage(authority=True)


def _start(at: datetime | None) -> datetime:
    return (at or datetime.now(UTC)).replace(microsecond=0) - OVERLAP


def _span(days: int) -> timedelta:
    if not 1 <= days <= MAX_DAYS:
        raise UsageError(f"{days} days: what is issued is valid for 1 to {MAX_DAYS} days.")
    return days * DAY


def _name(common: str) -> x509.Name:
    if not 1 <= len(common) <= 64 or not common.isprintable():
        raise UsageError(f"{common!r}: a common name has 1 to 64 printable characters.")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    wildcard = name.startswith("*.")
    host = normalize_host(name[2:] if wildcard else name)
    return x509.DNSName(f"*.{host}" if wildcard else host)


def _begin(
    subject: x509.Name, issuer: x509.Name, public_key: Any, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: Any) -> Certificate:
    return Certificate(signed(builder, key).public_bytes(Encoding.DER))
