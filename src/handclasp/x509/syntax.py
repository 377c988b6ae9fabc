"""The syntax of each form of name in a certificate (RFC 5280, 4.2.1.6 and 4.2.1.10)."""

from __future__ import annotations

import ipaddress
import re

from cryptography import x509

from handclasp.x509.text import shortened

__all__ = ["constraint_fault", "is_host", "location_fault", "name_fault"]

_LABELS = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[ !#-\[\]-~]|\\[ -~])*"')
"""Dot-string or quoted string (RFC 5321, 4.1.2)."""
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//([^/?#]*))?([^#]*)(#.*)?")
_URI_LETTERS = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
LONGEST_HOST = 253
LONGEST_LOCAL_PART = 64


def is_host(name: str) -> bool:
    """Whether it is in the preferred name syntax (RFC 1034, 3.5; RFC 1123, 2.1), so that no address is a name."""
    if len(name) > LONGEST_HOST or not _LABELS.fullmatch(name):
        return False
    return not name.rpartition(".")[2].isdigit()


def name_fault(name: x509.GeneralName) -> str | None:
    """What is wrong with an alternative name (RFC 5280, 4.2.1.6)."""
    if isinstance(name, x509.DNSName):
        # Wildcards are left to applications, and RFC 9525, 6.3 has them as a whole first label.
        good, what = is_host(name.value.removeprefix("*.")), "host name"
    elif isinstance(name, x509.RFC822Name):
        good, what = _is_mailbox(name.value), "mail address"
    elif isinstance(name, x509.UniformResourceIdentifier):
        good, what = _is_uri(name.value), "absolute URI with a host where it has an authority"
    elif isinstance(name, x509.DirectoryName):
        return None if name.value.rdns else "a directory name is empty"
    else:
        return None
    return None if good else f"{shortened(name.value)!r} is no {what}"


def location_fault(name: x509.GeneralName) -> str | None:
    """What is wrong with the place of a list or of information (RFC 5280, 4.2.1.13 and 4.2.2.1).

    Some hosts are left for whoever asks to know, as in "ldap:///cn=...".
    """
    if isinstance(name, x509.UniformResourceIdentifier) and _is_uri(name.value, may_lack_host=True):
        return None
    return name_fault(name)


def constraint_fault(name: x509.GeneralName) -> str | None:
    """What is wrong with a subtree of name constraints (RFC 5280, 4.2.1.10); an empty one stands for all names."""
    if not isinstance(name, (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier)) or not name.value:
        return None
    value = name.value
    if isinstance(name, x509.DNSName):
        good, what = is_host(value), "domain"
    elif isinstance(name, x509.RFC822Name):
        good, what = _is_mailbox(value) if "@" in value else is_host(value.removeprefix(".")), "mail address or domain"
    else:
        good, what = is_host(value.removeprefix(".")), "host or domain of URIs"
    return None if good else f"a name constraint, {shortened(value)!r}, is no {what}"


def _is_mailbox(address: str) -> bool:
    local, at, host = address.rpartition("@")
    if not at or len(local) > LONGEST_LOCAL_PART or not _LOCAL_PART.fullmatch(local):
        return False
    if host.startswith("[") and host.endswith("]"):
        return _is_address(host[1:-1].removeprefix("IPv6:"))
    return is_host(host)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # zones are of this machine alone


def _is_uri(uri: str, *, may_lack_host: bool = False) -> bool:
    found = _URI.fullmatch(uri)
    if found is None or not _URI_LETTERS.fullmatch(uri):
        return False
    authority, rest = found.group(3), found.group(4)
    if not authority and (authority is None or may_lack_host):
        return bool(rest)
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        literal, closed, port = host[1:].partition("]")
        return bool(closed) and re.fullmatch(r"(?::\d*)?", port) is not None and _is_address(literal)
    host, _, port = host.partition(":")
    return re.fullmatch(r"\d*", port) is not None and (is_host(host) or _is_address(host))
