"""Filling a new store with rows from elsewhere: those of an archive, of a migration, or of the store in a bundle.

Rows are inserted one by one into tables of our own, and then checked. No page and no statement of the other file is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from edge_meta.errors import StoreError
from edge_meta.store.database import Copy, Database
from edge_meta.store.messages import translate_errors
from edge_meta.store.placement import create_atomically
from edge_meta.store.reader import Reader, Snapshot
from edge_meta.store.store_check import check_store
from edge_meta.store.writer import Writer

Rows = Mapping[str, list[tuple[object, ...]]]

# What is copied, and the order of its rows.
TABLES = dict.fromkeys(("labels", "sums", "log", "shots", "log_sums", "columns", "log_columns", "log_renames"), "rowid") | {
    "migrated": "origin",
    "removed": "id",
}
SEED = "the bundle's prototypes.db"  # as errors name it


def restore(database: Database, tables: Rows, source: Path) -> Snapshot:
    """Fill a new store with the rows of its tables in one transaction, and check all of them.

    Raises:
        StoreError: the rows do not fit each other; the error names `source`.
    """
    with database.change(create=True):
        rows = Writer(database, database.dim, source)
        rows.insert(tables)
        check_store(rows)
        return rows.snapshot()


def restore_seed(database: Database, seed: bytes) -> None:
    """Put a copy of a bundle's store where a database has no file yet. Shots enrolled into it get an origin of their own.

    Args:
        seed: the content of a store, of any format.

    Raises:
        StoreError: it is no store, damaged, or of another encoder; or the file cannot be written.
    """
    import tempfile  # slow to import, and classifying does not need it

    def fill(made: Path) -> None:
        with tempfile.TemporaryDirectory(dir=made.parent) as folder:
            original = Path(folder) / "prototypes.db"
            original.write_bytes(seed)
            try:
                _copy(original, made, database)
            except StoreError as error:
                cause = f"{database.path} cannot be made: {error.cause.replace(str(original), SEED)}"
                raise StoreError(cause, "Get the bundle again from where it came.") from error

    with translate_errors(database.path):
        create_atomically(database.path, fill)
    database.connected()


def _copy(original: Path, made: Path, like: Database) -> None:
    source = Copy(original, like.encoder_id, like.dim, like.migratable_from)
    with closing(source):
        if not source.connected():
            raise StoreError(f"{original} is empty.", "")
        rows = Reader(source, like.dim)
        with source.reading():
            tables = {
                table: rows.query(f"SELECT * FROM {table} ORDER BY {order}").fetchall() for table, order in TABLES.items()
            }
        keeps_shots = source.keeps_shots
    with closing(Database(made, like.encoder_id, like.dim, keeps_shots)) as new:
        restore(new, tables, original)
