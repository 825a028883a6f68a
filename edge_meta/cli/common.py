"""What the verbs share: options, and the way results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import wraps
from typing import Any

import click

from edge_meta.runtime.backends import BACKENDS, RuntimeOptions

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def emit(result: dict[str, Any], as_json: bool, lines: Iterable[str]) -> None:
    """Print a result to stdout: as one JSON object, or as lines for people."""
    if as_json:
        click.echo(json.dumps(result))
    else:
        for line in lines:
            # File names may hold bytes that are no text in any encoding.
            click.echo(line.encode(errors="replace"))


store_option = click.option("--store", metavar="FILE", help="The store's .db file.  [default: in the user's data folder]")


def runtime_options(command: Callable[..., None]) -> Callable[..., None]:
    """A verb that runs an encoder: its function is given `options`, a `RuntimeOptions`, for what --backend and so on say."""

    @wraps(command)
    def with_options(*arguments: Any, **given: Any) -> None:
        options = RuntimeOptions(**{field.name: given.pop(field.name) for field in fields(RuntimeOptions)})
        command(*arguments, options=options, **given)

    for option in reversed(_RUNTIME):
        option(with_options)
    return with_options


_RUNTIME = [
    click.option(
        "--backend",
        type=click.Choice(list(BACKENDS)),
        help="Interpreter to use.  [default: the first of these that is installed]",
    ),
    click.option("--threads", default=1, show_default=True, help="Threads of the interpreter."),
    click.option("--xnnpack/--no-xnnpack", default=True, help="Let XNNPACK run what it can.  [default: yes]"),
]
