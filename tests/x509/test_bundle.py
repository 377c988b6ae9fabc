"""Chains as they are sent: leaf first, each certifying the one before, whatever the files looked like."""

from __future__ import annotations

import itertools
import random
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs7, pkcs12
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World
from tests.pair import Pair

from handclasp import ProtocolVersion
from handclasp.ca import Authority, Issued, KeyType
from handclasp.x509 import Certificate, TrustStore
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.identity import Identity, KeyMismatch, UnreadableIdentity
from handclasp.x509.keys import key_bytes, write_owner_only
from handclasp.x509.reload import KeyStore


@dataclass(frozen=True)
class Deep:
    """Two intermediates, and whatever else ends up in people's files."""

    root: Authority
    upper: Authority
    lower: Authority
    server: Issued
    strangers: tuple[Certificate, ...]

    @property
    def sent(self) -> tuple[Certificate, ...]:
        return (self.server.certificate, self.lower.certificate, self.upper.certificate)


@cache
def deep() -> Deep:
    root = Authority.root("R")
    upper = root.intermediate("I1", path_length=None)
    lower = upper.intermediate("I2")
    server = lower.server("localhost")
    other = Authority.root("R")  # of the same name, with another key
    strangers = (
        other.certificate,
        other.intermediate("I2").certificate,
        Authority.root("Stranger").certificate,
        lower.server("localhost").certificate,
        lower.client("alice").certificate,
    )
    return Deep(root, upper, lower, server, strangers)


def pem(*certificates: Certificate) -> bytes:
    return b"".join(one.parsed.public_bytes(Encoding.PEM) for one in certificates)


SHUFFLES = st.permutations(range(12)).flatmap(lambda order: st.tuples(st.just(order), st.sampled_from(["pem", "p12"])))


@settings(max_examples=60, deadline=None)
@given(SHUFFLES, st.sets(st.integers(0, 4)), st.booleans(), st.booleans())
def test_a_chain_is_sent_in_order_whatever_the_file_s(
    shuffle: tuple[list[int], str], strangers: set[int], with_root: bool, twice: bool
) -> None:
    made, (order, form) = deep(), shuffle
    held = [*made.sent, *([made.root.certificate] if with_root else []), *(made.strangers[one] for one in strangers)]
    held += held[:3] if twice else []
    held = [held[at] for at in order if at < len(held)]
    key = made.server.key_pem()
    if form == "pem":
        identity = Identity.from_pem(pem(*held), key)
    else:
        others = [one.parsed for one in held if one != made.server.certificate]
        leaf = made.server.certificate.parsed
        data = pkcs12.serialize_key_and_certificates(b"x", made.server.private_key, leaf, others, NoEncryption())
        identity = Identity.from_pkcs12(data)
    assert identity.chain == made.sent
    assert identity.root == (made.root.certificate if with_root else None)
    assert Identity(tuple(held), made.server.private_key).chain == made.sent


def test_a_pkcs12_file_that_does_not_say_whose_the_key_is_tells_by_the_key() -> None:
    """As some tools write it: without local key identifiers, all certificates alike."""
    made = deep()
    held = [one.parsed for one in (made.root.certificate, *reversed(made.sent), *made.strangers)]
    data = pkcs12.serialize_key_and_certificates(None, made.server.private_key, None, held, NoEncryption())
    assert Identity.from_pkcs12(data).chain == made.sent
    without = pkcs12.serialize_key_and_certificates(None, made.server.private_key, None, None, NoEncryption())
    with pytest.raises(UnreadableIdentity, match="no private key with its certificate"):
        Identity.from_pkcs12(without)
    strangers = [one.parsed for one in made.strangers]
    with pytest.raises(KeyMismatch):
        Identity.from_pkcs12(
            pkcs12.serialize_key_and_certificates(None, made.server.private_key, None, strangers, NoEncryption())
        )


@pytest.mark.parametrize("version", [ProtocolVersion.TLS12, ProtocolVersion.TLS13], ids=str)
def test_what_the_peer_gets_is_the_chain_in_order(world: World, version: ProtocolVersion) -> None:
    """RFC 5246, 7.4.2."""
    made = deep()
    held = (made.root.certificate, *made.strangers, *reversed(made.sent), *made.sent)
    server = world.server_config(
        identities=(Identity.from_pem(pem(*held), made.server.key_pem()),), versions=(version,)
    )
    pair = Pair(world.client_config(trust=made.root.trust), server)
    pair.shake()
    established = pair.client.connection.established
    assert established is not None
    assert established.peer_chain == tuple(one.der for one in made.sent)


