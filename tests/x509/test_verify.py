"""Judging a chain: each check by name, the error that leads, and the work it may take."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import World

from handclasp.ca import Authority, KeyType
from handclasp.errors import ConfigError, UsageError
from handclasp.wire.iana import AlertDescription
from handclasp.x509 import (
    DEFAULT,
    DEPLOYMENT,
    WEB,
    AllowedClient,
    Certificate,
    NamePolicy,
    PeerName,
    Purpose,
    Report,
    RevocationMode,
    TrustStore,
    Verdict,
    VerificationPolicy,
    checks,
    verify,
)
from handclasp.x509 import errors as e
from handclasp.x509.names import Identities, matches, normalize_host

NOW = datetime.datetime.now(UTC) + timedelta(hours=1)
"""After all that is issued in the hour that follows: certificates begin five minutes before they are made."""
SERVER = Purpose.SERVER_AUTH


def judge(chain: Any, trust: TrustStore, **changes: Any) -> Report:
    arguments: dict[str, Any] = {"purpose": SERVER, "at": NOW, "name": "localhost", **changes}
    return verify(chain, trust=trust, **arguments)


def refused(chain: Any, trust: TrustStore, error: type[e.CertificateError], **changes: Any) -> Report:
    report = judge(chain, trust, **changes)
    assert type(report.error) is error, report.error
    assert not report.accepted
    with pytest.raises(error) as caught:
        report.raise_if_refused()
    assert caught.value.report is report
    assert report.to_dict()["error"]["kind"] == error.__name__
    return report


def make(
    world: World,
    *,
    name: str | None = "a.example",
    san: list[x509.GeneralName] | None = None,
    key: Any = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    algorithm: Any = None,
    signer: Authority | None = None,
) -> Certificate:
    """A leaf with whatever a good authority would not put into one."""
    issuer = signer or world.issuing
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject_name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    if san is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    signed = builder.sign(issuer._private_key, algorithm or hashes.SHA256())
    return Certificate(signed.public_bytes(Encoding.DER))


def test_a_good_chain_has_every_check_by_name(world: World) -> None:
    report = judge(world.server.chain, world.root.trust)
    assert report.accepted
    assert report.path == (*world.server.chain, world.root.certificate)
    names = {check.name for check in report.checks}
    assert names >= {
        "signature",
        "expiration",
        "authority",
        "revocation",
        "purpose",
        "host name",
        "signature hash",
        "key strength",
        "constraints",
    }
    assert {c.verdict for c in report.checks if c.name != "revocation"} == {Verdict.PASSED}
    assert report.to_dict()["accepted"] is True


def test_a_failed_check_has_the_alert_that_its_error_sends(world: World) -> None:
    late = world.server.certificate.not_after + timedelta(seconds=1)
    report = refused(world.server.chain, world.root.trust, e.CertificateExpired, at=late)
    alerts = {check.name: check.alert for check in report.checks if check.verdict is Verdict.FAILED}
    assert alerts == {"expiration": AlertDescription.CERTIFICATE_EXPIRED}
    assert {check.alert for check in report.checks if check.verdict is not Verdict.FAILED} == {None}
    [path] = report.to_dict()["paths"]
    told = {check["alert"] for check in path["checks"]}
    assert told == {None, "certificate_expired"}


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (0, 1, 1, 2, 0)])
def test_the_order_of_what_comes_after_the_leaf_is_nobody_s_business(order: tuple[int, ...]) -> None:
    root = Authority.root("Deep Root")
    leaf = root.intermediate("A", path_length=None).intermediate("B").server("localhost")
    assert judge([leaf.chain[i] for i in order], root.trust).accepted


def test_dates_are_inclusive_on_both_ends(world: World) -> None:
    leaf = world.server.certificate
    for at in (leaf.not_before, leaf.not_after, leaf.not_after + timedelta(milliseconds=999)):
        assert judge(world.server.chain, world.root.trust, at=at).accepted
    refused(
        world.server.chain, world.root.trust, e.CertificateNotYetValid, at=leaf.not_before - timedelta(milliseconds=1)
    )
    report = refused(
        world.server.chain, world.root.trust, e.CertificateExpired, at=leaf.not_after + timedelta(seconds=1)
    )
    assert "expired on" in str(report.error)


def test_an_unknown_authority_is_named(world: World) -> None:
    stranger = Authority.root("Stranger")
    report = refused(world.server.chain, stranger.trust, e.UnknownAuthority)
    assert "Test Root" in str(report.error)
    report = refused([stranger.certificate], world.root.trust, e.UnknownAuthority, name=None)
    assert "signed by itself" in str(report.error)


def test_an_authority_of_the_same_name_and_another_key_signs_nothing(world: World) -> None:
    refused(world.server.chain, Authority.root("Test Root").trust, e.UnknownAuthority)


def test_a_missing_intermediate_is_an_unknown_authority(world: World) -> None:
    report = refused(world.server.chain[:1], world.root.trust, e.UnknownAuthority)
    assert "Test Issuing CA" in str(report.error)
    assert judge(world.server.chain[:1], world.issuing.trust).accepted, "an anchor need not sign itself"


def test_purposes_are_kept_apart(world: World) -> None:
    report = refused(world.client.chain, world.root.trust, e.WrongPurpose, name=None)
    assert "serverAuth" in str(report.error)
    assert judge(world.client.chain, world.root.trust, name=None, purpose=Purpose.CLIENT_AUTH).accepted
    host = world.issuing.host("localhost")
    assert judge(host.chain, world.root.trust).accepted
    assert judge(host.chain, world.root.trust, purpose=Purpose.CLIENT_AUTH, name=None).accepted


def test_names_are_told_on_both_sides(world: World) -> None:
    report = refused(world.server.chain, world.root.trust, e.HostNameMismatch, name="c.example")
    assert "localhost" in str(report.error)
    assert "c.example" in str(report.error)
    assert judge(world.server.chain, world.root.trust, name="127.0.0.1").accepted
    assert judge(world.server.chain, world.root.trust, name=ipaddress.ip_address("::1")).accepted
    assert judge(world.server.chain, world.root.trust, name="EXAMPLE.com.").accepted
    off = replace(DEFAULT, names=NamePolicy.OFF)
    assert judge(world.server.chain, world.root.trust, name="c.example", policy=off).accepted


def test_a_common_name_counts_only_where_the_policy_says_so_and_no_san_is_there(world: World) -> None:
    """Mission row S18."""
    bare = make(world)
    chain = [bare, world.issuing.certificate]
    refused(chain, world.root.trust, e.HostNameMismatch, name="a.example")
    assert judge(chain, world.root.trust, name="a.example", policy=DEPLOYMENT).accepted
    both = [make(world, san=[x509.DNSName("b.example")]), world.issuing.certificate]
    refused(both, world.root.trust, e.HostNameMismatch, name="a.example", policy=DEPLOYMENT)


@pytest.mark.parametrize(
    ("pattern", "host", "good"),
    [
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("w*.example.com", "www.example.com", False),
        ("*.com", "example.com", False),
        ("*", "localhost", False),
        ("www.*.com", "www.example.com", False),
        ("*.*.com", "a.b.com", False),
        ("EXAMPLE.com", "example.com", True),
        ("xn--bcher-kva.example", "bücher.example", True),
        ("example.com", "example.com.evil", False),
        ("example.com.", "example.com", False),
        ("example.com..", "example.com", False),
        ("example.com ", "example.com", False),
        ("example.com\0.evil", "example.com", False),
        ("*.xn--bcher-kva.example", "www.bücher.example", True),
        ("*.example.com", "xn--bcher-kva.example.com", True),
        ("xn--*.example.com", "xn--bcher-kva.example.com", False),
        ("", "example.com", False),
        ("*.", "example", False),
    ],
)
def test_names_match_as_rfc9525_has_it(pattern: str, host: str, good: bool) -> None:
    identities = Identities((pattern,), (), (), (), x509.Name([]), True)
    assert matches(PeerName.of(host), identities, DEFAULT) == good
    if "*" in pattern:
        assert not matches(PeerName.of(host), identities, DEPLOYMENT), "a deployment takes no wildcards (S19)"


@pytest.mark.parametrize("wrong", ["", ".", "a.example..", "a b", "-a.example", "a..b", "a" * 64, "x." * 130])
def test_what_is_no_host_name_is_the_callers_mistake(wrong: str) -> None:
    with pytest.raises(UsageError, match="host name"):
        normalize_host(wrong)


@pytest.mark.parametrize("written", ["10.0.0.1", "[::1]", "１０.0.0.1", "fe80::1%eth0"])
def test_an_address_is_one_however_it_is_written(written: str) -> None:
    """In the digits of another script, in brackets, with the interface that leads to it (RFC 4007, 11.2)."""
    name = PeerName.of(written)
    assert name.host is None
    assert name.address in [ipaddress.ip_address(one) for one in ("10.0.0.1", "::1", "fe80::1")]
    assert PeerName.of(ipaddress.ip_address("fe80::1%eth0")).address == ipaddress.ip_address("fe80::1")


def test_an_address_is_no_common_name(world: World) -> None:
    """Mission row S18 is about the names of hosts."""
    bare = make(world, name="10.0.0.1")
    chain = [bare, world.issuing.certificate]
    refused(chain, world.root.trust, e.HostNameMismatch, name="10.0.0.1", policy=DEPLOYMENT)


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha224"])
def test_weak_hashes_are_refused(tmp_path: Path, digest: str) -> None:
    """Mission row S14. Neither this library nor `cryptography` signs so weakly; OpenSSL still does."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing; install openssl")
    root = Authority.root("Weak Root", key=KeyType.RSA2048)
    (tmp_path / "root.pem").write_bytes(root.certificate_pem)
    (tmp_path / "root.key").write_bytes(root.key_pem())
    (tmp_path / "ext").write_text("subjectAltName=DNS:localhost")
    request = "openssl req -new -newkey rsa:2048 -nodes -keyout leaf.key -subj /CN=localhost -out leaf.csr"
    sign = f"openssl x509 -req -{digest} -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial"
    sign += " -extfile ext -out leaf.pem"
    for command in (request, sign):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    leaf = Certificate.load((tmp_path / "leaf.pem").read_bytes())
    report = refused([leaf], root.trust, e.WeakSignatureHash, at=datetime.datetime.now(UTC))
    assert digest in str(report.error)


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())], ids=["rsa1024", "k1"]
)
def test_weak_keys_are_refused(world: World, key: Any) -> None:
    chain = [make(world, san=[x509.DNSName("localhost")], key=key), world.issuing.certificate]
    refused(chain, world.root.trust, e.WeakKey)


