"""Imports go one way, as the design draws the layers; and importing stays quick."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from handclasp.errors import PeerError

PACKAGE = Path(__file__).parents[1] / "src" / "handclasp"
LAYERS = (
    "text",
    "errors",
    "pickling",
    "values",
    "wire",
    "crypto",
    "x509",
    "facts",
    "sessions",
    "questions",
    "config",
    "handshake",
    "record_layer",
    "events",
    "endings",
    "engine",
    "connection",
    "keylog",
    "io",
    "explain",
    "ca",
    "cli",
)


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules of ours that a file needs at run time; imports for types alone are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        yield from imports(node)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_layers_before_its_own(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("__init__",):
        return
    own = LAYERS.index(parts[0])
    for module in imports(ast.parse(path.read_text())):
        if not module.startswith("handclasp."):
            continue
        layer = module.split(".")[1]
        assert LAYERS.index(layer) <= own, f"{path.name} imports {module}, which comes after {parts[0]}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_has_one_job(path: Path) -> None:
    """Past 500 lines it has two; the registries are a table and not a module."""
    if path.name != "iana.py":
        assert len(path.read_text().splitlines()) <= 520


def subclasses(kind: type[PeerError]) -> Iterator[type[PeerError]]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def test_every_error_of_a_peer_has_an_alert_a_section_and_a_meaning() -> None:
    import handclasp  # noqa: F401  # so that all are defined
    from handclasp.wire.iana import AlertDescription

    found = list(subclasses(PeerError))
    assert len(found) > 40
    for one in found:
        assert AlertDescription(one.alert).is_known, one
        assert one.section, one
        assert one.__doc__, one
