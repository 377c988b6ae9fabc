"""Which names an authority may issue for (RFC 5280, 4.2.1.10).

Names and subtrees are put into a form that compares quickly once for each certificate: a hostile chain can
have them compared thousands of times.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from handclasp.x509.certificate import Certificate, canonical_name
from handclasp.x509.der import element, elements
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.text import shortened

__all__ = ["forbidden_name", "forbidden_to_issue"]

_KINDS: dict[int, type[x509.GeneralName]] = {
    0xA0: x509.OtherName,
    0x81: x509.RFC822Name,
    0x82: x509.DNSName,
    0xA4: x509.DirectoryName,
    0x86: x509.UniformResourceIdentifier,
    0x87: x509.IPAddress,
    0x88: x509.RegisteredID,
}
"""Forms of name by their tag in a GeneralName."""

Subtrees = dict[type[x509.GeneralName], list[Any]]


@dataclass(frozen=True, slots=True)
class _Name:
    """A name of a certificate: its kind, the form that is compared, and the one to show."""

    kind: type[x509.GeneralName]
    form: Any
    shown: str


def forbidden_name(
    issuer: Certificate, one: Certificate, compare: Callable[[], None], *, common_names: bool = False
) -> str | None:
    """A name of a certificate that an authority's constraints forbid, None where all are allowed.

    `compare` counts the work. `common_names`: hold the subject's common names to them too, as names of
    hosts, for who takes them as such.
    """
    names: tuple[_Name, ...] = one.once(
        "constrained names", lambda: tuple(_names(one.subject_name, one.extension(x509.SubjectAlternativeName)))
    )
    if common_names and one.extension(x509.SubjectAlternativeName) is None:
        names = (*names, *_common_names(one.subject_name))
    return _forbidden(issuer, names, compare)


def forbidden_to_issue(issuer: Certificate, subject: x509.Name, san: Iterable[x509.GeneralName]) -> str | None:
    """The same of a certificate that is to be issued.

    A common name with a dot is held to the constraints as a host's where no other host is named, since OpenSSL does.
    """
    names = [*_names(subject, san)]
    if not any(name.kind is x509.DNSName for name in names):
        names += (name for name in _common_names(subject) if "." in name.form)
    return _forbidden(issuer, names, lambda: None)


def _forbidden(issuer: Certificate, names: Iterable[_Name], compare: Callable[[], None]) -> str | None:
    permitted, excluded, limited = issuer.once("subtrees", lambda: _subtrees(issuer))
    for name in names:
        if name.kind in limited:
            return f"{name.shown}, by a constraint with a minimum or maximum"
        out, within = excluded.get(name.kind, ()), permitted.get(name.kind, ())
        if not out and not within:
            continue
        if name.kind not in _WITHIN:
            return f"a name of a form that is not understood, {name.kind.__name__}"
        if name.kind is x509.UniformResourceIdentifier and not name.form:
            return f"{name.shown}, which names no host"
        test, strict = _WITHIN[name.kind]
        for tree in out:
            compare()
            if test(name.form, tree) or _may_stand_for(name, tree):
                return name.shown
        if not within:
            continue
        for tree in within:
            compare()
            if (strict or test)(name.form, tree):
                break
        else:
            return name.shown
    return None


def _subtrees(issuer: Certificate) -> tuple[Subtrees, Subtrees, frozenset[type[x509.GeneralName]]]:
    constraints = issuer.extension(x509.NameConstraints)
    if constraints is None:
        return {}, {}, frozenset()
    return _by_kind(constraints.permitted_subtrees), _by_kind(constraints.excluded_subtrees), _limited(issuer)


def _limited(issuer: Certificate) -> frozenset[type[x509.GeneralName]]:
    """Forms of name with a minimum or maximum, which the parser does not show: no name of such a form is permitted."""
    raw = (issuer.fields.extensions or {})[x509.NameConstraints.oid.dotted_string]
    found = set()
    for _, trees in elements(element(raw, 0, 0x30)):
        for _, tree in elements(trees):
            (tag, _), *limits = elements(tree)
            if limits and tag in _KINDS:
                found.add(_KINDS[tag])
    return frozenset(found)


def _by_kind(trees: Iterable[x509.GeneralName] | None) -> Subtrees:
    found: Subtrees = defaultdict(list)
    for tree in trees or ():
        found[type(tree)].append(_tree_form(tree))
    return dict(found)


def _tree_form(tree: x509.GeneralName) -> Any:
    if isinstance(tree, x509.DirectoryName):
        return canonical_name(tree.value)
    if isinstance(tree, x509.RFC822Name):
        return _mail_form(tree.value) if "@" in tree.value else ("", _host_form(tree.value))
    return _host_form(tree.value) if isinstance(tree.value, str) else tree.value


def _names(subject: x509.Name, san: Iterable[x509.GeneralName] | None) -> Iterable[_Name]:
    """The names that constraints may be about: those of the SAN, the subject, and its mail addresses."""
    if subject.rdns:
        yield _Name(x509.DirectoryName, canonical_name(subject), shortened(subject.rfc4514_string()))
    has_mail = False
    for name in san or ():
        has_mail = has_mail or isinstance(name, x509.RFC822Name)
        yield _Name(type(name), _name_form(name), _shown(name))
    if not has_mail:
        for mail in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
            if str(mail.value).isascii():
                yield _Name(x509.RFC822Name, _mail_form(_mail(str(mail.value)).value), shortened(str(mail.value)))


def _common_names(subject: x509.Name) -> Iterable[_Name]:
    for common in subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if str(common.value).isascii():
            yield _Name(x509.DNSName, _host_form(str(common.value)), shortened(str(common.value)))


def _shown(name: x509.GeneralName) -> str:
    return shortened(name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else str(name.value))


def _name_form(name: x509.GeneralName) -> Any:
    if isinstance(name, x509.DNSName):
        return _host_form(name.value)
    if isinstance(name, x509.RFC822Name):
        return _mail_form(name.value)
    if isinstance(name, x509.UniformResourceIdentifier):
        return _host_of(name)
    return canonical_name(name.value) if isinstance(name, x509.DirectoryName) else name.value


def _host_form(host: str) -> str:
    """In lower case and without the dot of a full name, as it is looked up."""
    return host.lower().removesuffix(".")


def _mail_form(address: str) -> tuple[str, str]:
    local, _, host = address.rpartition("@")
    return local, _host_form(host)


def _mail(text: str) -> x509.RFC822Name:
    try:
        return x509.RFC822Name(text)
    except ValueError as error:
        raise MalformedCertificate(f"A subject has no mail address where one belongs: {error}") from None


def _host_of(uri: x509.UniformResourceIdentifier) -> str:
    """The host of a URI by name; empty where it has none, or an address, which constraints can't hold (RFC 5280)."""
    authority = re.split(r"[/?#\\]", uri.value.partition("://")[2], maxsplit=1)[0]
    host = _host_form(authority.rpartition("@")[2].partition(":")[0])
    if re.fullmatch(r"[0-9.]*", host) or not re.fullmatch(r"[a-z0-9_.-]+", host):
        return ""
    return host


