"""Changes of a sound chain: of one certificate, and of what those below say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.x509.chains import HOST, Link, key_of, leaf, make_chain
from tests.x509.parts import ECDSA_SHA384, RSA_SHA256, Parts, oid, parts_of, sequence, tlv

__all__ = [
    "AIA",
    "ATTRIBUTES",
    "EKU",
    "FRESHEST",
    "MAPPINGS",
    "PLACES",
    "POINTS",
    "POLICIES",
    "SDA",
    "SIA",
    "Case",
    "Chain",
    "Change",
    "access",
    "alternative",
    "both",
    "by_the_wrong_hash",
    "case",
    "directory",
    "drop",
    "field",
    "general",
    "key",
    "later",
    "name",
    "named",
    "no_issuer",
    "once_more",
    "other_key_identifier",
    "otherwise_written",
    "path_length_alone",
    "point",
    "policies",
    "policy",
    "purposes",
    "put",
    "rsa_exponent",
    "rsa_without_parameters",
    "san",
    "subtree",
    "url",
    "usage",
    "utc",
    "with_issuer_and_serial",
]

PLACES = ("leaf", "authority", "anchor")
EKU = ExtendedKeyUsageOID
AIA, SIA, SDA = "1.3.6.1.5.5.7.1.1", "1.3.6.1.5.5.7.1.11", "2.5.29.9"
POINTS, FRESHEST, POLICIES, MAPPINGS = "2.5.29.31", "2.5.29.46", "2.5.29.32", "2.5.29.33"
ATTRIBUTES = sequence(sequence(oid("1.2.3"), tlv(0x31, tlv(0x0C, b"x"))))


@dataclass(slots=True)
class Chain:
    """A sound chain in parts, leaf first and its root last; keys by place."""

    parts: list[Parts]
    keys: list[Any]
    also: tuple[str, ...] = ()

    @classmethod
    def sound(cls) -> Chain:
        made = make_chain(leaf(), Link())
        return cls([parts_of(one) for one in (*made.chain, made.root)], [key_of(index) for index in (2, 1, 0)])

    def renamed(self, place: int, name: bytes) -> None:
        """Give one a subject, and those that it issued this issuer."""
        self.parts[place].subject = name
        if place == 2:
            self.parts[2].issuer = name
        if place:
            self.parts[place - 1].issuer = name

    def rekeyed(self, place: int, key: Any, algorithm: bytes, spki: bytes | None = None) -> None:
        """Give one a key, with which it signs by this algorithm."""
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.keys[place] = key
        self.parts[place].key = spki or public
        for signed in {0: (), 1: (0,), 2: (1, 2)}[place]:
            self.parts[signed].algorithm = algorithm

    def ders(self) -> list[bytes]:
        """Signed from the root down."""
        return [one.signed(self.keys[min(index + 1, 2)]) for index, one in enumerate(self.parts)]


Change = Callable[[Chain, int], None]
"""Of a chain, at one place of it."""


class Case(NamedTuple):
    """How a rule is broken, one way each; `with_it` are sections of other rules that this breaks, too."""

    ways: tuple[Change, ...]
    with_it: tuple[str, ...] = ()


def case(*ways: Change, with_it: tuple[str, ...] = ()) -> Case:
    return Case(ways, with_it)


def put(which: str | x509.ObjectIdentifier, value: bytes | x509.ExtensionType, critical: bool = False) -> Change:
    return lambda chain, place: chain.parts[place].put(which, value, critical)


def drop(*kinds: type[x509.ExtensionType]) -> Change:
    return lambda chain, place: chain.parts[place].drop(*kinds)


def field(**changes: bytes) -> Change:
    def change(chain: Chain, place: int) -> None:
        for name, value in changes.items():
            setattr(chain.parts[place], name, value)

    return change


def once_more(extension: bytes) -> Change:
    return lambda chain, place: setattr(chain.parts[place], "also", extension)


def both(*changes: Change) -> Change:
    def change(chain: Chain, place: int) -> None:
        for one in changes:
            one(chain, place)

    return change


def name(*attributes: tuple[x509.ObjectIdentifier, str], tag: int = 0x0C) -> bytes:
    return sequence(*(tlv(0x31, sequence(oid(one.dotted_string), tlv(tag, text.encode()))) for one, text in attributes))


def named(subject: bytes) -> Change:
    """With a subject, beside which the alternative name of a leaf is not critical."""

    def change(chain: Chain, place: int) -> None:
        chain.renamed(place, subject)
        if place == 0:
            san("", HOST, critical=False)(chain, place)

    return change


TAGS = {"other": 0xA0, "mail": 0x81, "": 0x82, "directory": 0xA4, "URI": 0x86, "IP": 0x87}


def general(kind: str, value: str | bytes) -> bytes:
    return tlv(TAGS[kind], value if isinstance(value, bytes) else value.encode())


def alternative(which: str, *names: tuple[str, str | bytes], critical: bool = True) -> Change:
    return put(which, sequence(*(general(kind, value) for kind, value in names)), critical)


def san(kind: str, value: str | bytes, *, critical: bool = True) -> Change:
    """The host, so that this is no fault, and another name."""

    def change(chain: Chain, place: int) -> None:
        alternative("2.5.29.17", ("", HOST), (kind, value), critical=critical)(chain, place)

    return change


def subtree(kind: str, value: str | bytes, *more: bytes, excluded: bool = True) -> Change:
    tree = sequence(general(kind, value), *more)
    return put("2.5.29.30", sequence(tlv(0xA1 if excluded else 0xA0, tree)), True)


def usage(*, critical: bool = True, **bits: bool) -> Change:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    rest = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")

    def change(chain: Chain, place: int) -> None:
        own = {"digital_signature": True} if place == 0 else {"key_cert_sign": True}
        put(x509.KeyUsage.oid, x509.KeyUsage(**dict.fromkeys((*names, *rest), False) | own | bits), critical)(
            chain, place
        )

    return change


def purposes(*oids: x509.ObjectIdentifier, critical: bool = False) -> Change:
    return put(EKU_OID, x509.ExtendedKeyUsage(oids), critical)


EKU_OID = x509.ExtendedKeyUsage.oid


def point(**fields: Any) -> bytes:
    every: dict[str, Any] = {"full_name": None, "relative_name": None, "reasons": None, "crl_issuer": None}
    return x509.CRLDistributionPoints([x509.DistributionPoint(**every | fields)]).public_bytes()


def url(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def access(method: x509.ObjectIdentifier, kind: str, value: str | bytes) -> bytes:
    return sequence(sequence(oid(method.dotted_string), general(kind, value)))


def policies(*elements: bytes) -> Change:
    return put(POLICIES, sequence(*elements))


def policy(dotted: str, *more: bytes) -> bytes:
    return sequence(oid(dotted), *more)


def directory(text: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]))


def rsa_without_parameters(chain: Chain, place: int) -> None:
    key = key_of(70, "rsa2048")
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    chain.rekeyed(place, key, RSA_SHA256, sequence(sequence(oid("1.2.840.113549.1.1.1")), tlv(0x03, b"\0" + public)))


def rsa_exponent(value: bytes) -> Change:
    def change(chain: Chain, place: int) -> None:
        key = key_of(70, "rsa2048")
        modulus = key.public_key().public_numbers().n.to_bytes(257, "big")
        public = sequence(tlv(0x02, modulus), tlv(0x02, value))
        algorithm = sequence(oid("1.2.840.113549.1.1.1"), b"\x05\0")
        chain.rekeyed(place, key, RSA_SHA256, sequence(algorithm, tlv(0x03, b"\0" + public)))

    return change


def key(kind: str, algorithm: bytes) -> Change:
    return lambda chain, place: chain.rekeyed(place, key_of(71, kind), algorithm)


def no_issuer(chain: Chain, place: int) -> None:
    chain.renamed(place + 1, sequence())


def otherwise_written(chain: Chain, place: int) -> None:
    """In letters of another case, which RFC 5280, 7.1 has no different."""
    below = chain.parts[place + 1].subject
    chain.parts[place].issuer = below.replace(b"Authority", b"AUTHORITY").replace(b"Root", b"ROOT")


def by_the_wrong_hash(chain: Chain, place: int) -> None:
    chain.parts[place].algorithm = ECDSA_SHA384


def other_key_identifier(chain: Chain, place: int) -> None:
    put("2.5.29.35", x509.AuthorityKeyIdentifier(b"somebody else's", None, None))(chain, place)


def with_issuer_and_serial(chain: Chain, place: int) -> None:
    signer = chain.keys[min(place + 1, 2)].public_key()
    digest = x509.SubjectKeyIdentifier.from_public_key(signer).digest
    put("2.5.29.35", x509.AuthorityKeyIdentifier(digest, [directory("Root")], 7))(chain, place)


def path_length_alone(chain: Chain, place: int) -> None:
    put(x509.BasicConstraints.oid, x509.BasicConstraints(True, 5), True)(chain, place)
    usage(key_cert_sign=False, crl_sign=place > 0)(chain, place)


def utc(text: str) -> bytes:
    return tlv(0x17, text.encode())


def later(text: str) -> bytes:
    return tlv(0x18, text.encode())
