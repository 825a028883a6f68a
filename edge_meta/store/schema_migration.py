"""Migration of a file to store format 3: from format 1, which had shots and no sums, or format 2, which had no scrubs."""

from __future__ import annotations

import os
import sqlite3

import numpy as np

from edge_meta.store.exact_sums import LIMIT, Sums

# The tables of format 1; each comes before those that it refers to, so that they can be dropped in this order.
TABLES = ("log_columns", "log_shots", "log", "columns", "shots", "labels", "store")


def migrate_schema(connection: sqlite3.Connection, schema: str) -> None:
    """Migrate a store of format 1 or 2 in one transaction; leave one that another process has just migrated as it is.

    The file may hold bytes of what was removed before, so a scrub is left to be done.

    Args:
        schema: the statements that create the tables of format 3.

    Raises:
        sqlite3.DatabaseError: it is damaged, or cannot be written; nothing has changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 1:
            _migrate_shots(connection, schema)
        elif version == 2:
            (statement,) = [statement for statement in schema.split(";\n") if "CREATE TABLE scrubs" in statement]
            connection.execute(statement)
        if version < 3:
            connection.execute("INSERT INTO scrubs VALUES (randomblob(16))")
            connection.execute("PRAGMA user_version = 3")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _migrate_shots(connection: sqlite3.Connection, schema: str) -> None:
    kept = {table: connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall() for table in TABLES}
    logged = {shot_id: log_id for log_id, shot_id in kept["log_shots"]}  # a shot has one enroll at most
    for table in TABLES:
        connection.execute(f"DROP TABLE {table}")
    for statement in schema.split(";\n"):
        connection.execute(statement)

    connection.executemany("INSERT INTO store VALUES (?, ?, ?, 1)", kept["store"])
    for table in ("labels", "log", "columns", "log_columns"):
        marks = ", ".join("?" * len(kept[table][0])) if kept[table] else ""
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", kept[table])
    dim = kept["store"][0][1]
    groups: dict[tuple[int, bytes], list[tuple[bytes, bytes]]] = {}
    for shot_id, label_id, origin, embedding in kept["shots"]:
        if not isinstance(embedding, bytes) or len(embedding) != 4 * dim:
            raise sqlite3.DatabaseError("an embedding has the wrong size")
        groups.setdefault((label_id, origin), []).append((shot_id, embedding))
    for (label_id, origin), shots in groups.items():
        sum_id = os.urandom(16)
        embeddings = np.frombuffer(b"".join(embedding for _, embedding in shots), "<f4").reshape(-1, dim)
        if not np.all(np.abs(embeddings) < LIMIT):
            raise sqlite3.DatabaseError("an embedding is out of range")
        connection.execute(
            "INSERT INTO sums VALUES (?, ?, ?, 1, ?, ?, ?)", (sum_id, label_id, origin, *Sums.of(embeddings).to_row())
        )
        connection.executemany(
            "INSERT INTO shots VALUES (?, ?, ?, ?)",
            [(shot_id, sum_id, logged.get(shot_id), embedding) for shot_id, embedding in shots],
        )
