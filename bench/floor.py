"""What the primitives alone take: no engine in Python can be faster than these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.peers import Case
from handclasp.crypto import groups, signatures
from handclasp.wire.iana import ProtocolVersion


def handshake(case: Case) -> Callable[[], object]:
    """Two keys, two agreements, one signature made and verified."""
    key: Any = case.server.private_key
    scheme = signatures.schemes_for(key.public_key(), ProtocolVersion.TLS13)[0]
    public = key.public_key()
    content = bytes(130)

    def step() -> None:
        share = groups.generate(case.group)
        answer, _ = groups.respond(case.group, share.public)
        share.agree(answer)
        signatures.verify(scheme, public, signatures.sign(scheme, key, content), content)

    return step


def transfer(size: int) -> Callable[[], object]:
    """AES-128-GCM both ways over the same bytes, in records' sizes."""
    aead = AESGCM(bytes(16))
    pieces = [bytes(min(1 << 14, size - at) + 1) for at in range(0, size, 1 << 14)]
    buffer = bytearray((1 << 14) + 17)

    def step() -> None:
        for piece in pieces:
            view = memoryview(buffer)[: len(piece) + 16]
            aead.encrypt_into(bytes(12), piece, b"12345", view)
            aead.decrypt(bytes(12), view, b"12345")

    return step
