"""Private keys in and out of files: which forms there are, and who else may read the file (mission rows S12, S15).

A key file that others may read draws a warning, not a refusal, unless the policy says so: platforms that
hand secrets to containers share them with a group by design, and a server that will not start is no safer.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from enum import Enum
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from handclasp.errors import UsageError
from handclasp.pickling import check_pickles
from handclasp.values import checked
from handclasp.x509.files import STREAMS, write_whole
from handclasp.x509.pem import as_pem, blocks
from handclasp.x509.rounds import TooMuchWork, check_rounds

__all__ = [
    "KeyFileExposed",
    "KeyFilePolicy",
    "KeyFileWarning",
    "KeyForm",
    "MalformedKey",
    "PasswordNeeded",
    "UnreadableKey",
    "UnsupportedKey",
    "WrongPassword",
    "key_bytes",
    "load_private_key",
    "load_private_keys",
    "public_bytes",
    "read_key_file",
    "save_private_key",
    "signer_key_bytes",
    "write_owner_only",
]

MAX_SIZE = 1 << 20
"""Bytes of the longest file that is looked at for keys."""

_KINDS = (
    rsa.RSAPrivateKey,
    ec.EllipticCurvePrivateKey,
    ed25519.Ed25519PrivateKey,
    ed448.Ed448PrivateKey,
    mldsa.MLDSA44PrivateKey,
    mldsa.MLDSA65PrivateKey,
    mldsa.MLDSA87PrivateKey,
)
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{0,32}PRIVATE KEY)-----(?:[^-]|-(?!----))+-----END \1-----")


class UnreadableKey(UsageError):
    """A private key that could not be had; the message says why and what to do."""


class PasswordNeeded(UnreadableKey):
    """The key is encrypted and no password was given."""


class WrongPassword(UnreadableKey):
    """The password does not open the key, or the encrypted bytes are damaged: the two look alike."""


class MalformedKey(UnreadableKey):
    """Bytes that are no private key."""


class UnsupportedKey(UnreadableKey):
    """A private key of a kind or form that TLS has no use for, or that is not read here."""


class KeyFileExposed(UnreadableKey):
    """A key file that others than its owner may read, where the policy refuses that."""


class KeyFileWarning(UserWarning):
    """A key file that others than its owner may read."""


class KeyFilePolicy(Enum):
    """What to do about a key file that its group or everybody may read."""

    REFUSE = "refuse"
    WARN = "warn"
    ALLOW = "allow"


class KeyForm(Enum):
    """How a key is written."""

    PKCS8 = "pkcs8"
    """For every kind of key (RFC 5958)."""
    TRADITIONAL = "traditional"
    """`RSA PRIVATE KEY` (RFC 8017, A.1.2) or `EC PRIVATE KEY` (RFC 5915), for old programs."""


def public_bytes(key: Any) -> bytes:
    """A public key as SubjectPublicKeyInfo in DER."""
    der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def signer_key_bytes(private_key: Any) -> bytes:
    """The public key, as SubjectPublicKeyInfo in DER, of a private key or of any object that stands for one.

    Such an object has `public_key()`, and `sign` as the keys of `cryptography` have it; one without `sign` is for
    owners who answer the question `Sign`. Raises `UnsupportedKey` for anything else, and `UnreadableKey` where
    the object does not tell its public key.
    """
    public_key, sign = getattr(private_key, "public_key", None), getattr(private_key, "sign", None)
    if not callable(public_key) or not (sign is None or callable(sign)):
        raise UnsupportedKey(
            f"A {type(private_key).__name__} cannot sign; give a private key or an object with public_key() and sign()."
        )
    try:
        return public_bytes(public_key())
    except Exception as error:  # whatever somebody else's object raises
        raise UnreadableKey(
            f"The {type(private_key).__name__} does not tell its public key: {type(error).__name__}."
        ) from error


@checked
def load_private_key(data: bytes, password: bytes | None = None) -> Any:
    """The first private key in PEM or DER bytes, of any form; see `load_private_keys`."""
    return load_private_keys(data, password)[0]


@checked
def load_private_keys(data: bytes, password: bytes | None = None) -> tuple[Any, ...]:
    """All private keys in PEM bytes, or the one in DER: RSA, EC, Ed25519, Ed448 or ML-DSA.

    A password is passed over where a key is not encrypted. Raises `PasswordNeeded`,
    `WrongPassword`, `MalformedKey` or `UnsupportedKey`.
    """
    if len(data) > MAX_SIZE:
        raise MalformedKey(f"{len(data)} bytes are no private key; at most {MAX_SIZE} are looked at.")
    data = as_pem(data)
    if b"-----BEGIN" not in data:
        return (_load(load_der_private_key, data, password),)
    found = [(one[1], one[0]) for one in _PEM.finditer(data)]
    if not found:
        raise MalformedKey("There is no private key in these PEM bytes; name the file that has the key.")
    return tuple(_load_pem(label, block, password) for label, block in found)


def _load_pem(label: bytes, block: bytes, password: bytes | None) -> Any:
    if label == b"OPENSSH PRIVATE KEY":
        raise UnsupportedKey("The private key is in OpenSSH's form; convert it with `ssh-keygen -p -m PKCS8 -f FILE`.")
    return _load(load_pem_private_key, _tidy(block), password)


def _tidy(block: bytes) -> bytes:
    """A block without the blanks that people and tools put around its lines, which the parser is strict about.

    Headers, as old encrypted keys have them, are parted from the rest by one blank line (RFC 1421, 4.4).
    """
    lines = [line.strip() for line in block.splitlines() if line.strip()]
    headers = max((at for at, line in enumerate(lines) if b": " in line), default=0)
    if headers:
        lines.insert(headers + 1, b"")
    return b"\n".join(lines) + b"\n"


def _load(load: Any, data: bytes, password: bytes | None) -> Any:
    try:
        try:
            key = load(data, None)
        except TypeError:  # it is encrypted
            if not password:
                raise PasswordNeeded("The private key is encrypted; give its password.") from None
            key = _decrypt(load, data, password)
    except UnsupportedAlgorithm as error:
        raise UnsupportedKey(f"The private key is of a kind that is not read here: {error}") from None
    except ValueError as error:
        raise MalformedKey(f"The private key does not parse: {error}") from None
    if not isinstance(key, _KINDS):
        raise UnsupportedKey("The private key cannot sign in TLS; use RSA, EC, Ed25519, Ed448 or ML-DSA.")
    return key


def _decrypt(load: Any, data: bytes, password: bytes) -> Any:
    try:
        for der in blocks(data, b"ENCRYPTED PRIVATE KEY") if data.startswith(b"-----BEGIN") else (data,):
            check_rounds(der)
        return load(data, password)
    except TooMuchWork as error:
        raise UnsupportedKey(f"The private key is not opened: {error}.") from None
    except ValueError:
        raise WrongPassword("The private key does not open: its password is another, or it is damaged.") from None


@checked
def read_key_file(path: str | os.PathLike[str], policy: KeyFilePolicy = KeyFilePolicy.WARN) -> bytes:
    """The bytes of a file with a private key, once it is settled who else may read it.

    Raises `UnreadableKey` where it cannot be read and `KeyFileExposed` under `REFUSE`; warns
    with `KeyFileWarning` under `WARN`. Looks at the opened file, so that it cannot be swapped between.
    """
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise UnreadableKey(f"The key file {path} could not be read: {error.strerror}.") from None
    exposed = os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO)
    if exposed and policy is not KeyFilePolicy.ALLOW and holds_key(data):
        message = f"The key file {path} is open to others than its owner (mode {mode & 0o777:03o}): chmod 600 {path}"
        if policy is KeyFilePolicy.REFUSE:
            raise KeyFileExposed(message)
        warnings.warn(message, KeyFileWarning, stacklevel=2)
    return data


def holds_key(data: bytes) -> bool:
    """Whether bytes may hold a private key: anything but PEM of other things alone."""
    data = as_pem(data)
    return b"-----BEGIN" not in data or _PEM.search(data) is not None


@checked
def key_bytes(
    private_key: Any,
    *,
    password: bytes | None = None,
    form: KeyForm = KeyForm.PKCS8,
    encoding: Encoding = Encoding.PEM,
) -> bytes:
    """A private key as it goes into a file, encrypted where a password is given.

    Raises `UnsupportedKey` for a combination that no standard has: traditional forms are for RSA and EC
    alone, and are encrypted in PEM alone; and for a key that does not leave the place that it is kept in.
    """
    if not hasattr(private_key, "private_bytes"):
        raise UnsupportedKey(f"A {type(private_key).__name__} does not give its private key away to be written.")
    encryption: KeySerializationEncryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    kind = PrivateFormat.PKCS8 if form is KeyForm.PKCS8 else PrivateFormat.TraditionalOpenSSL
    try:
        written: bytes = private_key.private_bytes(encoding, kind, encryption)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnsupportedKey(f"The private key cannot be written so: {error}; use PKCS #8.") from None
    return written


def carried(key: Any, whose: str) -> Any:
    """A private key as `pickle` carries it: PKCS #8 in DER where it can be had, else the object itself.

    Raises `TypeError` for an object that pickle can't carry, as one that stands for a key in an HSM.
    """
    if isinstance(key, _KINDS):
        return key_bytes(key, encoding=Encoding.DER)
    check_pickles(f"The key of {whose}", key)
    return key


def brought(key: Any) -> Any:
    """The private key that `carried` made ready."""
    return load_private_key(key) if isinstance(key, bytes) else key


@checked
def save_private_key(
    path: str | os.PathLike[str],
    private_key: Any,
    *,
    password: bytes | None = None,
    form: KeyForm = KeyForm.PKCS8,
    encoding: Encoding = Encoding.PEM,
) -> None:
    """Write a private key to a file that only its owner may read; see `key_bytes` for the rest."""
    write_owner_only(path, key_bytes(private_key, password=password, form=form, encoding=encoding))


def write_owner_only(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all, through no link; raises OSError as `open` does.

    Warns with `KeyFileWarning` where everybody may put another file in its place.
    """
    folder = Path(path).parent
    write_whole(path, data, 0o600)
    mode = folder.stat().st_mode
    if os.name == "posix" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX and folder not in STREAMS:
        message = f"Everybody may replace the key file {path}, for all may write into its folder: chmod o-w {folder}"
        warnings.warn(message, KeyFileWarning, stacklevel=2)
