"""edge-meta data."""

from __future__ import annotations

import click

from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import note
from edge_meta.datasets import cache, names


@click.group()
def data() -> None:
    """List datasets, or fetch one.

    Downloads live in $EDGE_META_DATA (default ~/.cache/edge_meta); archives that are already there are used as they are.
    """


@data.command("list")
@json_option
def list_datasets(as_json: bool) -> None:
    """List the datasets that there are.

    \b
    Example:
      edge-meta data list
    """
    lines = [f"{name:<12} {description}" for name, description in names.DESCRIPTIONS.items()]
    emit({"folder": str(cache.folder()), "datasets": names.DESCRIPTIONS}, as_json, [*lines, f"Downloads: {cache.folder()}"])


@data.command()
@click.argument("name", type=click.Choice(names.FETCHED))
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Download a dataset unless it is there, and check its content.

    \b
    Example:
      edge-meta data fetch omniglot
      edge-meta data fetch lake
    """
    from edge_meta.datasets import lake, omniglot

    note(f"fetching and checking {name}")
    paths = [str(path) for path in (lake if name == "lake" else omniglot).fetch()]
    emit({"dataset": name, "files": paths}, as_json, [f"{path}: sound" for path in paths])
