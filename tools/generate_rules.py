"""Write the tables of docs/rules.md from the rules of form in `handclasp.x509.form`.

    python tools/generate_rules.py

With `--check` nothing is written; the exit code says whether the page is up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from handclasp.x509.form import RULES
from handclasp.x509.rule import ANY, BOTH, EVERY, ISSUED, STRICT, WEB, Place

PAGE = Path(__file__).resolve().parent.parent / "docs" / "rules.md"
BEGIN, END = "<!-- written by tools/generate_rules.py -->", "<!-- until here -->"
PARTS = (
    (EVERY, "In every profile"),
    (BOTH, "In RFC5280 and WEB"),
    (STRICT, "In RFC5280 alone"),
    (WEB, "In WEB alone"),
)
PLACES = {
    ANY: "all",
    ISSUED: "all but the anchor",
    Place.LEAF: "the peer's own",
    Place.SERVER: "a server's own",
    Place.AUTHORITY: "those between",
    Place.ANCHOR: "the anchor",
    Place.AUTHORITY | Place.ANCHOR: "those above",
}


def tables() -> str:
    lines = [BEGIN, ""]
    for profiles, title in PARTS:
        lines += [f"### {title}", "", "| section | what it wants | of which certificates |", "|---|---|---|"]
        for rule in sorted((one for one in RULES if one.profiles == profiles), key=lambda one: in_order(one.section)):
            lines.append(f"| {rule.section} | {rule.wants} | {PLACES[rule.places]} |")
        lines.append("")
    return "\n".join([*lines, END])


def in_order(section: str) -> tuple[bool, str, list[int], str]:
    """RFC 5280 first, and its sections by number."""
    document, _, number = section.rpartition(", ")
    digits = number.split(".")
    return (
        document != "RFC 5280",
        document,
        [int(one) for one in digits if one.isdigit()],
        number,
    )


def main() -> int:
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    wanted = before + tables() + rest.split(END)[1]
    if "--check" in sys.argv:
        if page != wanted:
            print("docs/rules.md is not what tools/generate_rules.py writes", file=sys.stderr)
        return int(page != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
