"""The certificates that go with a party's own, in the order in which they are sent.

Each certifies the one before it (RFC 5246, 7.4.2), whatever their order was in a file; strangers are left out, copies
too, and the root, which whoever trusts it has (RFC 8446, 4.4.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cryptography import x509

from handclasp.x509.certificate import Certificate
from handclasp.x509.checks import is_signed_by
from handclasp.x509.errors import MalformedCertificate

__all__ = ["by_name", "in_order", "is_root", "key_of", "own_of"]

Pool = Mapping[tuple[object, ...], list[Certificate]]
"""Certificates by their subject."""


def own_of(certificates: Iterable[Certificate], key: bytes) -> Certificate | None:
    """The certificate of a public key (SubjectPublicKeyInfo in DER); None where there is none.

    Of several it is one that somebody else signed rather than the key itself, an end entity's rather than an
    authority's, and then the one that is valid longest.
    """
    found = [one for one in certificates if key_of(one) == key]
    return max(found, key=lambda one: (not is_root(one), not _is_authority(one), *_newest(one))) if found else None


def by_name(certificates: Iterable[Certificate]) -> Pool:
    """Certificates to look for issuers in; raises `MalformedCertificate`."""
    found: dict[tuple[object, ...], list[Certificate]] = {}
    for one in dict.fromkeys(certificates):
        found.setdefault(one.subject_canonical, []).append(one)
    return found


def in_order(own: Certificate, pool: Pool) -> tuple[tuple[Certificate, ...], Certificate | None]:
    """What is sent, and the root above it where that is in the pool; `own` is its own root where it signed itself.

    Where several certify the same, as an authority that others have cross-certified, the one that leads on counts
    rather than a root, and of those the one that is valid longest. No name comes twice with the same key, as it would
    where two authorities certify each other; one key may have several names.
    """
    chain, met = [own], {(own.subject_canonical, own.key_bytes)}
    while not is_root(last := chain[-1]):
        named = pool.get(last.issuer_canonical, ())
        above = [one for one in named if (one.subject_canonical, key_of(one)) not in met and _certifies(one, last)]
        if not above:
            return tuple(chain), None
        best = max(above, key=lambda one: (not is_root(one), _is_authority(one), *_newest(one)))
        if is_root(best):
            return tuple(chain), best
        chain.append(best)
        met.add((best.subject_canonical, best.key_bytes))
    return tuple(chain), own


def is_root(one: Certificate) -> bool:
    """Whether a certificate is signed by its own key."""
    return one.is_self_issued and _certifies(one, one)


def key_of(one: Certificate) -> bytes | None:
    """None for a key of a kind that nobody here can use, which some authorities have."""
    _ = one.parsed  # what is no certificate is told as such
    try:
        return one.key_bytes
    except MalformedCertificate:
        return None


def _certifies(issuer: Certificate, child: Certificate) -> bool:
    if child.signer == issuer.der:
        return True
    good = is_signed_by(child, issuer)
    if good:
        child.signer = issuer.der
    return good


def _is_authority(one: Certificate) -> bool:
    constraints = one.extension(x509.BasicConstraints)
    return constraints is not None and bool(constraints.ca)


def _newest(one: Certificate) -> tuple[object, ...]:
    """The last word, so that no order of files says it."""
    return one.not_after, one.not_before, one.der