def test_a_leaf_signs_nothing(world: World) -> None:
    pretender = Authority(world.server.certificate, world.server.private_key, world.server.chain)
    forged = make(world, san=[x509.DNSName("localhost")], signer=pretender)
    refused([forged, *world.server.chain], world.root.trust, e.ConstraintViolation)


def test_path_lengths_are_kept() -> None:
    root = Authority.root("Short Root")
    leaf = root.intermediate("A", path_length=0).intermediate("B", path_length=None).server("localhost")
    report = refused(leaf.chain, root.trust, e.ConstraintViolation)
    assert "at most 0" in str(report.error)


def test_an_authority_issues_for_its_names_alone() -> None:
    root = Authority.root("Bound Root")
    bound = root.intermediate("Bound CA", permitted_dns=("inside.example",))
    assert judge(bound.server("www.inside.example").chain, root.trust, name="www.inside.example").accepted
    refused(bound.server("www.outside.example").chain, root.trust, e.ConstraintViolation, name="www.outside.example")


def test_an_unknown_critical_extension_ends_the_path(world: World) -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    bad = make(world, san=[x509.DNSName("localhost")], extensions=((odd, True),))
    refused([bad, world.issuing.certificate], world.root.trust, e.ConstraintViolation)
    good = make(world, san=[x509.DNSName("localhost")], extensions=((odd, False),))
    assert judge([good, world.issuing.certificate], world.root.trust).accepted


