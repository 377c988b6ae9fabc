"""Which identity is shown: the same whatever their number, and by a few looks."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World
from tests.pair import Pair

from handclasp import ClientAuth, UsageError
from handclasp.ca import Authority, KeyType
from handclasp.crypto.signatures import SUPPORTED_SCHEMES, schemes_for
from handclasp.handshake.authenticate import common_schemes
from handclasp.wire.extensions import OidFilter
from handclasp.wire.iana import NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.x509 import DEFAULT, Certificate, Purpose, selection
from handclasp.x509.authorities import comparable
from handclasp.x509.certificate import canonical_name
from handclasp.x509.filters import Wanted
from handclasp.x509.identity import Identity
from handclasp.x509.names import Identities, PeerName, matches
from handclasp.x509.selection import MOST_AUTHORITIES, Demand, IdentityIndex

NOW = datetime.datetime.now(UTC) + timedelta(minutes=30)
"""Later than anything that the tests issue, however long they all take."""
DAY = timedelta(days=1)
S = SignatureScheme
TLS12, TLS13 = ProtocolVersion.TLS12, ProtocolVersion.TLS13
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def demand_of(**changes: Any) -> Demand:
    """A server's, of whom nothing in particular is asked."""
    plain: dict[str, Any] = {
        "purpose": Purpose.SERVER_AUTH,
        "version": TLS13,
        "server_name": None,
        "schemes": frozenset(SUPPORTED_SCHEMES),
        "at": NOW,
    }
    return Demand(**{**plain, **changes})


def choose(*identities: Identity, **changes: Any) -> Identity | None:
    return IdentityIndex(identities).select(demand_of(**changes))


def named(*authorities: Authority, **changes: Any) -> dict[str, Any]:
    """What a client is asked for by a server that names these."""
    return {
        "purpose": Purpose.CLIENT_AUTH,
        "authorities": [one.certificate.subject for one in authorities],
        **changes,
    }


def whole(authority: Authority, identity: Identity) -> Identity:
    """The identity with its root known."""
    return Identity((*identity.chain, authority.certificate), identity.private_key)


# The rules.


def test_the_identity_that_fits_best_is_shown(world: World) -> None:
    """Mission row S11."""
    exact = world.issuing.server("www.a.example").identity
    wild = world.issuing.server("*.a.example").identity
    other = world.issuing.server("b.example").identity
    assert choose(other, wild, exact, server_name="www.a.example") is exact
    assert choose(other, wild, exact, server_name="ftp.a.example") is wild
    assert choose(other, wild, exact, server_name="unknown.example") is other
    assert choose(other, wild) is other
    old = world.issuing.server("www.a.example", at=NOW - timedelta(days=900)).identity
    assert choose(old, exact, server_name="www.a.example") is exact
    assert choose(old, server_name="www.a.example") is old
    ed = world.issuing.server("www.a.example", key=KeyType.ED25519).identity
    assert choose(exact, ed, schemes=frozenset({SignatureScheme.ED25519})) is ed
    assert choose(exact, schemes=frozenset({SignatureScheme.ED25519})) is None
    assert choose() is None


def test_a_client_shows_what_the_server_s_list_names_or_does_not_rule_out(world: World) -> None:
    strange = Authority.root("Stranger")
    mallory = strange.client("mallory").identity
    alice = world.client.identity
    assert choose(mallory, alice, **named(world.root)) is alice
    assert choose(mallory, **named(world.root)) is mallory, "its authority's issuer may be named: nobody knows"
    assert choose(whole(strange, mallory), **named(world.root)) is None
    assert choose(whole(strange, mallory), **named(world.root, strange)) is not None
    assert choose(whole(strange, mallory), mallory, **named(world.root)) is mallory
    assert choose(world.server.identity, **named(world.root)) is None


