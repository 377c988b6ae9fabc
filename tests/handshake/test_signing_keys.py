"""Keys that are nobody's class: an object with `public_key` and `sign` works wherever a private key does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from tests.conftest import World
from tests.pair import Pair

from handclasp import ClientAuth, ConfigError, ProtocolVersion, SignatureScheme
from handclasp.ca import Authority, Issued, KeyType
from handclasp.ca.signer import AuthorityKeyFailed
from handclasp.config import DEFAULT_SIGNATURE_SCHEMES
from handclasp.crypto import signatures
from handclasp.handshake.errors import SignerFailed
from handclasp.questions import Sign
from handclasp.wire.iana import AlertDescription
from handclasp.x509 import Certificate, Purpose, verify
from handclasp.x509.identity import Identity, KeyMismatch
from handclasp.x509.keys import UnreadableKey, UnsupportedKey

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
ROLES = pytest.mark.parametrize("role", ["client", "server"])
KINDS = (KeyType.P256, KeyType.P384, KeyType.RSA2048, KeyType.ED25519, KeyType.ED448, KeyType.MLDSA44)
SCHEMES = [
    (kind, version, scheme)
    for kind in KINDS
    for version in (TLS12, TLS13)
    for scheme in signatures.schemes_for(kind.generate().public_key(), version)
]


class Module:
    """A key that stays in a device: it tells its public key, and signs."""

    def __init__(self, key: Any, spoil: Callable[[bytes], Any] = lambda signature: signature) -> None:
        self._key = key
        self._spoil = spoil
        self.calls = 0

    def public_key(self) -> Any:
        return self._key.public_key()

    def sign(self, *arguments: Any) -> Any:
        self.calls += 1
        return self._spoil(self._key.sign(*arguments))


class Handle:
    """A key that only says whose it is; its owner answers `Sign`."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def public_key(self) -> Any:
        return self._key.public_key()


def broken(_: bytes) -> bytes:
    raise OSError("the card was pulled")


def raw(signature: bytes) -> bytes:
    """As PKCS #11 returns ECDSA's: both numbers, without DER."""
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


@cache
def issued(authority: Authority, role: str, kind: KeyType) -> Issued:
    return authority.client("alice", key=kind) if role == "client" else authority.server("localhost", key=kind)


def pair_of(world: World, role: str, identity: Identity, version: ProtocolVersion, **changes: Any) -> Pair:
    """Both prove themselves, one of them by this identity."""
    other = world.server.identity if role == "client" else world.client.identity
    own = {"identities": (identity,), **changes}
    client = world.client_config(versions=(version,), **(own if role == "client" else {"identities": (other,)}))
    server = world.server_config(
        versions=(version,),
        trust=world.root.trust,
        client_auth=ClientAuth.REQUIRED,
        **(own if role == "server" else {"identities": (other,)}),
    )
    return Pair(client, server)


@ROLES
@pytest.mark.parametrize(("kind", "version", "scheme"), SCHEMES, ids=lambda one: getattr(one, "value", str(one)))
def test_an_object_that_signs_proves_a_party_by_every_scheme(
    world: World, role: str, kind: KeyType, version: ProtocolVersion, scheme: SignatureScheme
) -> None:
    made = issued(world.issuing, role, kind)
    module = Module(made.private_key)
    first = (scheme, *(one for one in DEFAULT_SIGNATURE_SCHEMES if one != scheme))
    pair = pair_of(world, role, Identity(made.chain, module), version, signature_schemes=first)
    pair.shake()
    pair.say()
    assert module.calls == 1
    established = (pair.server if role == "client" else pair.client).connection.established
    assert established is not None
    assert established.signature_scheme == scheme


@ROLES
@VERSIONS
def test_a_handle_serves_where_its_owner_answers(world: World, role: str, version: ProtocolVersion) -> None:
    made = issued(world.issuing, role, KeyType.P256)
    identity = Identity(made.chain, Handle(made.private_key))
    asked: list[Sign] = []

    def answer(question: Sign) -> bytes:
        asked.append(question)
        return signatures.sign(question.scheme, made.private_key, question.content)

    pair_of(world, role, identity, version, answers={Sign: answer}).shake()
    assert len(asked) == 1
    with pytest.raises(ConfigError, match="answer the question Sign"):
        pair_of(world, role, identity, version)


