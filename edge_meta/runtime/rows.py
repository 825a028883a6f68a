"""A store's rows: reading them with care, and the changes that keep shots, sums and labels in step.

All of it happens inside a transaction that the caller has begun.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import LabelError, StoreError
from edge_meta.runtime.database import ENROLL_FIRST, RESTORE, Database
from edge_meta.runtime.sums import FRACTION, LIMIT, MOST_SHOTS, Array, Integers, Sums, scatters

Column = tuple[Array, float]


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment.

    Attributes:
        labels: in the order of their first enrollment.
        counts: (N,) shots of each label.
        prototypes: float32 (N, D), the exact mean of each label's shots, rounded once.
        scatters: float64 (N,), the sum over each label's shots of |x − c|², around their exact mean c.
        columns: label index → (weights (D,), bias) of the labels whose column adaptation has moved.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    prototypes: Array
    scatters: NDArray[np.float64]
    columns: dict[int, Column] = field(default_factory=dict)

    @classmethod
    def empty(cls, dim: int) -> Snapshot:
        return cls((), np.zeros(0, np.int64), np.zeros((0, dim), np.float32), np.zeros(0))


class Rows:
    """The rows of a database; errors name its file, unless the rows come from another one."""

    def __init__(self, database: Database, dim: int, path: Path | None = None) -> None:
        self._database, self.dim, self.path = database, dim, path or database.path
        self.query = database.query

    @property
    def keeps_shots(self) -> bool:
        return self._database.keeps_shots

    # Reading

    def snapshot(self, label: str | None = None) -> Snapshot:
        """Of all labels, or of one alone; without rows if it is not enrolled."""
        one, of_one = "", ""
        values: tuple[str, ...] = ()
        if label is not None:
            one, of_one, values = "WHERE label = ?", "WHERE label_id = (SELECT id FROM labels WHERE label = ?)", (label,)
        labels = self.query(f"SELECT id, label FROM labels {one} ORDER BY id", values).fetchall()
        sums = self.query(f"SELECT label_id, count, sum, squares FROM sums {of_one}", values).fetchall()
        columns = self.query(f"SELECT label_id, weights, bias FROM columns {of_one}", values).fetchall()
        index = {label_id: position for position, (label_id, _) in enumerate(labels)}
        if not all(isinstance(label, str) for _, label in labels) or any(row[0] not in index for row in (*sums, *columns)):
            raise self.damaged("a row belongs to no label")
        self._check_biases([bias for *_, bias in columns])
        vectors = self.vectors([weights for _, weights, _ in columns])
        owners = np.array([index[row[0]] for row in sums], np.int64)
        counts, totals, squares = self._by_label(len(labels), owners, sums)
        spread = scatters(counts.tolist(), totals, squares)
        if np.any(spread < 0):
            raise self.damaged("a sum and its squares do not fit")
        return Snapshot(
            labels=tuple(label for _, label in labels),
            counts=counts,
            prototypes=(totals / (counts[:, None] * FRACTION)).astype(np.float32),
            scatters=spread,
            columns={index[row[0]]: (vector, row[2]) for row, vector in zip(columns, vectors, strict=True)},
        )

    def shots(self) -> tuple[Array, NDArray[np.int64], list[int]]:
        """All shots (M, D), the index of each one's label (M,), and the labels' row ids, in the order of the snapshot."""
        label_ids = [label_id for (label_id,) in self.query("SELECT id FROM labels ORDER BY id")]
        rows = self.query(
            "SELECT label_id, embedding FROM shots JOIN sums ON sums.id = sum_id ORDER BY label_id, shots.rowid"
        ).fetchall()
        index = {label_id: position for position, label_id in enumerate(label_ids)}
        owners = np.array([index[label_id] for label_id, _ in rows], np.int64)
        return self.embeddings([embedding for _, embedding in rows]), owners, label_ids

    def check(self) -> None:
        """Look at every row, as what comes from elsewhere needs.

        Raises:
            StoreError: the store is damaged.
        """
        for table, ids in (("shots", "id"), ("sums", "id"), ("sums", "origin"), ("removed", "id")):
            if self.query(f"SELECT 1 FROM {table} WHERE typeof({ids}) != 'blob' OR length({ids}) != 16").fetchone():
                raise self.damaged(f"{table} has an {ids} that is none")
        if self.query("SELECT 1 FROM sums WHERE typeof(revision) != 'integer' OR revision < 1").fetchone():
            raise self.damaged("a revision is out of range")
        if self.query("PRAGMA foreign_key_check").fetchone():
            raise self.damaged("a row belongs to nothing")
        self.snapshot()
        past = self.query("SELECT weights, bias FROM log_columns").fetchall()
        self.vectors([weights for weights, _ in past])
        self._check_biases([bias for _, bias in past])
        if self.query("SELECT 1 FROM " + ("log_sums" if self.keeps_shots else "shots")).fetchone():
            raise self.damaged("it has rows of a store of the other kind")
        if not self.keeps_shots:
            return
        rows = self.query("SELECT sum_id, embedding FROM shots").fetchall()
        shots: dict[bytes, list[bytes]] = {}
        for sum_id, embedding in rows:
            shots.setdefault(sum_id, []).append(embedding)
        for sum_id, *sums in self.query("SELECT id, count, sum, squares FROM sums").fetchall():
            if Sums.of(self.embeddings(shots.get(sum_id, []))).packed() != tuple(sums):
                raise self.damaged("a sum is not that of its shots")

    def embeddings(self, blobs: list[bytes]) -> Array:
        """Stored embeddings as (n, D)."""
        vectors = self.vectors(blobs)
        if not np.all(np.abs(vectors) < LIMIT):
            raise self.damaged("an embedding is out of range")
        return vectors

    def vectors(self, blobs: list[bytes]) -> Array:
        vectors: Array = self._numbers(blobs, np.dtype("<f4"))
        if not np.all(np.isfinite(vectors)):
            raise self.damaged("an embedding is not finite")
        return vectors

    def _check_biases(self, biases: list[object]) -> None:
        if not all(isinstance(bias, float) and math.isfinite(bias) for bias in biases):
            raise self.damaged("a bias is not a finite number")

    def label_id(self, label: str) -> int:
        """The row id of an enrolled label.

        Raises:
            LabelError: it is not enrolled.
        """
        row = self.query("SELECT id FROM labels WHERE label = ?", (label,)).fetchone()
        if row is None:
            enrolled = [name for (name,) in self.query("SELECT label FROM labels ORDER BY id LIMIT 8")]
            raise LabelError(
                f"{label!r} is not enrolled.", f"Enrolled are: {', '.join(enrolled)}." if enrolled else ENROLL_FIRST
            )
        return int(row[0])

    def damaged(self, how: str) -> StoreError:
        return StoreError(f"{self.path} is damaged: {how}.", RESTORE)

    # Changing

    def insert(self, tables: Mapping[str, list[tuple[object, ...]]]) -> None:
        """Put rows into tables as they are, to be checked afterwards."""
        self.query("PRAGMA defer_foreign_keys = ON")
        for table, rows in tables.items():
            for row in rows:
                try:
                    self.query(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
                except (sqlite3.IntegrityError, OverflowError) as error:
                    raise self.damaged(str(error)) from error

    def new_label(self, label: str) -> int:
        """The row id of a label, which is made if it is new."""
        self.query("INSERT INTO labels (label) VALUES (?) ON CONFLICT DO NOTHING", (label,))
        return self.label_id(label)

    def log(self, action: str, replaced: str, values: Sequence[Any] = ()) -> int:
        """Note a change for undo with the columns that it replaces; `replaced` is an SQL condition on `columns`."""
        log_id = self.query("INSERT INTO log (action) VALUES (?)", (action,)).lastrowid
        self.query(f"INSERT INTO log_columns SELECT {log_id}, label_id, weights, bias FROM columns {replaced}", values)
        assert log_id is not None
        return log_id

    def add(self, label_id: int, origin: bytes, embeddings: Array, log_id: int | None, ids: Iterable[bytes] = ()) -> None:
        """Add shots of one origin to a label, with new ids unless some are given."""
        row = self.query(
            "SELECT id FROM sums WHERE label_id = ? AND origin = ? ORDER BY rowid LIMIT 1", (label_id, origin)
        ).fetchone()
        added = Sums.of(embeddings)
        if row is None:
            sum_id = secrets.token_bytes(16)
            self.query("INSERT INTO sums VALUES (?, ?, ?, 1, ?, ?, ?)", (sum_id, label_id, origin, *added.packed()))
        else:
            (sum_id,) = row
            self._set(sum_id, self._sums(sum_id) + added)
        if not self.keeps_shots:
            self.query("INSERT INTO log_sums VALUES (?, ?, ?, ?, ?)", (log_id, sum_id, *added.packed()))
            return
        for shot_id, embedding in zip(ids or map(secrets.token_bytes, [16] * len(embeddings)), embeddings, strict=True):
            self.query("INSERT INTO shots VALUES (?, ?, ?, ?)", (shot_id, sum_id, log_id, packed(embedding)))

    def remove_shots(self, condition: str, values: Sequence[Any] = ()) -> int:
        """Remove the shots that an SQL condition on `shots` names, and what is empty without them; returns how many."""
        rows = self.query(f"SELECT id, sum_id, embedding FROM shots WHERE {condition}", values).fetchall()
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
        """Take shots out of a row of sums, which goes with the last of them."""
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
        """Remove the rows of sums that an SQL condition names, where no shots are kept; returns how many shots they were."""
        (count,) = self.query(f"SELECT IFNULL(SUM(count), 0) FROM sums WHERE {condition}", values).fetchone()
        self.query(f"INSERT OR IGNORE INTO removed SELECT id FROM sums WHERE {condition}", values)
        self.query(f"DELETE FROM sums WHERE {condition}", values)
        self.drop_empty()
        return int(count)

    def drop_empty(self) -> None:
        """Drop labels without shots, and steps of the undo log whose shots are all gone."""
        self.query("DELETE FROM labels WHERE NOT EXISTS (SELECT 1 FROM sums WHERE label_id = labels.id)")
        self.query(
            "DELETE FROM log WHERE action = 'enroll' AND NOT EXISTS (SELECT 1 FROM shots WHERE log_id = log.id) "
            "AND NOT EXISTS (SELECT 1 FROM log_sums WHERE log_id = log.id)"
        )

    def _sums(self, sum_id: bytes) -> Sums:
        count, total, squares = self.query("SELECT count, sum, squares FROM sums WHERE id = ?", (sum_id,)).fetchone()
        self._numbers([total], np.dtype("<i8"))
        return Sums.unpacked(count, total, squares)

    def _set(self, sum_id: bytes, sums: Sums) -> None:
        if sums.count > MOST_SHOTS:
            raise StoreError(f"A label takes {MOST_SHOTS} shots at most.", "Enroll under another label.")
        self.query(
            "UPDATE sums SET revision = revision + 1, count = ?, sum = ?, squares = ? WHERE id = ?", (*sums.packed(), sum_id)
        )

    def _by_label(
        self, labels: int, owners: NDArray[np.int64], rows: list[tuple[int, int, bytes, bytes]]
    ) -> tuple[NDArray[np.int64], Integers, list[int]]:
        """Counts, sums and squares of each label, from its rows."""
        if not all(type(count) is int and 0 < count <= MOST_SHOTS for _, count, _, _ in rows):
            raise self.damaged("a count is out of range")
        if not all(isinstance(square, bytes) and len(square) == 16 for *_, square in rows):
            raise self.damaged("a sum of squares has the wrong size")
        totals: Integers = self._numbers([total for _, _, total, _ in rows], np.dtype("<i8"))
        counts = np.zeros(labels, np.int64)
        np.add.at(counts, owners, [count for _, count, _, _ in rows])
        if np.any(counts < 1) or np.any(counts > MOST_SHOTS):
            raise self.damaged("a label has no shots, or too many")
        most = np.array([count for _, count, _, _ in rows], np.int64)[:, None] * int(LIMIT * FRACTION)
        if np.any(totals > most - 1) or np.any(totals < 1 - most):
            raise self.damaged("a sum is out of range")
        squares = [0] * labels
        for owner, (*_, square) in zip(owners.tolist(), rows, strict=True):
            squares[owner] += int.from_bytes(square, "little")
        if labels:
            order = np.argsort(owners, kind="stable")
            starts = np.searchsorted(owners[order], np.arange(labels))
            totals = np.add.reduceat(totals[order], starts, axis=0)
        return counts, totals, squares

    def _numbers(self, blobs: list[bytes], kind: np.dtype[Any]) -> NDArray[Any]:
        if not all(isinstance(blob, bytes) and len(blob) == kind.itemsize * self.dim for blob in blobs):
            raise self.damaged("an embedding or a sum has the wrong size")
        return np.frombuffer(b"".join(blobs), kind).reshape(len(blobs), self.dim)


def packed(vector: Array) -> bytes:
    return np.asarray(vector, "<f4").tobytes()
