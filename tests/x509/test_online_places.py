"""Documents from several places, of which some are old, or somebody else's who sits between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID
from tests.x509.chains import HOST, NOW
from tests.x509.papers import CA, NAMES, SIGNS_LISTS, certificate, crl, response

from handclasp.ca import Authority
from handclasp.x509 import DEFAULT, Certificate, Purpose, Report, RevocationMode, RevocationSources, TrustStore
from handclasp.x509 import errors as e
from handclasp.x509.crl import Crl
from handclasp.x509.documents import STRANGERS, Document, Documents
from handclasp.x509.http import Fetch, FetchFailed
from handclasp.x509.online import SPARE, Online

REQUIRED = replace(DEFAULT, revocation=RevocationMode.REQUIRED, revocation_of_leaf_alone=True)
STOLEN = x509.ReasonFlags.key_compromise
ROOT = certificate("Root", 0, "Root", 0, CA)
ISSUER = certificate("Issuer", 1, "Root", 0, CA)
USELESS = certificate("Issuer", 1, "Root", 0, x509.BasicConstraints(False, None), serial=73)
"""The issuer's name and key, and no authority."""
MOMENT, HOUR = timedelta(minutes=2), timedelta(hours=1)


def url(place: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(f"http://a.example/{place}")


def leaf(*, points: tuple[str, ...] = (), ocsp: str = "", issuers: str = "") -> Certificate:
    """Each of `points` is one distribution point with the places of its letters."""
    said: list[x509.ExtensionType] = [NAMES]
    if points:
        named = [x509.DistributionPoint([url(one) for one in places], None, None, None) for places in points]
        said.append(x509.CRLDistributionPoints(named))
    access = [(AuthorityInformationAccessOID.OCSP, one) for one in ocsp]
    access += [(AuthorityInformationAccessOID.CA_ISSUERS, one) for one in issuers]
    if access:
        said.append(x509.AuthorityInformationAccess([x509.AccessDescription(how, url(one)) for how, one in access]))
    return certificate("Leaf", 2, "Issuer", 1, *said)


class Net:
    """What is found where; and what was asked for, with the seconds that there were."""

    def __init__(self, **documents: bytes) -> None:
        self.documents = documents
        self.asked: list[tuple[str, float]] = []

    def __call__(self, fetch: Fetch, seconds: float) -> bytes:
        place = fetch.url.rpartition("/")[2]
        self.asked.append((place, seconds))
        if place not in self.documents:
            raise FetchFailed("nothing there")
        return self.documents[place]


def judge(online: Online, one: Certificate, *others: Certificate, **changes: Any) -> Report:
    arguments: dict[str, Any] = {"policy": REQUIRED, "at": NOW} | changes
    trust = TrustStore.of(ROOT)
    return online.verify((one, *others), trust=trust, purpose=Purpose.SERVER_AUTH, name=HOST, **arguments)


def told(one: Certificate, *, number: int, revoked: bool = False, **more: Any) -> bytes:
    return crl("Issuer", 1, *(((one, STOLEN),) if revoked else ()), number=number, **more).der


@pytest.mark.parametrize("points", [("ab",), ("ba",), ("a", "b"), ("b", "a")])
def test_the_newer_of_two_lists_counts_wherever_it_is(points: tuple[str, ...]) -> None:
    one = leaf(points=points)
    net = Net(a=told(one, number=5), b=told(one, number=6, revoked=True))
    assert isinstance(judge(Online(transport=net), one, ISSUER).error, e.CertificateRevoked)


@pytest.mark.parametrize("places", list(permutations("abc")))
def test_one_good_place_of_several_will_do(places: tuple[str, ...]) -> None:
    one = leaf(points=("".join(places),))
    net = Net(a=told(one, number=5), b=b"<html>")
    assert judge(Online(transport=net), one, ISSUER).accepted


@pytest.mark.parametrize("ocsp", ["ab", "ba"])
def test_of_two_responders_the_worse_counts(ocsp: str) -> None:
    one = leaf(ocsp=ocsp)
    net = Net(a=response(one, ISSUER, 1), b=response(one, ISSUER, 1, "revoked"))
    assert isinstance(judge(Online(transport=net), one, ISSUER).error, e.CertificateRevoked)


@pytest.mark.parametrize("issuers", ["ab", "ba"])
def test_of_two_issuers_one_that_leads_to_a_good_path_will_do(issuers: str) -> None:
    one = leaf(issuers=issuers)
    net = Net(a=USELESS.der, b=ISSUER.der)
    assert judge(Online(transport=net), one, policy=DEFAULT).accepted


def test_what_may_be_newer_is_not_waited_for_long() -> None:
    one = leaf(points=("ab",))
    net = Net(a=told(one, number=5))
    assert judge(Online(transport=net, seconds=100), one, ISSUER).accepted
    [(_, first), (_, second)] = net.asked
    assert second <= SPARE < 50 < first


FAKES: dict[str, Callable[[Certificate], bytes | None]] = {
    "nothing": lambda _: None,
    "garbage": lambda _: b"<html>",
    "an older list": lambda one: told(one, number=5, period="long"),
    "another's list": lambda _: crl("Issuer", 9, number=10**6).der,
    "another's certificate": lambda _: ROOT.der,
}


@pytest.mark.parametrize("fake", FAKES)
def test_who_sits_between_cannot_have_a_revocation_forgotten(fake: str) -> None:
    """An older list may be in force still, and clears whom the newer one revoked."""
    one = leaf(points=("a",))
    net = Net(a=told(one, number=6, revoked=True, period="short"))
    online = Online(transport=net)
    assert isinstance(judge(online, one, ISSUER).error, e.CertificateRevoked)
    bad = FAKES[fake](one)
    net.documents = {} if bad is None else {"a": bad}
    for after in (2 * HOUR, 2 * HOUR + MOMENT, 20 * HOUR):
        net.asked.clear()
        report = judge(online, one, ISSUER, at=NOW + after)
        assert isinstance(report.error, e.CertificateRevoked), after
    assert net.asked or fake == "an older list"


@pytest.mark.parametrize("fake", ["older", "by another"])
def test_who_sits_between_cannot_have_a_response_forgotten(fake: str) -> None:
    one = leaf(ocsp="a")
    net = Net(a=response(one, ISSUER, 1, "revoked", reason=STOLEN, period="short"))
    online = Online(transport=net)
    assert isinstance(judge(online, one, ISSUER).error, e.CertificateRevoked)
    by = (ISSUER, 1) if fake == "older" else (certificate("Issuer", 9, "Root", 9, CA), 9)
    net.documents = {"a": response(one, *by, period="long")}
    for after in (2 * HOUR, 2 * HOUR + MOMENT, 20 * HOUR):
        report = judge(online, one, ISSUER, at=NOW + after, policy=DEFAULT)
        assert isinstance(report.error, e.CertificateRevoked), after


@pytest.mark.parametrize("seen", [True, False])
def test_an_authority_that_was_revoked_clears_itself_over_no_network(seen: bool) -> None:
    """All places are in its hand, where a list is by whom it issued in its issuer's name."""
    places = x509.CRLDistributionPoints([x509.DistributionPoint([url("root")], None, None, None)])
    taken = certificate("Issuer", 1, "Root", 0, CA, places)
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, url("issuers"))
    one = certificate("Leaf", 2, "Issuer", 1, NAMES, x509.AuthorityInformationAccess([access]))
    fake = certificate("Root", 3, "Issuer", 1, CA, SIGNS_LISTS)
    pem = b"".join(each.parsed.public_bytes(Encoding.PEM) for each in (fake, taken))
    net = Net(root=crl("Root", 3, number=10**6).der, issuers=pem)
    own = RevocationSources([crl("Issuer", 1)])
    if seen:
        own = RevocationSources([crl("Issuer", 1), crl("Root", 0, (taken, STOLEN), number=9)])
    policy = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
    error = e.CertificateRevoked if seen else e.RevocationUnknown
    for chain in ((one,), (one, fake), (one, fake, taken)):
        assert isinstance(judge(Online(transport=net), *chain, policy=policy, revocation=own).error, error)


