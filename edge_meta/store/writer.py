"""Changing a store's rows, so that shots, sums and labels stay consistent.

The caller begins the transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.exact_sums import MOST_SHOTS, Sums
from edge_meta.store.messages import ENROLL_FIRST
from edge_meta.store.reader import NONE, Reader
from edge_meta.types import Array

UNDO_STEPS = 100  # that the log keeps at most; a step of `adapt` is a copy of the head, so that all would grow without end


class Writer(Reader):
    """The rows of a database, to read and to change."""

    def label_id(self, label: str) -> int:
        """The row id of an enrolled label.

        Raises:
            LabelError: it is not enrolled.
        """
        row = self.query("SELECT id FROM labels WHERE label = ?", (label,)).fetchone()
        if row is None:
            enrolled = [
                name for (name,) in self.query("SELECT label FROM labels WHERE label != ? ORDER BY id LIMIT 8", (NONE,))
            ]
            raise LabelError(
                f"{label!r} is not enrolled.", f"Enrolled are: {', '.join(enrolled)}." if enrolled else ENROLL_FIRST
            )
        return int(row[0])

    def insert(self, tables: Mapping[str, list[tuple[object, ...]]]) -> None:
        """Insert rows as they are; the caller checks them afterwards."""
        self.query("PRAGMA defer_foreign_keys = ON")
        for table, rows in tables.items():
            for row in rows:
                try:
                    self.query(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
                except (sqlite3.IntegrityError, OverflowError) as error:
                    raise self.damaged(str(error)) from error

    def new_label(self, label: str) -> int:
        """The row id of a label; insert it if it is new."""
        self.query("INSERT INTO labels (label) VALUES (?) ON CONFLICT DO NOTHING", (label,))
        return self.label_id(label)

    def log(self, action: str, replaced: str, values: Sequence[Any] = ()) -> int:
        """Log a change for undo, with the columns that it replaces; drop steps older than `UNDO_STEPS`; return the row id.

        Args:
            action: `enroll` or `adapt`.
            replaced: an SQL WHERE clause on the table `columns`; empty for all of it.
        """
        log_id = self.query("INSERT INTO log (action) VALUES (?)", (action,)).lastrowid
        assert log_id is not None
        self.log_columns(log_id, replaced, values)
        self.query("DELETE FROM log WHERE id <= ?", (log_id - UNDO_STEPS,))
        return log_id

    def log_columns(self, log_id: int, replaced: str, values: Sequence[Any] = ()) -> None:
        """Log columns that a change replaces; the arguments are those of `log`."""
        self.query(f"INSERT INTO log_columns SELECT {log_id}, label_id, weights, bias FROM columns {replaced}", values)

    def add(self, label_id: int, origin: bytes, embeddings: Array, log_id: int | None, ids: Iterable[bytes] = ()) -> None:
        """Add shots of one origin to a label, with new ids unless some are given."""
        row = self.query(
            "SELECT id FROM sums WHERE label_id = ? AND origin = ? ORDER BY rowid LIMIT 1", (label_id, origin)
        ).fetchone()
        added = Sums.of(embeddings)
        if row is None:
            sum_id = os.urandom(16)
            self.query("INSERT INTO sums VALUES (?, ?, ?, 1, ?, ?, ?)", (sum_id, label_id, origin, *added.to_row()))
        else:
            (sum_id,) = row
            self._set(sum_id, self._sums(sum_id) + added)
        (count,) = self.row("SELECT sum(count) FROM sums WHERE label_id = ?", (label_id,))
        if count > MOST_SHOTS:
            raise StoreError(f"A label takes {MOST_SHOTS} shots at most.", "Enroll under another label.")
        if not self.keeps_shots:
            self.query("INSERT INTO log_sums VALUES (?, ?, ?, ?, ?)", (log_id, sum_id, *added.to_row()))
            return
        for shot_id, embedding in zip(ids or map(os.urandom, [16] * len(embeddings)), embeddings, strict=True):
            self.query("INSERT INTO shots VALUES (?, ?, ?, ?)", (shot_id, sum_id, log_id, to_blob(embedding)))

    def remove_shots(self, condition: str, values: Sequence[Any] = ()) -> int:
        """Remove the shots of an SQL condition on `shots`, and what is empty without them; return how many they were."""
        rows = self.query(f"SELECT id, sum_id, embedding FROM shots WHERE {condition}", values).fetchall()
        if rows:
            self.require_scrub()
        taken: dict[bytes, list[bytes]] = {}
        for shot_id, sum_id, embedding in rows:
            taken.setdefault(sum_id, []).append(embedding)
            self.query("INSERT OR IGNORE INTO removed VALUES (?)", (shot_id,))
            self.query("DELETE FROM shots WHERE id = ?", (shot_id,))
        for sum_id, embeddings in taken.items():
            self.subtract(sum_id, Sums.of(self.embeddings(embeddings)))
        self.drop_empty()
        return len(rows)

    def subtract(self, sum_id: bytes, sums: Sums) -> None:
        """Subtract shots from a row of sums; remove the row with the last of them."""
        self.require_scrub()
        left = self._sums(sum_id) - sums
        if left.count < 0 or left.squares < 0:
            raise self.damaged("a sum has fewer shots than there are")
        if left.count:
            self._set(sum_id, left)
        elif self.keeps_shots:
            self.query("DELETE FROM sums WHERE id = ?", (sum_id,))
        else:
            self.remove_sums("id = ?", (sum_id,))

    def remove_sums(self, condition: str, values: Sequence[Any] = ()) -> int:
        """Remove rows of sums by an SQL condition, in a store without shots; return how many shots they were."""
        (count,) = self.query(f"SELECT IFNULL(SUM(count), 0) FROM sums WHERE {condition}", values).fetchone()
        self.query(f"INSERT OR IGNORE INTO removed SELECT id FROM sums WHERE {condition}", values)
        if self.query(f"DELETE FROM sums WHERE {condition}", values).rowcount:
            self.require_scrub()
        self.drop_empty()
        return int(count)

    def adapted(self) -> bool:
        """Whether adaptation has moved a column of the head."""
        return self.query("SELECT 1 FROM columns LIMIT 1").fetchone() is not None

    def drop_heads(self) -> None:
        """Drop the adapted head and those that undo would bring back.

        They were fitted to shots, which can be solved out of their columns. So they go with any shot that is removed.
        """
        self.query("DELETE FROM columns")
        self.query("DELETE FROM log_columns")
        self.query("DELETE FROM log WHERE action = 'adapt'")

    def require_scrub(self) -> None:
        """Let the change scrub the bytes of what it removes, when it is committed."""
        self._database.require_scrub()

    def drop_empty(self) -> None:
        """Remove labels without shots, and enrolls of the undo log whose shots are all gone."""
        self.query("DELETE FROM labels WHERE NOT EXISTS (SELECT 1 FROM sums WHERE label_id = labels.id)")
        self.query(
            "DELETE FROM log WHERE action = 'enroll' AND NOT EXISTS (SELECT 1 FROM shots WHERE log_id = log.id) "
            "AND NOT EXISTS (SELECT 1 FROM log_sums WHERE log_id = log.id) "
            "AND NOT EXISTS (SELECT 1 FROM log_renames WHERE log_id = log.id)"
        )

    def _sums(self, sum_id: bytes) -> Sums:
        count, total, squares = self.row("SELECT count, sum, squares FROM sums WHERE id = ?", (sum_id,))
        return self.sums((count, total, squares))

    def _set(self, sum_id: bytes, sums: Sums) -> None:
        self.query(
            "UPDATE sums SET revision = revision + 1, count = ?, sum = ?, squares = ? WHERE id = ?", (*sums.to_row(), sum_id)
        )


def to_blob(vector: Array) -> bytes:
    """A vector as its columns hold it: float32, little-endian."""
    return np.asarray(vector, "<f4").tobytes()
