"""`handclasp ca`: a small CA in a directory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rich.table import Table

import handclasp
from handclasp.ca import KeyType
from handclasp.ca.database import Entry
from handclasp.ca.house import ISSUING, ROOT, CaDirectory
from handclasp.cli import show
from handclasp.x509.keys import write_owner_only

__all__ = ["ca_app"]

ca_app = typer.Typer(
    help="A small CA in a directory: root, issuing authority, certificates, CRLs.", no_args_is_help=True
)

Directory = Annotated[Path, typer.Option("--ca", help="The CA's directory.")]
PasswordFile = Annotated[Path | None, typer.Option(help="A file with the password of the CA's keys.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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


@ca_app.command()
def init(
    name: Annotated[str, typer.Argument(help="The CA's name, as in 'Example'.")],
    ca: Directory = Path("ca"),
    key: Annotated[KeyType, typer.Option(help="The kind of the authorities' keys.")] = KeyType.P256,
    permit: Annotated[list[str] | None, typer.Option(help="Domains that it may issue for, and no others.")] = None,
    password_file: PasswordFile = None,
) -> None:
    """Make a CA: a root, and an issuing authority below it."""
    with _told():
        house = CaDirectory.init(
            ca, name, key=key, password=_password(password_file), permitted_dns=tuple(permit or ())
        )
        house.close()
        typer.echo(f"made {ca}: give {ca / 'root.pem'} to those who are to trust it")


@ca_app.command()
def issue(
    names: Annotated[list[str], typer.Argument(help="Host names and addresses; a client's name.")],
    ca: Directory = Path("ca"),
    kind: Annotated[Kind, typer.Option(help="What it is for.")] = Kind.SERVER,
    key: Annotated[KeyType, typer.Option(help="The kind of its key.")] = KeyType.P256,
    days: Annotated[int, typer.Option(help="How long it is valid.")] = 397,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Issue a certificate and its key."""
    with _told(), _open(ca, password_file) as house:
        if kind is Kind.CLIENT and len(names) != 1:
            raise handclasp.UsageError("A client's certificate has one name.")
        issued, certificate, private = house.issue(kind.value, tuple(names), key=key, days=days)
        serial = f"{issued.certificate.serial_number:x}"
        if as_json:
            typer.echo(json.dumps({"serial": serial, "certificate": str(certificate), "key": str(private)}))
        else:
            typer.echo(f"issued {serial}: {certificate}, key {private}")


@ca_app.command()
def renew(which: str, ca: Directory = Path("ca"), password_file: PasswordFile = None) -> None:
    """Issue a certificate again, with a new key and new dates."""
    with _told(), _open(ca, password_file) as house:
        issued, certificate, private = house.renew(house.book.find(which))
        typer.echo(f"issued {issued.certificate.serial_number:x}: {certificate}, key {private}")


@ca_app.command()
def revoke(
    which: Annotated[str, typer.Argument(help="Its serial number, or its name.")],
    ca: Directory = Path("ca"),
    reason: Annotated[Reason, typer.Option(help="Why; removeFromCRL frees one that was on hold.")] = Reason.UNSPECIFIED,
    password_file: PasswordFile = None,
) -> None:
    """Take a certificate back; the next CRL says so."""
    with _told(), _open(ca, password_file) as house:
        entry = house.revoke(which, x509.ReasonFlags(reason.value))
        typer.echo(f"{entry.name} ({entry.serial:x}) is {_state(entry)}; make a new CRL with `handclasp ca crl`")


@ca_app.command()
def crl(
    ca: Directory = Path("ca"),
    authority: Annotated[Label, typer.Option(help="Whose list.")] = Label.ISSUING,
    days: Annotated[int, typer.Option(help="How long it is current.")] = 7,
    delta: Annotated[int | None, typer.Option(help="Make a delta to the list of this number.")] = None,
    password_file: PasswordFile = None,
) -> None:
    """Make the next CRL."""
    with _told(), _open(ca, password_file) as house:
        typer.echo(f"made {house.make_crl(authority.value, days=days, base=delta)}")


@ca_app.command("list")
def list_(ca: Directory = Path("ca"), as_json: Json = False) -> None:
    """List all that was issued."""
    with _told(), _open(ca, None) as house:
        entries = house.book.entries()
        if as_json:
            typer.echo(json.dumps([_dict(one) for one in entries], indent=2))
            return
        out = show.console()
        if not out.is_terminal:
            for one in entries:
                out.print(f"{one.serial:x} {one.name} {_state(one)}", markup=False)
            return
        table = Table(show_edge=False, pad_edge=False)
        for column in ("serial", "name", "by", "until", "state"):
            table.add_column(column)
        for one in entries:
            until = f"{one.not_after:%Y-%m-%d}" if one.not_after else ""
            table.add_row(f"{one.serial:x}", one.name, one.authority, until, _state(one))
        out.print(table)


@ca_app.command("show")
def show_(which: str, ca: Directory = Path("ca")) -> None:
    """Show one certificate as JSON, its PEM with it."""
    with _told(), _open(ca, None) as house:
        entry = house.book.find(which)
        certificate = entry.certificate
        pem = certificate.parsed.public_bytes(Encoding.PEM).decode() if certificate is not None else None
        typer.echo(json.dumps({**_dict(entry), "pem": pem}, indent=2))


@ca_app.command()
def export(
    which: str,
    target: Annotated[Path, typer.Argument(help="The PKCS #12 file to write.")],
    target_password_file: Annotated[Path, typer.Option(help="A file with the password for it.")],
    ca: Directory = Path("ca"),
    password_file: PasswordFile = None,
) -> None:
    """Write a certificate, its key and chain as a PKCS #12 file."""
    with _told(), _open(ca, password_file) as house:
        password = _password(target_password_file)
        if not password:
            raise handclasp.UsageError(f"{target_password_file} is empty; a PKCS #12 file needs a password.")
        write_owner_only(target, house.export(which, password))
        typer.echo(f"wrote {target}")


@contextmanager
def _told() -> Iterator[None]:
    """Mistakes of the user's are told in a line."""
    try:
        yield
    except (handclasp.UsageError, OSError, sqlite3.Error) as error:
        show.console(stderr=True).print(f"handclasp: {error}", markup=False)
        raise typer.Exit(show.EXIT_USAGE) from None


@contextmanager
def _open(path: Path, password_file: Path | None) -> Iterator[CaDirectory]:
    house = CaDirectory(path, _password(password_file))
    try:
        yield house
    finally:
        house.close()


def _password(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes().rstrip(b"\r\n")


def _state(one: Entry) -> str:
    if one.revoked_at is not None:
        return f"revoked ({one.reason.value if one.reason else 'unspecified'})"
    return "valid" if one.der is not None else "never finished"


def _dict(one: Entry) -> dict[str, Any]:
    return {
        "serial": f"{one.serial:x}",
        "name": one.name,
        "authority": one.authority,
        "not_after": one.not_after.isoformat() if one.not_after else None,
        "state": _state(one),
    }
