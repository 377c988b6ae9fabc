"""What a server asks of clients' certificates by oid_filters, it wants to see (RFC 8446, 4.2.5)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import World
from tests.pair import Pair, anybody

from handclasp import ClientAuth, ProtocolVersion
from handclasp.errors import ConfigError
from handclasp.questions import ChooseCertificate, VerifyPeer
from handclasp.sessions import ServerSessions, TicketKeys
from handclasp.wire.extensions import OidFilter
from handclasp.wire.iana import AlertDescription
from handclasp.x509.errors import UnwantedCertificate

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)


def wanted(oid: str, values: str = "") -> OidFilter:
    return OidFilter(bytes.fromhex(oid), bytes.fromhex(values))


KEY_USAGE, EXTENDED, SAN, BASIC = "0603551d0f", "0603551d25", "0603551d11", "0603551d13"
CLIENT, SERVER, EMAIL = "06082b06010505070302", "06082b06010505070301", "06082b06010505070304"
NOWHERE = "06032a0304"
ALICE_IS_NO_AUTHORITY = "3000"
"""Our clients' certificates: digitalSignature alone, clientAuth alone, a SAN, no authority."""

FITTING = {
    "a key usage": [wanted(KEY_USAGE, "03020780")],
    "an extended key usage": [wanted(EXTENDED, "300a" + CLIENT)],
    "both": [wanted(KEY_USAGE, "03020780"), wanted(EXTENDED, "300a" + CLIENT)],
    "an extension that is there": [wanted(SAN)],
    "the value of another extension": [wanted(BASIC, ALICE_IS_NO_AUTHORITY)],
}
LACKING = {
    "another key usage": [wanted(KEY_USAGE, "03020520")],
    "one key usage more": [wanted(KEY_USAGE, "030205a0")],
    "another extended key usage": [wanted(EXTENDED, "300a" + SERVER)],
    "one extended key usage more": [wanted(EXTENDED, "3014" + CLIENT + EMAIL)],
    "an extension that is not there": [wanted(NOWHERE)],
    "another value of an extension": [wanted(BASIC, "30030101ff")],
    "the second of two": [wanted(KEY_USAGE, "03020780"), wanted(EXTENDED, "300a" + SERVER)],
}


def meet(world: World, version: ProtocolVersion, filters: list[OidFilter], **changes: Any) -> Pair:
    """A client that shows alice's certificate whatever the server asks for."""
    own = {ChooseCertificate: lambda _: world.client.identity}
    client = world.client_config(versions=(version,), identities=(world.client.identity,), answers=own)
    server = world.server_config(
        **{"client_auth": ClientAuth.REQUIRED, "trust": world.root.trust, **changes}, oid_filters=tuple(filters)
    )
    pair = Pair(client, server)
    pair.run()
    return pair


@BOTH
@pytest.mark.parametrize("filters", FITTING.values(), ids=FITTING.keys())
def test_a_client_with_what_is_asked_for_is_let_in(
    world: World, version: ProtocolVersion, filters: list[OidFilter]
) -> None:
    pair = meet(world, version, filters)
    assert pair.server.error is None
    assert pair.server.done


@BOTH
@pytest.mark.parametrize("auth", [ClientAuth.REQUIRED, ClientAuth.OPTIONAL], ids=lambda auth: auth.value)
@pytest.mark.parametrize("filters", LACKING.values(), ids=LACKING.keys())
def test_a_client_without_what_is_asked_for_is_refused(
    world: World, version: ProtocolVersion, filters: list[OidFilter], auth: ClientAuth
) -> None:
    """Of TLS 1.2 too, which cannot say it: a client would choose the version that does not ask."""
    pair = meet(world, version, filters, client_auth=auth)
    error = pair.server.error
    assert isinstance(error, UnwantedCertificate)
    assert pair.client.heard == AlertDescription.UNSUPPORTED_CERTIFICATE
    assert error.report is not None
    assert not error.report.accepted
    assert error.report.checks[-1].verdict.value == "failed"


@BOTH
def test_whoever_judges_clients_leaves_the_filters_in_force(world: World, version: ProtocolVersion) -> None:
    pair = meet(world, version, LACKING["another key usage"], answers={VerifyPeer: anybody})
    assert isinstance(pair.server.error, UnwantedCertificate)


@BOTH
@pytest.mark.parametrize("tickets", [2, 0], ids=["by ticket", "by ID"])
def test_a_session_of_before_does_not_go_round_the_filters(
    world: World, version: ProtocolVersion, tickets: int
) -> None:
    """A whole handshake is made, in which the client may show another certificate."""
    shared: dict[str, Any] = {"ticket_keys": TicketKeys(), "sessions": ServerSessions(), "tickets": tickets}
    shared |= {"client_auth": ClientAuth.OPTIONAL, "trust": world.root.trust}
    client = world.client_config(versions=(version,), identities=(world.client.identity,))
    first = Pair(client, world.server_config(**shared))
    first.shake()
    pair = Pair(client, world.server_config(**shared, oid_filters=tuple(LACKING["another key usage"])))
    pair.run()
    established = pair.server.connection.established
    if version == TLS13:  # the client is told, and shows none
        assert established is not None
        assert not established.resumed
        assert not established.peer_chain
    else:
        assert isinstance(pair.server.error, UnwantedCertificate)


BAD = {
    "no object identifier": [OidFilter(b"an OID", b"")],
    "two in one": [wanted(SAN + BASIC)],
    "the same twice": [wanted(SAN), wanted(SAN, "3000")],
    "no key usage": [wanted(KEY_USAGE)],
    "no bits": [wanted(KEY_USAGE, "030100")],
    "no extended key usage": [wanted(EXTENDED, "3000")],
    "an extended key usage that is none": [wanted(EXTENDED, CLIENT)],
    "any extended key usage": [wanted(EXTENDED, "30060604551d2500")],
}


@pytest.mark.parametrize("filters", BAD.values(), ids=BAD.keys())
def test_filters_that_no_server_may_send_are_refused_when_handed_over(world: World, filters: list[OidFilter]) -> None:
    with pytest.raises(ConfigError, match="oid_filters"):
        world.server_config(oid_filters=tuple(filters))
