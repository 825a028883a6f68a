"""The link between a store's file and SQLite's write-ahead log beside it.

SQLite replays any log that lies beside a file into it. After a kill the log holds acknowledged changes and must be replayed;
but if the file was then overwritten with an older copy, replaying it mixes the two. SQLite cannot tell: the log says nothing
of the file it belongs to.

So each log begins with a new value of the schema version (`PRAGMA schema_version`, which SQLite only compares for
equality): the low half of the value before, and 16 random bits. A log belongs to a file if the file has one of the log's
values, or the one before the first of them.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge_meta.errors import StoreError

HEADER, FRAME_HEADER = 32, 24  # bytes; https://www.sqlite.org/fileformat2.html#walformat
SCHEMA_VERSION_AT = 40  # of the first page
SCHEMA_CHANGES = 64  # that a migration may count the schema version up by
TRIES = 20


def next_link(link: int) -> int:
    """A new value to follow another."""
    return (link << 16 | int.from_bytes(os.urandom(2), "little")) & 0xFFFFFFFF


def follows(link: int, other: int) -> bool:
    """Whether `other` can be the value before `link`."""
    return link >> 16 == other & 0xFFFF or (link - other) & 0xFFFFFFFF <= SCHEMA_CHANGES


def begin_log(connection: sqlite3.Connection) -> None:
    """Write a new value, in a transaction that may be the log's first."""
    (link,) = connection.execute("PRAGMA schema_version").fetchone()
    new = next_link(link & 0xFFFFFFFF)
    connection.execute(f"PRAGMA schema_version = {new - (new >> 31 << 32)}")  # as a signed integer


def log_header(store: Path) -> bytes | None:
    """The first bytes of a store's log, which are others each time that it begins anew; None if it holds nothing."""
    log = Path(f"{store}-wal")
    if not log.is_file():
        return None
    try:
        with log.open("rb") as file:
            header = file.read(HEADER)
            return header if len(header) == HEADER and file.read(1) else None
    except FileNotFoundError:  # another process has just closed the store
        return None


def require_own_log(path: Path, store: Path) -> None:
    """Check that the log beside a store's file is its own.

    Args:
        path: for errors to name.
        store: the file, links resolved.

    Raises:
        StoreError: it is another store's, or an older state's.
    """
    for _ in range(TRIES):  # other processes may be writing both
        header = log_header(store)
        if header is None:
            return
        try:
            link, links = _link_of_file(store), list(_links_of_log(store, header))
        except FileNotFoundError:  # another process has just closed the store
            continue
        if not links or link in links or follows(links[0], link):
            return
    raise StoreError(
        f"{path} was overwritten: the changes in {store}-wal beside it were made to another file.",
        f"If you have restored {path} from a copy, remove {store}-wal and {store}-shm. Otherwise put back the file that was "
        "there.",
    )


def open_alone(store: Path) -> sqlite3.Connection:
    """Open a store's file to read it as it is without its log, and write nothing."""
    connection = sqlite3.connect(f"{store.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    # Where the log was only in part written to the file, SQLite would find pages missing that are still in the log.
    connection.execute("PRAGMA writable_schema = ON")
    return connection


def _link_of_file(store: Path) -> int:
    with closing(open_alone(store)) as connection:
        return int(connection.execute("PRAGMA schema_version").fetchone()[0]) & 0xFFFFFFFF


def _links_of_log(store: Path, header: bytes) -> Iterator[int]:
    (page_size,) = struct.unpack(">I", header[8:12])
    with open(f"{store}-wal", "rb") as file:
        at = HEADER
        while len(frame := _read(file.fileno(), FRAME_HEADER, at)) == FRAME_HEADER and frame[8:16] == header[16:24]:
            if frame[:4] == b"\0\0\0\1":
                link = _read(file.fileno(), 4, at + FRAME_HEADER + SCHEMA_VERSION_AT)
                if len(link) == 4:
                    yield int.from_bytes(link, "big")
            at += FRAME_HEADER + page_size


def _read(handle: int, count: int, at: int) -> bytes:
    os.lseek(handle, at, os.SEEK_SET)
    return os.read(handle, count)
