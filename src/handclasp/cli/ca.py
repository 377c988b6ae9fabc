"""`handclasp ca`: a small CA in a directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rich.markup import escape
from rich.table import Table

import handclasp
from handclasp.ca import Issued, KeyType
from handclasp.ca.authority import MAX_DAYS
from handclasp.ca.database import Entry
from handclasp.ca.house import ISSUING, ROOT, CaDirectory
from handclasp.cli import show
from handclasp.cli.files import password_from
from handclasp.cli.told import telling
from handclasp.x509.crl import Crl
from handclasp.x509.files import clear_leftovers, write_whole
from handclasp.x509.keys import KeyForm, key_bytes, write_owner_only
from handclasp.x509.names import Identities
from handclasp.x509.text import printable

__all__ = ["ca_app"]

ca_app = typer.Typer(
    help="A small CA in a directory: root, issuing authority, certificates, CRLs.", no_args_is_help=True
)

Directory = Annotated[Path, typer.Option("--ca", help="The CA's directory.")]
PasswordFile = Annotated[Path | None, typer.Option(help="A file with the password of the CA's keys.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Which = Annotated[
    str, typer.Argument(metavar="WHICH", help="Its serial number, or its name where that is one certificate's alone.")
]
Newest = Annotated[
    str, typer.Argument(metavar="WHICH", help="Its serial number, or its name: then the newest good one.")
]
Days = typer.Option(min=1, max=MAX_DAYS, help="How long it is valid.")
ListDays = typer.Option(min=1, max=MAX_DAYS, help="How long it is current.")


USES = {"1.3.6.1.5.5.7.3.1": "server", "1.3.6.1.5.5.7.3.2": "client"}


class Kind(StrEnum):
    """What a certificate is for."""

    SERVER = "server"
    CLIENT = "client"
    HOST = "host"


class Label(StrEnum):
    """The authorities of a CA."""

    ROOT = ROOT
    ISSUING = ISSUING


class Reason(StrEnum):
    """Why a certificate is taken back (RFC 5280, 5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    REMOVE_FROM_CRL = "removeFromCRL"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


class Form(StrEnum):
    """How a certificate or key is written."""

    P12 = "p12"
    PEM = "pem"
    CERTIFICATE_PEM = "cert-pem"
    CERTIFICATE_DER = "cert-der"
    KEY_PEM = "key-pem"
    KEY_DER = "key-der"
    KEY_TRADITIONAL = "key-traditional"


@ca_app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The CA's name, as in 'Example'.")],
    ca: Directory = Path("ca"),
    key: Annotated[KeyType, typer.Option(help="The kind of the authorities' keys.")] = KeyType.P256,
    permit: Annotated[
        list[str] | None, typer.Option(help="Domains that it may issue for, in names of every kind, and no others.")
    ] = None,
    password_file: PasswordFile = None,
) -> None:
    """Make a CA: a root, and an issuing authority below it."""
    with telling():
        password = password_from(password_file)
        CaDirectory.init(ca, name, key=key, password=password, permitted_dns=tuple(permit or ())).close()
        typer.echo(f"made {ca}: give {ca / 'root.pem'} to those who are to trust it")


