"""What many tests share: one small CA, made once, and two engines joined in memory."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from handclasp import ClientConfig, ServerConfig
from handclasp.ca import Authority, Issued, KeyType


@dataclass(frozen=True)
class World:
    """A root, an issuing CA, and what it issued."""

    root: Authority
    issuing: Authority
    server: Issued
    rsa_server: Issued
    client: Issued

    def client_config(self, **changes: object) -> ClientConfig:
        """A client that trusts the root."""
        return ClientConfig(**{"trust": self.root.trust, **changes})  # type: ignore[arg-type]

    def server_config(self, **changes: object) -> ServerConfig:
        """A server for localhost."""
        return ServerConfig(**{"identities": (self.server.identity,), **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def world() -> World:
    root = Authority.root("Test Root")
    issuing = root.intermediate("Test Issuing CA")
    return World(
        root=root,
        issuing=issuing,
        server=issuing.server("localhost", "127.0.0.1", "::1", "example.com"),
        rsa_server=issuing.server("localhost", "127.0.0.1", "::1", key=KeyType.RSA2048),
        client=issuing.client("alice", email="alice@example.com"),
    )