def test_a_client_s_own_certificate_alone_is_shown_to_a_server_that_names_its_root(world: World) -> None:
    """The server may have the intermediate; OpenSSL and curl show it too."""
    alone = Identity(world.client.chain[:1], world.client.private_key)
    assert choose(alone, **named(world.root)) is alone
    bob = world.issuing.client("bob")
    below = Identity(bob.chain[:1], bob.private_key)
    assert choose(alone, below, **named(world.root)) is None, "which of two is not guessed"
    complete = world.client.identity
    assert choose(alone, complete, **named(world.root)) is complete
    assert choose(alone, below, **named(world.issuing)) is alone


def test_a_client_with_several_certificates_of_its_own_is_one_party_still() -> None:
    """An old one and its renewal, or one for each kind of key."""
    old, new, rsa = made(days=-8), made(days=0), made(kind=KeyType.RSA2048)
    nobody = {"purpose": Purpose.CLIENT_AUTH, "authorities": [cn("nobody").public_bytes()]}
    assert choose(old, new, rsa, **nobody) is new
    assert choose(old, new, rsa, **nobody, schemes=frozenset({S.RSA_PSS_RSAE_SHA256})) is rsa
    assert choose(old, new, made(subject="bob"), **nobody) is None
    assert choose(old, new, made(subject="bob", uses=(SERVER,)), **nobody) is new
    assert choose(made("a.example", subject=""), made("b.example", subject=""), **nobody) is None, "by other names"


def test_why_none_is_shown_is_told_as_it_is(world: World) -> None:
    strange = Authority.root("Stranger")
    stranger = whole(strange, strange.client("mallory").identity)
    bob, carol = (Identity(one.chain[:1], one.private_key) for one in map(world.issuing.client, ("bob", "carol")))
    index = IdentityIndex([stranger, world.server.identity, bob, carol])
    demand = demand_of(**named(world.root))
    assert index.select(demand) is None
    others = "the server names other authorities, and others of ours might be meant as well"
    assert [why for _, why in index.passed_over(demand)] == [
        "the server does not trust its authority",
        "it is not for clients",
        others,
        others,
    ]


def test_a_client_s_certificate_for_any_purpose_is_one_for_clients() -> None:
    """As whoever judges it will say (RFC 5280, 4.2.1.12)."""
    identity = made(uses=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,))
    assert choose(identity, purpose=Purpose.CLIENT_AUTH) is identity


@pytest.mark.parametrize(
    ("oid", "value", "good"),
    [
        ("0603551d0f", "03020780", True),  # key usage: digitalSignature
        ("0603551d0f", "03020308", False),  # keyAgreement
        ("0603551d25", "300a06082b06010505070302", True),  # clientAuth
        ("0603551d25", "300a06082b06010505070301", False),  # serverAuth
        ("0603551d25", "30810a06082b06010505070302", True),  # with a long form of its length
        ("0603551d25", "3000", True),  # nothing in particular
        ("0603551d25", "300a06082b060105050703", False),  # cut short
        ("0603551d25", "", False),
        ("0603551d25", "06082b06010505070302", False),  # no sequence
        ("0603551d25", "300706052b06010505", False),  # the beginning of what it has
        ("0603551d0f", "", False),
        ("0603551d0f", "0302", False),
        ("0603551d0f", "030100", True),  # nothing in particular
        ("0603551d63", "00", True),  # one that we don't know is passed over
    ],
)
def test_filters_of_the_server_are_kept(world: World, oid: str, value: str, good: bool) -> None:
    """RFC 8446, 4.2.5."""
    both = OidFilter(bytes.fromhex("0603551d0f"), bytes.fromhex("03020780"))
    wanted = OidFilter(bytes.fromhex(oid), bytes.fromhex(value))
    for filters in ([wanted], [wanted, both], [both, wanted]):
        found = choose(world.client.identity, purpose=Purpose.CLIENT_AUTH, wanted=Wanted.of(filters))
        assert (found is not None) == good


def test_of_two_of_the_same_name_the_one_is_shown_whose_authority_the_client_names() -> None:
    first, second = (made("www.a.example", issuer=one) for one in (OTHER[0], SAME[0]))
    for order in ((first, second), (second, first)):
        for issuer, wanted in ((OTHER[0], first), (SAME[3], second), (OTHER[1], order[0])):
            demand = demand_of(server_name="www.a.example", authorities=[issuer.public_bytes()])
            assert IdentityIndex(order).select(demand) is wanted


