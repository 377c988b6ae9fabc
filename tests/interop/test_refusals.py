"""Peers that have to be refused are, over real connections, with the alert that fits, on both sides.

The other party is OpenSSL: as a server whose certificate we refuse, and as a client whose we refuse.
"""

from __future__ import annotations

import datetime
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.conftest import World
from tests.interop.harness import free_port, missing, says, serving
from tests.interop.servers import NGINX, Nginx

import handclasp
from handclasp import ClientAuth
from handclasp.ca import Authority, Issued
from handclasp.x509 import DEFAULT, RevocationSources
from handclasp.x509 import errors as e

pytestmark = pytest.mark.interop
NOW = datetime.datetime.now(UTC) + timedelta(minutes=30)
"""Later than anything that the tests issue, however long they all take."""


@dataclass(frozen=True)
class Bad:
    """A certificate to be refused: how it is made, and what the refusal is."""

    name: str
    make: Callable[[World, str], Issued]
    error: type[e.CertificateError]
    alert: str


def either(world: World, role: str, authority: Authority | None = None, **more: Any) -> Issued:
    """A certificate for this role, of this authority."""
    issuer = authority or world.issuing
    return issuer.server("localhost", **more) if role == "server" else issuer.client("bob", **more)


BAD = (
    Bad(
        "expired",
        lambda world, role: either(world, role, at=NOW - timedelta(days=60), days=30),
        e.CertificateExpired,
        "certificate expired",
    ),
    Bad(
        "not yet valid",
        lambda world, role: either(world, role, at=NOW + timedelta(days=30)),
        e.CertificateNotYetValid,
        "certificate expired",
    ),
    Bad(
        "for the other purpose",
        lambda world, role: either(world, "client" if role == "server" else "server"),
        e.WrongPurpose,
        "unsupported certificate",
    ),
    Bad(
        "by a stranger",
        lambda world, role: either(world, role, Authority.root("Stranger")),
        e.UnknownAuthority,
        "unknown ca",
    ),
    Bad("revoked", lambda world, role: either(world, role), e.CertificateRevoked, "certificate revoked"),
)


def lists(world: World, *revoked: Issued) -> RevocationSources:
    """The authorities' lists, with these certificates on them."""
    taken = [(one.certificate.serial_number, NOW, x509.ReasonFlags.key_compromise) for one in revoked]
    return RevocationSources.of(world.issuing.make_crl(taken, number=1), world.root.make_crl([], number=1))


def need(program: str, package: str) -> None:
    if (why := missing(program, package)) is not None:
        pytest.skip(why)


def alert_in(text: str) -> str:
    return text.lower().replace("_", " ")


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_server_is_refused(world: World, tmp_path: Path, bad: Bad) -> None:
    need("openssl", "openssl")
    issued = bad.make(world, "server")
    cert, key = issued.save(tmp_path, "bad")
    port = free_port()
    command: list[str | Path] = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-www", "-cert", cert]
    command += ["-key", key, "-cert_chain", cert]
    config = world.client_config(revocation=lists(world, *([issued] if bad.name == "revoked" else [])))
    if bad.name == "for the other purpose":
        config = replace(config, verification=replace(DEFAULT, names=handclasp.x509.NamePolicy.OFF))
    with serving(command, port) as running:
        with pytest.raises(bad.error):
            handclasp.connect(running.connect(), config, server_name="localhost")
        assert bad.alert in says(running, bad.alert)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_client_is_refused(world: World, tmp_path: Path, bad: Bad) -> None:
    need("openssl", "openssl")
    issued = bad.make(world, "client")
    cert, key = issued.save(tmp_path, "bad")
    sources = lists(world, *([issued] if bad.name == "revoked" else []))
    config = world.server_config(trust=world.root.trust, client_auth=ClientAuth.REQUIRED, revocation=sources)
    errors: list[Exception] = []
    with handclasp.listen(("127.0.0.1", 0), config) as listener:

        def serve() -> None:
            try:
                listener.accept(timeout=20)
            except handclasp.HandclaspError as error:
                errors.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        command = (
            f"openssl s_client -connect 127.0.0.1:{listener.port} -ign_eof -cert {cert} -key {key} -cert_chain {cert}"
        )
        done = subprocess.run(command.split(), input=b"x\n", capture_output=True, check=False, timeout=30)
        thread.join(20)
    assert type(errors[0]) is bad.error
    assert bad.alert in alert_in((done.stdout + done.stderr).decode()), done.stderr


def test_nginx_takes_our_lists(world: World, tmp_path: Path) -> None:
    """It serves a client that is on no list, and not one that is."""
    need("nginx", "nginx-light")
    assert Nginx().unavailable() is None
    cert, key = world.server.save(tmp_path, "server")
    root = tmp_path / "root.pem"
    root.write_bytes(world.root.certificate_pem)
    revoked, good = world.issuing.client("revoked"), world.issuing.client("good")
    pem = tmp_path / "lists.pem"
    pem.write_bytes(b"".join(one.parsed.public_bytes(Encoding.PEM) for one in lists(world, revoked).crls))
    port = free_port()
    mutual = f"ssl_verify_client on; ssl_client_certificate {root}; ssl_verify_depth 3; ssl_crl {pem};"
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(folder=tmp_path, port=port, cert=cert, key=key, version="1.3", mutual=mutual))
    with serving(["nginx", "-p", tmp_path, "-c", config, "-e", "stderr"], port) as running:
        for client, answer in ((good, b"200 OK"), (revoked, b"400 Bad Request")):
            ours = world.client_config(identities=(client.identity,))
            with handclasp.connect(running.connect(), ours, server_name="localhost") as tls:
                tls.settimeout(20)
                tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert answer in tls.recv()