def test_what_somebody_else_put_there_is_asked_for_again_in_a_minute() -> None:
    one = leaf(points=("a",), issuers="b")
    net = Net(a=crl("Issuer", 9, number=10**6).der, b=USELESS.der)
    online = Online(transport=net)
    for after in (timedelta(0), MOMENT):
        net.asked.clear()
        assert not judge(online, one, at=NOW + after).accepted
        assert net.asked


def test_no_more_is_kept_of_strangers_than_there_is_room_for() -> None:
    """Neither of issuers that a peer's own certificate names, nor of lists that nobody signed."""
    documents = Documents(list_size=1 << 20)
    bag = [certificate.__wrapped__("Issuer", 1, "Root", 0, CA, serial=serial) for serial in range(2000, 2020)]
    for place in range(2000):
        document = Document(bag, None, 0.0, 1e6)
        documents.keep(("issuer", f"http://a.example/{place}", b""), document)
    assert len(documents) * document.size <= STRANGERS
    kept = documents.at_hand(("issuer", "http://a.example/1999", b""), 30.0)
    assert kept is not None
    assert kept.value is bag
    assert documents.at_hand(("issuer", "http://a.example/1999", b""), 90.0) is None


def test_of_a_large_list_that_nobody_signed_nothing_is_kept() -> None:
    documents, key = Documents(list_size=1 << 20), ("CRL", "http://a.example/a", b"")
    taken = [(serial, NOW, STOLEN) for serial in range(1, 9000)]
    large = Crl(Authority.root("Issuer").make_crl(taken, number=1))
    large.read()
    documents.keep(key, Document(large, None, 0.0, 1e6))
    kept = documents.at_hand(key, 1.0)
    assert kept is not None
    assert kept.value is None
    assert "too large to be kept" in str(kept.error)
    documents.vouch(key, Document(large, None, 0.0, 1e6))
    found = documents.at_hand(key, 1e5)
    assert found is not None
    assert found.value is large
