"""`handclasp verify`: judge certificates from files, and show every check."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

import handclasp
from handclasp.cli import show
from handclasp.cli.files import trust_from
from handclasp.cli.told import telling
from handclasp.x509 import (
    DEFAULT,
    DEPLOYMENT,
    RFC5280,
    WEB,
    Certificate,
    Purpose,
    Report,
    RevocationMode,
    RevocationSources,
    Verdict,
)
from handclasp.x509 import errors as x509_errors
from handclasp.x509 import verify as judge
from handclasp.x509.online import Online
from handclasp.x509.text import printable

__all__ = ["EXIT_CODES", "verify"]

EXIT_CODES: dict[type[handclasp.CertificateError], int] = {
    x509_errors.MalformedCertificate: 10,
    x509_errors.CertificateExpired: 11,
    x509_errors.CertificateNotYetValid: 12,
    x509_errors.UnknownAuthority: 13,
    x509_errors.HostNameMismatch: 14,
    x509_errors.WrongPurpose: 15,
    x509_errors.CertificateRevoked: 16,
    x509_errors.RevocationUnknown: 17,
    x509_errors.WeakSignatureHash: 18,
    x509_errors.WeakKey: 19,
    x509_errors.ConstraintViolation: 20,
    x509_errors.PolicyViolation: 21,
    x509_errors.FormViolation: 22,
    x509_errors.BudgetExceeded: 23,
    x509_errors.SignatureInvalid: 24,
}
"""A code for each kind of refusal; 1 for one that has none, 2 for wrong options or files."""

COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.SKIPPED: "yellow"}


class ProfileName(StrEnum):
    """The ready-made policies."""

    DEFAULT = "default"
    RFC5280 = "rfc5280"
    WEB = "web"
    DEPLOYMENT = "deployment"


class RevocationName(StrEnum):
    """Whether revocation counts."""

    OFF = RevocationMode.OFF.value
    WHEN_AVAILABLE = RevocationMode.WHEN_AVAILABLE.value
    REQUIRED = RevocationMode.REQUIRED.value


class PurposeName(StrEnum):
    """What the certificate is to be used for."""

    SERVER = "server"
    CLIENT = "client"


POLICIES = {
    ProfileName.DEFAULT: DEFAULT,
    ProfileName.RFC5280: RFC5280,
    ProfileName.WEB: WEB,
    ProfileName.DEPLOYMENT: DEPLOYMENT,
}


def verify(
    certificates: Annotated[
        list[Path], typer.Argument(metavar="CERT...", help="The certificate, and others of its chain in any order.")
    ],
    host: Annotated[str | None, typer.Option(help="The host name or address that it has to be for.")] = None,
    trust: Annotated[Path | None, typer.Option(help="Trusted authorities: a file or a directory.")] = None,
    crl: Annotated[list[Path] | None, typer.Option(help="CRLs, files or directories; then revocation counts.")] = None,
    ocsp: Annotated[list[Path] | None, typer.Option(help="OCSP responses, files in DER; they count too.")] = None,
    fetch: Annotated[
        bool,
        typer.Option("--fetch", help="Fetch missing issuers, CRLs and OCSP responses from where certificates say."),
    ] = False,
    revocation: Annotated[
        RevocationName | None, typer.Option(help="Whether revocation counts; required where --crl or --ocsp is given.")
    ] = None,
    purpose: Annotated[PurposeName, typer.Option(help="What it is to be used for.")] = PurposeName.SERVER,
    at: Annotated[str | None, typer.Option(help="The time to judge at, as 2026-01-31T12:00:00Z.")] = None,
    profile: Annotated[ProfileName, typer.Option(help="How strict to be.")] = ProfileName.DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Judge a certificate, and print every check.

    Exit codes, accepted 0, wrong options or files 2, refused for:
    malformed 10; expired 11; not yet valid 12; unknown authority 13; host name 14; purpose 15; revoked 16;
    revocation not known 17; weak hash 18; weak key 19; constraints 20; policies 21; form 22;
    too much work 23; signature 24; another reason 1.
    """
    with telling():
        chain = [one for path in certificates for one in _load(path)]
        store = trust_from(trust)
        sources = _sources(crl or [], ocsp or [])
        when = _time(at)
        policy = POLICIES[profile]
        if revocation is not None:
            policy = replace(policy, revocation=RevocationMode(revocation.value))
        elif sources is not None:
            policy = replace(policy, revocation=RevocationMode.REQUIRED)
        report = (Online().verify if fetch else judge)(
            chain,
            trust=store,
            policy=policy,
            purpose=Purpose.SERVER_AUTH if purpose is PurposeName.SERVER else Purpose.CLIENT_AUTH,
            at=when,
            name=host,
            revocation=sources,
        )
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _print(report)
    if report.error is not None:
        raise typer.Exit(EXIT_CODES.get(type(report.error), show.EXIT_FAILED))


def _load(path: Path) -> list[Certificate]:
    try:
        return Certificate.load_all(path.read_bytes())
    except handclasp.CertificateError as error:
        raise handclasp.UsageError(f"{path}: {error}") from None


def _sources(crls: list[Path], responses: list[Path]) -> RevocationSources | None:
    if not crls and not responses:
        return None
    return RevocationSources(RevocationSources.from_path(*crls).crls, [path.read_bytes() for path in responses])


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise handclasp.UsageError(f"--at {text!r} is no time, as 2026-01-31T12:00:00Z is.") from None


def _print(report: Report) -> None:
    out = show.console()
    if out.is_terminal and out.width < show.NARROW:
        for check in report.checks:
            verdict = f"[{COLOURS[check.verdict]}]{check.verdict.value}[/]"
            out.print(f"{verdict} [bold]{check.name}[/] of {escape(printable(check.subject))} ({check.section})")
            show.pairs(out, [("expected", check.expected), ("presented", check.presented)])
    elif out.is_terminal:
        table = Table(show_edge=False, pad_edge=False)
        for column in ("check", "verdict", "certificate", "expected", "presented", "standard"):
            table.add_column(column, overflow="fold")
        for check in report.checks:
            verdict = f"[{COLOURS[check.verdict]}]{check.verdict.value}[/]"
            cells = (check.subject, check.expected, check.presented, check.section)
            table.add_row(check.name, verdict, *(escape(printable(one)) for one in cells))
        out.print(table)
    else:
        for check in report.checks:
            words = f"{check.name}: {check.verdict.value}: {check.subject}: expected {check.expected}"
            words += f", presented {check.presented}" if check.presented else ""
            out.print(printable(words), markup=False)
    show.fetched(out, report)
    if report.error is None:
        path = " < ".join(one.subject_text for one in report.path or ())
        out.print(printable(f"accepted: {path}"), markup=False)
    else:
        out.print(printable(f"refused: {report.error} {report.error.mend}"), markup=False)
