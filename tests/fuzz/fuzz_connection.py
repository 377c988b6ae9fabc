"""Fuzz target: bytes from a peer. Run: python -m tests.fuzz.fuzz_connection -max_total_time=60.

Whatever comes, a connection answers by errors of its own and never delivers data.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from handclasp import ClientConfig, ClientConnection, HandclaspError, ServerConfig, ServerConnection
from handclasp.ca import Authority
from handclasp.connection import Connection

__all__ = ["one_input"]

ROOT = Authority.root("Fuzz Root")
CLIENT = ClientConfig(trust=ROOT.trust)
SERVER = ServerConfig(identities=(ROOT.server("localhost").identity,))


def one_input(data: bytes) -> None:
    """Judge one input; raises where something is wrong with us."""
    connections: tuple[Connection, ...] = (
        ServerConnection(SERVER),
        ClientConnection(CLIENT, server_name="localhost"),
    )
    for connection in connections:
        connection.start()
        try:
            connection.receive_data(data)
            connection.receive_eof()
        except HandclaspError:
            pass
        if connection.established is not None:
            raise AssertionError("a session was established with nobody")


if __name__ == "__main__":
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        client, server = ClientConnection(CLIENT, server_name="localhost"), ServerConnection(SERVER)
        client.start()
        server.start()
        hello = client.data_to_send()
        server.receive_data(hello)
        (Path(folder) / "hello").write_bytes(hello)
        (Path(folder) / "flight").write_bytes(server.data_to_send())
        atheris.instrument_all()
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()