def _may_stand_for(name: _Name, tree: Any) -> bool:
    """Whether a wildcard covers a name in an excluded subtree below it."""
    return name.kind is x509.DNSName and name.form.startswith("*.") and _dns_within(tree, name.form[2:])


def _dns_within(host: str, domain: str) -> bool:
    return not domain or host == domain or host.endswith("." + domain.removeprefix("."))


def _host_within(host: str, tree: str) -> bool:
    return not tree or (host.endswith(tree) if tree.startswith(".") else host == tree)


def _mail_within(address: tuple[str, str], tree: tuple[str, str]) -> bool:
    """For what is excluded: who may be meant by an address in other letters is meant."""
    local, host = tree
    if local:
        return address[1] == host and address[0].lower() == local.lower()
    return _host_within(address[1], host)


def _mail_within_strictly(address: tuple[str, str], tree: tuple[str, str]) -> bool:
    """For what is permitted: only the host decides what its local parts mean (RFC 5321, 2.4)."""
    return _mail_within(address, tree) and tree[0] in ("", address[0])


def _address_within(address: Any, network: Any) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    return address in network or (mapped is not None and mapped in network)


def _address_within_strictly(address: Any, network: Any) -> bool:
    return address in network


def _directory_within(rdns: tuple[Any, ...], prefix: tuple[Any, ...]) -> bool:
    return rdns[: len(prefix)] == prefix


Test = Callable[[Any, Any], bool]
_WITHIN: dict[type[x509.GeneralName], tuple[Test, Test | None]] = {
    x509.DNSName: (_dns_within, None),
    x509.IPAddress: (_address_within, _address_within_strictly),
    x509.RFC822Name: (_mail_within, _mail_within_strictly),
    x509.UniformResourceIdentifier: (_host_within, None),
    x509.DirectoryName: (_directory_within, None),
}
"""Forms of name that constraints are understood for, and whether a name lies in a subtree of its own form.

As widely as somebody may take it, for what is excluded; where a second is given, more narrowly for what is permitted.
"""
