"""Each competitor as two functions: a whole handshake of both sides in memory, and a pair to send data over."""

from __future__ import annotations

import errno
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handclasp import ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, ServerConfig, ServerConnection
from handclasp.ca import Authority, Issued
from handclasp.events import DataReceived

PIECE = 1 << 17
"""Bytes that our front ends protect at once; a larger write is carried in such pieces."""
TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13


@dataclass(frozen=True)
class Case:
    """What is negotiated."""

    version: ProtocolVersion
    group: NamedGroup
    server: Issued
    root: Authority
    folder: Path

    @property
    def files(self) -> tuple[str, str, str]:
        """Chain, key and root in PEM files."""
        cert, key = self.server.save(self.folder, "server")
        root = self.folder / "root.pem"
        root.write_bytes(self.root.certificate_pem)
        return str(cert), str(key), str(root)


def handclasp_configs(case: Case, *, resume: bool = False) -> tuple[ClientConfig, ServerConfig]:
    versions = (case.version,)
    # In TLS 1.2 the certificate's curve has to be among the client's groups, too.
    groups = (case.group, NamedGroup.SECP256R1)
    kept: dict[str, Any] = {} if resume else {"sessions": None}
    client = ClientConfig(trust=case.root.trust, versions=versions, groups=groups, key_shares=1, **kept)
    tickets = 1 if resume else 0
    return client, ServerConfig(
        identities=(case.server.identity,), versions=versions, groups=(case.group,), tickets=tickets
    )


def handclasp_pair(configs: tuple[ClientConfig, ServerConfig]) -> tuple[ClientConnection, ServerConnection]:
    """A handshake, both sides."""
    client = ClientConnection(configs[0], server_name="localhost")
    server = ServerConnection(configs[1])
    server.start()
    client.start()
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    server.receive_data(client.data_to_send())
    rest = server.data_to_send()
    if rest:
        client.receive_data(rest)
    return client, server


def handclasp_transfer(case: Case, size: int) -> Callable[[], object]:
    client, server = handclasp_pair(handclasp_configs(case))
    data, got = memoryview(bytes(size)) if size > PIECE else bytes(size), 0

    def step() -> None:
        nonlocal got
        got = 0
        for at in range(0, size, PIECE):
            client.send_data(data[at : at + PIECE] if size > PIECE else data)
            for event in server.receive_data(client.data_to_send()):
                if type(event) is DataReceived:
                    got += len(event.data)
        if got != size:
            raise AssertionError

    return step


def handclasp_records(case: Case, size: int) -> Callable[[], object]:
    """The record layers of two connections: sealed, joined, cut and opened, without the engine above them."""
    client, server = handclasp_pair(handclasp_configs(case))
    source, target = client._records, server._records
    data = memoryview(bytes(size)) if size > PIECE else bytes(size)

    def step() -> None:
        for at in range(0, size, PIECE):
            source.write_data(data[at : at + PIECE] if size > PIECE else data)
            target.feed(source.take_output())
            while target.next_record() is not None:
                pass

    return step


def ssl_contexts(case: Case) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    cert, key, root = case.files
    version = ssl.TLSVersion.TLSv1_3 if case.version == TLS13 else ssl.TLSVersion.TLSv1_2
    client = ssl.create_default_context(cafile=root)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    for context in (client, server):
        context.minimum_version = context.maximum_version = version
    server.set_ecdh_curve("X25519")
    server.num_tickets = 0
    return client, server


