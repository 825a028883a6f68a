"""Render the reference of the command line, a page of Markdown, from the program's own help.

python docs/generate_command_line.py > docs/command-line.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import cleandoc

import click

from edge_meta.cli import SECTIONS, load, main

HEAD = """\
# Command line

Results go to stdout, progress and notes to stderr. With `--json`, a verb prints its result as one JSON object. Exit codes:
0 done, 1 an error that you can act on (it names the cause and the remedy), 2 wrong usage. Nothing asks a question.

`edge-meta VERB -h` prints what stands here. This page is generated: `python docs/generate_command_line.py`."""


def render() -> str:
    """The whole page; the same program gives the same page."""
    verbs = [verb for section in SECTIONS.values() for verb in section]
    parts = [HEAD, "\n".join(f"* [{verb}](#edge-meta-{verb}): {load(verb).get_short_help_str(limit=200)}" for verb in verbs)]
    program = click.Context(main, info_name="edge-meta", **main.context_settings)
    for section, members in SECTIONS.items():
        parts.append(f"## {section}")
        for verb in members:
            parts += _command(click.Context(load(verb), program, verb), "###")
    return "\n\n".join(parts) + "\n"


def _command(context: click.Context, heading: str) -> Iterator[str]:
    """A section for the context's command, then one for each command in it if it is a group."""
    command = context.command
    yield f"{heading} {context.command_path}"
    yield _block(" ".join([context.command_path, *command.collect_usage_pieces(context)]))
    for paragraph in re.split(r"\n{2,}", cleandoc(command.help or "")):
        yield from _paragraph(paragraph)
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        yield "\n".join(_option(option, context) for option in options)
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _command(click.Context(inner, context, name), heading + "#")


def _paragraph(text: str) -> Iterator[str]:
    """Prose in one line; a paragraph that click must not wrap, which begins with \\b, as a block of code."""
    if not text.startswith("\b\n"):
        yield _prose(text)
        return
    lines = text.splitlines()[1:]
    if lines[0].startswith("Example"):
        yield lines.pop(0)
    yield _block(cleandoc("\n" + "\n".join(lines)))


def _option(option: click.Option, context: click.Context) -> str:
    names, about = option.get_help_record(context) or ("", "")
    return f"* `{names}`: {_prose(about)}"


def _prose(text: str) -> str:
    """One line, options and calls in it as code."""
    line = " ".join(text.replace("`", "").split())
    return re.sub(r"(?<![\w-])(edge-meta [a-z][a-z-]*(?: --[a-z][a-z-]*)?|--[a-z][a-z-]*)", r"`\1`", line)


def _block(text: str) -> str:
    return f"```text\n{text}\n```"


if __name__ == "__main__":
    sys.stdout.buffer.write(render().encode())  # UTF-8, whatever the locale
