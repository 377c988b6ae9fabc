"""Authorities that other people's programs made: we read what they write, and judge by it."""

from __future__ import annotations

import datetime
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from tests.interop.harness import missing

from handclasp.x509 import DEFAULT, Purpose, RevocationMode, RevocationSources, TrustStore, verify
from handclasp.x509.errors import CertificateError, CertificateRevoked, RevocationUnknown
from handclasp.x509.identity import Identity

pytestmark = pytest.mark.interop
NAMES = ("good", "bad")


@dataclass(frozen=True)
class Theirs:
    """What a program made: a root, a list of it, and two identities for their.example, the bad one revoked."""

    root: Path
    crl: Path
    identities: Callable[[str], list[Identity]]
    """Every form in which this name's certificate and key were written."""
    numbered: bool = True
    """Whether the list has the number that RFC 5280, 5.2.3, wants; one that has none says nothing to us."""


def run(folder: Path, *command: str, stdin: str = "") -> str:
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def by_gnutls(folder: Path) -> Theirs:
    def certtool(text: str) -> None:
        run(folder, "certtool", *text.split())

    (folder / "root.tmpl").write_text('cn = "Theirs"\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 30\n')
    (folder / "crl.tmpl").write_text("crl_next_update = 7\ncrl_number = 1\n")
    certtool("--generate-privkey --key-type=ecdsa --outfile root.key")
    certtool("--generate-self-signed --load-privkey root.key --template root.tmpl --outfile root.pem")
    for number, name in enumerate(NAMES, 10):
        (folder / "leaf.tmpl").write_text(
            f'cn = "{name}"\nserial = {number}\ndns_name = "their.example"\n'
            "tls_www_server\nsigning_key\nexpiration_days = 9\n"
        )
        certtool(
            f"--generate-privkey --key-type={'rsa --bits=2048' if name == 'bad' else 'eddsa'} --outfile {name}.key"
        )
        issue = f"--generate-certificate --load-privkey {name}.key --load-ca-certificate root.pem"
        certtool(f"{issue} --load-ca-privkey root.key --template leaf.tmpl --outfile {name}.pem")
        certtool(f"--load-privkey {name}.key --to-p8 --outder --password=secret --outfile {name}.p8")
        pack = f"--load-certificate {name}.pem --load-privkey {name}.key --to-p12 --outder --p12-name={name}"
        certtool(f"{pack} --password=secret --outfile {name}.p12")
    sign = "--generate-crl --load-ca-privkey root.key --load-ca-certificate root.pem --template crl.tmpl"
    certtool(f"{sign} --load-certificate bad.pem --outfile list.pem")
    return Theirs(
        folder / "root.pem",
        folder / "list.pem",
        lambda name: [
            Identity.from_files(folder / f"{name}.pem", folder / f"{name}.key"),
            Identity.from_files(folder / f"{name}.pem", folder / f"{name}.p8", b"secret"),
            Identity.from_files(folder / f"{name}.p12", password=b"secret"),
        ],
    )


def by_keytool(folder: Path) -> Theirs:
    def keytool(text: str) -> None:
        run(folder, "keytool", *text.split(), "-keystore", "all.p12", "-storetype", "PKCS12", "-storepass", "secret")

    authority = "-ext bc:c=ca:true -ext ku:c=keyCertSign,cRLSign"
    keytool(f"-genkeypair -alias ca -keyalg EC -groupname secp256r1 -dname CN=Theirs -validity 30 {authority}")
    for name in NAMES:
        leaf = "-ext san=dns:their.example -ext eku=serverAuth -ext ku:c=digitalSignature"
        keytool(f"-genkeypair -alias {name} -keyalg RSA -keysize 2048 -dname CN={name} -validity 9 -signer ca {leaf}")
        take = f"-importkeystore -srckeystore all.p12 -srcstorepass secret -srcalias {name} -deststoretype PKCS12"
        run(folder, "keytool", *take.split(), "-destkeystore", f"{name}.p12", "-deststorepass", "secret")
    keytool("-exportcert -alias ca -file root.der")
    serial = Identity.from_files(folder / "bad.p12", password=b"secret").leaf.serial_number
    keytool(f"-gencrl -alias ca -id {serial} -file list.der")
    return Theirs(
        folder / "root.der",
        folder / "list.der",
        lambda name: [Identity.from_files(folder / f"{name}.p12", password=b"secret")],
        numbered=False,
    )


