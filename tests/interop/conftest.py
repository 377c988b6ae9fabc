"""The identities in files, as other people's programs read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import World
from tests.interop.harness import Files


@pytest.fixture(scope="session")
def files(world: World, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder: Path = tmp_path_factory.mktemp("identities")
    server_cert, server_key = world.server.save(folder, "server")
    client_cert, client_key = world.client.save(folder, "client")
    root = folder / "root.pem"
    root.write_bytes(world.root.certificate_pem)
    server_p12, client_p12 = folder / "server.p12", folder / "client.p12"
    server_p12.write_bytes(world.server.pkcs12(b"password", "server"))
    client_p12.write_bytes(world.client.pkcs12(b"password", "client"))
    (folder / "both.pem").write_bytes(server_cert.read_bytes() + server_key.read_bytes())
    return Files(folder, root, server_cert, server_key, client_cert, client_key, server_p12, client_p12)
