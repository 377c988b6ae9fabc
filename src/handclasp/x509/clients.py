"""Which clients a server lets in, by the names in their certificates (mission row S20)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handclasp.errors import ConfigError
from handclasp.values import check_fields

if TYPE_CHECKING:
    from handclasp.x509.names import Identities

__all__ = ["AllowedClient"]


@dataclass(frozen=True, slots=True)
class AllowedClient:
    """One rule: a client with this name is let in.

    `kind` is "dns", "email", "uri" or "subject" (the whole subject, as RFC 4514 writes it). With
    `suffix` the name may have anything before it: a whole label or more in "dns", a host in "email",
    and in "uri" anything below a SPIFFE ID, as "spiffe://example.org/web" for ".../web/blue".
    """

    kind: str
    name: str
    suffix: bool = False

    def __post_init__(self) -> None:
        check_fields(self, where="allowed_clients: ")
        if self.kind not in ("dns", "email", "uri", "subject"):
            raise ConfigError(f"allowed_clients: {self.kind!r} is none of dns, email, uri and subject.")
        if not self.name.strip("./@"):
            raise ConfigError("allowed_clients: a rule without a name would let in everybody.")
        if self.suffix and self.kind == "subject":
            raise ConfigError("allowed_clients: a subject is compared whole.")

    def __str__(self) -> str:
        return f"{self.kind} {'below ' if self.suffix else ''}{self.name}"

    def admits(self, identities: Identities) -> bool:
        """Whether one of these names is let in by this rule."""
        if self.kind == "subject":
            return identities.subject == self.name
        if self.kind == "uri":
            below = self.name.rstrip("/") + "/"
            return any(uri == self.name or (self.suffix and _is_below(uri, below)) for uri in identities.uris)
        wanted = self.name.lower()
        if self.kind == "dns":
            names, mark = identities.dns, "."
        else:
            names, mark = identities.emails, "@"
        return any(
            one.lower() == wanted or (self.suffix and one.lower().endswith(mark + wanted.lstrip(mark))) for one in names
        )


def _is_below(uri: str, place: str) -> bool:
    """Whether a URI is below a place, and stays there however its path is resolved (RFC 3986, 5.2.4)."""
    path = re.split(r"[?#]", uri.removeprefix(place), maxsplit=1)[0]
    return uri.startswith(place) and not {".", "..", ""} & set(
        re.split(r"[/\\]|%2f|%5c", path.lower().replace("%2e", "."))
    )
