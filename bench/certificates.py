"""Judging certificates: the first time and remembered, among many, and against long lists."""

from __future__ import annotations

import ssl
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store

from bench import peers
from bench.measure import Row, rates
from bench.peers import Case
from handclasp import NamedGroup, ProtocolVersion
from handclasp.ca import Authority
from handclasp.x509 import Purpose, TrustStore, verify
from handclasp.x509.crl import Crl

NOW = datetime.now(UTC)
MILLION = 1_000_000


def rows() -> list[Callable[[], Row]]:
    """Each row as a function, so that it is printed when it is measured."""
    return [judged_first, judged_again, among_a_thousand, system_store, list_loaded, list_asked]


def forget() -> None:
    """Nothing is remembered of any certificate, as in a process that just began."""
    modules: Any = sys.modules
    certificate = modules["handclasp.x509.certificate"]
    for kept in (modules["handclasp.x509.verify"]._memory, certificate._canonical_names, certificate._accepted):
        kept.clear()
    certificate._alive.clear()  # who is a server in the same process has its own chain


def forget_one(der: bytes) -> None:
    """Nothing is remembered of this certificate and of verdicts."""
    modules: Any = sys.modules
    modules["handclasp.x509.verify"]._memory.clear()
    certificate = modules["handclasp.x509.certificate"].interned(der)
    certificate.__dict__.clear()
    certificate.__init__(der)


def judged_first() -> Row:
    """A leaf with one intermediate, parsed and judged anew.

    `ssl` judges in a handshake alone. Its figure is what a handshake takes longer with a trusted root than
    without verification; parsing is in both, so it is left out of that.
    """
    root = Authority.root("Root")
    leaf = root.intermediate("CA").server("localhost")
    ders, trust = [one.der for one in leaf.chain], root.trust

    def ours() -> None:
        forget()
        if not verify(ders, trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="localhost").accepted:
            raise AssertionError

    anchor = x509.load_der_x509_certificate(root.certificate.der)
    builder = PolicyBuilder().store(Store([anchor])).time(NOW.replace(tzinfo=None))

    def theirs() -> None:
        own, *others = [x509.load_der_x509_certificate(der) for der in ders]
        builder.build_server_verifier(x509.DNSName("localhost")).verify(own, others)

    with tempfile.TemporaryDirectory() as folder:
        case = Case(ProtocolVersion.TLS13, NamedGroup.X25519, leaf, root, Path(folder))
        trusting = peers.ssl_contexts(case)
    trustless = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trusting[1])
    trustless[0].check_hostname, trustless[0].verify_mode = False, ssl.CERT_NONE
    competitors: dict[str, Callable[[], object]] = {
        "handclasp": ours,
        "with": lambda: peers.ssl_pair(trusting),
        "without": lambda: peers.ssl_pair(trustless),
        "floor": theirs,
    }
    row = rates("judge a leaf and one intermediate", "per second", competitors)
    row.what += " (floor: cryptography's verifier)"
    row.figures["ssl"] = 1 / (1 / row.figures.pop("with") - 1 / row.figures.pop("without"))
    return row


def judged_again() -> Row:
    """The same chain once more."""
    root = Authority.root("Root")
    ders, trust = [one.der for one in root.intermediate("CA").server("localhost").chain], root.trust
    return rates(
        "judge the same chain again",
        "per second",
        {"handclasp": lambda: verify(ders, trust=trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="localhost")},
    )


def among_a_thousand() -> Row:
    """A path among a thousand intermediates, most of which lead nowhere."""
    root = Authority.root("Root")
    leaf = root.intermediate("CA").server("localhost")
    pool = [one.der for one in (*leaf.chain, *(root.intermediate(f"CA {i}").certificate for i in range(999)))]

    def step() -> None:
        forget()
        if not verify(pool, trust=root.trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="localhost").accepted:
            raise AssertionError

    return rates("find a path among 1,000 intermediates", "per second", {"handclasp": step}, rounds=3)


def system_store() -> Row:
    """The system's authorities, read and indexed."""
    anchors = TrustStore.system().anchors
    pem = b"".join(one.parsed.public_bytes(_pem()) for one in anchors)

    def step() -> None:
        forget()
        if not TrustStore.from_pem(pem).subjects:
            raise AssertionError

    return rates(f"load {len(anchors)} system authorities", "per second", {"handclasp": step}, rounds=3)


def list_loaded() -> Row:
    """A list of a million entries, loaded."""
    _, der = _long_list()
    return rates("load a CRL of 1,000,000 entries", "per second", {"handclasp": lambda: Crl(der)}, rounds=3)


def list_asked() -> Row:
    """The same list, asked for one serial number."""
    issuer, der = _long_list()
    crl, name, serial = Crl(der), issuer.certificate.subject_canonical, (1 << 120) + 777_777
    if crl.find(serial, name) is None:
        raise AssertionError
    return rates("ask it for a serial number", "per second", {"handclasp": lambda: crl.find(serial, name)})


def _long_list() -> tuple[Authority, bytes]:
    """Put together by hand: building a million entries one by one would take minutes."""
    issuer = Authority.root("Long List")
    then, later = _element(0x17, b"240101000000Z"), _element(0x17, b"491231000000Z")
    entries = b"".join(
        _element(0x30, _element(2, ((1 << 120) + number).to_bytes(16, "big")) + then) for number in range(MILLION)
    )
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    number = _element(0x30, bytes.fromhex("0603551d14") + _element(4, _element(2, b"\x01")))
    extensions = _element(0xA0, _element(0x30, number))
    fields = _element(2, b"\x01") + algorithm + issuer.certificate.subject + then + later
    tbs = _element(0x30, fields + _element(0x30, entries) + extensions)
    signature = issuer._private_key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return issuer, _element(0x30, tbs + algorithm + _element(3, b"\0" + signature))


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _pem() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.PEM