def test_a_certificate_that_signed_itself_is_sent_where_it_is_the_party_s_own() -> None:
    own = Authority.root("Alone")
    identity = Identity((own.certificate, own.certificate), own._private_key)
    assert identity.chain == (own.certificate,)
    assert identity.root == own.certificate


def issued(subject: str, key: Any, issuer: str, signer: Any, *, days: int = 30, ca: bool = True) -> Certificate:
    start = deep().root.certificate.not_before
    builder = x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named(issuer))
    builder = builder.public_key(key.public_key()).serial_number(days).not_valid_before(start)
    builder = builder.not_valid_after(start + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return Certificate(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER))


def named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def test_of_alternatives_one_way_is_kept_the_same_in_every_order() -> None:
    """An authority that has a root of its own and two cross-certificates, and two that certify each other."""
    leaf, mid, old, new = (KeyType.P256.generate() for _ in range(4))
    own = issued("leaf", leaf, "mid", mid, ca=False)
    root, cross, longer = (
        issued("mid", mid, "mid", mid, days=90),
        issued("mid", mid, "old", old, days=40),
        issued("mid", mid, "new", new, days=50),
    )
    back = issued("new", new, "mid", mid, days=60)
    for order in itertools.permutations((own, root, cross, longer, back)):
        assert Identity(order, leaf).chain == (own, longer, back), "what leads on, and is valid longest"
    for order in itertools.permutations((own, root, cross)):
        assert Identity(order, leaf).chain == (own, cross)
    for order in itertools.permutations((own, root)):
        assert Identity(order, leaf).chain == (own,)


def test_of_several_certificates_of_one_key_the_same_is_shown_in_every_order() -> None:
    """A stand-in that signed itself, an old one and its renewal."""
    key, signer = KeyType.P256.generate(), KeyType.P256.generate()
    held = [
        issued("leaf", key, "leaf", key, days=90),
        issued("leaf", key, "mid", signer, days=80),
        issued("leaf", key, "mid", signer, days=30, ca=False),
        issued("leaf", key, "mid", signer, days=60, ca=False),
    ]
    for order in itertools.permutations(held):
        assert Identity.from_pem(pem(*order), key_bytes(key)).leaf == held[3]
    assert Identity((held[2], held[3]), key).leaf == held[2], "who hands over objects has chosen"


def test_one_key_may_stand_behind_several_names() -> None:
    """As in the small PKIs of test suites, where one key signs all: its issuers are no strangers."""
    key = KeyType.P256.generate()
    own, middle = issued("leaf", key, "mid", key, ca=False), issued("mid", key, "top", key)
    root = issued("top", key, "top", key)
    for order in itertools.permutations((own, middle, root)):
        identity = Identity.from_pem(pem(*order), key_bytes(key))
        assert (identity.chain, identity.root) == ((own, middle), root)


def test_an_issuer_is_found_by_what_it_signed_and_not_by_its_name_alone() -> None:
    made = deep()
    impostor = made.strangers[1]
    assert impostor.subject == made.lower.certificate.subject
    assert Identity((made.server.certificate, impostor), made.server.private_key).chain == made.sent[:1]


@pytest.mark.parametrize("cut", ["whole", "apart", "everything in one"])
def test_a_directory_s_chains_are_put_together_however_they_are_cut(tmp_path: Path, cut: str) -> None:
    """As ACME clients leave them: cert.pem, chain.pem, fullchain.pem, privkey.pem."""
    made = deep()
    own, above = pem(made.server.certificate), pem(*made.sent[1:])
    files = {
        "whole": {"fullchain.pem": own + above, "cert.pem": own, "chain.pem": above},
        "apart": {"cert.pem": own, "chain.pem": above, "root.pem": pem(made.root.certificate, *made.strangers)},
        "everything in one": {"all.pem": pem(*reversed(made.sent)) + made.server.key_pem()},
    }[cut]
    for name, data in files.items():
        write_owner_only(tmp_path / name, data)
    write_owner_only(tmp_path / "privkey.pem", made.server.key_pem())
    assert [one.chain for one in KeyStore(tmp_path)] == [made.sent]


# Files as they are.

PARAMETERS = (
    b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    b"-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n"
)

