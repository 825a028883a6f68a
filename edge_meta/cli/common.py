"""Options that several verbs have, and the printing of results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import wraps
from typing import IO, Any

import click
from click.core import ParameterSource

from edge_meta.choices import ACCELERATORS, BACKENDS, FALLBACKS, SOLVERS
from edge_meta.errors import InputError
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.text import printable

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def binary_stdin() -> IO[bytes]:
    """The standard input.

    Raises:
        InputError: the program was started without one.
    """
    if sys.stdin is None:
        raise InputError("There is no standard input.", "Pipe something into edge-meta, or name a file.")
    return sys.stdin.buffer


def emit(result: dict[str, Any], as_json: bool, lines: Iterable[str]) -> None:
    """Print a result to stdout: as one JSON object, or as lines of text, control characters escaped."""
    if as_json:
        click.echo(json.dumps(result))
    else:
        for line in lines:
            click.echo(printable(line).encode())


def given(names: Iterable[str]) -> list[str]:
    """Those of the current command's parameters that its user gave."""
    context = click.get_current_context()
    return [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]


store_option = click.option(
    "--store", metavar="FILE", help="Use this .db file as the store.  [default: one in the user's data folder]"
)
solver_option = click.option(
    "--solver",
    type=click.Choice(SOLVERS),
    help="Fit the last layer by linear discriminant analysis, by gradient steps from the prototypes, or by ridge "
    "regression.  [default: gradient if steps or a rate are given, or were learned with the encoder; else lda]",
)


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if value.find("=") < 1:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE.", context, parameter)
    return dict(value.split("=", 1) for value in values)


def runtime_options(command: Callable[..., None], or_all: bool = False) -> Callable[..., None]:
    """Add the options of the interpreter to a verb; its function gets them as `options`, a `RuntimeOptions`.

    Args:
        command: the verb's function.
        or_all: whether `--accelerator all` is possible; the function gets `all_accelerators`, a bool, then.
    """

    @wraps(command)
    def with_options(*arguments: Any, **given: Any) -> None:
        if or_all:
            given["all_accelerators"] = given["accelerator"] == ALL
            given["accelerator"] = None if given["all_accelerators"] else given["accelerator"]
        options = RuntimeOptions(**{field.name: given.pop(field.name) for field in fields(RuntimeOptions)})
        command(*arguments, options=options, **given)

    for option in reversed(_RUNTIME):
        option(with_options)
    accelerators = click.Choice((*ACCELERATORS, ALL) if or_all else ACCELERATORS)
    click.option("--accelerator", type=accelerators, help=f"{_ACCELERATOR_HELP}{_ALL_HELP if or_all else ''}")(with_options)
    return with_options


ALL = "all"
_ACCELERATOR_HELP = (
    "Run the encoder on this by LiteRT's CompiledModel; auto: an NPU, else a GPU.  [default: the interpreter]"
)
_ALL_HELP = "  all: compare what is present in one table."
_RUNTIME = [
    click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        help="Run the encoder in this interpreter.  [default: the first of these that is installed]",
    ),
    click.option("--threads", default=1, show_default=True, help="Let the interpreter, and NumPy, use this many threads."),
    click.option("--xnnpack/--no-xnnpack", default=True, help="Let XNNPACK run what it can.  [default: yes]"),
    click.option(
        "--delegate", metavar="LIBRARY",
        help="Let an external delegate (Edge TPU, GPU, NPU) run what it can: a path, or a name such as libedgetpu.so.1.",
    ),
    click.option(
        "--delegate-option", "delegate_options", metavar="KEY=VALUE", multiple=True, callback=_pairs,
        help="Pass an option to the delegate, as its maker documents; may be given several times.",
    ),
    click.option("--fallback", type=click.Choice(FALLBACKS), help="Use the CPU if the delegate or the accelerator fails."),
]  # fmt: skip
