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

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.x509.chains import HOST, NOW, Link, Made, leaf, make_chain

from handclasp.x509 import DEFAULT, WEB, Purpose, TrustStore, VerificationPolicy, verify

OURS_FOR_PYCA = replace(WEB, common_name_in_san=False)

Predicate = Callable[[Made], bool]


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


def openssl(made: Made, folder: Path) -> bool:
    for name, ders in (("leaf", made.chain[:1]), ("pool", made.chain[1:]), ("root", (made.root,))):
        pems = (x509.load_der_x509_certificate(der) for der in ders)
        (folder / f"{name}.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in pems))
    command = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-purpose", "sslserver"]
    command += ["-verify_hostname", HOST, "-no-CApath", "-no-CAstore", "-CAfile", "root.pem", "-verify_depth", "8"]
    if len(made.chain) > 1:
        command += ["-untrusted", "pool.pem"]
    done = subprocess.run([*command, "leaf.pem"], cwd=folder, capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def has(made: Made, test: Callable[[Link], bool]) -> bool:
    return any(test(link) for link in made.links[1:])


STRICTER_THAN_PYCA: dict[str, Predicate] = {
    "RFC 5280, 4.2.1.1 and 4.2.1.2: an authority has key identifiers": lambda made: has(
        made, lambda link: not link.identifiers
    ),
}
WIDER_THAN_OPENSSL: dict[str, Predicate] = {
    "RFC 5280, 4.2.1.12: anyExtendedKeyUsage allows every purpose": lambda made: any(
        link.use == "any" for link in made.links
    ),
}
STRICTER_THAN_OPENSSL: dict[str, Predicate] = {
    "RFC 9525, 2: a common name is no host's name": lambda made: made.links[0].sans is None,
    "a wildcard may not stand for an excluded name": lambda made: (
        "*.a.example" in (made.links[0].sans or ()) and has(made, lambda link: link.excluded == HOST)
    ),
}
"""What sets us apart by decision. We are never wider than `cryptography`."""

SHOWN = [
    ("pyca", next(iter(STRICTER_THAN_PYCA)), (leaf(), Link(identifiers=False))),
    ("wider than openssl", next(iter(WIDER_THAN_OPENSSL)), (leaf(use="any"), Link())),
    *zip(
        ("stricter than openssl",) * 2,
        STRICTER_THAN_OPENSSL,
        ((leaf(sans=None, common_name=HOST), Link()), (leaf(sans=("*.a.example",)), Link(excluded=HOST))),
        strict=True,
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing; install openssl")
    return tmp_path_factory.mktemp("differential")


@pytest.mark.parametrize(("other", "reason", "links"), SHOWN, ids=[reason for _, reason, _ in SHOWN])
def test_each_reason_still_has_a_chain_to_show_for_it(
    folder: Path, other: str, reason: str, links: tuple[Link, ...]
) -> None:
    made = make_chain(*links)
    if other == "pyca":
        assert (ours(made, OURS_FOR_PYCA), pyca(made)) == (False, True), reason
    else:
        wider = other == "wider than openssl"
        assert (ours(made, DEFAULT), openssl(made, folder)) == (wider, not wider), reason


def authorities() -> st.SearchStrategy[Link]:
    return st.builds(
        Link,
        dates=rarely("now", "past", "future"),
        ca=rarely(True, False, None),
        path_length=rarely(None, 0, 1),
        signs=rarely(True, False, None),
        use=rarely(None, "server", "client", "any"),
        permitted=rarely(None, "a.example", "b.example"),
        excluded=rarely(None, "b.example", HOST),
        unknown_critical=rarely(False, True),
        identifiers=rarely(True, False),
        forged=rarely(False, True),
    )


def leaves() -> st.SearchStrategy[Link]:
    return st.builds(
        Link,
        dates=rarely("now", "past", "future"),
        ca=rarely(None, False, True),
        signs=rarely(False, None, True),
        use=rarely("server", None, "client", "any"),
        sans=rarely((HOST,), ("b.example", HOST), ("*.a.example",), ("*.example",), ("b.example",), None),
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
    reasons = STRICTER_THAN_PYCA if theirs else {}
    assert verdict == theirs or any(holds(made) for holds in reasons.values())


@given(made=chains())
@settings(max_examples=150, deadline=None)
def test_we_judge_as_openssl_does_but_where_we_say_so(folder: Path, made: Made) -> None:
    verdict, theirs = ours(made, DEFAULT), openssl(made, folder)
    reasons = WIDER_THAN_OPENSSL if verdict else STRICTER_THAN_OPENSSL
    assert verdict == theirs or any(holds(made) for holds in reasons.values())


def test_a_chain_without_fault_is_good_for_all(folder: Path) -> None:
    made = make_chain(leaf(), Link(), Link())
    assert ours(made, WEB)
    assert pyca(made)
    assert openssl(made, folder)
