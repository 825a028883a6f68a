"""Placing a store's file: whole or not at all, and never over another one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from edge_meta import files
from edge_meta.errors import StoreError

PLACING_SECONDS = 0.5  # a store that is just being placed has two names for a moment


def create_atomically(path: Path, make: Callable[[Path], object]) -> bool:
    """Make a store's file elsewhere, then move it to `path`, unless a file is there by then.

    Args:
        path: where the store is to be, or a link to an empty file there; missing folders are made.
        make: writes the store's file to the path that it is given, where an empty file is that only its owner may read.

    Returns:
        Whether the file was moved.

    Raises:
        OutputError: see `files.writable`.
        StoreError: the file does not fit on the disk; see also what `make` raises.
    """
    named, path = path, files.writable(path)
    files.make_folder(path.parent)
    with files.temporary_folder(path) as folder:
        made = folder / "made.db"
        made.touch(mode=0o600)  # SQLite gives the files beside a store the same mode
        try:
            make(made)
        except StoreError as error:  # the file that is made is nothing that the user knows
            raise StoreError(error.cause.replace(str(made), str(named)), error.remedy) from error
        if Path(f"{made}-wal").exists():  # SQLite raises no error when a store that is closed does not take in its log
            raise StoreError(f"{named} does not fit on the disk.", "Nothing was changed. Free some space and try again.")
        _remove_old_journals(path)
        return files.create_unless_there(made, path)


def find_store(path: Path) -> os.stat_result | None:
    """Return the status of a store's file; None if there is none, or an empty one.

    Raises:
        OutputError: see `files.writable`.
        StoreError: the file has several names. SQLite keeps its log beside one of them, and misses it under another.
    """
    real = files.writable(path)
    end = time.monotonic() + PLACING_SECONDS
    while (status := _status(real)) is not None and status.st_nlink > 1:
        files.remove_leftovers(real.parent)  # of a process that was killed while it placed the store
        if time.monotonic() > end:
            raise StoreError(
                f"{path} has {status.st_nlink} names (hard links); a change made under one could be lost under another.",
                f"Remove the others, or copy it and use the copy: cp {path} OTHER.db",
            )
        time.sleep(0.01)
    return status


def may_be_written(store: Path) -> bool:
    """Whether this process may change a store's file and the log beside it."""
    beside = [Path(f"{store}{ending}") for ending in ("-wal", "-shm")]
    return os.access(store, os.W_OK) and (
        os.access(store.parent, os.W_OK) or all(os.access(file, os.W_OK) for file in beside)
    )


def state_of_files(store: Path) -> tuple[object, ...]:
    """A value that changes when the store's file or its log does."""
    return tuple(
        (status.st_ino, status.st_size, status.st_mtime_ns) if (status := _status(Path(f"{store}{ending}"))) else None
        for ending in ("", "-wal")
    )


def _status(path: Path) -> os.stat_result | None:
    """The status of a file; None if there is none, or an empty one."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status if status.st_size else None


def _remove_old_journals(path: Path) -> None:
    """Remove journals without a store, which SQLite would replay into the new one.

    A killed process leaves its journals; somebody may have removed the store since. List the journals before looking for
    the store: a journal in use always has its store beside it.
    """
    journals = [Path(f"{path}{ending}") for ending in ("-wal", "-shm", "-journal")]
    left = [journal for journal in journals if journal.exists()]
    if not path.exists():
        for journal in left:
            journal.unlink(missing_ok=True)
