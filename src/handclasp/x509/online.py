"""Issuers, lists and OCSP responses fetched from where certificates say they are; only when asked for.

`verify` does no I/O. Here it is asked for a verdict; what the verdict lacked is fetched, and it is asked
again. `Online.steps` is that loop without the fetching: it yields each `Fetch` and is sent the bytes, or
the `FetchFailed`, so that a front end may await them. `Online.verify` fetches by itself and waits.

Where to fetch from stands in certificates. Those that name lists and OCSP responders have been found good
by then but for revocation; those that name a missing issuer are the peer's word alone, so a peer can have
us ask any HTTP server for a document. That is why nothing is fetched unless a config says so.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from threading import Lock
from typing import Any, NotRequired, TypedDict, Unpack

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from handclasp.errors import ConfigError, UsageError
from handclasp.pickling import check_pickles
from handclasp.values import checked
from handclasp.x509.certificate import Certificate
from handclasp.x509.crl import Crl
from handclasp.x509.documents import DAY, MINUTE, Document, Documents, Key
from handclasp.x509.errors import BadStaple, CertificateError, RevocationUnknown, UnknownAuthority
from handclasp.x509.http import Fetch, FetchFailed, fetch_by_http
from handclasp.x509.names import Address, PeerName
from handclasp.x509.ocsp import check_response, make_request
from handclasp.x509.places import access, certificates_in, is_of, open_ends, points
from handclasp.x509.policy import DEFAULT, Purpose, VerificationPolicy
from handclasp.x509.report import Fetched, Report
from handclasp.x509.revocation import RevocationSources, Status
from handclasp.x509.text import shortened
from handclasp.x509.trust import TrustStore
from handclasp.x509.verify import verify

__all__ = ["Fetch", "FetchFailed", "Online"]

MOST_ISSUERS = 32
"""Certificates of issuers that one document adds to a chain; it may hold any number of others."""
MOST_TOLD = 8
"""Failed fetches that an error tells of; the report has all."""
RESPONSE_SIZE = 1 << 16
"""Bytes of an OCSP response, or of a missing issuer's certificates."""
SPARE = 1.0
"""Seconds for a document that may be newer than one that came already."""

Steps = Generator[Fetch, "bytes | FetchFailed", Report]
Transport = Callable[[Fetch, float], bytes]
Use = Callable[[bytes], tuple[Any, float]]
"""From a document's bytes to its value, and for how many seconds it holds; raises for what is of no use."""
MERGED = 256
"""Collections of documents that are kept ready, for verdicts that rest on the same."""
NO_MORE = "as many documents as one verdict may take were asked for before it"
Pair = tuple[Certificate, Certificate]
"""A certificate and its issuer."""
NOTHING = RevocationSources(())


class Arguments(TypedDict):
    """What `handclasp.x509.verify` takes beside the chain."""

    trust: TrustStore
    policy: NotRequired[VerificationPolicy]
    purpose: Purpose
    at: datetime
    name: str | Address | PeerName | None
    revocation: NotRequired[RevocationSources | None]
    staple: NotRequired[bytes | None]
    staple_asked: NotRequired[bool]


@dataclass(slots=True)
class _Fetching:
    """The fetches of one verdict."""

    now: float
    left: int
    made: list[Fetched] = field(default_factory=list)
    found: list[Crl | bytes] = field(default_factory=list)
    """Lists and OCSP responses, now or earlier, that tell of the paths."""
    strange: dict[Key, Document] = field(default_factory=dict)
    """What came, now or a minute ago, and nobody vouches for yet."""
    fresh: bool = False
    """Whether a list came now."""
    asked: dict[Pair, list[Key]] = field(default_factory=dict)
    """Of which certificates was asked, and which documents tell of each."""
    keys: list[Key] = field(default_factory=list)
    """Those of the certificate that is being asked about."""


def _online(settings: dict[str, Any]) -> Online:
    return Online(**settings)


class _Cut(FetchFailed):
    """A fetch that was not made, or had little time: it says nothing of the next one."""