def by_nss(folder: Path) -> Theirs:
    where = ["-d", f"sql:{folder}"]
    (folder / "noise").write_bytes(os.urandom(64))
    run(folder, "certutil", "-N", *where, "--empty-password")
    make = ["certutil", "-S", *where, "-z", "noise", "-v", "2"]
    root = "-n ca -s CN=Theirs -x -t CT,C,C -k ec -q nistp256 -m 1 -2 --keyUsage certSigning,crlSigning,critical"
    run(folder, *make, *root.split(), stdin="y\n\ny\n")  # an authority, with any path length, critical
    for number, name in enumerate(NAMES, 10):
        leaf = (
            f"-n {name} -s CN={name} -c ca -t ,, -k rsa -g 2048 -m {number} -8 their.example --extKeyUsage serverAuth"
        )
        run(folder, *make, *leaf.split())
        run(folder, "pk12util", "-o", f"{name}.p12", "-n", name, *where, "-K", "", "-W", "secret")
    (folder / "root.pem").write_text(run(folder, "certutil", "-L", *where, "-n", "ca", "-a"))
    now = datetime.datetime.now(UTC)
    times = [f"{at:%Y%m%d%H%M%SZ}" for at in (now - timedelta(hours=1), now + timedelta(days=7))]
    # No `addext crlNumber`: crlutil would write the number without its tag.
    (folder / "script").write_text(f"update={times[0]}\nnextupdate={times[1]}\naddcert 11 {times[0]}\n")
    run(folder, "crlutil", "-G", *where, "-n", "ca", "-c", "script", "-Z", "SHA256", "-o", "list.der")
    return Theirs(
        folder / "root.pem",
        folder / "list.der",
        lambda name: [Identity.from_files(folder / f"{name}.p12", password=b"secret")],
        numbered=False,
    )


@pytest.mark.filterwarnings("ignore:PKCS#12 bundle could not be parsed as DER")  # NSS writes BER
@pytest.mark.parametrize(
    ("make", "program", "package"),
    [
        (by_gnutls, "certtool", "gnutls-bin"),
        (by_keytool, "keytool", "default-jdk-headless"),
        (by_nss, "crlutil", "libnss3-tools"),
    ],
    ids=["gnutls", "keytool", "nss"],
)
def test_their_authority_is_one_for_us(
    tmp_path: Path, make: Callable[[Path], Theirs], program: str, package: str
) -> None:
    if (why := missing(program, package)) is not None:
        pytest.skip(why)
    os.umask(0o077)  # the programs write keys as the mask says
    theirs = make(tmp_path)
    trust = TrustStore.from_file(theirs.root)
    policy = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
    lists = RevocationSources.from_path(theirs.crl)
    for name in NAMES:
        # A list without a number revokes and clears nobody (RFC 5280, 5.2.3).
        unlisted = None if theirs.numbered else RevocationUnknown
        expected: type[CertificateError] | None = CertificateRevoked if name == "bad" else unlisted
        for identity in theirs.identities(name):
            for chosen, sources, error in (
                (DEFAULT, None, None),
                (policy, lists, expected),
            ):
                report = verify(
                    [identity.leaf],
                    trust=trust,
                    policy=chosen,
                    purpose=Purpose.SERVER_AUTH,
                    at=datetime.datetime.now(UTC),
                    name="their.example",
                    revocation=sources,
                )
                assert type(report.error) is (error or type(None)), (name, report.error)
