"""Who may have signed a list about a certificate of a path (RFC 5280, 6.3.3 (f)).

Nobody vouches for himself: the authorities above the certificate in its path may, and beside them those that lead to
the same anchor by a way which neither the certificate nor its key is part of. One that signs in the name of the
certificate's issuer has that name from the same authority as the issuer, or from the issuer itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, takewhile
from typing import Any, NamedTuple

from cryptography import x509

from handclasp.x509.certificate import Certificate
from handclasp.x509.crl import Crl, is_meant
from handclasp.x509.errors import MalformedCertificate
from handclasp.x509.revocation import has_signed

__all__ = ["NOBODY", "Others", "signers_of"]

Path = tuple[Certificate, ...]


class Others(NamedTuple):
    """Certificates beside a path, and how they lead to an anchor."""

    named: Callable[[tuple[Any, ...]], Iterable[Certificate]]
    """Those of a name in canonical form."""
    ways: Callable[[Certificate], Iterable[Path]]
    """All paths from one of them to anchors, itself first; the signatures in them are good."""
    affords: Callable[[Certificate], bool]
    """Whether verifying by one's key costs no more than it may; counts it, and raises `BudgetExceeded`."""


NOBODY = Others(lambda _: (), lambda _: (), lambda _: False)


def signers_of(
    crl: Crl,
    path: Path,
    index: int,
    others: Others,
    tainted: frozenset[bytes],
    vouches: Callable[[Path], bool],
) -> Iterator[Certificate]:
    """Those who signed a list about the certificate at this place of the path and may have, the path's own first.

    `tainted` are the keys that are being judged: no way to a signer leads over one. `vouches` judges a way.
    """
    above = path[index + 1 :]
    for one in above:
        if one.subject_canonical == crl.issuer and has_signed(one, crl):
            yield one
    for one in others.named(crl.issuer):
        if one not in path and _may_be_meant(one, crl) and others.affords(one) and has_signed(one, crl):
            for way in others.ways(one):
                if _is_apart(way, path, tainted) and _may_use_name(way, path[index], above) and vouches(way):
                    yield one
                    break


def _may_be_meant(one: Certificate, crl: Crl) -> bool:
    """Whether it says itself that it may sign lists: no path that is judged leads over it."""
    try:
        usage, identifier = one.extension(x509.KeyUsage), crl.extension(x509.AuthorityKeyIdentifier)
        return usage is not None and usage.crl_sign and one.key_bytes != b"" and is_meant(identifier, one)
    except MalformedCertificate:
        return False


def _is_apart(way: Path, path: Path, tainted: frozenset[bytes]) -> bool:
    """Whether a way leads to the path's anchor, past all that is being judged."""
    return (
        way[-1] == path[-1]
        and all(one.key_bytes not in tainted for one in way)
        and all(is_meant(one.extension(x509.AuthorityKeyIdentifier), issuer) for one, issuer in pairwise(way[:-1]))
    )


def _may_use_name(way: Path, judged: Certificate, above: Path) -> bool:
    """Whether who signs in the name of the issuer has it from whom the issuer has it, or from the issuer.

    Of another name is whoever the certificate says itself (RFC 5280, 4.2.1.13, cRLIssuer).
    """
    name = judged.issuer_canonical
    if way[0].subject_canonical != name:
        return True
    same = tuple(takewhile(lambda one: one.subject_canonical == name, above))
    givers = {one.key_bytes for one in (*same, *above[len(same) : len(same) + 1])}
    return way[1].key_bytes in givers
