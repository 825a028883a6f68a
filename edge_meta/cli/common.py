"""What the verbs share: options, and the way results are printed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import wraps
from typing import Any

import click

from edge_meta.choices import BACKENDS, FALLBACKS, SOLVERS
from edge_meta.errors import FallbackWarning
from edge_meta.runtime.backends import RuntimeOptions

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
solver_option = click.option(
    "--solver",
    type=click.Choice(SOLVERS),
    help="How the last layer is fitted: linear discriminant analysis, gradient steps from the prototypes, or ridge "
    "regression.  [default: gradient where steps or rates are given or were learned with the encoder, else lda]",
)


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if value.find("=") < 1:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE.", context, parameter)
    return dict(value.split("=", 1) for value in values)


def runtime_options(command: Callable[..., None]) -> Callable[..., None]:
    """A verb that runs an encoder: its function is given `options`, a `RuntimeOptions`, for what --backend and so on say."""

    @wraps(command)
    def with_options(*arguments: Any, **given: Any) -> None:
        options = RuntimeOptions(**{field.name: given.pop(field.name) for field in fields(RuntimeOptions)})
        with warnings.catch_warnings():
            warnings.simplefilter("always", FallbackWarning)
            warnings.showwarning = lambda message, *_, **__: click.echo(f"Note: {message}", err=True)
            command(*arguments, options=options, **given)

    for option in reversed(_RUNTIME):
        option(with_options)
    return with_options


_RUNTIME = [
    click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        help="Interpreter to use.  [default: the first of these that is installed]",
    ),
    click.option("--threads", default=1, show_default=True, help="Threads of the interpreter."),
    click.option("--xnnpack/--no-xnnpack", default=True, help="Let XNNPACK run what it can.  [default: yes]"),
    click.option(
        "--delegate", metavar="LIBRARY",
        help="External delegate (Edge TPU, GPU, NPU) that runs what it can: a path, or a name such as libedgetpu.so.1.",
    ),
    click.option(
        "--delegate-option", "delegate_options", metavar="KEY=VALUE", multiple=True, callback=_pairs,
        help="For the delegate, as its maker documents; may be given several times.",
    ),
    click.option("--fallback", type=click.Choice(FALLBACKS), help="Use the CPU if the delegate fails."),
]  # fmt: skip
