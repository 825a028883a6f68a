"""The rules of the house that a machine can check, over the whole repository."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from edge_meta.cli import VERBS

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "converters", "docs", "edge_meta", "examples", "tests")
LONGEST_NAME, LONGEST_MODULE, README_BYTES = 60, 330, 6144

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
MODULES = {path: path.read_text("utf-8") for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


def documented() -> Iterator[tuple[Path, Documented]]:
    """Every module, class and function."""
    for path, source in MODULES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, Documented):
                yield path.relative_to(ROOT), node


def test_names_of_tests_are_short() -> None:
    names = [(str(path), node.name) for path, node in documented() if isinstance(node, ast.FunctionDef)]
    assert [each for each in names if each[1].startswith("test_") and len(each[1]) > LONGEST_NAME] == []


def test_no_docstring_begins_with_what_or_how() -> None:
    docstrings = [(str(path), ast.get_docstring(node) or "") for path, node in documented()]
    assert [each for each in docstrings if each[1].startswith(("What ", "How "))] == []


def test_no_module_is_long() -> None:
    lengths = {path.relative_to(ROOT): source.count("\n") for path, source in MODULES.items()}
    assert {str(path): lines for path, lines in lengths.items() if lines > LONGEST_MODULE and path.parts[0] != "tests"} == {}


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= README_BYTES


def test_every_verb_is_in_the_docs() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs").rglob("*.md"))
    assert [verb for verb in VERBS if f"edge-meta {verb}" not in pages] == []
