"""What an idle connection holds on one side: each competitor in a fresh process, by what that process grows."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import peers
from bench.measure import Row
from bench.peers import Case
from handclasp import NamedGroup, ProtocolVersion
from handclasp.ca import Authority

PAIRS = 2000


def idle() -> Row:
    """Bytes for each connection, the handshake done and nothing under way."""
    figures = {}
    for name in ("handclasp", "ssl", "pyopenssl", "tlslite"):
        done = subprocess.run([sys.executable, "-m", "bench.memory", name], check=True, capture_output=True, text=True)
        figures[name] = float(done.stdout)
    return Row("memory of an idle connection", "bytes", figures)


def grown(name: str) -> float:
    """Bytes by which this process grows with each connection of one competitor."""
    root = Authority.root("Root")
    with tempfile.TemporaryDirectory() as folder:
        issued = root.intermediate("CA").server("localhost")
        case = Case(ProtocolVersion.TLS13, NamedGroup.X25519, issued, root, Path(folder))
        connect = _connect(name, case)
    pairs = PAIRS if name != "tlslite" else PAIRS // 10  # which takes thirty times as long
    kept = [connect() for _ in range(100)]
    before = _resident()
    kept += [connect() for _ in range(pairs)]
    return (_resident() - before) / (2 * pairs)


def _connect(name: str, case: Case) -> Callable[[], object]:
    if name == "handclasp":
        configs = peers.handclasp_configs(case)
        return lambda: peers.handclasp_pair(configs)
    if name == "tlslite":
        return peers.tlslite_pair(case)
    contexts = peers.ssl_contexts(case) if name == "ssl" else peers.pyopenssl_contexts(case)
    return lambda: peers.ssl_pair(contexts) if name == "ssl" else peers.pyopenssl_pair(contexts)


def _resident() -> int:
    """Bytes that the process has now, after what is free went back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    print(grown(sys.argv[1]))
