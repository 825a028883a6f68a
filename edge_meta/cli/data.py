"""edge-meta data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from edge_meta.cli.common import emit, json_option
from edge_meta.cli.progress import Counter, note
from edge_meta.datasets import cache, names

if TYPE_CHECKING:
    from edge_meta.datasets.folder_check import FolderCheck

MOST_LINES = 20  # of one kind, in text


@click.group()
def data() -> None:
    """List datasets, fetch one, or check one of your own.

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


@data.command()
@click.argument("folder")
@json_option
def check(folder: str, as_json: bool) -> None:
    """Count what is in FOLDER, one subfolder per class, and name what to mend before training.

    \b
    Example:
      edge-meta data check photos/

    Every image, recording or .npy file is read. Named are files that cannot be, files that are there more than once, also
    in another format without loss, and classes too small for five shots and a query. Nothing is changed.
    """
    from edge_meta.datasets.folder_check import check_folder

    found = check_folder(Path(folder), Counter("files"))
    result = {
        "folder": folder, "kind": found.noun, "examples": sum(found.classes.values()), "classes": found.classes,
        "splits": found.splits, "tiny": list(found.tiny),
        "duplicates": [{"files": list(group), "several_classes": found.in_two_classes(group)} for group in found.duplicates],
        "unreadable": [{"path": path, "cause": cause} for path, cause in found.unreadable],
    }  # fmt: skip
    emit(result, as_json, _lines(found))


def _lines(found: FolderCheck) -> Iterator[str]:
    """The result for people."""
    counts = sorted(found.classes.values())
    yield (
        f"{found.folder}: {sum(counts):,} {found.noun}s of {len(counts)} classes, {counts[0]} to {counts[-1]} each, "
        f"half of the classes with {median(counts):g} or more"
    )
    splits = found.splits
    yield f"Classes for training: {', '.join(f'{count} {split}' for split, count in splits.items())}"
    if not splits["val"]:
        yield "  Training needs three classes or more; evaluate takes them all with --split all."
    if found.tiny:
        yield "Classes with fewer than 6 examples, too few for five shots and a query:"
        yield from _first([f"{name}: {count}" for name, count in found.tiny.items()])
    if found.duplicates:
        yield "The same more than once:"
        yield from _first(
            [f"{' = '.join(group)}{' (in several classes)' * found.in_two_classes(group)}" for group in found.duplicates]
        )
    if found.unreadable:
        yield "Not read:"
        yield from _first([cause for _, cause in found.unreadable])
    if not (found.tiny or found.duplicates or found.unreadable):
        yield "There is nothing to mend."


def _first(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        yield f"  and {len(lines) - MOST_LINES:,} more; --json lists all"