@ROLES
@VERSIONS
@pytest.mark.parametrize("spoil", [broken, raw, lambda _: None, lambda s: s[:-1], lambda _: b""], ids=range(5))
def test_a_key_that_fails_is_told_as_such_and_never_to_the_peer(
    world: World, role: str, version: ProtocolVersion, spoil: Callable[[bytes], Any]
) -> None:
    made = issued(world.issuing, role, KeyType.P256)
    pair = pair_of(world, role, Identity(made.chain, Module(made.private_key, spoil)), version)
    pair.run()
    own, peer = (pair.client, pair.server) if role == "client" else (pair.server, pair.client)
    assert isinstance(own.error, SignerFailed)
    assert peer.heard == AlertDescription.INTERNAL_ERROR
    if spoil is broken:
        assert isinstance(own.error.__cause__, OSError)
        assert "pulled" not in str(own.error), "what a device says may be secret"


@VERSIONS
def test_an_answer_that_is_no_signature_of_the_certificate_s_key_is_not_sent(
    world: World, version: ProtocolVersion
) -> None:
    stranger = KeyType.P256.generate()
    answers = {Sign: lambda question: signatures.sign(question.scheme, stranger, question.content)}
    pair = pair_of(world, "server", world.server.identity, version, answers=answers)
    pair.run()
    assert isinstance(pair.server.error, SignerFailed)
    assert pair.client.heard == AlertDescription.INTERNAL_ERROR


class Untold(Module):
    def public_key(self) -> Any:
        raise OSError("no session")


def test_what_cannot_sign_is_refused_when_the_identity_is_built(world: World) -> None:
    made = world.server
    key = made.private_key
    for wrong in (None, b"key", key.public_key(), object(), Module):
        with pytest.raises((UnsupportedKey, UnreadableKey)):
            Identity(made.chain, wrong)
    with pytest.raises(UnreadableKey) as caught:
        Identity(made.chain, Untold(key))
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(KeyMismatch):
        Identity(made.chain, Module(KeyType.P256.generate()))
    unfit = (
        x25519.X25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.BrainpoolP256R1()),
        dsa.generate_private_key(2048),
        rsa.generate_private_key(65537, 1024),
    )
    for other in unfit[:-1]:
        with pytest.raises(UnsupportedKey, match="makes no signature of TLS"):
            Identity((certificate_of(world.issuing, other.public_key()),), other)
    Identity((certificate_of(world.issuing, unfit[-1].public_key()),), unfit[-1])


def certificate_of(authority: Authority, public_key: Any) -> Certificate:
    """A certificate over any kind of key."""
    start = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(authority.certificate.subject_name)
    builder = builder.public_key(public_key).serial_number(7).not_valid_before(start)
    builder = builder.not_valid_after(start + timedelta(days=1))
    return Certificate(builder.sign(authority._private_key, hashes.SHA256()).public_bytes(Encoding.DER))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
def test_an_authority_s_key_may_be_in_a_device(kind: KeyType) -> None:
    own = Authority.root("Root", key=kind)
    module = Module(own._private_key)
    authority = Authority(own.certificate, module)
    below = authority.intermediate("Below")
    made = below.server("localhost")
    at = made.certificate.not_before
    assert verify(made.chain, trust=own.trust, purpose=Purpose.SERVER_AUTH, at=at, name="localhost").accepted
    authority.make_crl([], number=1)
    authority.ocsp_response(below.certificate)
    assert module.calls == 3
    with pytest.raises(UnsupportedKey, match="does not give"):
        authority.key_pem()


@pytest.mark.parametrize("spoil", [broken, raw, lambda _: None], ids=range(3))
def test_an_authority_whose_key_fails_issues_nothing(spoil: Callable[[bytes], Any]) -> None:
    own = Authority.root("Root")
    authority = Authority(own.certificate, Module(own._private_key, spoil))
    with pytest.raises(AuthorityKeyFailed):
        authority.server("localhost")
    with pytest.raises(UnsupportedKey):
        Authority(own.certificate, Handle(own._private_key))