def test_a_cross_signed_authority_is_found_by_either_way() -> None:
    old, new = Authority.root("Old Root"), Authority.root("New Root")
    leaf = new.server("localhost")
    cross = (
        x509.CertificateBuilder()
        .subject_name(new.certificate.subject_name)
        .issuer_name(old.certificate.subject_name)
        .public_key(new.certificate.public_key)
        .serial_number(9)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(old._private_key, hashes.SHA256())
    )
    chain = [leaf.certificate, Certificate(cross.public_bytes(Encoding.DER))]
    assert judge(chain, old.trust).accepted
    assert judge(chain, new.trust).accepted
    assert judge([*chain, old.certificate, new.certificate], old.trust).accepted, "loops end"


def test_the_web_wants_certificates_as_they_should_be(world: World) -> None:
    chain = [make(world, san=[x509.DNSName("localhost")]), world.issuing.certificate]
    assert judge(chain, world.root.trust).accepted
    report = refused(chain, world.root.trust, e.FormViolation, policy=WEB)
    assert "RFC 5280" in str(report.error)
    assert judge(world.server.chain, world.root.trust, policy=WEB).accepted


ONE_SIGNATURE = VerificationPolicy(max_signatures=1)


@pytest.mark.parametrize("limit", ["max_signatures", "max_path_steps"])
def test_a_hostile_pool_meets_the_budget(limit: str) -> None:
    root = Authority.root("Busy Root")
    decoys = [Authority.root("Decoy").certificate for _ in range(40)]
    leaf = Authority.root("Decoy").server("localhost")
    policy = VerificationPolicy(**{limit: 10})  # type: ignore[arg-type]
    refused([leaf.certificate, *decoys], root.trust, e.BudgetExceeded, policy=policy)