# Names of authorities.


def cn(text: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, kind)])


SAME = [
    cn("Case Root"),
    cn("case rOOT"),
    cn("  Case   Root "),
    cn("Case Root", _ASN1Type.PrintableString),
    cn("CASE ROOT", _ASN1Type.BMPString),
    cn("Case Root", _ASN1Type.UniversalString),
]
OTHER = [
    cn("CaseRoot"),
    cn("Case Root 2"),
    x509.Name([]),
    x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Case Root")]),
    x509.Name([*cn("Case Root"), *cn("Case Root")]),
    x509.Name([x509.RelativeDistinguishedName([*cn("Case Root"), x509.NameAttribute(NameOID.COUNTRY_NAME, "DE")])]),
]


@pytest.mark.parametrize("name", SAME, ids=range(len(SAME)))
def test_an_authority_s_name_is_known_however_it_is_written(name: x509.Name) -> None:
    """RFC 5280, 7.1."""
    assert comparable(name.public_bytes()) == comparable(SAME[0].public_bytes())
    first = made("first", issuer=cn("Other"))
    second = made("second", issuer=SAME[0])
    listed = {"purpose": Purpose.CLIENT_AUTH, "authorities": [name.public_bytes()]}
    assert choose(first, second, **listed) is second


@pytest.mark.parametrize("name", OTHER, ids=range(len(OTHER)))
def test_another_name_is_another_authority_s(name: x509.Name) -> None:
    assert comparable(name.public_bytes()) != comparable(SAME[0].public_bytes())


@given(st.lists(st.sampled_from([*SAME, *OTHER]), min_size=2, max_size=2))
def test_names_are_compared_as_the_path_builder_does(two: list[x509.Name]) -> None:
    one, other = two
    same = comparable(one.public_bytes()) == comparable(other.public_bytes())
    assert same == (canonical_name(one) == canonical_name(other))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_name_are_nobody_s(data: bytes) -> None:
    for der in (data, b"\x30" + bytes([len(data)]) + data, SAME[0].public_bytes()[: len(data)]):
        name = comparable(der)
        assert name is None or isinstance(name, tuple)


# The same answer as by looking at each.


KEYS: dict[KeyType, Any] = {
    kind: kind.generate() for kind in (KeyType.P256, KeyType.P384, KeyType.ED25519, KeyType.RSA2048, KeyType.MLDSA44)
}
SIGNER = KeyType.P256.generate()


