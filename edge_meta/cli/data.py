"""edge-meta data."""

from __future__ import annotations

import click

from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import note
from edge_meta.datasets import cache

KNOWN = {
    "omniglot": "1,623 handwritten characters of 50 alphabets, 20 drawers each; MIT licence; fetched once",
    "glyphs": "characters drawn from matplotlib's fonts; made on the spot",
    "folder:PATH": "your own: a folder of images, of .wav or .flac recordings, or of .npy arrays per class",
    "npz:PATH": "your own: arrays x, uint8 images (n, H, W[, C]), recordings (n, samples) or others, and y (n,)",
}


@click.group()
def data() -> None:
    """List datasets, or fetch one.

    Downloads live in $EDGE_META_DATA (default ~/.cache/edge_meta); archives that are there already are used as they are.
    """


@data.command("list")
@json_option
def list_datasets(as_json: bool) -> None:
    """List the datasets that --dataset takes.

    \b
    Example:
      edge-meta data list
    """
    lines = [f"{name:<12} {description}" for name, description in KNOWN.items()]
    emit({"folder": str(cache.folder()), "datasets": KNOWN}, as_json, [*lines, f"Downloads: {cache.folder()}"])


@data.command()
@click.argument("name", type=click.Choice(["omniglot"]))
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Download a dataset unless it is there, and check its content.

    \b
    Example:
      edge-meta data fetch omniglot
    """
    from edge_meta.datasets import omniglot

    note(f"fetching and checking {name}")
    paths = [str(path) for path in omniglot.fetch()]
    emit({"dataset": name, "files": paths}, as_json, [f"{path}: sound" for path in paths])