def test_a_signature_found_good_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """But counts against the budget all the same: a verdict does not depend on what was judged before."""
    verified: list[Certificate] = []
    real = checks.is_signed_by

    def counting(child: Certificate, issuer: Certificate) -> bool:
        verified.append(child)
        return real(child, issuer)

    monkeypatch.setattr(checks, "is_signed_by", counting)
    root = Authority.root("Root Met Before")
    issuing = root.intermediate("CA Met Before")
    first, second = issuing.server("localhost"), issuing.server("localhost")
    refused(first.chain, root.trust, e.BudgetExceeded, policy=ONE_SIGNATURE)
    assert judge(first.chain, root.trust).accepted
    refused(first.chain, root.trust, e.BudgetExceeded, policy=ONE_SIGNATURE)
    verified.clear()
    assert judge(first.chain, root.trust, policy=VerificationPolicy(max_chain_depth=7)).accepted
    assert judge(second.chain, root.trust).accepted
    assert verified == [second.certificate]


def test_names_under_constraints_meet_the_budget() -> None:
    root = Authority.root("Wordy Root")
    bound = root.intermediate("Bound CA", permitted_dns=tuple(f"d{i}.example" for i in range(50)))
    leaf = bound.server(*(f"h{i}.d49.example" for i in range(50)))
    policy = replace(DEFAULT, max_name_comparisons=500)
    refused(leaf.chain, root.trust, e.BudgetExceeded, policy=policy, name="h1.d49.example")
    assert judge(leaf.chain, root.trust, name="h1.d49.example").accepted


def test_too_deep_a_chain_is_refused() -> None:
    root = Authority.root("Deep Root")
    authority = root
    for depth in range(4):
        authority = authority.intermediate(f"CA {depth}", path_length=None)
    chain = authority.server("localhost").chain
    assert judge(chain, root.trust).accepted
    report = refused(chain, root.trust, e.BudgetExceeded, policy=replace(DEFAULT, max_chain_depth=3))
    assert "more than the 3 intermediates" in str(report.error)


def test_a_verdict_is_remembered_until_a_date_comes(world: World) -> None:
    first = judge(world.server.chain, world.root.trust)
    trust = first.path and world.root.trust
    one, two = (judge(world.server.chain, trust) for _ in range(2))  # type: ignore[arg-type]
    assert one is two
    late = world.server.certificate.not_after + timedelta(seconds=1)
    refused(world.server.chain, trust, e.CertificateExpired, at=late)  # type: ignore[arg-type]
    refused(world.server.chain, trust, e.HostNameMismatch, name="c.example")  # type: ignore[arg-type]


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_an_error_of_ours(world: World, data: bytes) -> None:
    report = verify([data or b"x"], trust=world.root.trust, purpose=SERVER, at=NOW, name=None)
    assert isinstance(report.error, e.MalformedCertificate)


def test_no_changed_bit_of_a_certificate_is_accepted(world: World) -> None:
    """Each bit of each byte; the outer signature algorithm too, which the signature does not cover."""
    good = world.server.certificate.der
    for at in range(len(good)):
        for bit in range(8):
            der = bytearray(good)
            der[at] ^= 1 << bit
            report = judge([bytes(der), *world.server.chain[1:]], world.root.trust)
            assert isinstance(report.error, e.CertificateError), (at, bit)


def test_a_certificate_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(e.MalformedCertificate, match="at most"):
        Certificate(bytes(1 << 18))


# Trust stores.


def test_trust_comes_from_files_and_directories(world: World, tmp_path: Path) -> None:
    pem = tmp_path / "root.pem"
    pem.write_bytes(world.root.certificate_pem)
    (tmp_path / "root.der").write_bytes(world.root.certificate.der)
    (tmp_path / "notes.txt").write_text("no certificate")
    for store in (
        TrustStore.from_file(pem),
        TrustStore.from_file(tmp_path / "root.der"),
        TrustStore.from_directory(tmp_path),
        TrustStore.from_pem(world.root.certificate_pem),
    ):
        assert judge(world.server.chain, store).accepted
        assert store.subjects == (world.root.certificate.subject,)
    assert "1 anchors" in repr(TrustStore.from_directory(tmp_path))
    assert len(TrustStore.system().anchors) > 20
    for wrong in (tmp_path / "none", tmp_path / "notes.txt"):
        with pytest.raises(ConfigError):
            TrustStore.from_file(wrong)
    with pytest.raises(ConfigError):
        TrustStore.from_directory(tmp_path / "none")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError):
        TrustStore.from_directory(empty)


