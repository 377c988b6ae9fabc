"""Each rule of form is kept by the profiles that have it, where it holds, and by no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import AuthorityInformationAccessOID
from tests.x509 import broken, broken_web
from tests.x509.chains import HOST, NOW
from tests.x509.changes import AIA, PLACES, POINTS, Case, Chain, access, point, put, san, url
from tests.x509.parts import oid, tlv

from handclasp.x509 import DEFAULT, RFC5280, WEB, Certificate, Profile, Purpose, Report, TrustStore, Verdict, verify
from handclasp.x509.form import RULES
from handclasp.x509.rule import EVERY, Place, Rule

CASES = broken.CASES | broken_web.CASES
POLICIES = {
    Profile.PATH: DEFAULT,
    Profile.RFC5280: replace(RFC5280, common_name_in_san=True),
    Profile.WEB: WEB,
}
STANDS = {"leaf": Place.LEAF | Place.SERVER, "authority": Place.AUTHORITY, "anchor": Place.ANCHOR}


def judge(chain: Chain, profile: Profile) -> Report:
    *others, root = chain.ders()
    trust = TrustStore([Certificate(root)])  # of bytes that do not parse, too
    return verify(others, trust=trust, policy=POLICIES[profile], purpose=Purpose.SERVER_AUTH, at=NOW, name=HOST)


def sections(report: Report) -> set[str]:
    """Those of the rules of form that a path broke."""
    failed = [check.expected for check in report.checks if check.verdict is Verdict.FAILED]
    return {one for one in failed if one.startswith(("RFC ", "CA/"))}


def case_of(rule: Rule) -> Case:
    found = [one for (section, text), one in CASES.items() if section == rule.section and rule.wants.startswith(text)]
    assert len(found) == 1, f"{len(found)} cases break {rule.section}: {rule.wants}"
    return found[0]


def breakages() -> Iterator[Any]:
    for rule in RULES:
        for place in PLACES:
            if STANDS[place] & rule.places:
                for index in range(len(case_of(rule).ways)):
                    yield pytest.param(rule, place, index, id=f"{rule.section} {rule.wants[:40]} {place} {index}")


@pytest.mark.parametrize("profile", list(Profile), ids=lambda one: one.value)
def test_the_chain_that_the_others_are_made_of_is_good(profile: Profile) -> None:
    report = judge(Chain.sound(), profile)
    assert report.accepted, report.error


@pytest.mark.parametrize(("rule", "place", "index"), list(breakages()))
def test_a_rule_that_is_broken_is_named_by_the_profiles_that_have_it(rule: Rule, place: str, index: int) -> None:
    case = case_of(rule)
    for profile in Profile:
        chain = Chain.sound()
        case.ways[index](chain, PLACES.index(place))
        report = judge(chain, profile)
        if rule.profiles == EVERY:
            assert not report.accepted, profile
            continue
        found = sections(report)
        assert (rule.section in found) == (profile in rule.profiles), (profile, report.error)
        assert found <= {rule.section, *case.with_it}, profile
        assert profile not in rule.profiles or not report.accepted


def test_what_is_about_issued_certificates_is_nothing_to_an_anchor() -> None:
    for rule in RULES:
        of_another = rule.with_issuer or rule.wants.startswith(("an issuer", "a signature"))
        if rule.check is not None and not rule.places & (Place.ANCHOR | Place.SERVER) and not of_another:
            for way in case_of(rule).ways:
                chain = Chain.sound()
                way(chain, PLACES.index("anchor"))
                assert rule.section not in sections(judge(chain, Profile.WEB)) - set(case_of(rule).with_it)


def test_no_case_is_about_a_rule_that_is_not_there() -> None:
    for section, text in CASES:
        assert any(rule.section == section and rule.wants.startswith(text) for rule in RULES), (section, text)


def test_the_page_of_rules_is_what_the_table_says() -> None:
    tool = Path(__file__).parents[2] / "tools" / "generate_rules.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_place_of_a_list_or_of_an_issuer_may_leave_out_its_host() -> None:
    """RFC 5280, 4.2.1.13; authorities in a Windows domain do. A name of the subject's may not (4.2.1.6)."""
    place = "ldap:///CN=Authority,CN=AIA,DC=a,DC=example?cACertificate?base?objectClass=certificationAuthority"
    chain = Chain.sound()
    put(POINTS, point(full_name=[url(place)]))(chain, 0)
    put(AIA, access(AuthorityInformationAccessOID.CA_ISSUERS, "URI", place))(chain, 0)
    assert judge(chain, Profile.RFC5280).accepted
    san("URI", place)(chain, 0)
    assert sections(judge(chain, Profile.RFC5280)) == {"RFC 5280, 4.2.1.6"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("", "localhost"),
        ("", "*.a.example"),
        ("", "xn--bcher-kva.example"),
        ("", "1and1.example"),
        ("", f"{'a' * 63}.example"),
        ("mail", "first.last+tag@a.example"),
        ("mail", '"quoted @ local"@a.example'),
        ("mail", "a@[192.0.2.1]"),
        ("mail", "a@[IPv6:2001:db8::1]"),
        ("URI", "https://user@a.example:8443/path?query#fragment"),
        ("URI", "spiffe://a.example/workload"),
        ("URI", "https://192.0.2.1/"),
        ("URI", "https://[2001:db8::1]:443/"),
        ("URI", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        ("URI", "mailto:a@a.example"),
        ("IP", bytes(16)),
        ("other", oid("1.2.3") + tlv(0xA0, b"\x05\0")),
    ],
)
def test_names_of_good_syntax_are_good(kind: str, value: str | bytes) -> None:
    chain = Chain.sound()
    san(kind, value)(chain, 0)
    report = judge(chain, Profile.RFC5280)
    assert report.accepted, report.error