@cache
def made(
    *sans: str,
    issuer: x509.Name = SAME[0],
    kind: KeyType = KeyType.P256,
    uses: tuple[x509.ObjectIdentifier, ...] = (CLIENT,),
    days: int = 0,
    serial: int = 1,
    subject: str = "alice",
) -> Identity:
    """An identity of one certificate, whose validity of a fortnight is moved by some days."""
    key = KEYS[kind]
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in sans if not one[0].isdigit()]
    names += [x509.IPAddress(PeerName.of(one).address) for one in sans if one[0].isdigit()]  # type: ignore[arg-type]
    builder = (
        x509.CertificateBuilder()
        .subject_name(cn(subject) if subject else x509.Name([]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW + (days - 7) * DAY)
        .not_valid_after(NOW + (days + 7) * DAY)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    der = builder.sign(SIGNER, hashes.SHA256()).public_bytes(Encoding.DER)
    return Identity((Certificate(der),), key)


def by_looking_at_each(identities: Sequence[Identity], demand: Demand, listed: list[x509.Name]) -> Identity | None:
    """The rules once more, without an index."""
    known = [canonical_name(one) for one in listed]

    def named_by(identity: Identity) -> bool:
        return any(canonical_name(one.parsed.issuer) in known for one in identity.chain)

    def in_force(identity: Identity) -> bool:
        return identity.leaf.not_before <= demand.at <= identity.leaf.not_after

    def rank(identity: Identity) -> int:
        found = 0 if in_force(identity) else 8
        if demand.server_name is not None:
            names = Identities.of(identity.leaf)
            found += 0 if demand.server_name in names.dns else 1 if has_name(names, demand.server_name) else 4
        return found + (2 if listed and not named_by(identity) else 0)

    fit = [one for one in identities if key_fits(one, demand)]
    if demand.purpose is Purpose.SERVER_AUTH:
        return min(fit, key=rank, default=None)
    fit = [one for one in fit if CLIENT in one.leaf.extension(x509.ExtendedKeyUsage)]
    accepted = [one for one in fit if not listed or named_by(one)]
    if not accepted:
        accepted = fit if len({one.leaf.subject_canonical for one in fit}) == 1 else []  # their roots are not known
    return min(accepted, key=lambda one: not in_force(one), default=None)


def key_fits(identity: Identity, demand: Demand) -> bool:
    key = identity.leaf.public_key
    curve = getattr(key, "curve", None)
    on_curve = not demand.groups or curve is None or curve.name in map(str, demand.groups)
    return on_curve and any(one in demand.schemes for one in schemes_for(key, demand.version))


def has_name(names: Identities, server_name: str) -> bool:
    try:
        return matches(PeerName.of(server_name), names, DEFAULT)
    except UsageError:
        return False


SANS = "www.a.example www.a.example WWW.A.example *.a.example *.A.example a.example w*.a.example *.example 127.0.0.1 x*"
ASKED = "www.a.example WWW.A.example ftp.a.example a.example *.a.example www.a.example. 127.0.0.1 c.d.a.example b .b -"
IDENTITIES = st.lists(
    st.builds(
        lambda sans, **how: made(*sans, **how),
        st.lists(st.sampled_from(SANS.split()), max_size=2),
        issuer=st.sampled_from([SAME[0], SAME[1], OTHER[0]]),
        kind=st.sampled_from([KeyType.P256, KeyType.P256, *KEYS]),
        uses=st.sampled_from([(CLIENT,), (SERVER,)]),
        days=st.sampled_from([0, 0, 0, -8, 8, 3]),
        serial=st.integers(1, 3),
        subject=st.sampled_from(["alice", "alice", "bob"]),
    ),
    min_size=1,
    max_size=8,
)
DEMANDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from(Purpose),
        "version": st.sampled_from([TLS12, TLS13]),
        "server_name": st.sampled_from([None, "", "not a name", *ASKED.split()]),
        "schemes": st.frozensets(st.sampled_from(SUPPORTED_SCHEMES)) | st.just(frozenset(SUPPORTED_SCHEMES)),
        "groups": st.sampled_from([frozenset(), frozenset({NamedGroup.SECP256R1}), frozenset({NamedGroup.X25519})]),
    }
)
LISTED = st.lists(st.sampled_from([SAME[3], OTHER[0], OTHER[1]]), max_size=2)


@settings(max_examples=300, deadline=None)
@given(IDENTITIES, st.lists(st.tuples(DEMANDS, LISTED, st.sampled_from([0, 0, -8, 8, 30])), min_size=1, max_size=4))
def test_the_index_answers_as_looking_at_each_would(
    identities: list[Identity], asked: list[tuple[dict[str, Any], list[x509.Name], int]]
) -> None:
    index = IdentityIndex(identities)
    for how, listed, days in asked:
        demand = Demand(**how, at=NOW + days * DAY, authorities=[one.public_bytes() for one in listed])
        assert index.select(demand) is by_looking_at_each(identities, demand, listed)
        fresh = IdentityIndex(identities).select(demand)
        assert fresh is index.select(demand)


