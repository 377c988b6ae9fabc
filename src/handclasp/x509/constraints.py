"""Which names an authority may issue for (RFC 5280, 4.2.1.10)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from handclasp.x509.certificate import Certificate, canonical_name
from handclasp.x509.errors import MalformedCertificate

__all__ = ["forbidden_name"]

COMPARABLE = (
    x509.DNSName,
    x509.IPAddress,
    x509.RFC822Name,
    x509.UniformResourceIdentifier,
    x509.DirectoryName,
)
"""Forms of name that constraints are understood for; others under a constraint are refused (RFC 5280, 4.2.1.10)."""


def forbidden_name(
    constraints: x509.NameConstraints, one: Certificate, compare: Callable[[], None], *, common_names: bool = False
) -> str | None:
    """A name of the certificate that the constraints forbid, None where all are allowed; `compare` counts the work.

    `common_names`: hold the subject's common names to them too, as names of hosts, for who takes them as such.
    """
    san = one.extension(x509.SubjectAlternativeName)
    names: list[x509.GeneralName] = [] if san is None else list(san)
    trees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    if one.subject_name.rdns:
        names.append(x509.DirectoryName(one.subject_name))
    if not any(isinstance(name, x509.RFC822Name) for name in names):
        mails = one.subject_name.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
        names += [_mail(str(mail.value)) for mail in mails if str(mail.value).isascii()]
    if common_names and san is None:
        commons = one.subject_name.get_attributes_for_oid(NameOID.COMMON_NAME)
        names += [x509.DNSName(str(common.value)) for common in commons if str(common.value).isascii()]
    for name in names:
        if not isinstance(name, COMPARABLE) and any(type(tree) is type(name) for tree in trees):
            return f"a name of a form that is not understood, {type(name).__name__}"
        if isinstance(name, x509.UniformResourceIdentifier) and not _host_of(name) and _has_uri(trees):
            return f"{name.value}, which names no host"
        for subtree in constraints.excluded_subtrees or ():
            if type(subtree) is type(name) and (_within(compare, name, subtree) or _may_stand_for(name, subtree)):
                return str(name.value)
        permitted = [tree for tree in constraints.permitted_subtrees or () if type(tree) is type(name)]
        if permitted and not any(_within(compare, name, tree) for tree in permitted):
            return str(name.value)
    return None


def _mail(text: str) -> x509.RFC822Name:
    try:
        return x509.RFC822Name(text)
    except ValueError as error:
        raise MalformedCertificate(f"A subject has no mail address where one belongs: {error}") from None


def _within(compare: Callable[[], None], name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    """Whether a name lies in a subtree of its own kind (RFC 5280, 4.2.1.10)."""
    compare()
    if isinstance(name, x509.DNSName):
        return _under(name.value.lower(), tree.value.lower())
    if isinstance(name, x509.IPAddress):
        address: Any = name.value
        return address in tree.value
    if isinstance(name, x509.RFC822Name):
        return _mail_within(name.value.lower(), tree.value.lower())
    if isinstance(name, x509.UniformResourceIdentifier):
        host, wanted = _host_of(name), tree.value.lower()
        return host.endswith(wanted) if wanted.startswith(".") else host == wanted
    if isinstance(name, x509.DirectoryName):
        rdns, prefix = canonical_name(name.value), canonical_name(tree.value)
        return rdns[: len(prefix)] == prefix
    return False


def _host_of(uri: x509.UniformResourceIdentifier) -> str:
    """The host of a URI by name; empty where it has none, or an address, which constraints can't hold (RFC 5280)."""
    authority = re.split(r"[/?#\\]", uri.value.partition("://")[2], maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    if host.startswith("[") or re.fullmatch(r"[0-9.]+(:[0-9]*)?", host):
        return ""
    return host.partition(":")[0].lower()


def _has_uri(trees: list[x509.GeneralName]) -> bool:
    return any(isinstance(tree, x509.UniformResourceIdentifier) for tree in trees)


def _may_stand_for(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    """Whether a wildcard covers a name in an excluded subtree below it."""
    if not isinstance(name, x509.DNSName) or not name.value.startswith("*."):
        return False
    return _under(tree.value.lower(), name.value[2:].lower())


def _under(host: str, domain: str) -> bool:
    return not domain or host == domain or host.endswith("." + domain.removeprefix("."))


def _mail_within(address: str, tree: str) -> bool:
    host = address.rpartition("@")[2]
    if "@" in tree:
        return address == tree
    return host.endswith(tree) if tree.startswith(".") else host == tree