ODD: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "the line ends of old": lambda data: data.replace(b"\n", b"\r"),
    "a mark at its beginning": lambda data: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "UTF-16, big end first": lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
    "text around": lambda data: "Größe: -----\n".encode("latin-1") + data + b"\n# the end",
    "attributes of a bag": lambda data: data.replace(b"-----BEGIN", b"Bag Attributes\n    friendlyName: x\n-----BEGIN"),
    "blanks at the ends of lines": lambda data: data.replace(b"\n", b"  \n"),
    "blank lines": lambda data: data.replace(b"\n", b"\n\n"),
    "each body in one line": lambda data: re.sub(rb"(?<=[A-Za-z0-9+/=])\n(?!-)", b"", data),
    "indented": lambda data: b"\n".join(b"    " + line for line in data.split(b"\n")),
    "no end of line between blocks": lambda data: data.replace(b"-----\n-----", b"----------").rstrip(),
    "line ends as two letters": lambda data: data.replace(b"\n", b"\\n"),
    "line ends as four letters": lambda data: data.replace(b"\n", b"\\r\\n"),
    "parameters between": lambda data: PARAMETERS + data.replace(b"-----\n-----", b"-----\n" + PARAMETERS + b"-----"),
    "X509 CERTIFICATE": lambda data: data.replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
    "TRUSTED CERTIFICATE": lambda data: data.replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"),
}


@pytest.mark.parametrize("odd", ODD)
def test_a_file_is_read_as_tools_and_people_leave_it(odd: str, tmp_path: Path) -> None:
    made = deep()
    parts = [pem(one) for one in (*reversed(made.sent), made.root.certificate)] + [made.server.key_pem()]
    random.Random(odd).shuffle(parts)
    data = ODD[odd](b"".join(parts))
    assert Identity.from_pem(data, data).chain == made.sent
    path = tmp_path / "all.pem"
    write_owner_only(path, data)
    assert Identity.from_files(path).chain == made.sent
    assert TrustStore.from_pem(ODD[odd](pem(made.root.certificate))).anchors == (made.root.certificate,)


def test_certificates_in_pkcs7_are_read() -> None:
    made = deep()
    data = pkcs7.serialize_certificates([one.parsed for one in reversed(made.sent)], Encoding.PEM)
    assert Identity.from_pem(data, made.server.key_pem()).chain == made.sent
    for label in (b"PKCS7", b"CMS"):
        broken = b"-----BEGIN " + label + b"-----\nMAMCAQE=\n-----END " + label + b"-----\n"
        with pytest.raises(MalformedCertificate, match="PKCS #7"):
            Certificate.load_all(broken)


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        ([], False),
        (["-setalias", "mine"], False),
        (["-addtrust", "serverAuth"], True),
        (["-addreject", "clientAuth"], True),
    ],
    ids=["none", "alias", "trust", "reject"],
)
def test_words_of_openssl_about_trust_are_heeded_in_that_a_limited_certificate_is_refused(
    words: list[str], limits: bool
) -> None:
    root = deep().root
    command = ["openssl", "x509", "-trustout", *words]
    data = subprocess.run(command, input=root.certificate_pem, capture_output=True, check=True).stdout
    assert b"TRUSTED CERTIFICATE" in data
    if limits:
        with pytest.raises(MalformedCertificate, match="clrtrust"):
            TrustStore.from_pem(data)
    else:
        assert TrustStore.from_pem(data).anchors == (root.certificate,)


def test_what_is_wrong_with_a_file_is_told(world: World) -> None:
    made = deep()
    both = made.server.key_pem() + world.client.key_pem()
    certificates = pem(made.server.certificate, world.client.certificate)
    with pytest.raises(UnreadableIdentity, match="2 private keys with certificates"):
        Identity.from_pem(certificates, both)
    assert Identity.from_pem(pem(*made.sent), both).chain == made.sent, "the one that belongs to them"
    assert Identity.from_pem(pem(*made.sent), made.server.key_pem() * 2).chain == made.sent
    with pytest.raises(KeyMismatch, match="any of the certificates"):
        Identity.from_pem(pem(*made.sent), world.client.key_pem())
    broken = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    for data in (broken + pem(*made.sent), pem(*made.sent) + broken):
        with pytest.raises(UnreadableIdentity, match="does not parse"):
            Identity.from_pem(data, made.server.key_pem())
    with pytest.raises(UnreadableIdentity, match="at least one certificate"):
        Identity((), made.server.private_key)