def test_every_system_authority_parses() -> None:
    for anchor in TrustStore.system().anchors:
        assert anchor.subject_text
        assert anchor.public_key


def test_policies_are_checked_when_built() -> None:
    with pytest.raises(ConfigError):
        VerificationPolicy(max_signatures=0)


def test_a_policy_does_not_change_when_what_it_was_made_of_does(world: World) -> None:
    """Verdicts are remembered by the policy's identity."""
    hashes_taken, clients = {"sha256", "sha384", "sha512"}, [AllowedClient("email", "alice@example.com")]
    policy = VerificationPolicy(hashes=hashes_taken, allowed_clients=clients)  # type: ignore[arg-type]
    hashes_taken.clear()
    clients.clear()
    report = judge(world.client.chain, world.root.trust, purpose=Purpose.CLIENT_AUTH, name=None, policy=policy)
    assert report.accepted


def test_nobody_revokes_an_anchor(world: World) -> None:
    """Which is told, as each check is that was not made."""
    trust = TrustStore.of(world.server.certificate)
    policy = replace(DEFAULT, revocation=RevocationMode.REQUIRED)
    report = judge(world.server.chain[:1], trust, policy=policy)
    assert report.accepted
    assert [check.verdict for check in report.checks if check.name == "revocation"] == [Verdict.SKIPPED]


def test_key_types_of_the_ca_are_all_strong_enough(world: World) -> None:
    for key in KeyType:
        assert judge(world.issuing.server("localhost", key=key).chain, world.root.trust).accepted


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (AllowedClient("email", "alice@example.com"), True),
        (AllowedClient("email", "example.com", suffix=True), True),
        (AllowedClient("email", "ample.com", suffix=True), False),
        (AllowedClient("subject", "CN=alice"), True),
        (AllowedClient("subject", "CN=bob"), False),
        (AllowedClient("uri", "spiffe://example.org/web/blue"), True),
        (AllowedClient("uri", "spiffe://example.org/web", suffix=True), True),
        (AllowedClient("uri", "spiffe://example.org/we", suffix=True), False),
        (AllowedClient("uri", "spiffe://example.org/web"), False),
        (AllowedClient("dns", "example.com", suffix=True), False),
    ],
    ids=str,
)
def test_clients_are_let_in_by_name(world: World, rule: AllowedClient, good: bool) -> None:
    """Mission row S20."""
    client = world.issuing.client("alice", email="alice@example.com", uri="spiffe://example.org/web/blue")
    policy = replace(DEFAULT, allowed_clients=(rule,))
    report = judge(client.chain, world.root.trust, purpose=Purpose.CLIENT_AUTH, name=None, policy=policy)
    assert report.accepted == good
    assert good or type(report.error) is e.ClientNotAllowed


@pytest.mark.parametrize(
    "path", ["..", "../admin", "a/../../admin", "%2e%2E/admin", "./x", "", "a//b", "..%2fadmin", "..\\x"]
)
def test_nobody_is_below_a_place_who_leads_out_of_it(path: str) -> None:
    """RFC 3986, 5.2.4; SPIFFE IDs have no such paths."""
    rule = AllowedClient("uri", "spiffe://example.org/web", suffix=True)
    assert not rule.admits(Identities((), (), (f"spiffe://example.org/web/{path}",), (), x509.Name([]), True))
    assert rule.admits(Identities((), (), ("spiffe://example.org/web/a.b/..c",), (), x509.Name([]), True))


def test_rules_for_clients_are_checked_when_built() -> None:
    for wrong in (("ip", "x", False), ("subject", "x", True), ("dns", "", True), ("dns", ".", True), ("uri", "", True)):
        with pytest.raises(ConfigError):
            AllowedClient(*wrong)


@pytest.mark.parametrize(("bits", "good"), [(0x40, True), (0x80, False), (0xC0, True), (0x04, False)])
def test_the_old_netscape_type_still_counts(world: World, bits: int, good: bool) -> None:
    """Mission row S17."""
    kind = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.1"), bytes((3, 2, 0, bits)))
    leaf = make(world, san=[x509.DNSName("localhost")], extensions=((kind, True),))
    report = judge([leaf, world.issuing.certificate], world.root.trust)
    assert report.accepted == good
    assert good or type(report.error) is e.WrongPurpose
