"""Our verdict beside other people's, over chains that hypothesis makes up.

Every disagreement is a decision of ours: it stands below with its reason, and an example that shows
it still exists. A disagreement without a reason fails.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.x509.chains import HOST, KEYS, NOW, Link, Made, leaf, make_chain

from handclasp.x509 import DEFAULT, RFC5280, WEB, Purpose, TrustStore, VerificationPolicy, verify

OURS_FOR_PYCA = replace(WEB, common_name_in_san=False)


def ours(made: Made, policy: VerificationPolicy) -> bool:
    trust = TrustStore.of(made.root)
    report = verify(made.chain, trust=trust, policy=policy, purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST)
    return report.accepted


def pyca(made: Made) -> bool:
    parsed = [x509.load_der_x509_certificate(der) for der in made.chain]
    builder = PolicyBuilder().store(Store([x509.load_der_x509_certificate(made.root)])).time(NOW)
    try:
        builder.build_server_verifier(x509.DNSName(HOST)).verify(parsed[0], parsed[1:])
    except VerificationError:
        return False
    return True


def openssl(made: Made, folder: Path, *more: str) -> bool:
    for name, ders in (("leaf", made.chain[:1]), ("pool", made.chain[1:]), ("root", (made.root,))):
        pems = (x509.load_der_x509_certificate(der) for der in ders)
        (folder / f"{name}.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in pems))
    command = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-purpose", "sslserver"]
    command += ["-verify_hostname", HOST, "-no-CApath", "-no-CAstore", "-CAfile", "root.pem", "-verify_depth", "8"]
    if len(made.chain) > 1:
        command += ["-untrusted", "pool.pem"]
    done = subprocess.run([*command, *more, "leaf.pem"], cwd=folder, capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def has(made: Made, test: Callable[[Link], bool]) -> bool:
    return any(test(link) for link in made.links[1:])


class Reason(NamedTuple):
    """A decision of ours that sets us apart from another verifier."""

    why: str
    is_in: Callable[[Made], bool]
    """Whether a chain has what the decision is about."""
    example: tuple[Link, ...]


def weak(link: Link) -> bool:
    return link.key in ("k1", "rsa1024")


STRICTER_THAN_PYCA = [
    Reason(
        "RFC 5280, 4.2.1.1 and 4.2.1.2: an authority has key identifiers",
        lambda made: has(made, lambda link: not link.identifiers),
        (leaf(), Link(identifiers=False)),
    ),
    Reason("a weak key is refused in a leaf too", lambda made: weak(made.links[0]), (leaf(key="k1"), Link())),
    Reason(
        "CA/Browser BR, 6.1.5: an RSA modulus is of whole bytes",
        lambda made: any(link.key == "rsa2055" for link in made.links),
        (leaf(key="rsa2055"), Link()),
    ),
    Reason(
        "CA/Browser BR, 7.1.3.1: a key is one of RSA, P-256, P-384 or P-521 in a leaf too",
        lambda made: made.links[0].key == "ed25519",
        (leaf(key="ed25519"), Link()),
    ),
    Reason(
        "CA/Browser BR, 7.1.2.7.6: a server's certificate has an extended key usage",
        lambda made: made.links[0].use is None,
        (leaf(use=None), Link()),
    ),
]
WIDER_THAN_PYCA = [
    Reason(
        "RFC 5280, 4.2.1.9: self-issued authorities do not count for the length of a path",
        lambda made: has(made, lambda link: link.self_issued) and has(made, lambda link: link.path_length is not None),
        (leaf(), Link(path_length=0), Link(self_issued=True)),
    ),
]
WIDER_THAN_OPENSSL = [
    Reason(
        "RFC 5280, 4.2.1.12: anyExtendedKeyUsage allows every purpose",
        lambda made: any(link.use == "any" for link in made.links),
        (leaf(use="any"), Link()),
    ),
    Reason(
        "every authority of a name is tried, and its own issuer's name does not end a path (RFC 5280, 6.1)",
        lambda made: has(made, lambda link: link.self_issued) and not all(link.identifiers for link in made.links),
        (leaf(), Link(), Link(self_issued=True, identifiers=False)),
    ),
]
WIDER_THAN_STRICT_OPENSSL = [
    *WIDER_THAN_OPENSSL,
    Reason(
        "RFC 5280, 4.2.1.9: an authority that is shown as a server does not have to sign certificates",
        lambda made: made.links[0].ca is True,
        (leaf(ca=True), Link()),
    ),
]
STRICTER_THAN_OPENSSL = [
    Reason(
        "RFC 9525, 2: a common name is no host's name",
        lambda made: made.links[0].sans is None,
        (leaf(sans=None, common_name=HOST), Link()),
    ),
    Reason(
        "RFC 9525, 6.3: a wildcard is a whole label",
        lambda made: made.links[0].sans == ("w*.a.example",),
        (leaf(sans=("w*.a.example",)), Link()),
    ),
    Reason("a weak key is refused", lambda made: any(map(weak, made.links)), (leaf(key="k1"), Link())),
    Reason(
        "a wildcard may not stand for an excluded name",
        lambda made: "*.a.example" in (made.links[0].sans or ()) and has(made, lambda link: link.excluded == HOST),
        (leaf(sans=("*.a.example",)), Link(excluded=HOST)),
    ),
]
SHOWN = [
    *(("pyca", False, one) for one in STRICTER_THAN_PYCA),
    *(("pyca", True, one) for one in WIDER_THAN_PYCA),
    *(("openssl", True, one) for one in WIDER_THAN_OPENSSL),
    *(("openssl", False, one) for one in STRICTER_THAN_OPENSSL),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing; install openssl")
    return tmp_path_factory.mktemp("differential")


@pytest.mark.parametrize(("other", "wider", "reason"), SHOWN, ids=[f"{o}: {r.why}" for o, _, r in SHOWN])
def test_each_reason_still_has_a_chain_to_show_for_it(folder: Path, other: str, wider: bool, reason: Reason) -> None:
    made = make_chain(*reason.example)
    assert reason.is_in(made)
    if other == "pyca":
        assert (ours(made, OURS_FOR_PYCA), pyca(made)) == (wider, not wider)
    else:
        assert (ours(made, DEFAULT), openssl(made, folder)) == (wider, not wider)


def authorities() -> st.SearchStrategy[Link]:
    return st.builds(
        Link,
        dates=rarely("now", "past", "future"),
        ca=rarely(True, False, None),
        path_length=rarely(None, 0, 1),
        signs=rarely(True, False, None),
        use=rarely(None, "server", "client", "any"),
        permitted=rarely(None, "a.example", "A.Example", "b.example", HOST, "10.0.0.0/8"),
        excluded=rarely(None, "b.example", "a.example", HOST, "10.0.0.0/8", "192.0.2.0/24"),
        unknown_critical=rarely(False, True),
        identifiers=rarely(True, False),
        forged=rarely(False, True),
        key=rarely("p256", *KEYS),
        self_issued=rarely(False, True),
    )


def leaves() -> st.SearchStrategy[Link]:
    return st.builds(
        Link,
        dates=rarely("now", "past", "future"),
        ca=rarely(None, False, True),
        signs=rarely(False, None, True),
        use=rarely("server", None, "client", "any"),
        sans=rarely(
            (HOST,),
            ("b.example", HOST),
            ("WWW.A.example",),
            ("*.a.example",),
            ("*.example",),
            ("b.example",),
            (f"{HOST}.",),
            ("w*.a.example",),
            ("*",),
            None,
        ),
        addresses=rarely((), ("10.0.0.1",), ("192.0.2.1",)),
        key=rarely("p256", *KEYS),
        common_name=rarely(None, HOST, "somebody"),
        unknown_critical=rarely(False, True),
        identifiers=rarely(True, False),
        forged=rarely(False, True),
    )


def rarely(usual: object, *odd: object) -> st.SearchStrategy[object]:
    """The usual value nine times in ten, so that most chains have a fault or two and not ten."""
    return st.integers(0, 9).flatmap(lambda roll: st.sampled_from(odd) if roll == 9 else st.just(usual))


def chains() -> st.SearchStrategy[Made]:
    return st.builds(
        lambda end, middle: make_chain(end, *middle), leaves(), st.lists(authorities(), min_size=0, max_size=3)
    )


@given(made=chains())
@settings(max_examples=300, deadline=None)
def test_we_judge_as_cryptography_does_but_where_we_say_so(made: Made) -> None:
    verdict, theirs = ours(made, OURS_FOR_PYCA), pyca(made)
    reasons = WIDER_THAN_PYCA if verdict else STRICTER_THAN_PYCA
    assert verdict == theirs or any(reason.is_in(made) for reason in reasons)


@given(made=chains())
@settings(max_examples=150, deadline=None)
def test_we_judge_as_openssl_does_but_where_we_say_so(folder: Path, made: Made) -> None:
    verdict, theirs = ours(made, DEFAULT), openssl(made, folder)
    reasons = WIDER_THAN_OPENSSL if verdict else STRICTER_THAN_OPENSSL
    assert verdict == theirs or any(reason.is_in(made) for reason in reasons)


@given(made=chains())
@settings(max_examples=150, deadline=None)
def test_the_profile_rfc5280_refuses_what_openssl_refuses_when_it_is_strict(folder: Path, made: Made) -> None:
    strict = openssl(made, folder, "-x509_strict")
    assert strict or not ours(made, RFC5280) or any(reason.is_in(made) for reason in WIDER_THAN_STRICT_OPENSSL)


def test_a_chain_without_fault_is_good_for_all(folder: Path) -> None:
    made = make_chain(leaf(), Link(), Link())
    assert ours(made, WEB)
    assert pyca(made)
    assert openssl(made, folder)
    assert openssl(made, folder, "-x509_strict")
    assert ours(made, RFC5280)
