"""The code of the README and of docs/ runs as written; commands too long for a test have verbs and options that exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import click
import pytest
from support.device import draw, png

from edge_meta.cli import main

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "docs" / "command-line.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"`((?:edge_meta|converters|benchmarks|tests|docs|examples|\.ci)/[\w./-]*)`")
LARGEST_README = 6144  # bytes
LARGEST_PAGE = 10_240


def blocks(page: Path, *kinds: str) -> list[tuple[str, str]]:
    """(kind, code) of a page's fenced blocks of some kinds, in order."""
    return [found for found in BLOCK.findall(page.read_text("utf-8")) if found[0] in kinds]


def commands(page: Path) -> list[list[str]]:
    """The words of each command in a page's console blocks, without what its output goes to."""
    code = "".join(code for _, code in blocks(page, "console")).replace("\\\n", " ")
    split = [shlex.split(line[2:], comments=True) for line in code.splitlines() if line.startswith("$ ")]
    return [words[: words.index(">")] if ">" in words else words for words in split]


def save_photos(folder: Path) -> None:
    """Three images each of photos/lamed and photos/bet, and photos/what.png, which is a lamed."""
    for kind, name in enumerate(("lamed", "bet")):
        for take in (1, 2, 3):
            png(folder / "photos", f"{name}/{take}.png", draw(kind, take))
    png(folder / "photos", "what.png", draw(0, 4))


def run(kind: str, code: str, folder: Path) -> str:
    """Run a block in a folder, which has the user's data too, tests by pytest; returns its stdout."""
    command = ["bash", "-euo", "pipefail", "-c", code] if kind == "bash" else [sys.executable, "-W", "error", "-c", code]
    if kind == "python" and "def test_" in code:
        (folder / "test_page.py").write_text(code, "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "XDG_DATA_HOME": str(folder / "data")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{code}\n{done.stderr}"
    return done.stdout


def check_command(words: list[str]) -> None:
    """Fail on a command whose verb, option, value, script, target or extra does not exist."""
    program, *rest = words
    if program == "edge-meta":
        command: click.Command = main
        context = click.Context(main, **main.context_settings)
        while isinstance(command, click.Group):
            name, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command, context = found, click.Context(found, context, name)
        command.make_context(name, rest, context.parent)
    elif program == "python" and rest[0] != "-m":
        assert (ROOT / rest[0]).is_file()
    elif program == "make":
        assert re.search(rf"^{re.escape(rest[0])}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "pip":
        extras = metadata("edge-meta").get_all("Provides-Extra", [])
        assert set(",".join(re.findall(r"\[(.*?)\]", rest[-1])).split(",")) <= {*extras}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "bash", "python")], ids=lambda page: page.stem)
def test_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    save_photos(tmp_path)
    for kind, code in blocks(page, "bash", "python"):
        said = run(kind, code, tmp_path)
        if "print(result.best)" in code:
            assert "Prediction(label='lamed'" in said


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_of_a_page_exist(page: Path) -> None:
    for words in commands(page):
        try:
            check_command(words)
        except (click.UsageError, AssertionError) as error:
            pytest.fail(f"{shlex.join(words)}: {error}")


@pytest.mark.parametrize("words", ["edge-meta taech omniglot", "edge-meta undo omniglot --stroe a.db", "make nothing"])
def test_a_command_that_does_not_exist_fails(words: str) -> None:
    with pytest.raises((click.UsageError, AssertionError)):
        check_command(words.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page: Path) -> None:
    missing = [path for path in PATH.findall(page.read_text("utf-8")) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != GENERATED], ids=lambda page: page.stem)
def test_a_page_is_short(page: Path) -> None:
    assert page.stat().st_size <= (LARGEST_README if page.name == "README.md" else LARGEST_PAGE)