# By a few looks.


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Each identity that a choice looks at, once for each time."""
    seen: list[object] = []
    fits = selection._key_fits

    def counted(one: Any, demand: Demand) -> bool:
        seen.append(one)
        return fits(one, demand)

    monkeypatch.setattr(selection, "_key_fits", counted)
    return seen


MANY = 300


@cache
def many(shape: str) -> IdentityIndex:
    """Many identities: each of a name of its own, all of one name, or each of an authority of its own."""
    names = {"names": "h{}.example", "one name": "h.example", "authorities": "h{}.example"}
    issuers = {"authorities": "CA {}"}
    return IdentityIndex(
        made(names[shape].format(number), issuer=cn(issuers.get(shape, "CA").format(number)), serial=number + 1)
        for number in range(MANY)
    )


@pytest.mark.parametrize("shape", ["names", "one name", "authorities"])
@pytest.mark.parametrize("purpose", Purpose)
def test_many_identities_are_not_looked_through(shape: str, purpose: Purpose, looks: list[object]) -> None:
    index = many(shape)
    authorities = ((), [cn("CA 7").public_bytes(), cn("CA").public_bytes()], [cn("nobody").public_bytes()])
    for name in (None, "h.example", "h299.example", "nobody.example", "*.example", "not a name"):
        for listed in authorities:
            for schemes in (frozenset(SUPPORTED_SCHEMES), frozenset({SignatureScheme.ED448})):
                looks.clear()
                index.select(demand_of(purpose=purpose, server_name=name, authorities=listed, schemes=schemes))
                assert len(looks) <= 6


def test_what_is_in_force_is_sorted_out_once_between_two_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    index = IdentityIndex([made("a.example", days=0), made("a.example", days=3), made("a.example", days=-3)])
    sorted_out: list[object] = []

    class Counted(selection._Shelves):
        def __init__(self, entries: Any, at: datetime.datetime) -> None:
            sorted_out.append(at)
            super().__init__(entries, at)

    monkeypatch.setattr(selection, "_Shelves", Counted)
    for hours in range(48):
        assert index.select(demand_of(server_name="a.example", at=NOW + timedelta(hours=hours))) is not None
    assert len(sorted_out) == 1
    index.select(demand_of(at=NOW + 5 * DAY))
    assert len(sorted_out) == 2


def test_a_peer_s_list_of_authorities_is_gone_through_once_and_no_further_than_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bytes] = []

    def counted(der: bytes) -> object:
        compared.append(der)
        return comparable(der)

    monkeypatch.setattr(selection, "comparable", counted)
    first, second = made("first", issuer=cn("First")), made("second", issuer=cn("Second"))
    index = IdentityIndex([first, second])
    index.select(demand_of())
    compared.clear()
    names = [cn(f"CA {number}").public_bytes() for number in range(2 * MOST_AUTHORITIES)]
    listed = [*names, *names, cn("Second").public_bytes()]
    demand = demand_of(purpose=Purpose.CLIENT_AUTH, authorities=listed)
    assert index.select(demand) is second, "its bytes are found wherever they stand"
    assert len(compared) <= MOST_AUTHORITIES


class Sequenced(Sequence[SignatureScheme]):
    """A peer's list that counts how often its members are taken out."""

    def __init__(self, members: Sequence[SignatureScheme]) -> None:
        self.members = members
        self.taken = 0

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, at: Any) -> Any:
        self.taken += 1
        return self.members[at]

    def __iter__(self) -> Iterator[SignatureScheme]:
        for one in self.members:
            self.taken += 1
            yield one


def test_a_peer_s_list_of_schemes_is_gone_through_once_whatever_we_have() -> None:
    theirs = Sequenced([SignatureScheme(0xFE00 + number % 256) for number in range(30_000)])
    assert common_schemes(SUPPORTED_SCHEMES, theirs) == ()
    assert theirs.taken == 30_000


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_a_config_makes_its_index_once(world: World, version: ProtocolVersion) -> None:
    server = world.server_config(
        identities=(world.server.identity, world.rsa_server.identity),
        versions=(version,),
        trust=world.root.trust,
        client_auth=ClientAuth.REQUIRED,
    )
    client = world.client_config(identities=(world.client.identity,), sessions=None)
    indexes = (server.identity_index, client.identity_index)
    for _ in range(3):
        Pair(client, server).shake()
    assert server.identity_index is indexes[0]
    assert client.identity_index is indexes[1]
