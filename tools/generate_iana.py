"""Write `src/handclasp/wire/iana.py` from the tables in `src/handclasp/wire/registries/`.

A table is the only place where a code point's number stands, and its name as IANA spells it. After changing one, run:

    python tools/generate_iana.py

With `--check` nothing is written; the exit code says whether the module is up to date.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

WIRE = Path(__file__).resolve().parent.parent / "src" / "handclasp" / "wire"

REGISTRIES = (
    ("content_type", "ContentType", 1, "What a record holds"),
    ("handshake_type", "HandshakeType", 1, "Which handshake message it is"),
    ("alert_level", "AlertLevel", 1, "Whether an alert ends the connection"),
    ("alert_description", "AlertDescription", 1, "What an alert says"),
    ("protocol_version", "ProtocolVersion", 2, "Versions of the protocol"),
    ("extension_type", "ExtensionType", 2, "Extensions of hellos and other messages"),
    ("cipher_suite", "CipherSuite", 2, "Cipher suites"),
    ("named_group", "NamedGroup", 2, "Groups for key exchange"),
    ("signature_scheme", "SignatureScheme", 2, "Signatures with their hash"),
    ("hash_algorithm", "HashAlgorithm", 1, "Hashes, the first byte of a TLS 1.2 signature scheme"),
    ("signature_algorithm", "SignatureAlgorithm", 1, "Signatures, the second byte of such a scheme"),
    ("client_certificate_type", "ClientCertificateType", 1, "Kinds of client certificate in TLS 1.2"),
    ("ec_point_format", "ECPointFormat", 1, "How points are written"),
    ("ec_curve_type", "ECCurveType", 1, "How curves are named in TLS 1.2"),
    ("compression_method", "CompressionMethod", 1, "Compression, of which only NULL is safe"),
    ("psk_key_exchange_mode", "PskKeyExchangeMode", 1, "How a pre-shared key is used"),
    ("certificate_status_type", "CertificateStatusType", 1, "Kinds of stapled status"),
    ("certificate_type", "CertificateType", 1, "Kinds of certificate"),
    ("key_update_request", "KeyUpdateRequest", 1, "Whether a KeyUpdate wants another back"),
    ("server_name_type", "ServerNameType", 1, "Kinds of server name"),
    (
        "certificate_compression_algorithm",
        "CertificateCompressionAlgorithm",
        2,
        "How certificates are compressed",
    ),
)

HEAD = '''"""IANA's registries of TLS, written by tools/generate_iana.py from the tables in registries/.

Do not edit: change a table and run the tool.
"""

from __future__ import annotations

from handclasp.wire.registry import Registry

__all__ = [
{names}]
'''


def generate() -> str:
    """The whole text of `iana.py`."""
    names = "".join(f'    "{name}",\n' for name in sorted(entry[1] for entry in REGISTRIES))
    parts = [HEAD.replace("{names}", names)]
    for table, name, size, about in REGISTRIES:
        with (WIRE / "registries" / f"{table}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        references = {row["reference"] for row in rows}
        where = f" ({references.pop()})" if len(references) == 1 else ""
        parts.append(f'\n\nclass {name}(Registry, size={size}):\n    """{about}{where}."""\n\n')
        parts += [f"    {_member(row['name'], int(row['value'], 16), size)}\n" for row in rows]
    return "".join(parts)


def _member(spelling: str, number: int, size: int) -> str:
    """One line of an enum: the name in Python's way, and IANA's beside it where it is another."""
    value = f"0x{number:0{2 * size}X}"
    if spelling.startswith("TLS_"):
        return f"{spelling} = {value}"  # a cipher suite, mixed letters and all
    name = spelling.replace(" ", "").replace(".", "").upper()
    return f"{name} = {value}" if name == spelling else f'{name} = {value}, "{spelling}"'


def main() -> int:
    """Write the module, or with `--check` compare it."""
    target = WIRE / "iana.py"
    text = generate()
    if "--check" in sys.argv[1:]:
        return 0 if target.read_text() == text else 1
    target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
