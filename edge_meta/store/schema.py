"""The store's schema (schema.sql beside this file): create it, read a file's header, migrate a file of an older format."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import NamedTuple

from edge_meta.errors import StoreError
from edge_meta.store.messages import RESTORE
from edge_meta.store.schema_check import check_pages, check_schema, deadline
from edge_meta.store.schema_migration import migrate_schema

FORMAT = 3
APPLICATION_ID = 0x454D5354  # "EMST", to tell stores from other SQLite files
ENCODER_ID = re.compile("[0-9A-Za-z_-]{1,64}")


class Header(NamedTuple):
    """The format of a store, and the encoder it belongs to, as its file says."""

    format: int
    encoder_id: object
    dim: object


def create_schema(connection: sqlite3.Connection, encoder_id: str, dim: int, keeps_shots: bool) -> None:
    """Make an empty database a store without labels, with an origin of its own."""
    connection.executescript(_schema())
    connection.execute("INSERT INTO store VALUES (?, ?, ?, ?)", (encoder_id, dim, os.urandom(16), keeps_shots))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def read_header(connection: sqlite3.Connection, path: Path, from_elsewhere: bool = False) -> Header:
    """Check a file's schema, and read its header.

    Args:
        path: for errors to name.
        from_elsewhere: check the structure of the whole file, too.

    Raises:
        StoreError: it is not a store, of a newer format, or damaged; or it takes too long to check.
    """
    with deadline(connection, path):
        connection.execute("BEGIN")  # another process may migrate the file meanwhile
        try:
            return _read_header(connection, path, from_elsewhere)
        finally:
            connection.rollback()


def _read_header(connection: sqlite3.Connection, path: Path, from_elsewhere: bool) -> Header:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite file, but not a store.", "Choose another --store.")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT:
        raise StoreError(
            f"{path} is of store format {version}; this edge_meta reads formats 1 to {FORMAT}.",
            "Run: pip install --upgrade edge-meta",
        )
    rows: list[tuple[object, object]] = []
    if version >= 1:
        check_schema(connection, path, version, FORMAT)
        if from_elsewhere:
            check_pages(connection, path)
        rows = connection.execute("SELECT encoder_id, dim FROM store LIMIT 2").fetchall()
    if len(rows) != 1:
        raise StoreError(f"{path} is damaged: it does not say what it is.", RESTORE)
    return Header(version, *rows[0])


def migrate_to_this_format(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Migrate a store of format 1 or 2.

    Raises:
        StoreError: it cannot be written, or has an empty label, which no store had then; nothing has changed.
        sqlite3.DatabaseError: it is damaged; nothing has changed.
    """
    if connection.execute("SELECT 1 FROM labels WHERE label = ''").fetchone():
        raise StoreError(f"{path} is damaged: it has an empty label.", RESTORE)
    try:
        migrate_schema(connection, _schema())
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"{path} is of store format {version} and cannot be brought up to format {FORMAT} ({error}).",
            "Nothing was changed. Close programs that use it, or copy it to where it may be written.",
        ) from error
    check_schema(connection, path, FORMAT, FORMAT)


def _schema() -> str:
    return (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
