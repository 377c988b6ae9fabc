"""Values of a wrong type are refused when they are handed over, by an error of ours that names them."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import World

import handclasp
from handclasp import (
    ClientAuth,
    ClientConnection,
    ConfigError,
    Identity,
    Limits,
    ProtocolVersion,
    ServerConnection,
    TrustStore,
    UsageError,
)
from handclasp.ca import Authority, CaDirectory
from handclasp.keylog import key_log_to
from handclasp.questions import FindSession
from handclasp.sessions import ClientSessions, ServerSessions, TicketKeys
from handclasp.values import check_fields, check_type, checked
from handclasp.x509 import (
    AllowedClient,
    Certificate,
    PeerName,
    PolicyInputs,
    Purpose,
    RevocationSources,
    VerificationPolicy,
    verify,
)
from handclasp.x509.crl import Crl
from handclasp.x509.keys import load_private_key
from handclasp.x509.online import Online
from handclasp.x509.reload import CrlFiles, KeyStore, TrustFiles

WRONG: list[Any] = [
    None,
    True,
    -1.5,
    float("nan"),
    "x25519",
    b"h2",
    (1,),
    [object()],
    {"a": 1},
    {3},
    object(),
    int,
    datetime(2026, 1, 1),
    772,
]
"""Values that are of the right type in hardly any place."""
SOME: dict[type[Any], dict[str, Any]] = {
    Limits: {},
    VerificationPolicy: {},
    PolicyInputs: {},
    AllowedClient: {"kind": "dns", "name": "x"},
}


def refused(build: Callable[[], object]) -> str | None:
    """What the error says, None where there is none."""
    try:
        build()
    except UsageError as error:
        return str(error)
    return None


def built(world: World) -> list[Any]:
    return [world.client_config(), world.server_config(), *(kind(**some) for kind, some in SOME.items())]


def test_each_field_of_each_config_refuses_what_is_of_another_type(world: World) -> None:
    """Or takes it, where it is right there; nothing else is ever raised."""
    tried = 0
    for one in built(world):
        for field in fields(one):
            if not field.init:
                continue
            for wrong in WRONG:
                tried += 1
                told = refused(lambda: replace(one, **{field.name: wrong}))  # noqa: B023  # called at once
                assert told is None or field.name in told or type(one) is AllowedClient, told
    assert tried > 600


@pytest.mark.parametrize(
    ("field", "wrong", "told"),
    [
        ("trust", "/etc/ssl", "trust: a TrustStore, a TrustFiles or None is wanted, not a str."),
        ("alpn", "h2", "alpn: a tuple of str is wanted, not a str."),
        ("alpn", (b"h2",), "alpn: a tuple of str is wanted, not a tuple of bytes."),
        ("versions", (772,), "versions: a tuple of ProtocolVersion is wanted, not a tuple of int."),
        ("versions", {ProtocolVersion.TLS13}, "versions: a tuple of .* not a set of ProtocolVersion."),
        ("record_padding", True, "record_padding: an int is wanted, not a bool."),
        ("online", True, "online: an Online or None is wanted, not a bool."),
        ("now", 0.0, "now: a function is wanted, not a float."),
        ("answers", {"x": 1}, "answers: a dict from a class .* to a function is wanted, not a dict from str to int."),
        ("ask_caller", FindSession, "ask_caller: a frozenset of class .* is wanted, not a type."),
    ],
)
def test_the_error_says_what_is_wanted_and_what_came(world: World, field: str, wrong: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        world.client_config(**{field: wrong})


def test_one_identity_is_no_tuple_of_them(world: World) -> None:
    with pytest.raises(ConfigError, match="identities"):
        world.server_config(identities=world.server.identity)


def test_a_secret_of_the_wrong_type_is_not_shown(world: World) -> None:
    with pytest.raises(UsageError, match="password: a bytes or None is wanted, not a str") as caught:
        Identity.from_pem(world.server.chain_pem, world.server.key_pem(b"secret"), "secret")  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_lists_become_tuples_and_what_is_read_once_is_read(world: World) -> None:
    config = world.server_config(
        alpn=["h2", "http/1.1"], identities=(one for one in [world.server.identity]), ask_caller={FindSession}
    )
    assert config.alpn == ("h2", "http/1.1")
    assert config.identities == (world.server.identity,)
    assert config.ask_caller == frozenset({FindSession})
    alpn = ["h2"]
    client = world.client_config(alpn=alpn)
    alpn.append("changed")
    assert client.alpn == ("h2",)


def test_bytes_like_is_bytes(world: World) -> None:
    der = world.server.certificate.der
    ways: list[Any] = [bytearray, memoryview]
    for way in ways:
        assert Certificate.load(way(der)) == world.server.certificate
        assert TrustStore.from_pem(way(der)).anchors == (world.server.certificate,)


# Functions: what they raise for what they cannot use is a `UsageError`.


def calls(world: World) -> Iterator[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """Public entry points, with arguments that are good."""
    root, issued = Authority.root("Root"), world.server
    good = {"chain": [issued.certificate], "trust": world.root.trust, "purpose": Purpose.SERVER_AUTH}
    yield "verify", verify, {**good, "at": datetime.now(UTC), "name": "localhost", "revocation": None, "staple": None}
    yield "ClientConnection", ClientConnection, {"config": world.client_config(), "server_name": "x", "observer": None}
    yield "ServerConnection", ServerConnection, {"config": world.server_config(), "observer": None}
    yield "TrustStore", TrustStore, {"anchors": (world.root.certificate,)}
    yield "TrustStore.from_pem", TrustStore.from_pem, {"data": world.root.certificate_pem}
    yield "TrustStore.from_file", TrustStore.from_file, {"path": "nowhere"}
    yield "TrustStore.from_directory", TrustStore.from_directory, {"path": "nowhere"}
    yield "Certificate", Certificate, {"der": issued.certificate.der}
    yield "Certificate.load", Certificate.load, {"data": issued.chain_pem}
    yield "Crl.load_all", Crl.load_all, {"data": b""}
    yield "RevocationSources", RevocationSources, {"crls": (), "responses": ()}
    yield "Identity", Identity, {"chain": issued.chain, "private_key": issued.private_key, "scts": ()}
    yield "Identity.from_files", Identity.from_files, {"certificate": "nowhere", "key": "no", "password": b""}
    yield "Identity.from_pem", Identity.from_pem, {"certificates": issued.chain_pem, "key": issued.key_pem()}
    yield "Identity.from_pkcs12", Identity.from_pkcs12, {"data": b"", "password": None}
    yield "load_private_key", load_private_key, {"data": issued.key_pem(), "password": None}
    yield "PeerName.of", PeerName.of, {"name": "localhost"}
    yield "Online", Online, {"issuers": True, "seconds": 3, "fetches": 1, "transport": print}
    yield "KeyStore", KeyStore, {"directory": "nowhere", "password": None}
    yield "root", Authority.root, {"name": "x", "days": 1, "at": None}
    yield "intermediate", root.intermediate, {"name": "x", "path_length": 0, "permitted_dns": ("example.com",)}
    yield "client", root.client, {"name": "x", "uri": None, "email": None, "days": 1}
    yield "renewed", root.renewed, {"old": issued.certificate}
    yield "ocsp_response", root.ocsp_response, {"certificate": issued.certificate, "days": 1}
    yield "make_crl", root.make_crl, {"revoked": [], "number": 1}
    yield "ClientSessions", ClientSessions, {"servers": 1, "each": 1, "max_bytes": 1}
    yield "ServerSessions", ServerSessions, {"size": 1, "max_bytes": 1}
    yield (
        "TicketKeys",
        TicketKeys,
        {"secrets": None, "rotate_after": 1, "lifetime": 1},
    )
    yield "CaDirectory", CaDirectory, {"path": "nowhere", "password": None}
    yield "key_log_to", key_log_to, {"path": "/nowhere/at/all"}


def test_no_argument_of_a_wrong_type_comes_out_as_anything_but_an_error_of_ours(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some take the name of a file that is not there yet
    tried = 0
    for name, function, good in calls(world):
        for argument in good:
            for wrong in WRONG:
                tried += 1
                try:
                    function(**{**good, argument: wrong})
                except (handclasp.HandclaspError, FileNotFoundError):
                    pass
                except Exception as error:
                    raise AssertionError(f"{name}({argument}={wrong!r}): {error!r}") from error
    assert tried > 500


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    "function", [TrustStore.of, RevocationSources.of, RevocationSources.from_path, CrlFiles, TrustFiles]
)
def test_what_takes_any_number_looks_at_each(function: Callable[..., Any], wrong: object) -> None:
    with pytest.raises(OSError):  # "x25519" may be the name of a file that is not there
        function(wrong)


@pytest.mark.parametrize(
    "address", ["localhost", "localhost:443", ("localhost",), ("localhost", "443"), (b"localhost", 443), None, 443]
)
def test_an_address_is_host_and_port(world: World, address: Any) -> None:
    for call in (lambda: handclasp.connect(address, world.client_config()),) + (
        () if address is None else (lambda: handclasp.listen(address, world.server_config()),)
    ):
        with pytest.raises(UsageError, match="address"):
            call()


def test_a_listener_and_a_connection_take_the_config_of_their_role(world: World) -> None:
    with pytest.raises(UsageError, match="config: a ServerConfig is wanted, not a ClientConfig"):
        handclasp.listen(("127.0.0.1", 0), world.client_config())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="config: a ClientConfig is wanted, not a ServerConfig"):
        handclasp.connect(("127.0.0.1", 1), world.server_config())  # type: ignore[arg-type]
    for wrong, found in (("5", "a str"), (True, "a bool"), (float("nan"), "one that is not finite")):
        with pytest.raises(UsageError, match=f"timeout: .* is wanted, not {found}"):
            handclasp.connect(("127.0.0.1", 1), world.client_config(), timeout=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="65535"):
        handclasp.connect(("127.0.0.1", 65536), world.client_config())


def test_names_that_are_none_are_refused_whatever_they_are() -> None:
    for wrong in (5, b"localhost", ("localhost",), object()):
        with pytest.raises(UsageError, match="name"):
            PeerName.of(wrong)  # type: ignore[arg-type]
    assert PeerName.of(ip_address("::1")).address == ip_address("::1")


# The checker itself.

HINTS: list[tuple[Any, list[Any], list[Any]]] = [
    (int, [0, -1, ProtocolVersion.TLS12], [True, 1.0, "1", None]),
    (float, [0, 1.5], [True, float("inf"), "1"]),
    (str, ["", "x"], [b"", None]),
    (bytes, [b"", bytearray(b"x"), memoryview(b"x")], ["", 3, [1]]),
    (bool, [True], [1, None]),
    (ClientAuth, [ClientAuth.NONE], ["none", None]),
    (datetime, [datetime.now(UTC)], [datetime(2026, 1, 1), 0.0]),
    (int | None, [None, 1], ["x"]),
    (tuple[str, ...], [(), ["a"], iter(["a"])], ["ab", b"ab", {"a"}, {"a": 1}, [1]]),
    (tuple[str, int], [("a", 1), ["a", 1]], [("a",), ("a", "b"), "ab"]),
    (frozenset[str], [{"a"}, ("a",), frozenset()], ["a", {1}]),
    (typing.Literal["own"] | None, ["own", None], ["OWN", 1]),
    (type[FindSession], [FindSession], [int, "FindSession"]),
    (Callable[[int], bytes], [print], [None, "print"]),
    (dict[str, int], [{}], [None]),
    (typing.Mapping[str, int], [{"a": 1}], [{"a": "b"}, {1: 1}, [("a", 1)]]),
    (Any, [object()], []),
]


@pytest.mark.parametrize(("hint", "good", "bad"), HINTS, ids=[str(hint) for hint, _, _ in HINTS])
def test_each_form_of_annotation_takes_what_it_means(hint: Any, good: list[Any], bad: list[Any]) -> None:
    for one in good:
        check_type("x", one, hint)
    for one in bad:
        with pytest.raises(UsageError, match=r"^x: "):
            check_type("x", one, hint)


@given(st.recursive(st.none() | st.booleans() | st.text() | st.binary() | st.floats(), st.lists))
def test_whatever_comes_is_taken_or_refused(value: Any) -> None:
    for hint, _, _ in HINTS:
        assert len(refused(lambda: check_type("x", value, hint)) or "") < 500  # noqa: B023  # called at once


def test_a_checked_function_stays_what_it_was() -> None:
    @checked
    def function(one: int, *more: str, two: tuple[str, ...] = ()) -> tuple[Any, ...]:
        """What it does."""
        return one, more, two

    assert function.__doc__ == "What it does."
    assert function(1, "a", "b", two=["c"]) == (1, ("a", "b"), ("c",))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="more: a str is wanted, not an int"):
        function(1, "a", 2)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        function()  # type: ignore[call-arg]


def test_defaults_are_of_their_own_types(world: World) -> None:
    for kind in (Limits, VerificationPolicy, PolicyInputs):
        check_fields(kind())
