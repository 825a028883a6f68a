"""What the verbs share: options, and the way results are printed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

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
backend_option = click.option(
    "--backend",
    type=click.Choice(["litert", "tflite", "tensorflow"]),
    help="Interpreter to use.  [default: the first of these that is installed]",
)
threads_option = click.option("--threads", default=1, show_default=True, help="Threads of the interpreter.")
solver_option = click.option(
    "--solver",
    type=click.Choice(["lda", "gradient", "ridge"]),
    help="How the last layer is fitted: linear discriminant analysis, gradient steps from the prototypes, or ridge "
    "regression.  [default: gradient where steps or rates are given or were learned with the encoder, else lda]",
)
