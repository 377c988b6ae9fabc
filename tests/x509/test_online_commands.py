"""The commands that fetch where they are told to."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.x509.web import NOW, House, Web

import handclasp


def test_the_command_verify_fetches_where_it_is_told_to(web: Web, tmp_path: Path) -> None:
    house = House.on(web, issuer="ca.der", crl="ca.crl", ocsp="ocsp")
    web.documents["ca.crl"] = house.crl(house.server)
    leaf, root = tmp_path / "leaf.pem", tmp_path / "root.pem"
    leaf.write_bytes(house.server.certificate.parsed.public_bytes(Encoding.PEM))
    root.write_bytes(house.root.certificate_pem)
    command = [
        sys.executable,
        "-c",
        "from handclasp.cli import main; main()",
        "verify",
        str(leaf),
        "--trust",
        str(root),
    ]
    offline = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (offline.returncode, web.asked) == (13, [])
    online = subprocess.run([*command, "--fetch"], capture_output=True, text=True, check=False, timeout=60)
    assert online.returncode == 16
    assert f"fetched OCSP response from {web.url('ocsp')}: HTTP status 404" in online.stdout
    assert f"fetched CRL from {web.url('ca.crl')}: good" in online.stdout
    off = subprocess.run([*command, "--fetch", "--revocation", "off"], capture_output=True, check=False, timeout=60)
    assert off.returncode == 0


@pytest.mark.parametrize("form", ["", "--trace", "--json"])
def test_the_command_connect_tells_what_was_fetched(web: Web, tmp_path: Path, form: str) -> None:
    """Where it succeeded, and where it did not."""
    house = House.on(web, crl="ca.crl")
    root = tmp_path / "root.pem"
    root.write_bytes(house.root.certificate_pem)
    config = handclasp.ServerConfig(identities=(house.server.identity,))
    with handclasp.listen(("127.0.0.1", 0), config) as listener:

        def serve() -> None:
            for _ in range(2):
                with contextlib.suppress(handclasp.HandclaspError, OSError):
                    tls, _ = listener.accept(timeout=20)
                    tls.recv(1)  # to the end
                    tls.close()

        thread = threading.Thread(target=serve)
        thread.start()
        command = [sys.executable, "-c", "from handclasp.cli import main; main()", "connect", "--fetch"]
        command += [f"localhost:{listener.port}", "--trust", str(root), *([form] if form else [])]
        lists = house.crl(), house.crl(house.server)
        for code, web.documents["ca.crl"] in enumerate(lists):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, input="")
            assert done.returncode == code
            if form == "--json":
                told = json.loads(done.stdout)["peer"]["fetched"]
                assert told == [{"what": "CRL", "url": web.url("ca.crl"), "error": None}]
            elif form or code:
                assert f"fetched CRL from {web.url('ca.crl')}: good" in done.stderr
        thread.join()


def test_the_command_verify_takes_ocsp_responses_from_files(web: Web, tmp_path: Path) -> None:
    house = House.on(web)
    house.server.save(tmp_path, "server")
    root, response = tmp_path / "root.pem", tmp_path / "response"
    root.write_bytes(house.root.certificate_pem)
    command = [sys.executable, "-c", "from handclasp.cli import main; main()", "verify", str(tmp_path / "server.pem")]
    command += ["--trust", str(root), "--ocsp", str(response)]
    for made, code in (
        (house.issuing.ocsp_response(house.server.certificate, revoked_at=NOW), 16),
        (house.issuing.ocsp_response(house.server.certificate), 17),  # nothing tells of the authority
        (b"none", 2),
    ):
        response.write_bytes(made)
        assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == code
