"""The verbs between stores: merge, migrate, export-store, import-store."""

from __future__ import annotations

from typing import Any

import click

from edge_meta.choices import STORE_FORMATS
from edge_meta.cli.common import emit, json_option, store_option
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.store_migration import migrate as migrate_store
from edge_meta.runtime.store_migration import open_users_store
from edge_meta.store.archive import read_archive, write_archive
from edge_meta.store.board_records import Steps
from edge_meta.store.messages import SCRUB_PENDING

format_option = click.option(
    "--format", "file_format", type=click.Choice(STORE_FORMATS), default="npz", show_default=True,
    help="Plain arrays, or what a board keeps in flash.",
)  # fmt: skip


@click.command()
@click.argument("bundle")
@click.argument("stores", nargs=-1, required=True, metavar="STORE...")
@store_option
@json_option
def merge(bundle: str, stores: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Add the shots of other STOREs of the same encoder to the store of BUNDLE.

    \b
    Examples:
      edge-meta merge omniglot phone.db
      edge-meta merge letters.bundle shop1.db shop2.db --store all.db --json

    Each shot counts once, however often and in whatever order stores are merged. A label or shot that was forgotten or
    undone in one of the stores is removed. An adapted last layer returns to the prototypes. STOREs are not changed.
    """
    with open_users_store(Bundle.open(bundle), store) as opened:
        done = opened.merge(*stores)
    kept = shots_of_classes(done.shots, done.classes, done.none_shots)
    lines = [f"{done.added} shots added, {done.removed} removed; {kept}"]
    if done.head_reset:
        lines.append("The last layer was adapted to other shots: it is back at the prototypes. Adapt again if you like.")
    if done.undo_dropped:
        lines.append(f"Undo no longer takes back: {', '.join(done.undo_dropped)}")
    if done.scrub_pending:
        lines.append(SCRUB_PENDING)
    emit({**vars(done), "undo_dropped": list(done.undo_dropped)}, as_json, lines)


@click.command()
@click.argument("bundle")
@click.argument("old_store")
@store_option
@json_option
def migrate(bundle: str, old_store: str, store: str | None, as_json: bool) -> None:
    """Make a new store for BUNDLE from OLD_STORE, a store of an older encoder.

    \b
    Examples:
      edge-meta migrate better.bundle letters.db
      edge-meta migrate better.bundle letters.db --store better.db --json

    BUNDLE must have a map from the older encoder: edge-meta export --upgrade-from makes it, and edge-meta inspect BUNDLE
    shows how much accuracy is kept. The new store has the labels, the shots and the marks of what was forgotten, but no
    adapted last layer and no undo log. OLD_STORE is not changed: what is later
    forgotten in the new store stays in the old one.
    """
    done = migrate_store(Bundle.open(bundle), old_store, store)
    kept = shots_of_classes(done.shots, done.classes, done.none_shots)
    lines = [f"{done.store}: {kept}, from encoder {done.embedding_map.encoder_id[:12]}"]
    lines.append(f"Measured when the bundle was made: {done.embedding_map.accuracy}")
    if done.head_reset:
        lines.append("The last layer was adapted: it is back at the prototypes. Adapt again if you like.")
    if done.undo_dropped:
        lines.append(f"Undo no longer takes back: {', '.join(done.undo_dropped)}")
    lines.append(f"{old_store} is as it was: remove it when you no longer need it.")
    result = {
        "store": str(done.store),
        "upgrade": done.embedding_map.to_manifest(),
        "classes": done.classes,
        "shots": done.shots,
        "none_shots": done.none_shots,
        "head_reset": done.head_reset,
        "undo_dropped": list(done.undo_dropped),
    }
    emit(result, as_json, lines)


@click.command("export-store")
@click.argument("bundle")
@click.argument("output", metavar="OUT")
@format_option
@click.option(
    "--sector-bytes", default=65536, show_default=True, metavar="N",
    help="For --format board: the size of the board's two sectors.", type=click.IntRange(1024, 1 << 24),
)  # fmt: skip
@store_option
@json_option
def export_store(bundle: str, output: str, file_format: str, sector_bytes: int, store: str | None, as_json: bool) -> None:
    """Write the whole store of BUNDLE to one file: an .npz file of plain arrays, or the flash of a board.

    \b
    Examples:
      edge-meta export-store omniglot backup.npz
      edge-meta export-store letters.bundle letters.npz --store kitchen.db
      edge-meta export-store firmware letters.bin --format board --store kitchen.db

    An OUT that exists is replaced. For a board, give the bundle that export --target tflm made for it.
    """
    opened_bundle = Bundle.open(bundle)
    with open_users_store(opened_bundle, store) as opened:
        if file_format == "board":
            from edge_meta.store.board import write_board

            done = write_board(opened, output, _steps(opened_bundle), sector_bytes)
        else:
            done = write_archive(opened, output)
    emit({"file": output, **done}, as_json, [f"{output}: {_counts(done)}"])


@click.command("import-store")
@click.argument("bundle")
@click.argument("source", metavar="IN")
@format_option
@store_option
@json_option
def import_store(bundle: str, source: str, file_format: str, store: str | None, as_json: bool) -> None:
    """Make a new store for BUNDLE from a file of export-store, or from the flash of a board.

    \b
    Examples:
      edge-meta import-store omniglot backup.npz
      edge-meta import-store letters.bundle letters.npz --store kitchen.db
      edge-meta import-store omniglot flash.bin --format board --store board.db

    A store that exists is not changed: import to another --store, then merge the two.
    """
    opened = Bundle.open(bundle)
    path = opened.store_path(store)
    if file_format == "board":
        from edge_meta.store.board import read_board as read
    else:
        read = read_archive
    done = read(source, path, opened.manifest.encoder_id, opened.manifest.dim)
    lines = [f"{path}: {_counts(done)}"]
    lines += [f"Skipped a damaged record at byte {at:,}" for at in done.get("damaged", [])]
    emit({"store": str(path), **done}, as_json, lines)


def _steps(bundle: Bundle) -> Steps | None:
    """The int8 values that a board keeps; None for a bundle that is not for boards, or is normalized outside of its file."""
    output = bundle.manifest.target.get("output") if bundle.manifest.target else None
    return Steps(output["scale"], output["zero_point"]) if output and not bundle.manifest.normalization else None


def _counts(done: dict[str, Any]) -> str:
    return shots_of_classes(done["shots"], done["classes"], done.get("none_shots", 0))


def shots_of_classes(shots: int, classes: int, none_shots: int) -> str:
    """Return how many shots there are, and examples of none if there are any."""
    return f"{shots} shots of {classes} classes" + (f", {none_shots} of none" if none_shots else "")
