"""Files that commands are given: authorities, identities, passwords; and the words of their options."""

from __future__ import annotations

import warnings
from pathlib import Path

import handclasp
from handclasp.x509.keys import KeyFileExposed, PasswordNeeded

__all__ = ["identity_from", "parse_versions", "password_from", "trust_from"]

VERSIONS = {"1.2": handclasp.ProtocolVersion.TLS12, "1.3": handclasp.ProtocolVersion.TLS13}


def trust_from(path: Path | None) -> handclasp.TrustStore:
    """The authorities in a file or directory; without one, the system's."""
    if path is None:
        return handclasp.TrustStore.system()
    return handclasp.TrustStore.from_directory(path) if path.is_dir() else handclasp.TrustStore.from_file(path)


def password_from(path: Path | None) -> bytes | None:
    """The password in a file, without the end of its line."""
    return None if path is None else path.read_bytes().rstrip(b"\r\n")


def identity_from(cert: Path, key: Path | None, password_file: Path | None) -> handclasp.Identity:
    """A certificate with its key; raises `UsageError` that names the files and what may be missing."""
    password = password_from(password_file)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "PKCS#12 bundle could not be parsed as DER")  # BER is as good
            return handclasp.Identity.from_files(cert, key, password)
    except KeyFileExposed:
        raise
    except handclasp.UsageError as error:
        hint = ""
        if password is None and (isinstance(error, PasswordNeeded) or "password" in str(error).lower()):
            hint = " Give its password by --password-file."
        files = f"{cert}" if key is None else f"{cert}, {key}"
        raise handclasp.UsageError(f"{files}: {error}{hint}") from None


def parse_versions(text: str) -> tuple[handclasp.ProtocolVersion, ...]:
    """The versions of "1.2,1.3", the highest first; raises `UsageError`."""
    names = [name.strip().lower().removeprefix("tls").removeprefix("v") for name in text.split(",") if name.strip()]
    if not names or any(name not in VERSIONS for name in names):
        raise handclasp.UsageError(f"--tls {text!r}: versions are 1.2 and 1.3.")
    return tuple(sorted({VERSIONS[name] for name in names}, reverse=True))
