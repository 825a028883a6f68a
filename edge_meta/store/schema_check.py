"""Check that a file's schema is that of a store, before anything in it is queried.

A schema is code: triggers keep what is removed, views and generated columns run when they are read. A store from elsewhere
may have any. So each file's schema is compared with the schema of its format, object by object.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from edge_meta.errors import StoreError
from edge_meta.store.messages import RESTORE

LARGEST_FILE = 1 << 29  # bytes of a store that is read into memory, as of a bundle
CHECK_SECONDS = 60.0  # that the check of a file may take
STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock
# SQLite's advice for untrusted files: https://www.sqlite.org/security.html. Each connection sets these first.
PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")
LIMITS = {  # of one connection; the sums of the largest dimension, 2^16, take 2^19 bytes
    "LENGTH": 1 << 20, "SQL_LENGTH": 100_000, "COLUMN": 100, "COMPOUND_SELECT": 3, "VDBE_OP": 25_000,
    "FUNCTION_ARG": 8, "TRIGGER_DEPTH": 10,
}  # fmt: skip
FOLDER = Path(__file__).parent

# SQLite makes this table for AUTOINCREMENT, which format 1 had; nobody can drop it.
LEFT_BY_FORMAT_1 = ("table", "sqlite_sequence", "sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)")

Objects = frozenset[tuple[str, str, str, str | None]]


def limit(connection: sqlite3.Connection) -> None:
    """Limit what a file can make SQLite do, as SQLite's authors advise for files from elsewhere."""
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if hasattr(connection, "setlimit"):  # since Python 3.11
        for name, most in LIMITS.items():
            connection.setlimit(getattr(sqlite3, f"SQLITE_LIMIT_{name}"), most)


@contextmanager
def deadline(connection: sqlite3.Connection, path: Path, seconds: float = CHECK_SECONDS) -> Iterator[None]:
    """Interrupt the queries of the block when the time is over.

    Raises:
        StoreError: it took longer.
    """
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if time.monotonic() > end and "interrupted" in str(error):
            raise StoreError(f"{path} takes longer than {seconds:g} s to check.", "Check that it is a store.") from error
        raise
    finally:
        connection.set_progress_handler(None, 0)


def check_size(connection: sqlite3.Connection, path: Path, largest: int = LARGEST_FILE) -> None:
    """Check that a file is small enough to be read into memory.

    Raises:
        StoreError: the file, or its content as its header says, is larger than `largest` bytes.
    """
    (pages,), (page,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    size = max(path.stat().st_size, pages * page)
    if size > largest:
        raise StoreError(
            f"{path} has {size:,} bytes; a store that is copied may have {largest:,}.", "Use a store of fewer shots."
        )


def check_schema(connection: sqlite3.Connection, path: Path, version: int, newest: int) -> None:
    """Compare the tables, indexes, views and triggers of a file with those of its format.

    A format between the first and the newest may lack objects of the newest, which its migration adds.

    Raises:
        StoreError: the file has others.
    """
    wanted = objects_of(f"schema_{version}.sql" if version == 1 else "schema.sql")
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT ?", (len(wanted) + 2,)).fetchall()
    found = frozenset((*row[:3], _normalized(row[3])) for row in rows)
    differing = (found - wanted if 1 < version < newest else found ^ wanted) - {LEFT_BY_FORMAT_1}
    if differing or len(rows) != len(found):
        names = ", ".join(sorted({str(row[1])[:40] for row in differing})[:3]) or "a name that is there twice"
        raise StoreError(
            f"{path} does not have the schema of store format {version}; what differs: {names}.",
            f"Another program has made or changed it. {RESTORE}",
        )


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Check the pages and indexes of a file from elsewhere; its schema has been checked.

    Raises:
        StoreError: it is damaged.
    """
    (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        raise StoreError(f"{path} is damaged ({answer}).", RESTORE)


@cache
def objects_of(file: str) -> Objects:
    """The rows of `sqlite_schema` (type, name, tbl_name, sql) that a file of statements makes."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((FOLDER / file).read_text(encoding="utf-8"))
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return frozenset((kind, name, table, _normalized(sql)) for kind, name, table, sql in rows)


def _normalized(sql: object) -> str | None:
    """A statement in which white space does not count, as far as it separates no words."""
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(sql.split())) if isinstance(sql, str) else None
