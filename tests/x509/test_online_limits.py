"""How long what was fetched is kept, and how much is fetched for one verdict."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID
from tests.x509.web import LEAF_REQUIRED, NOW, YEAR, House, Web

from handclasp.ca import Authority
from handclasp.errors import UsageError
from handclasp.x509 import (
    Certificate,
    Purpose,
    Report,
    verify,
)
from handclasp.x509 import errors as e
from handclasp.x509.crl import Crl
from handclasp.x509.http import Fetch, FetchFailed
from handclasp.x509.online import Online


def test_a_bag_adds_a_few_issuers_that_are_wanted_and_nothing_else(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House.on(web, issuer="ca.p7c")
    others = [Authority.root("Other").certificate.parsed for _ in range(40)]
    like_it = [Authority.root("Online CA").certificate.parsed for _ in range(40)]
    judged: list[int] = []

    def verify_and_count(chain: list[bytes], **arguments: Any) -> Report:
        judged.append(len(chain))
        return verify(chain, **arguments)

    monkeypatch.setattr("handclasp.x509.online.verify", verify_and_count)
    bag = [*others, house.issuing.certificate.parsed]
    web.documents["ca.p7c"] = pkcs7.serialize_certificates(bag, Encoding.DER)
    assert house.judge(Online(crls=False), house.server.chain[:1]).accepted
    assert max(judged) == 2
    web.documents["ca.p7c"] = pkcs7.serialize_certificates(like_it, Encoding.DER)
    judged.clear()
    house.judge(Online(), house.server.chain[:1])
    assert judged[:2] == [1, 1 + 32]


def test_what_was_fetched_is_kept_until_it_ends(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(days=2)
    online = Online()
    first = house.judge(online, policy=LEAF_REQUIRED)
    again = house.judge(online, policy=LEAF_REQUIRED)
    assert again.accepted
    assert again is house.judge(online, policy=LEAF_REQUIRED), "a verdict on the same documents is remembered"
    assert (len(first.fetched), again.fetched) == (1, ())
    later = NOW + timedelta(days=3)
    web.documents["ca.crl"] = house.crl(house.server, at=later)
    assert isinstance(house.judge(online, at=later).error, e.CertificateRevoked)
    assert web.asked == ["ca.crl"] * 2


def test_a_failure_is_kept_for_a_minute(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    online = Online()
    for _ in range(3):
        assert house.judge(online).accepted
    assert web.asked == ["ca.crl"]
    web.documents["ca.crl"] = house.crl(house.server)
    assert isinstance(house.judge(online, at=NOW + timedelta(minutes=2)).error, e.CertificateRevoked)


def test_one_verdict_takes_so_many_fetches_and_no_more(web: Web) -> None:
    house = House.on(web, issuer="ca.der", crl="ca.crl", ocsp="ocsp")
    house.judge(Online(fetches=2), house.server.chain[:1])
    assert web.asked == ["ca.der", "ocsp"]


def test_a_failure_of_another_day_counts_no_more(web: Web) -> None:
    """A clock that was wrong leaves nothing behind once it is set right."""
    house = House.on(web, crl="ca.crl")
    online = Online()
    assert house.judge(online, at=NOW + timedelta(days=90)).accepted
    web.documents["ca.crl"] = house.crl(house.server)
    assert isinstance(house.judge(online).error, e.CertificateRevoked)


def test_a_list_is_asked_for_anew_as_soon_as_it_has_ended(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(days=1)
    online, last = Online(), Crl(house.crl(days=1)).next_update
    assert last is not None
    assert house.judge(online, policy=LEAF_REQUIRED, at=last - timedelta(seconds=20)).accepted
    web.documents["ca.crl"] = house.crl(days=2)
    assert house.judge(online, policy=LEAF_REQUIRED, at=last + timedelta(seconds=20)).accepted


def test_a_list_that_holds_for_long_is_asked_for_once_a_day_and_counts_where_none_comes(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(days=100)
    online = Online()
    for hours, asked in ((0, 1), (23, 1), (25, 2)):
        assert house.judge(online, policy=LEAF_REQUIRED, at=NOW + timedelta(hours=hours)).accepted
        assert len(web.asked) == asked
    del web.documents["ca.crl"]
    report = house.judge(online, policy=LEAF_REQUIRED, at=NOW + timedelta(hours=50))
    assert report.accepted
    assert [one.error for one in report.fetched] == ["HTTP status 404"]


def test_who_was_revoked_stays_so_where_no_newer_list_comes(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(house.server, days=1)
    online = Online()
    assert isinstance(house.judge(online).error, e.CertificateRevoked)
    web.documents.clear()
    for days in (3, 4):
        report = house.judge(online, at=NOW + timedelta(days=days))
        assert isinstance(report.error, e.CertificateRevoked)
        assert [one.error for one in report.fetched] == ["HTTP status 404"]


def test_a_revoking_response_is_kept_as_a_good_one_is(web: Web) -> None:
    house = House.on(web, ocsp="ocsp")
    web.documents["ocsp"] = house.issuing.ocsp_response(house.server.certificate, revoked_at=NOW)
    online = Online()
    for minutes in (0, 10):
        report = house.judge(online, at=NOW + timedelta(minutes=minutes))
        assert isinstance(report.error, e.CertificateRevoked)
    assert web.asked == ["ocsp"]


def test_a_list_that_tells_nothing_is_kept_for_a_minute_however_long_it_says_it_holds(web: Web) -> None:
    """Whoever sits between can put one of their own in its place; when they are gone, so is it."""
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = Authority.root("Online CA").make_crl([], number=1, days=5000)
    online = Online()
    for seconds in (0, 40):
        assert house.judge(online, at=NOW + timedelta(seconds=seconds)).accepted
    assert web.asked == ["ca.crl"]
    web.documents["ca.crl"] = house.crl(house.server)
    assert isinstance(house.judge(online, at=NOW + timedelta(minutes=2)).error, e.CertificateRevoked)


def test_a_failure_that_is_remembered_is_told_too(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    online = Online()
    for remembered in ("", " (so it was less than a minute ago)"):
        report = house.judge(online, policy=LEAF_REQUIRED)
        assert f"{web.url('ca.crl')}: HTTP status 404{remembered}." in str(report.error)
        assert [one.url for one in report.fetched] == [web.url("ca.crl")]


def test_what_was_not_asked_for_is_told(web: Web) -> None:
    house = House.on(web, crl="ca.crl", ocsp="ocsp")
    report = house.judge(Online(fetches=1), policy=LEAF_REQUIRED)
    assert web.asked == ["ocsp"]
    assert [one.url for one in report.fetched] == [web.url("ocsp"), web.url("ca.crl")]
    assert "as many documents as one verdict may take" in str(report.error)


@pytest.mark.parametrize("url", ["http://127.0.0.1/\x1b[2J", "http://127.0.0.1/a b", "http://127.0.0.1/" + "a" * 4000])
def test_a_place_that_no_url_names_is_passed_over(url: str) -> None:
    root = Authority.root("Root")
    issuing = root.intermediate("CA")
    issuing.issuer_url = url
    leaf = issuing.server("localhost").chain[:1]
    report = Online().verify(leaf, trust=root.trust, purpose=Purpose.SERVER_AUTH, at=NOW, name="localhost")
    assert isinstance(report.error, e.UnknownAuthority)
    assert report.fetched == ()


def test_a_peer_cannot_spoil_a_list_by_naming_its_place_as_that_of_an_issuer(web: Web) -> None:
    """What was no issuer's certificate is asked for anew as a list, and the other way round."""
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(house.server)
    stranger = Authority.root("Stranger")
    stranger.issuer_url = web.url("ca.crl")
    fake = stranger.server("localhost").chain[:1]
    online = Online()
    for _ in range(2):
        assert isinstance(house.judge(online, fake).error, e.UnknownAuthority)
        assert isinstance(house.judge(online).error, e.CertificateRevoked)
        fake = stranger.server("localhost").chain[:1]


