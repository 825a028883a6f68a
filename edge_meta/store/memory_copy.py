"""A store's content in memory, read without writing anything to the store's folder."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from edge_meta import files
from edge_meta.errors import StoreError
from edge_meta.store.log_link import log_header, open_alone, require_own_log
from edge_meta.store.placement import state_of_files
from edge_meta.store.schema_check import check_size

TRIES = 50


def copy_to_memory(path: Path, store: Path) -> sqlite3.Connection:
    """Copy a store's content, that of its log included, to a database in memory.

    Args:
        path: for errors to name.
        store: the file, links resolved.

    Raises:
        StoreError: the log is not the store's, the store is too large to copy, or other programs change it all the time.
    """
    for _ in range(TRIES):
        before = _state(store)
        require_own_log(path, store)
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            _copy(store, memory)
            if _state(store) == before:  # otherwise the log was written to the file, or begun anew, meanwhile
                return memory
        except (sqlite3.DatabaseError, FileNotFoundError):  # the log goes when another process closes the store
            if _state(store) == before:
                memory.close()
                raise
        memory.close()
    raise StoreError(f"{path} is being changed all the time.", "Close the programs that use it, and try again.")


def _copy(store: Path, memory: sqlite3.Connection) -> None:
    with closing(open_alone(store)) as alone:
        check_size(alone, store)
        if log_header(store) is None:
            alone.backup(memory)
            return
        with files.temporary_folder(Path(tempfile.gettempdir()) / "store") as folder:
            copy = folder / "copy.db"
            with closing(sqlite3.connect(copy, isolation_level=None)) as made:
                made.execute("PRAGMA synchronous = OFF")
                made.execute("PRAGMA writable_schema = ON")  # see open_alone
                alone.backup(made)
            shutil.copyfile(f"{store}-wal", f"{copy}-wal")
            with closing(sqlite3.connect(copy, isolation_level=None)) as replayed:
                check_size(replayed, copy)
                replayed.backup(memory)


def _state(store: Path) -> tuple[object, ...]:
    return (*state_of_files(store)[:1], log_header(store))