@ca_app.command()
def issue(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Host names and addresses; a client's name.")],
    ca: Directory = Path("ca"),
    kind: Annotated[Kind, typer.Option(help="What it is for.")] = Kind.SERVER,
    key: Annotated[KeyType, typer.Option(help="The kind of its key.")] = KeyType.P256,
    days: Annotated[int, Days] = 397,
    uri: Annotated[str | None, typer.Option(help="A client's URI, as spiffe://example.org/alice.")] = None,
    email: Annotated[str | None, typer.Option(help="A client's e-mail address.")] = None,
    must_staple: Annotated[bool, typer.Option("--must-staple", help="Promise that a server staples OCSP.")] = False,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Issue a certificate and its key."""
    with telling(), _open(ca, password_file) as house:
        more: dict[str, Any] = {"key": key, "days": days}
        if kind is Kind.CLIENT:
            if len(names) != 1:
                raise handclasp.UsageError("A client's certificate has one name.")
            more |= {"uri": uri, "email": email}
        elif uri is not None or email is not None:
            raise handclasp.UsageError("--uri and --email are for --kind client.")
        if must_staple:
            if kind is not Kind.SERVER:
                raise handclasp.UsageError("--must-staple is for --kind server.")
            more["must_staple"] = True
        _issued(*house.issue(kind.value, tuple(names), **more), as_json)


@ca_app.command()
def renew(which: Newest, ca: Directory = Path("ca"), password_file: PasswordFile = None, as_json: Json = False) -> None:
    """Issue a certificate again: its names, uses and kind of key, with a new key and new dates."""
    with telling(), _open(ca, password_file) as house:
        _issued(*house.renew(house.book.find(which, newest=True)), as_json)


def _issued(issued: Issued, certificate: Path, private: Path, as_json: bool) -> None:
    serial = f"{issued.certificate.serial_number:x}"
    if as_json:
        typer.echo(json.dumps({"serial": serial, "certificate": str(certificate), "key": str(private)}))
        return
    typer.echo(f"issued {serial}, valid until {issued.certificate.not_after:%Y-%m-%d}")
    typer.echo(f"  certificate {certificate}")
    typer.echo(f"  key         {private}")


@ca_app.command()
def revoke(
    which: Which,
    ca: Directory = Path("ca"),
    reason: Annotated[Reason, typer.Option(help="Why; removeFromCRL frees one that was on hold.")] = Reason.UNSPECIFIED,
    password_file: PasswordFile = None,
) -> None:
    """Take a certificate back; the next CRL says so."""
    with telling(), _open(ca, password_file) as house:
        entry = house.revoke(which, x509.ReasonFlags(reason.value))
        whose = "" if entry.authority == ISSUING else f" --authority {entry.authority}"
        said = printable(f"{entry.name} ({entry.serial:x}) is {_state(entry)}")
        typer.echo(f"{said}; make a new CRL with `handclasp ca crl{whose}`")


@ca_app.command()
def crl(
    ca: Directory = Path("ca"),
    authority: Annotated[Label, typer.Option(help="Whose list.")] = Label.ISSUING,
    days: Annotated[int, ListDays] = 7,
    delta: Annotated[int | None, typer.Option(min=1, help="Make a delta to the list of this number.")] = None,
    pem: Annotated[bool, typer.Option("--pem", help="Write it in PEM, too.")] = False,
    password_file: PasswordFile = None,
) -> None:
    """Make the next CRL, in DER."""
    with telling(), _open(ca, password_file) as house:
        path = house.make_crl(authority.value, days=days, base=delta)
        made = Crl(path.read_bytes())
        what = f"list {made.number}" if delta is None else f"delta {made.number} to list {delta}"
        if pem:
            path = path.with_name(f"{path.name}.pem")
            write_whole(path, made.parsed.public_bytes(Encoding.PEM))
        typer.echo(f"made {path}: {what}, certificates on it: {len(made.parsed)}, current for {days} days")


@ca_app.command()
def ocsp(
    which: Newest,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The file to write, in DER.")],
    ca: Directory = Path("ca"),
    days: Annotated[int, ListDays] = 7,
    password_file: PasswordFile = None,
) -> None:
    """Write an OCSP response for a certificate, as its server staples it."""
    with telling(), _open(ca, password_file) as house:
        entry = house.book.find(which, newest=True)
        write_whole(target, house.ocsp_response(entry, days=days))
        typer.echo(printable(f"wrote {target}: {entry.name} ({entry.serial:x}) is {_state(entry)}"))


@ca_app.command("list")
def list_(ca: Directory = Path("ca"), as_json: Json = False) -> None:
    """List all that was issued."""
    with telling(), _open(ca, None) as house:
        entries = house.book.entries()
    if as_json:
        typer.echo(json.dumps([_dict(one) for one in entries], indent=2))
        return
    out = show.console()
    if not out.is_terminal:
        for one in entries:
            out.print(printable(f"{one.serial:x} {one.name} {_state(one)}"), markup=False)
        return
    table = Table(show_edge=False, pad_edge=False)
    for column in ("serial", "name", "by", "until", "state"):
        table.add_column(column, overflow="fold")
    for one in entries:
        until = f"{one.not_after:%Y-%m-%d}" if one.not_after else ""
        table.add_row(
            f"{one.serial:x}",
            escape(printable(one.name)),
            one.authority,
            until,
            f"[{'green' if _state(one) == 'valid' else 'red'}]{_state(one)}[/]",
        )
    out.print(table)


@ca_app.command("show")
def show_(which: Newest, ca: Directory = Path("ca"), as_json: Json = False) -> None:
    """Show one certificate: what the book says, what is in it, and its PEM."""
    with telling(), _open(ca, None) as house:
        entry = house.book.find(which, newest=True)
        facts = {**_dict(entry), **_details(entry)}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    pem = facts.pop("pem")
    out = show.console()
    texts = {name: ", ".join(value) if isinstance(value, list) else value for name, value in facts.items()}
    show.pairs(out, [(name.replace("_", " "), text) for name, text in texts.items()])
    if pem:
        typer.echo(f"\n{pem}", nl=False)


@ca_app.command()
def export(
    which: Newest,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The file to write.")],
    form: Annotated[
        Form,
        typer.Option(
            help="p12 and pem hold chain and key; cert-... the certificate, in PEM with its chain; key-... the key "
            "alone, as PKCS #8 or in the form that RSA and EC keys had before."
        ),
    ] = Form.P12,
    target_password_file: Annotated[
        Path | None, typer.Option(help="A file with the password for what is written; p12 needs one.")
    ] = None,
    ca: Directory = Path("ca"),
    password_file: PasswordFile = None,
) -> None:
    """Write a certificate, its chain or its key in the form that another program reads."""
    with telling(), _open(ca, password_file) as house:
        password = password_from(target_password_file)
        if target_password_file is not None and not password:
            raise handclasp.UsageError(f"{target_password_file} is empty; it should hold a password.")
        entry = house.book.find(which, newest=True)
        issued = house.issued(entry)
        if form in (Form.CERTIFICATE_PEM, Form.CERTIFICATE_DER):
            if password is not None:
                raise handclasp.UsageError("A certificate has no password; leave --target-password-file out.")
            write_whole(target, issued.chain_pem if form is Form.CERTIFICATE_PEM else issued.certificate.der)
        else:
            clear_leftovers(target.absolute().parent)  # of exports that were killed
            write_owner_only(target, _with_key(issued, entry, form, password))
        show.console(stderr=True).print(f"wrote {target}", markup=False)


def _with_key(issued: Issued, entry: Entry, form: Form, password: bytes | None) -> bytes:
    if form is Form.P12:
        if password is None:
            raise handclasp.UsageError("A PKCS #12 file needs a password: --target-password-file.")
        return issued.pkcs12(password, entry.name)
    if form is Form.PEM:
        return issued.chain_pem + issued.key_pem(password)
    kind = KeyForm.TRADITIONAL if form is Form.KEY_TRADITIONAL else KeyForm.PKCS8
    encoding = Encoding.DER if form is Form.KEY_DER else Encoding.PEM
    return key_bytes(issued.private_key, password=password, form=kind, encoding=encoding)


@contextmanager
def _open(path: Path, password_file: Path | None) -> Iterator[CaDirectory]:
    with CaDirectory(path, password_from(password_file)) as house:
        yield house


def _state(one: Entry) -> str:
    if one.revoked_at is not None:
        return f"revoked ({one.reason.value if one.reason else 'unspecified'})"
    if one.der is None:
        return "never finished"
    return "expired" if one.not_after is not None and one.not_after < datetime.now(UTC) else "valid"


def _dict(one: Entry) -> dict[str, Any]:
    return {
        "serial": f"{one.serial:x}",
        "name": one.name,
        "authority": one.authority,
        "not_after": one.not_after.isoformat() if one.not_after else None,
        "revoked_at": one.revoked_at.isoformat() if one.revoked_at else None,
        "state": _state(one),
    }


def _details(one: Entry) -> dict[str, Any]:
    """What is in the certificate itself."""
    certificate = one.certificate
    if certificate is None:
        return {"pem": None}
    names = Identities.of(certificate).to_dict()
    return {
        "subject": certificate.subject_text,
        "issuer": certificate.issuer_text,
        "not_before": certificate.not_before.isoformat(),
        "names": [*names["dns"], *names["ip"], *names["uri"], *names["email"]],
        "key": KeyType.of(certificate.public_key).value,
        "uses": [
            USES.get(oid.dotted_string, oid.dotted_string) for oid in certificate.extension(x509.ExtendedKeyUsage) or ()
        ],
        "sha256": certificate.fingerprint.hex(),
        "pem": certificate.parsed.public_bytes(Encoding.PEM).decode(),
    }