class Online:
    """What may be fetched, and what has been; one object serves all connections and threads.

    Give it to a config as `online`, or call its `verify`. `issuers`, `crls` and `ocsp` say what is fetched
    (RFC 5280, 4.2.2.1 and 4.2.1.13; RFC 6960), `nonce` whether an OCSP response has to have been made for us
    (RFC 9654; most public responders make theirs beforehand). One verdict takes at most `seconds` of waiting
    and `fetches` documents, half of either for issuers, and no list may have more than `list_size` bytes. What was
    fetched and an authority vouches for is kept as long as it says that it holds, a day at most, in about eight times
    `list_size` of memory; all else, and a failure, for a minute. `transport` fetches one document within so many
    seconds, or raises `FetchFailed`; the default is plain HTTP without a proxy.
    """

    @checked
    def __init__(
        self,
        *,
        issuers: bool = True,
        crls: bool = True,
        ocsp: bool = True,
        nonce: bool = False,
        seconds: float = 10.0,
        fetches: int = 16,
        list_size: int = 32 << 20,
        transport: Transport = fetch_by_http,
    ) -> None:
        if not 0 < seconds <= DAY or fetches < 1 or list_size < 1:
            raise ConfigError("Online: seconds (a day at most), fetches and list_size have to be more than nothing.")
        self._issuers, self._crls, self._ocsp, self._nonce = issuers, crls, ocsp, nonce
        self._seconds, self._fetches, self._list_size = seconds, fetches, list_size
        self._transport = transport
        self._settings: dict[str, Any] = {
            "issuers": issuers,
            "crls": crls,
            "ocsp": ocsp,
            "nonce": nonce,
            "seconds": seconds,
            "fetches": fetches,
            "list_size": list_size,
            "transport": transport,
        }
        self._lock = Lock()
        self._flights: dict[Fetch, Future[bytes | FetchFailed]] = {}
        """What is being fetched now."""
        self._documents = Documents(list_size)
        self._sources: OrderedDict[tuple[int, ...], tuple[RevocationSources, object]] = OrderedDict()
        """By the ids of what they are made of, which is kept beside them: so long nothing else has those ids."""

    def __repr__(self) -> str:
        return f"<Online, {len(self._documents)} documents kept>"

    def __reduce__(self) -> tuple[Any, ...]:
        """What was fetched stays here: a copy, or what `pickle` makes of it, fetches anew."""
        check_pickles("Online's transport", self._transport)
        return _online, (self._settings,)

    def __copy__(self) -> Online:
        return Online(**self._settings)

    def __deepcopy__(self, _: object) -> Online:
        return Online(**self._settings)

    def verify(self, chain: Sequence[Certificate | bytes], **arguments: Unpack[Arguments]) -> Report:
        """As `handclasp.x509.verify`, and what it lacks is fetched; `report.fetched` tells what was."""
        started = time.monotonic()
        steps = self.steps(chain, **arguments)
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(self._get(wanted, started))
        except StopIteration as done:
            report: Report = done.value
            return report

    def _get(self, wanted: Fetch, started: float) -> bytes | FetchFailed:
        """Fetch it, or wait for who is fetching the same."""
        allowed = self._seconds / 2 if wanted.what == "issuer" else self._seconds
        end = started + allowed
        if wanted.spare:
            end, allowed = min(end, time.monotonic() + SPARE), SPARE
        while (left := end - time.monotonic()) > 0:
            own: Future[bytes | FetchFailed] = Future()
            with self._lock:
                flight = self._flights.setdefault(wanted, own)
            if flight is own:
                # What had little time says nothing of how the next try ends.
                return self._fly(wanted, left, own, lasting=left >= allowed / 2)
            if wait([flight], left).done and not isinstance(answer := flight.result(), _Cut):
                return answer
        return _Cut(f"the {allowed:g} s for it were over")

    def _fly(
        self, wanted: Fetch, left: float, flight: Future[bytes | FetchFailed], *, lasting: bool
    ) -> bytes | FetchFailed:
        answer: bytes | FetchFailed = _Cut("the fetching was given up")
        try:
            answer = self._transport(wanted, left)
        except FetchFailed as error:
            answer = error if lasting else _Cut(str(error))
        finally:
            with self._lock:
                del self._flights[wanted]
            flight.set_result(answer)
        return answer

    def steps(self, chain: Sequence[Certificate | bytes], **arguments: Unpack[Arguments]) -> Steps:
        """The same with the fetching left to the caller: a generator of each `Fetch`, which returns the report."""
        at, policy = arguments["at"], arguments.get("policy", DEFAULT)
        fetching = _Fetching(at.timestamp(), self._fetches)
        own = arguments.get("revocation") or NOTHING
        arguments["revocation"] = own
        known = [one.der if isinstance(one, Certificate) else one for one in chain]
        report = verify(known, **arguments)
        for _ in range(policy.max_chain_depth if self._issuers else 0):
            if not isinstance(report.error, UnknownAuthority):
                break
            found = yield from self._missing_issuer(known, arguments["trust"], fetching)
            if not found:
                break
            known += found
            report = verify(known, **arguments)
        # What was fetched may refuse a path and leave another, of which nobody has asked yet.
        while unasked := _unasked(report, fetching.asked):
            for pair in unasked:
                fetching.keys = fetching.asked[pair] = []
                yield from self._status(*pair, at, policy, fetching)
            arguments["revocation"] = self._merged(own, fetching.found)
            report = verify(known, **arguments)
        self._settle(report, fetching)
        return _told(report, tuple(fetching.made))

    # What is fetched.

    def _missing_issuer(
        self, known: list[bytes], trust: TrustStore, fetching: _Fetching
    ) -> Generator[Fetch, bytes | FetchFailed, list[bytes]]:
        """Certificates of an issuer that the chain leads to and does not have; none where no more can be had."""
        ends = open_ends(known, trust)
        names = {one.issuer_canonical for some in ends for one in some}
        for some in ends:
            found: dict[bytes, None] = {}
            for one in some:
                came = False
                for url in access(one, AuthorityInformationAccessOID.CA_ISSUERS):
                    fetch = Fetch(url, RESPONSE_SIZE, what="issuer", spare=came)
                    kept = yield from self._fetched(fetch, b"", fetching, lambda der: (certificates_in(der), DAY))
                    new = (other for other in kept.value or () if any(is_of(other, name) for name in names))
                    more = list(islice((other.der for other in new if other.der not in known), MOST_ISSUERS))
                    came, found = came or bool(more), found | dict.fromkeys(more)
            if found:
                return list(found)
        return []

    def _status(
        self, one: Certificate, issuer: Certificate, at: datetime, policy: VerificationPolicy, fetching: _Fetching
    ) -> Generator[Fetch, bytes | FetchFailed, None]:
        """Ask about one certificate: its OCSP responder, and for its lists where that has no answer."""
        answered = False
        for url in access(one, AuthorityInformationAccessOID.OCSP) if self._ocsp else ():
            nonce = os.urandom(32) if self._nonce else None
            fetch = Fetch(url, RESPONSE_SIZE, make_request(one, issuer, nonce), "OCSP response", answered)
            use = _response_about(one, issuer, at, nonce, policy)
            kept = yield from self._fetched(fetch, one.fingerprint, fetching, use)
            answered |= kept.error is None
        if answered or not self._crls:
            return
        fresher = points(one, x509.FreshestCRL)
        came: list[Crl] = []
        for urls in points(one, x509.CRLDistributionPoints):
            came += yield from self._lists(urls, fetching)
        for crl in came:
            fresher += (more for more in points(crl, x509.FreshestCRL) if more not in fresher)
        for urls in fresher if came else ():
            yield from self._lists(urls, fetching)

    def _lists(self, urls: list[str], fetching: _Fetching) -> Generator[Fetch, bytes | FetchFailed, list[Crl]]:
        """The lists of one distribution point, from each place: which is the newest is in their numbers."""
        found: list[Crl] = []
        for url in urls:
            fetch = Fetch(url, self._list_size, what="CRL", spare=bool(found))
            kept = yield from self._fetched(fetch, b"", fetching, lambda der: _list_of(der, fetching.now))
            if kept.error is None:
                found.append(kept.value)
        return found

    def _fetched(
        self, fetch: Fetch, about: bytes, fetching: _Fetching, use: Use
    ) -> Generator[Fetch, bytes | FetchFailed, Document]:
        """A document from memory or the network; `use` gives its value and for how many seconds it holds.

        What was kept counts on where no newer one is to be had: a list that has ended may still revoke.
        """
        key = (fetch.what, fetch.url, about)
        fetching.keys.append(key)
        old, kept = self._documents.vouched_for(key), self._documents.at_hand(key, fetching.now)
        if kept is None:
            # Who its issuer is, is the peer's word: that may not take all that is for lists.
            if fetching.left > (self._fetches // 2 if fetch.what == "issuer" else 0):
                fetching.left -= 1
                answer = yield fetch
                kept = _taken(answer, use, fetching.now)
                if not isinstance(answer, _Cut):
                    self._documents.keep(key, kept)
                    fetching.fresh |= isinstance(kept.value, Crl)
            else:
                kept = Document(None, NO_MORE, 0, 0)
            if kept.error is not NO_MORE or all(
                (one.what, one.error) != (fetch.what, NO_MORE) for one in fetching.made
            ):
                fetching.made.append(Fetched(fetch.what, fetch.url, kept.error))
        elif kept.error is not None and all(one.url != fetch.url for one in fetching.made):
            error = f"{kept.error} (so it was less than a minute ago)"
            fetching.made.append(Fetched(fetch.what, fetch.url, error))
        if kept is not old and kept.value is not None:
            fetching.strange[key] = kept
        for document in (old, kept):
            fetching.found += (one for one in (document.told if document else ()) if one not in fetching.found)
        return kept if kept.value is not None or old is None else replace(kept, value=old.value)

    # What is kept.

    def _settle(self, report: Report, fetching: _Fetching) -> None:
        """Keep for long what an authority was found to vouch for, but for what tells nothing of whom it was for."""
        for key, kept in fetching.strange.items():
            if _is_vouched_for(kept, report):
                self._documents.vouch(key, kept)
        pairs = (pair for path in report.paths for pair in path.unsettled)
        self._documents.doubt({key for pair in pairs for key in fetching.asked.get(pair, ())})
        if fetching.fresh:
            with self._lock:
                self._sources.clear()  # they hold the lists that were before it

    def _merged(self, own: RevocationSources, found: list[Crl | bytes]) -> RevocationSources:
        """The caller's sources and what was fetched as one; for the same contents the same object.

        Being the same, the verdicts that rest on it are remembered.
        """
        if not found:
            return own
        key = (id(own), *map(id, found))
        with self._lock:
            known = self._sources.get(key)
            if known is None:
                lists = [one for one in found if isinstance(one, Crl)]
                responses = [one for one in found if isinstance(one, bytes)]
                merged = RevocationSources((*own.crls, *lists), (*own.responses, *responses))
                known = self._sources[key] = (merged, (own, tuple(found)))
                while len(self._sources) > MERGED:
                    self._sources.popitem(last=False)
            return known[0]


def _unasked(report: Report, asked: Mapping[Pair, object]) -> tuple[Pair, ...]:
    """Those of the first path that lacks nothing but word of revocation, where not all of them were asked about."""
    for path in report.paths:
        if path.error is None or isinstance(path.error, RevocationUnknown):
            unasked = tuple(pair for pair in path.unsettled if pair not in asked)
            if unasked:
                return unasked
    return ()


def _response_about(
    one: Certificate, issuer: Certificate, at: datetime, nonce: bytes | None, policy: VerificationPolicy
) -> Use:
    def use(der: bytes) -> tuple[bytes, float]:
        status = check_response(der, one, issuer, at, nonce, policy)
        if status.status is Status.UNKNOWN:
            raise BadStaple(f"The OCSP response says nothing: {status.why}.")
        return der, status.until - at.timestamp()

    return use


def _taken(answer: bytes | FetchFailed, use: Use, now: float) -> Document:
    """What came of a fetch, to be kept for a day at most, so that what is revoked meanwhile is known then."""
    if isinstance(answer, FetchFailed):
        return Document(None, str(answer), now, now + MINUTE)
    try:
        value, seconds = use(answer)
    except (CertificateError, UsageError) as error:
        return Document(None, str(error), now, now + MINUTE)
    return Document(value, None, now, now + (min(seconds, DAY) if seconds > 0 else MINUTE))


def _is_vouched_for(kept: Document, report: Report) -> bool:
    """Whether a signature of somebody with a good path is on it; a response's was looked at as it came."""
    if isinstance(kept.value, Crl):
        return kept.value.is_believed
    if isinstance(kept.value, bytes):
        return True
    return report.path is not None and any(one in report.path for one in kept.value or ())


def _told(report: Report, fetched: tuple[Fetched, ...]) -> Report:
    """The report with what was fetched for it; a refusal for want of something says why that did not come."""
    if not fetched:
        return report
    told = replace(report, fetched=fetched)
    reasons = (f"{shortened(one.url)}: {one.error}" for one in fetched if one.error is not None)
    failed = "; ".join(islice(reasons, MOST_TOLD))
    if failed and isinstance(report.error, (UnknownAuthority, RevocationUnknown)):
        told.error = type(report.error)(f"{report.error} Fetching failed: {failed}.")
    if told.error is not None:
        told.error.report = told
    return told


def _list_of(data: bytes, now: float) -> tuple[Crl, float]:
    crl = Crl.load_all(data, whole=False)[0]
    return crl, DAY if crl.next_update is None else crl.next_update.timestamp() - now
