"""What we show of ourselves to programs that other people wrote: chains, keys in devices, a leaf alone."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.conftest import World
from tests.interop.clients import CLIENTS, Client
from tests.interop.harness import Command, Files, free_port, missing, serving
from tests.interop.servers import number
from tests.interop.test_as_client import get
from tests.interop.test_as_server import serving as our_server

from handclasp import ProtocolVersion
from handclasp.ca import Authority
from handclasp.x509.identity import Identity

pytestmark = pytest.mark.interop
TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


class Module:
    """A key that stays where it is."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def public_key(self) -> Any:
        return self._key.public_key()

    def sign(self, *arguments: Any) -> bytes:
        signature: bytes = self._key.sign(*arguments)
        return signature


@pytest.mark.parametrize(("version", "key"), [(TLS12, "rsa"), (TLS13, "p256")], ids=str)
@pytest.mark.parametrize("client", [pytest.param(one, id=one.name) for one in CLIENTS])
def test_a_bundle_in_any_order_and_a_key_in_a_device_are_good_for_every_client(
    world: World, files: Files, client: Client, version: ProtocolVersion, key: str
) -> None:
    """Root first, the leaf last, all of it twice, and a stranger in between."""
    if (why := client.unavailable()) is not None:
        pytest.skip(why)
    made = world.server if key == "p256" else world.rsa_server
    held = (world.root.certificate, Authority.root("Stranger").certificate, *reversed(made.chain), *made.chain)
    pem = b"".join(one.parsed.public_bytes(Encoding.PEM) for one in held)
    chain = Identity.from_pem(pem, made.key_pem()).chain
    identity = Identity(chain, Module(made.private_key))
    with our_server(world.server_config(identities=(identity,), versions=(version,))) as served:
        output = client.get(files, served.port, version, mutual=False)
    assert "hello from handclasp" in output, (output, served.errors)


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_a_server_that_names_its_root_gets_a_leaf_whose_issuer_it_has(
    world: World, files: Files, version: ProtocolVersion
) -> None:
    """As curl shows it: the server's list does not rule it out."""
    if (why := missing("openssl", "openssl")) is not None:
        pytest.skip(why)
    both = files.folder / "issuing-and-root.pem"
    both.write_bytes(world.issuing.certificate_pem + world.root.certificate_pem)
    port = free_port()
    command: Command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-www", "-cert", files.server_cert]
    command += ["-key", files.server_key, "-cert_chain", files.server_cert, "-verifyCAfile", both]
    command += ["-CAfile", files.root, "-Verify", "3", "-verify_return_error"]
    command.append(f"-tls{number(version).replace('.', '_')}")
    alone = Identity(world.client.chain[:1], world.client.private_key)
    with serving(command, port) as running:
        assert get(running, world.client_config(identities=(alone,))).version == version
