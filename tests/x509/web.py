"""An HTTP server of documents, and a house of authorities whose certificates say that all is found there."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from typing import Any

from cryptography import x509

from handclasp.ca import Authority, Issued
from handclasp.x509 import (
    DEFAULT,
    Purpose,
    Report,
    RevocationMode,
)
from handclasp.x509.online import Online

NOW = datetime.datetime.now(UTC) + timedelta(hours=1)
"""After all that the tests make, however long they take."""
REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
Document = bytes | Callable[[bytes], bytes]


@dataclass
class Web:
    """An HTTP server of documents by path, and the paths that were asked for."""

    port: int
    documents: dict[str, Document] = field(default_factory=dict)
    redirections: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@dataclass
class House:
    """A root, an issuing authority whose certificates say where all is found, and a server."""

    root: Authority
    issuing: Authority
    server: Issued

    @classmethod
    def on(cls, web: Web, *, issuer: str = "", crl: str = "", ocsp: str = "") -> House:
        root = Authority.root("Online Root")
        issuing = root.intermediate("Online CA")
        issuing.issuer_url = web.url(issuer) if issuer else None
        issuing.crl_url = web.url(crl) if crl else None
        issuing.ocsp_url = web.url(ocsp) if ocsp else None
        house = cls(root, issuing, issuing.server("localhost"))
        web.documents["ca.der"] = issuing.certificate.der
        return house

    def crl(self, *revoked: Issued, **more: Any) -> bytes:
        taken = [(one.certificate.serial_number, NOW, x509.ReasonFlags.key_compromise) for one in revoked]
        return self.issuing.make_crl(taken, number=1, **more)

    def judge(self, online: Online, chain: tuple[Any, ...] | None = None, **changes: Any) -> Report:
        arguments: dict[str, Any] = {"trust": self.root.trust, "purpose": Purpose.SERVER_AUTH, "at": NOW} | changes
        return online.verify(chain or self.server.chain, name="localhost", **arguments)


YEAR = timedelta(days=365)
LEAF_REQUIRED = replace(REQUIRED, revocation_of_leaf_alone=True)
