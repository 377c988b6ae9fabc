"""What a side signs with and what it verifies are two settings, in both roles and versions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair

from handclasp import ClientAuth, ConfigError, ProtocolVersion, SignatureScheme
from handclasp.ca import KeyType
from handclasp.config import DEFAULT_SIGNATURE_SCHEMES
from handclasp.facts import MessageSeen
from handclasp.handshake.errors import CertificateMissing, NoSuitableCertificate
from handclasp.wire.extensions import SignatureAlgorithms, find
from handclasp.wire.messages import CertificateRequest, ClientHello
from handclasp.wire.messages12 import CertificateRequest12

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
S = SignatureScheme
P256, ED, RSA, RSA512 = S.ECDSA_SECP256R1_SHA256, S.ED25519, S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_RSAE_SHA512


def asked_for(pair: Pair, kind: type[Any]) -> list[SignatureScheme]:
    """The schemes that a message asks the peer to sign with."""
    facts = (*pair.client.facts, *pair.server.facts)
    [message, *_] = [one.message for one in facts if isinstance(one, MessageSeen) and isinstance(one.message, kind)]
    if isinstance(message, CertificateRequest12):
        return message.supported_signature_algorithms
    wanted = find(message.extensions, SignatureAlgorithms)
    assert wanted is not None
    return wanted.supported_signature_algorithms


@VERSIONS
def test_each_side_signs_by_one_setting_and_verifies_by_the_other(world: World, version: ProtocolVersion) -> None:
    """A server of RSA whose clients have Ed25519, and nobody verifies what it signs with itself."""
    alice = world.issuing.client("alice", key=KeyType.ED25519)
    client = world.client_config(
        versions=(version,), identities=(alice.identity,), signature_schemes=(RSA, RSA512), signing_schemes=(ED,)
    )
    server = world.server_config(
        versions=(version,),
        identities=(world.rsa_server.identity,),
        trust=world.root.trust,
        client_auth=ClientAuth.REQUIRED,
        signature_schemes=(ED,),
        signing_schemes=(RSA512, RSA),
    )
    pair = Pair(client, server)
    pair.shake()
    assert asked_for(pair, ClientHello) == [RSA, RSA512]
    assert asked_for(pair, CertificateRequest if version == TLS13 else CertificateRequest12) == [ED]
    for party, scheme in ((pair.client, RSA512), (pair.server, ED)):
        established = party.connection.established
        assert established is not None
        assert established.signature_scheme == scheme, "the signer's order counts"


@VERSIONS
def test_without_a_setting_of_its_own_a_side_signs_by_what_it_verifies(world: World, version: ProtocolVersion) -> None:
    assert world.server_config().signs_with == DEFAULT_SIGNATURE_SCHEMES
    server = world.server_config(versions=(version,), signature_schemes=(RSA,))
    pair = Pair(world.client_config(), server)
    with pytest.raises(NoSuitableCertificate, match="is left out of its signature_schemes"):
        pair.shake()


@VERSIONS
def test_a_scheme_that_is_only_verified_is_not_signed_with(world: World, version: ProtocolVersion) -> None:
    pair = Pair(world.client_config(), world.server_config(versions=(version,), signing_schemes=(RSA,)))
    with pytest.raises(NoSuitableCertificate, match="is left out of its signing_schemes"):
        pair.shake()
    client = world.client_config(identities=(world.client.identity,), signing_schemes=(RSA,))
    server = world.server_config(versions=(version,), trust=world.root.trust, client_auth=ClientAuth.REQUIRED)
    with pytest.raises(CertificateMissing):
        Pair(client, server).shake()


@pytest.mark.parametrize("wrong", [(), ("ed25519",), (S.ECDSA_SHA1,), (S(0xFE01),)], ids=range(4))
@pytest.mark.parametrize("setting", ["signing_schemes", "signature_schemes"])
def test_schemes_are_checked_when_the_config_is_built(world: World, setting: str, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=setting):
        world.client_config(**{setting: wrong})
