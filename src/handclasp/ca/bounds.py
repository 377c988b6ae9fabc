"""What an authority that is bound to domains may issue for, in names of every kind (RFC 5280, 4.2.1.10)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from handclasp.errors import UsageError
from handclasp.x509 import Certificate
from handclasp.x509.constraints import forbidden_to_issue
from handclasp.x509.names import normalize_host

__all__ = ["below", "bound_to", "check_names"]

Authorities = Sequence[Certificate]
"""An authority's certificate and those above it, whose constraints bind it."""

ALL_ADDRESSES = [x509.IPAddress(ipaddress.ip_network(one)) for one in ("0.0.0.0/0", "::/0")]


def bound_to(domains: Sequence[str], name: str, above: Authorities) -> x509.NameConstraints:
    """For an authority of this name: hosts, mail and URIs of these domains, and nothing of any other kind.

    Directory names lie below an organization of its own name, so that its subjects can have some. Permitted rather
    than excluded where either says it: OpenSSL does not know a subtree of all mail or of all URIs.
    """
    permitted: list[x509.GeneralName] = []
    for host in map(_domain, domains):
        permitted.append(x509.DNSName(host))
        for tree in (host, f".{host}"):  # of the host itself, and of those below it
            permitted += (x509.RFC822Name(tree), x509.UniformResourceIdentifier(tree))
    organization = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    permitted.append(x509.DirectoryName(_base(above) or organization))
    return x509.NameConstraints(permitted, ALL_ADDRESSES)


def below(name: x509.Name, above: Authorities) -> x509.Name:
    """A subject's name, below the directory name that these authorities are bound to."""
    base = _base(above)
    return name if base is None else x509.Name([*base.rdns, *name.rdns])


def check_names(subject: x509.Name, san: Sequence[x509.GeneralName], above: Authorities) -> None:
    """Raise `UsageError` for a name that one of these authorities may not issue for."""
    for one in above:
        bad = forbidden_to_issue(one, subject, san)
        if bad is not None:
            raise UsageError(f"{one.subject_text} may not issue for {bad}: its name constraints forbid that.")


def _base(above: Authorities) -> x509.Name | None:
    for one in above:
        constraints = one.extension(x509.NameConstraints)
        for tree in () if constraints is None else constraints.permitted_subtrees or ():
            if isinstance(tree, x509.DirectoryName):
                return tree.value
    return None


def _domain(name: str) -> str:
    host = normalize_host(name)
    if host.replace(".", "").isdigit():
        raise UsageError(f"{name!r}: an address is no domain that an authority could be bound to.")
    return host
