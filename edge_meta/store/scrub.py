"""Scrubbing: write over the bytes of removed rows, in the store's file and in its write-ahead log.

SQLite's secure_delete zeroes the rows that are deleted, but not the copies of rows that stay behind when a b-tree is
balanced. VACUUM writes all pages anew, from the rows that are left; a truncating checkpoint then puts them into the file and
empties the log. Both need that no other program reads the store as it was before.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from edge_meta.store.log_link import begin_log

RETRY_SECONDS = 0.02


def require_scrub(connection: sqlite3.Connection) -> None:
    """Note in the file, within the transaction that removes rows, that their bytes are to be written over."""
    connection.execute("DELETE FROM scrubs")
    connection.execute("INSERT INTO scrubs VALUES (randomblob(16))")


def scrub(connection: sqlite3.Connection, seconds: float) -> bool:
    """Write over what was removed, if the file says that this is to be done.

    Args:
        seconds: how long to wait for other programs.

    Returns:
        Whether nothing is left to be done. Otherwise another program uses the store, or the disk is full or read-only.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    try:
        due = connection.execute("SELECT id FROM scrubs").fetchone()
        return due is None or _scrub(connection, due, seconds)
    except sqlite3.OperationalError:
        with suppress(sqlite3.OperationalError):
            empty_log(connection)  # of what did not fit on the disk
        return False


def _scrub(connection: sqlite3.Connection, due: tuple[bytes], seconds: float) -> bool:
    steps: tuple[Callable[[], bool], ...] = (
        # First see that nobody reads, since each VACUUM adds the whole store to the log; this also makes room for it.
        lambda: empty_log(connection),
        lambda: _ran(connection, "VACUUM"),
        lambda: empty_log(connection),
        # Another program's removal in between has put its own id there.
        lambda: _ran(connection, "DELETE FROM scrubs WHERE id IS ?", due, begins_log=True),
    )
    end = time.monotonic() + seconds
    return all(_done(step, end) for step in steps)


def empty_log(connection: sqlite3.Connection) -> bool:
    """Copy the write-ahead log into the file and truncate it; return whether no other program prevented it."""
    with _without_waiting(connection):
        try:
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            return _require_locked(error)
    return not busy


def _done(step: Callable[[], bool], end: float) -> bool:
    """Repeat a step until it succeeds or the time is over.

    Another program's checkpoint refuses ours at once, whatever SQLite's busy timeout; and with that timeout, a checkpoint
    would keep others from writing while it waits for readers.
    """
    while not step():
        if time.monotonic() >= end:
            return False
        time.sleep(RETRY_SECONDS)
    return True


def _ran(connection: sqlite3.Connection, sql: str, values: tuple[object, ...] = (), begins_log: bool = False) -> bool:
    """Run a statement; return whether no other program prevented it.

    Args:
        begins_log: the log is empty, so this may be its first transaction; see log_link.py.
    """
    with _without_waiting(connection):
        try:
            if begins_log:
                connection.execute("BEGIN IMMEDIATE")
                begin_log(connection)
            connection.execute(sql, values)
            if begins_log:
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if connection.in_transaction:
                connection.rollback()
            return _require_locked(error)
    return True


def _require_locked(error: sqlite3.OperationalError) -> bool:
    """False for the error that another program holds the store; raise any other."""
    if "locked" not in str(error):
        raise error
    return False


@contextmanager
def _without_waiting(connection: sqlite3.Connection) -> Iterator[None]:
    (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
