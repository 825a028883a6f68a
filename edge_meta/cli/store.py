"""The verbs that join and move stores: merge, migrate, export-store, import-store."""

from __future__ import annotations

import click

from edge_meta.cli.common import emit, json_option, store_option
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.store_migration import migrate as migrate_store
from edge_meta.store.archive import read_archive, write_archive


@click.command()
@click.argument("bundle")
@click.argument("stores", nargs=-1, required=True, metavar="STORE...")
@store_option
@json_option
def merge(bundle: str, stores: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Take what is enrolled in other STOREs of BUNDLE's encoder into this one, and forget what is forgotten there.

    \b
    Examples:
      edge-meta merge omniglot phone.db
      edge-meta merge letters.bundle shop1.db shop2.db --store all.db --json

    Each shot counts once, however often and in whatever order stores are merged. What was forgotten or undone in any of them
    is gone. An adapted last layer returns to the prototypes. STOREs are only read.
    """
    with Bundle.open(bundle).open_store(store) as kept:
        done = kept.merge(*stores)
    lines = [f"{done.added} shots added, {done.removed} removed; {done.shots} shots of {done.classes} classes"]
    if done.head_reset:
        lines.append("The last layer was adapted to other shots: it is back at the prototypes. Adapt again if you like.")
    if done.undo_dropped:
        lines.append(f"Undo no longer takes back: {', '.join(done.undo_dropped)}")
    emit({**vars(done), "undo_dropped": list(done.undo_dropped)}, as_json, lines)


@click.command()
@click.argument("bundle")
@click.argument("old_store")
@store_option
@json_option
def migrate(bundle: str, old_store: str, store: str | None, as_json: bool) -> None:
    """Make a new store for BUNDLE of OLD_STORE, a store of an older encoder that BUNDLE has a map from.

    \b
    Examples:
      edge-meta migrate better.bundle letters.db
      edge-meta migrate better.bundle letters.db --store better.db --json

    Such a bundle is made by edge-meta export --upgrade-from; edge-meta inspect BUNDLE says what it keeps of the accuracy.
    Labels, shots and what was forgotten come along. An adapted last layer and the undo log do not. OLD_STORE is only read;
    what is forgotten in the new store afterwards is still in it.
    """
    done = migrate_store(Bundle.open(bundle), old_store, store)
    lines = [
        f"{done.store}: {done.shots} shots of {done.classes} classes, from encoder {done.embedding_map.encoder_id[:12]}"
    ]
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
        "head_reset": done.head_reset,
        "undo_dropped": list(done.undo_dropped),
    }
    emit(result, as_json, lines)


@click.command("export-store")
@click.argument("bundle")
@click.argument("output", metavar="OUT.npz")
@store_option
@json_option
def export_store(bundle: str, output: str, store: str | None, as_json: bool) -> None:
    """Write the store of BUNDLE, with all that is in it, into one .npz file of plain arrays.

    \b
    Examples:
      edge-meta export-store omniglot backup.npz
      edge-meta export-store letters.bundle letters.npz --store kitchen.db

    A file that is there is replaced.
    """
    with Bundle.open(bundle).open_store(store) as kept:
        done = write_archive(kept, output)
    emit({"file": output, **done}, as_json, [f"{output}: {done['shots']} shots of {done['classes']} classes"])


@click.command("import-store")
@click.argument("bundle")
@click.argument("source", metavar="IN.npz")
@store_option
@json_option
def import_store(bundle: str, source: str, store: str | None, as_json: bool) -> None:
    """Make a new store for BUNDLE from a file that export-store wrote.

    \b
    Examples:
      edge-meta import-store omniglot backup.npz
      edge-meta import-store letters.bundle letters.npz --store kitchen.db

    A store that is there already is never touched: import beside it, then merge.
    """
    opened = Bundle.open(bundle)
    path = opened.store_path(store)
    done = read_archive(source, path, opened.manifest.encoder_id, opened.manifest.dim)
    emit({"store": str(path), **done}, as_json, [f"{path}: {done['shots']} shots of {done['classes']} classes"])
