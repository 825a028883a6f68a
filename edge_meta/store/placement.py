"""Placing a store's file: whole or not at all, and never over another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_meta import files


def create_atomically(path: Path, make: Callable[[Path], object]) -> bool:
    """Make a store's file elsewhere, then move it to `path`, unless a file is there by then.

    Args:
        path: where the store is to be; missing folders are made.
        make: writes the store's file to the path that it is given.

    Returns:
        Whether the file was moved.
    """
    files.make_folder(path.parent)
    import tempfile  # slow to import, and classifying does not need it

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:40]}.") as folder:
        made = Path(folder) / "made.db"
        make(made)
        _remove_old_journals(path)
        return files.create_unless_there(made, path)


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