def test_issuers_leave_half_of_the_fetches_for_lists(web: Web) -> None:
    """Where they are is the peer's word, who would rather have nobody ask for the list."""
    house = House.on(web, crl="ca.crl")
    web.documents["ca.crl"] = house.crl(house.server)
    places: list[x509.GeneralName] = [x509.UniformResourceIdentifier(web.url(f"{index}")) for index in range(8)]
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place) for place in places]
    )
    names = house.issuing.certificate.subject_name, x509.Name([])
    builder = x509.CertificateBuilder(names[1], names[0], house.server.certificate.public_key, 1, NOW, NOW + YEAR)
    decoy = builder.add_extension(access, critical=False).sign(house.server.private_key, hashes.SHA256())
    web.documents["3"] = house.issuing.certificate.der
    report = house.judge(Online(fetches=8), (house.server.certificate, Certificate(decoy.public_bytes(Encoding.DER))))
    assert isinstance(report.error, e.CertificateRevoked)
    web.asked.clear()
    del web.documents["3"]
    house.judge(Online(fetches=8), (house.server.certificate, Certificate(decoy.public_bytes(Encoding.DER))))
    assert web.asked == ["0", "1", "2", "3"]


def test_issuers_leave_half_of_the_time_for_lists() -> None:
    given: dict[str, float] = {}

    def transport(fetch: Fetch, seconds: float) -> bytes:
        given[fetch.what] = seconds
        if fetch.what == "issuer":
            return house.issuing.certificate.der
        raise FetchFailed("nothing there")

    house = House.on(Web(80), issuer="ca.der", crl="ca.crl")
    house.judge(Online(transport=transport, seconds=1000), house.server.chain[:1])
    assert given["issuer"] <= 500 < given["CRL"]


def test_a_failure_for_want_of_time_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was another document that took the time."""
    clock = [0.0]
    asked: list[str] = []

    def transport(fetch: Fetch, seconds: float) -> bytes:
        asked.append(fetch.what)
        clock[0] += 8 if fetch.what == "OCSP response" else 2
        raise FetchFailed("nothing came")

    monkeypatch.setattr("handclasp.x509.online.time.monotonic", lambda: clock[0])
    house = House.on(Web(80), crl="ca.crl", ocsp="ocsp")
    online = Online(transport=transport, seconds=10)
    for _ in range(3):
        house.judge(online)
    assert asked == ["OCSP response", "CRL", "CRL"]


def test_many_who_want_the_same_document_have_it_fetched_once(web: Web) -> None:
    house = House.on(web, crl="ca.crl")
    asked: list[str] = []
    second = threading.Event()

    def transport(fetch: Fetch, seconds: float) -> bytes:
        asked.append(fetch.url)
        if len(asked) > 1:
            second.set()
        second.wait(0.3)  # in vain
        return house.crl()

    online = Online(transport=transport)
    reports: list[Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(house.judge(online, policy=LEAF_REQUIRED))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.accepted for report in reports] == [True] * 4
    assert asked == [web.url("ca.crl")]


def test_a_transport_that_breaks_leaves_nobody_waiting(web: Web) -> None:
    house = House.on(web, crl="ca.crl")

    def transport(fetch: Fetch, seconds: float) -> bytes:
        raise ZeroDivisionError

    online = Online(transport=transport)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            house.judge(online)


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": 0}, {"seconds": float("inf")}, {"seconds": float("nan")}, {"fetches": 0}, {"list_size": 0}],
)
def test_limits_have_to_be_something(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Online(**wrong)
