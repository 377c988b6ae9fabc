"""Run all measurements, print a table, write `bench/latest.json`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import certificates, floor, memory, peers
from bench.measure import NAMES, Row, rates
from bench.peers import Case
from handclasp import NamedGroup, ProtocolVersion
from handclasp.ca import Authority, KeyType

TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
LATEST = Path(__file__).parent / "latest.json"
RATIOS = Path(__file__).parent / "ratios.json"


def main() -> int:
    root = Authority.root("Bench Root")
    issuing = root.intermediate("Bench Issuing CA")
    ecdsa, rsa = issuing.server("localhost"), issuing.server("localhost", key=KeyType.RSA2048)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:

        def case(version: ProtocolVersion, group: NamedGroup, kind: str = "ECDSA") -> Case:
            where = Path(folder) / kind
            return Case(version, group, ecdsa if kind == "ECDSA" else rsa, root, where)

        x25519, hybrid = NamedGroup.X25519, NamedGroup.X25519MLKEM768
        for version, group, kind in (
            (TLS13, x25519, "ECDSA"),
            (TLS13, x25519, "RSA"),
            (TLS13, hybrid, "ECDSA"),
            (TLS12, x25519, "ECDSA"),
            (TLS12, x25519, "RSA"),
        ):
            rows.append(show(full_handshake(case(version, group, kind), kind)))
        rows.append(show(chain_new(case(TLS13, x25519))))
        rows.append(show(leaf_new(case(TLS13, x25519))))
        rows.append(show(resumed(case(TLS13, x25519))))
        for name, size in (("16 KiB", 1 << 14), ("1 MiB", 1 << 20)):
            rows.append(show(transfer(case(TLS13, x25519), f"seal+open {name}", size, peers.handclasp_records)))
            rows.append(show(transfer(case(TLS13, x25519), f"{name} through connections", size)))
        rows.append(show(memory.idle()))
    rows += [show(measure()) for measure in certificates.rows()]
    LATEST.write_text(json.dumps([row.to_dict() for row in rows], indent=1) + "\n")
    lost = guard(rows)
    print(f"\nwritten to {LATEST.relative_to(Path.cwd()) if LATEST.is_relative_to(Path.cwd()) else LATEST}")
    return 1 if lost else 0


def guard(rows: list[Row]) -> list[str]:
    """Rows whose ratio to `ssl` fell by more than 5% under the one on record; the record is changed by hand."""
    record: dict[str, float] = json.loads(RATIOS.read_text())
    lost = []
    for row in rows:
        if row.what in record and "ssl" in row.figures:
            ratio = row.figures["handclasp"] / row.figures["ssl"]
            if ratio < 0.95 * record[row.what]:
                lost.append(f"{row.what}: {ratio:.2f} times ssl, and {record[row.what]:.2f} on record")
    for line in lost:
        print(f"lost: {line}")
    return lost


def show(row: Row) -> Row:
    """Print one row at once: the whole run takes a minute or two."""
    if not show.__dict__.get("headed"):
        print(f"{'':68}{'unit':>14}" + "".join(f"{name:>12}" for name in NAMES) + f"{'x ssl':>8}")
        show.__dict__["headed"] = True
    cells = "".join(f"{row.figures[name]:>12,.0f}" if name in row.figures else f"{'-':>12}" for name in NAMES)
    ratio = row.figures["handclasp"] / row.figures["ssl"] if "ssl" in row.figures else None
    print(f"{row.what:68}{row.unit:>14}{cells}" + (f"{ratio:>8.2f}" if ratio else ""))
    sys.stdout.flush()
    return row


def full_handshake(case: Case, kind: str) -> Row:
    configs = peers.handclasp_configs(case)
    pyopenssl = peers.pyopenssl_contexts(case)
    competitors: dict[str, Callable[[], object]] = {"handclasp": lambda: peers.handclasp_pair(configs)}
    if case.group == NamedGroup.X25519:
        contexts = peers.ssl_contexts(case)
        competitors["ssl"] = lambda: peers.ssl_pair(contexts)
        competitors["tlslite"] = peers.tlslite_pair(case)
    competitors["pyopenssl"] = lambda: peers.pyopenssl_pair(pyopenssl)
    competitors["floor"] = floor.handshake(case)
    name = "1.3" if case.version == TLS13 else "1.2"
    return rates(f"full handshake TLS {name} {case.group.name} {kind}", "per second", competitors)


def chain_new(case: Case) -> Row:
    """The same where nothing of the chain is remembered: a server of an authority that was never met."""
    configs, contexts = peers.handclasp_configs(case), peers.ssl_contexts(case)

    def step() -> None:
        certificates.forget()
        peers.handclasp_pair(configs)

    what = f"full handshake TLS 1.3 {case.group.name} ECDSA, chain new"
    return rates(what, "per second", {"handclasp": step, "ssl": lambda: peers.ssl_pair(contexts)})


def leaf_new(case: Case) -> Row:
    """The same with a server that was never met, of an authority that was."""
    configs, contexts = peers.handclasp_configs(case), peers.ssl_contexts(case)

    def step() -> None:
        certificates.forget_one(case.server.certificate.der)
        peers.handclasp_pair(configs)

    what = f"full handshake TLS 1.3 {case.group.name} ECDSA, leaf new"
    return rates(what, "per second", {"handclasp": step, "ssl": lambda: peers.ssl_pair(contexts)})


def resumed(case: Case) -> Row:
    configs = peers.handclasp_configs(case, resume=True)
    peers.handclasp_pair(configs)

    def step() -> None:
        client, _ = peers.handclasp_pair(configs)
        if client.established is None or not client.established.resumed:
            raise AssertionError("handclasp did not resume")

    competitors = {
        "handclasp": step,
        "ssl": peers.ssl_resumed(case),
        "pyopenssl": peers.pyopenssl_resumed(case),
        "tlslite": peers.tlslite_resumed(case),
    }
    return rates("resumed handshake TLS 1.3 X25519", "per second", competitors)


def transfer(
    case: Case, what: str, size: int, ours: Callable[[Case, int], Callable[[], object]] = peers.handclasp_transfer
) -> Row:
    competitors = {
        "handclasp": ours(case, size),
        "ssl": peers.ssl_transfer(case, size),
        "pyopenssl": peers.pyopenssl_transfer(case, size),
        "tlslite": peers.tlslite_transfer(case, size),
        "floor": floor.transfer(size),
    }
    return rates(what, "MB per second", competitors, per_call=size / 1e6)


if __name__ == "__main__":
    sys.exit(main())