def ssl_pair(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = contexts[0].wrap_bio(down, up, server_hostname="localhost", session=session)
    server = contexts[1].wrap_bio(up, down, server_side=True)
    waiting = [client, server]
    while waiting:
        for one in list(waiting):
            try:
                one.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(one)
    return client, server, up, down


def ssl_resumed(case: Case) -> Callable[[], object]:
    contexts = ssl_contexts(case)
    contexts[1].num_tickets = 1
    client, server, _, _ = ssl_pair(contexts)
    server.write(b"x")
    client.read(1)
    session = client.session

    def step() -> None:
        if not ssl_pair(contexts, session)[0].session_reused:
            raise AssertionError("ssl did not resume")

    return step


def ssl_transfer(case: Case, size: int) -> Callable[[], object]:
    client, server, _, _ = ssl_pair(ssl_contexts(case))
    data, chunk = bytes(size), 1 << 14

    def step() -> None:
        client.write(data)
        got = 0
        while got < size:
            got += len(server.read(chunk))

    return step


def pyopenssl_contexts(case: Case) -> Any:
    from OpenSSL import SSL

    cert, key, root = case.files
    contexts = []
    for method in (SSL.TLS_CLIENT_METHOD, SSL.TLS_SERVER_METHOD):
        context = SSL.Context(method)
        context.set_min_proto_version(int(case.version))
        context.set_max_proto_version(int(case.version))
        name = b"X25519MLKEM768" if case.group == NamedGroup.X25519MLKEM768 else b"X25519"
        SSL._lib.SSL_CTX_set1_groups_list(context._context, name) if hasattr(
            SSL._lib, "SSL_CTX_set1_groups_list"
        ) else None
        contexts.append(context)
    client, server = contexts
    client.load_verify_locations(root)
    client.set_verify(SSL.VERIFY_PEER, lambda *given: bool(given[-1]))
    server.use_certificate_chain_file(cert)
    server.use_privatekey_file(key)
    server.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return client, server


def pyopenssl_pair(contexts: Any, session: Any = None) -> tuple[Any, Any]:
    from OpenSSL import SSL

    client, server = SSL.Connection(contexts[0]), SSL.Connection(contexts[1])
    if session is not None:
        client.set_session(session)
    client.set_connect_state()
    client.set_tlsext_host_name(b"localhost")
    server.set_accept_state()
    waiting = [client, server]
    while waiting:
        for one, other in ((client, server), (server, client)):
            if one in waiting:
                try:
                    one.do_handshake()
                    waiting.remove(one)
                except SSL.WantReadError:
                    pass
            try:
                other.bio_write(one.bio_read(1 << 16))
            except SSL.WantReadError:
                pass
    return client, server


def pyopenssl_resumed(case: Case) -> Callable[[], object]:
    from OpenSSL import SSL

    contexts = pyopenssl_contexts(case)
    contexts[1].set_session_id(b"bench")
    client, server = pyopenssl_pair(contexts)
    server.send(b"x")
    client.bio_write(server.bio_read(1 << 16))
    client.recv(1)
    session = client.get_session()
    client.set_shutdown(SSL.SENT_SHUTDOWN)  # or OpenSSL takes the session for a bad one

    def step() -> None:
        again = pyopenssl_pair(contexts, session)[0]
        again.set_shutdown(SSL.SENT_SHUTDOWN)
        if not SSL._lib.SSL_session_reused(again._ssl):
            raise AssertionError("pyOpenSSL did not resume")

    return step


def pyopenssl_transfer(case: Case, size: int) -> Callable[[], object]:
    client, server = pyopenssl_pair(pyopenssl_contexts(case))
    data = bytes(size)

    def step() -> None:
        client.sendall(data)
        server.bio_write(client.bio_read(size + (size >> 14) * 64 + 256))
        got = 0
        while got < size:
            got += len(server.recv(1 << 14))

    return step


class Wire:
    """One end of a pipe in memory that looks like a socket which does not block."""

    def __init__(self) -> None:
        self.inbox = bytearray()
        self.other: Wire | None = None

    def send(self, data: bytes) -> int:
        if self.other is not None:
            self.other.inbox += data
        return len(data)

    sendall = send

    def recv(self, size: int) -> bytes:
        if not self.inbox:
            raise OSError(errno.EWOULDBLOCK, "nothing yet")
        data = bytes(self.inbox[:size])
        del self.inbox[:size]
        return data

    def close(self) -> None:
        return

    def setsockopt(self, *_: object) -> None:
        return


def tlslite_pair(case: Case, *, tickets: int = 0) -> Callable[..., Any]:
    """tlslite-ng does not judge chains; its figure is for the handshake alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey

    cert, key, _ = case.files
    chain = X509CertChain()
    chain.parsePemList(Path(cert).read_text())
    private = parsePEMKey(Path(key).read_text(), private=True)
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = (3, 4) if case.version == TLS13 else (3, 3)
    settings.keyShares = ["x25519"]
    settings.eccCurves = ["x25519", "secp256r1"]
    settings.ticket_count = tickets
    settings.ticketKeys = [bytearray(32)] if tickets else []

    def step(session: Any = None) -> tuple[Any, Any]:
        a, b = Wire(), Wire()
        a.other, b.other = b, a
        client, server = TLSConnection(a), TLSConnection(b)
        waiting = [
            client.handshakeClientCert(session=session, settings=settings, serverName="localhost", async_=True),
            server.handshakeServerAsync(certChain=chain, privateKey=private, settings=settings),
        ]
        while waiting:
            for one in list(waiting):
                try:
                    while next(one) == 1:
                        pass
                except StopIteration:
                    waiting.remove(one)
        return client, server

    return step


def tlslite_resumed(case: Case) -> Callable[[], object]:
    pair = tlslite_pair(case, tickets=1)
    client, server = pair()
    for _ in server.writeAsync(b"x"):
        pass
    next(client.readAsync(max=1, min=1))
    session = client.session

    def step() -> None:
        if not pair(session)[0].resumed:
            raise AssertionError("tlslite did not resume")

    return step


def tlslite_transfer(case: Case, size: int) -> Callable[[], object]:
    client, server = tlslite_pair(case)()
    data = bytes(size)

    def step() -> None:
        for _ in client.writeAsync(data):
            pass
        got = 0
        while got < size:
            for part in server.readAsync(max=1 << 14, min=1):
                if part not in (0, 1):
                    got += len(part)

    return step
