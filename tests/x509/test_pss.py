"""Certificates signed with RSASSA-PSS: one hash for both uses, keys for PSS alone (RFC 4055; RFC 8446, 4.2.3)."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from handclasp.x509 import Certificate, Purpose, Report, TrustStore, verify
from handclasp.x509 import errors as e

AUTHORITY = "-addext basicConstraints=critical,CA:TRUE -days 9 -subj /CN=Root"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, with an ordinary RSA key and with one for PSS alone, and a request for a certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing; install openssl")
    folder = tmp_path_factory.mktemp("pss")
    (folder / "ext").write_text("subjectAltName=DNS:localhost")
    run(folder, f"req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.pem {AUTHORITY}")
    run(folder, "genpkey -algorithm rsa-pss -pkeyopt rsa_keygen_bits:2048 -out pss.key")
    run(folder, f"req -x509 -key pss.key -out pss.pem {AUTHORITY}")
    run(folder, "req -new -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost")
    return folder


def run(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=60)


def judged(folder: Path, authority: str, options: str = "") -> Report:
    sign = f"x509 -req -in leaf.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -sha256 -extfile ext"
    run(folder, f"{sign} -out leaf.pem {options}")
    leaf, root = (Certificate.load((folder / f"{name}.pem").read_bytes()) for name in ("leaf", authority))
    trust = TrustStore.of(root)
    return verify(
        [leaf], trust=trust, purpose=Purpose.SERVER_AUTH, at=leaf.not_before + timedelta(hours=1), name="localhost"
    )


PSS = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"


@pytest.mark.parametrize("authority", ["rsa", "pss"])
def test_a_signature_with_pss_is_good(folder: Path, authority: str) -> None:
    assert judged(folder, authority, PSS).accepted


def test_the_mask_of_pss_is_over_the_same_hash(folder: Path) -> None:
    """Else SHA-1 would come in by the back door."""
    report = judged(folder, "rsa", f"{PSS} -sigopt rsa_mgf1_md:sha1")
    assert type(report.error) is e.WeakSignatureHash
    assert "sha256 with a mask over sha1" in str(report.error)


def test_a_key_for_pss_alone_signs_in_no_other_way(folder: Path) -> None:
    """OpenSSL does not do it, so the authority's key is called an ordinary one while it signs."""
    plain = folder / "plain"
    plain.mkdir()
    (plain / "ext").write_bytes((folder / "ext").read_bytes())
    (plain / "leaf.csr").write_bytes((folder / "leaf.csr").read_bytes())
    run(plain, f"req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.pem {AUTHORITY}")
    good = judged(plain, "rsa")
    assert good.accepted
    root = Certificate.load((plain / "rsa.pem").read_bytes()).der
    rsa_encryption, pss = (
        bytes.fromhex("300d06092a864886f70d0101010500"),
        bytes.fromhex("300d06092a864886f70d01010a0500"),
    )
    alone = Certificate(root.replace(rsa_encryption, pss[:-2] + b"\x30\x00"))
    assert alone.is_rsa_pss_key
    leaf = Certificate.load((plain / "leaf.pem").read_bytes())
    report = verify(
        [leaf],
        trust=TrustStore.of(alone),
        purpose=Purpose.SERVER_AUTH,
        at=leaf.not_before + timedelta(hours=1),
        name="localhost",
    )
    assert not report.accepted
