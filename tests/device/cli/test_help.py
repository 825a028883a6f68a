"""Help: every verb has examples that parse, documents every option, and fits a terminal of 100 columns."""

from __future__ import annotations

import shlex
from inspect import cleandoc

import click
import pytest
from support.device import cli

from edge_meta.cli import SECTIONS, VERBS, load, main

WIDTH = 100


def commands() -> dict[str, click.Command]:
    """Commands by the words that call them: verbs, and the commands in those that are groups."""
    found: dict[str, click.Command] = {}
    for verb in VERBS:
        command = load(verb)
        inner = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{verb} {name}": each for name, each in inner.items()} or {verb: command}
    return found


COMMANDS = commands()


def options(words: str) -> list[click.Option]:
    return [parameter for parameter in COMMANDS[words].params if isinstance(parameter, click.Option)]


def examples(words: str) -> list[str]:
    """The lines of the help that call the command, with their comments."""
    lines = cleandoc(COMMANDS[words].help or "").splitlines()
    return [line.strip() for line in lines if f"{line} ".startswith(f"  edge-meta {words} ")]


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_verb_has_help(words: str, option: str) -> None:
    assert cli(*words.split(), option).stdout.startswith(f"Usage: main {words} ")


@pytest.mark.parametrize("words", COMMANDS)
def test_every_verb_has_an_example(words: str) -> None:
    assert examples(words)


@pytest.mark.parametrize(("words", "line"), [(words, line) for words in COMMANDS for line in examples(words)])
def test_every_example_parses(words: str, line: str) -> None:
    arguments = shlex.split(line.partition(" > ")[0], comments=True)
    after_words = arguments[1 + len(words.split()) :]
    program = click.Context(main, **main.context_settings)
    with COMMANDS[words].make_context(words, after_words, program):
        pass


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_has_help(words: str) -> None:
    assert [option.opts for option in options(words) if not option.help] == []


@pytest.mark.parametrize("words", COMMANDS)
def test_every_verb_can_print_json(words: str) -> None:
    assert ["--json"] in [option.opts for option in options(words)]


@pytest.mark.parametrize("words", ["", *COMMANDS])
def test_help_fits_100_columns(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert [line for line in cli(*words.split(), "-h").stdout.splitlines() if len(line) > WIDTH] == []


def test_the_overview_lists_every_verb_by_section() -> None:
    overview = cli("-h").stdout
    parts = [f"\n{section}:\n" for section in SECTIONS] + [f"\n  {verb} " for verb in VERBS]
    assert [part for part in parts if part not in overview] == []
