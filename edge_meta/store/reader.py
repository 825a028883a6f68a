"""Reading a store's rows with checks: impossible values are reported as damage, and never become a prototype.

The caller begins the transaction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import StoreError
from edge_meta.store.database import Database
from edge_meta.store.exact_sums import FRACTION, LARGEST_SQUARES, LIMIT, MOST_SHOTS, Sums, scatters
from edge_meta.store.messages import RESTORE
from edge_meta.types import Array, Integers

Column = tuple[Array, float]
NONE = ""  # the reserved label of examples of none: no snapshot of all labels has it, and no head a column for it


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment.

    Attributes:
        labels: in the order of their first enrollment.
        counts: (N,) shots of each label.
        prototypes: float32 (N, D), the exact mean of each label's shots, rounded once.
        scatters: float64 (N,), the sum over each label's shots of |x − c|², around their exact mean c.
        columns: label index → (weights (D,), bias) of the labels whose column adaptation has moved.
        migrated: label → older encoder's id → how many of the label's shots were migrated from it; labels without such are
            not there.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    prototypes: Array
    scatters: NDArray[np.float64]
    columns: dict[int, Column] = field(default_factory=dict)
    migrated: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def empty(cls, dim: int) -> Snapshot:
        return cls((), np.zeros(0, np.int64), np.zeros((0, dim), np.float32), np.zeros(0))


class Reader:
    """The rows of a database, to read.

    Args:
        dim: of the embeddings.
        path: the file for errors to name; the database's unless given.
    """

    def __init__(self, database: Database, dim: int, path: Path | None = None) -> None:
        self._database, self.dim, self.path = database, dim, path or database.path
        self.query = database.query

    @property
    def keeps_shots(self) -> bool:
        return self._database.keeps_shots

    def require_shots(self, purpose: str) -> None:
        """Raise StoreError if the store keeps no single shots."""
        if not self.keeps_shots:
            raise StoreError(
                f"{self.path} keeps no single shots to {purpose}.",
                "Enroll into another --store, without --no-shots, if you need that.",
            )

    def shots_of(self, label: str) -> int:
        """The number of shots of a label; 0 if it is not enrolled."""
        asked = "SELECT IFNULL(SUM(count), 0) FROM sums JOIN labels ON labels.id = label_id WHERE label = ?"
        return int(self.query(asked, (label,)).fetchone()[0])

    def snapshot(self, label: str | None = None) -> Snapshot:
        """The snapshot of all labels, or of one alone, which may be `NONE`: without rows if it is not enrolled."""
        one, of_one = "WHERE label != ?", "WHERE label_id NOT IN (SELECT id FROM labels WHERE label = ?)"
        values = (NONE if label is None else label,)
        if label is not None:
            one, of_one = "WHERE label = ?", "WHERE label_id = (SELECT id FROM labels WHERE label = ?)"
        labels = self.query(f"SELECT id, label FROM labels {one} ORDER BY id", values).fetchall()
        sums = self.query(f"SELECT label_id, count, sum, squares FROM sums {of_one}", values).fetchall()
        columns = self.query(f"SELECT label_id, weights, bias FROM columns {of_one}", values).fetchall()
        names = tuple(name for _, name in labels)
        index = {label_id: position for position, (label_id, _) in enumerate(labels)}
        if not set(map(type, names)) <= {str} or any(row[0] not in index for row in (*sums, *columns)):
            raise self.damaged("a row belongs to no label")
        vectors = self.check_columns([column for _, *column in columns])
        counts, totals, squares = self._by_label(index, sums)
        spread = scatters(counts.tolist(), totals, squares)
        if np.any(spread < 0):
            raise self.damaged("a sum and its squares do not fit")
        migrated: dict[str, dict[str, int]] = {}
        for label_id, encoder_id, count in self.query(
            "SELECT label_id, encoder_id, SUM(count) FROM sums JOIN migrated ON migrated.origin = sums.origin "
            f"{of_one} GROUP BY label_id, encoder_id",
            values,
        ):
            migrated.setdefault(names[index[label_id]], {})[encoder_id] = count
        return Snapshot(
            labels=names,
            counts=counts,
            prototypes=(totals / (counts[:, None] * FRACTION)).astype(np.float32),
            scatters=spread,
            columns={index[row[0]]: (vector, row[2]) for row, vector in zip(columns, vectors, strict=True)},
            migrated=migrated,
        )

    def shots(self) -> tuple[Array, NDArray[np.int64], list[int]]:
        """All labels' shots (M, D), the index of each one's label (M,), and the labels' row ids, in the snapshot's order."""
        label_ids = [label_id for (label_id,) in self.query("SELECT id FROM labels WHERE label != ? ORDER BY id", (NONE,))]
        rows = self.query(
            "SELECT label_id, embedding FROM shots JOIN sums ON sums.id = sum_id "
            "WHERE label_id NOT IN (SELECT id FROM labels WHERE label = ?) ORDER BY label_id, shots.rowid",
            (NONE,),
        ).fetchall()
        index = {label_id: position for position, label_id in enumerate(label_ids)}
        owners = np.array([index[label_id] for label_id, _ in rows], np.int64)
        return self.embeddings([embedding for _, embedding in rows]), owners, label_ids

    def first_shots(self, labels: Sequence[str], most: int) -> tuple[Array, Integers]:
        """The first shots of each label, `most` at most, (M, D), and the index of each one's label, (M,)."""
        found = [
            self.query(
                "SELECT embedding FROM shots WHERE sum_id IN "
                "(SELECT sums.id FROM sums JOIN labels ON labels.id = label_id WHERE label = ?) LIMIT ?",
                (label, most),
            ).fetchall()
            for label in labels
        ]
        owners = np.repeat(np.arange(len(labels)), [len(rows) for rows in found])
        return self.embeddings([embedding for rows in found for (embedding,) in rows]), owners

    def none_shots(self) -> dict[bytes, Array]:
        """The id and the embedding (D,) of each example of none, in a store that keeps single shots."""
        rows = self.query(
            "SELECT shots.id, embedding FROM shots JOIN sums ON sums.id = sum_id "
            "WHERE label_id = (SELECT id FROM labels WHERE label = ?) ORDER BY shots.rowid",
            (NONE,),
        ).fetchall()
        return dict(zip([shot for shot, _ in rows], self.embeddings([embedding for _, embedding in rows]), strict=True))

    def sums(self, row: tuple[int, bytes, bytes]) -> Sums:
        """The sums of one row (count, sum, squares), checked."""
        (count,), (total,), (squares,) = self._by_label({0: 0}, [(0, *row)])
        if squares >= LARGEST_SQUARES:
            raise self.damaged("a sum of squares is out of range")
        return Sums(int(count), total, squares)

    def row(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The one row of a query, which every undamaged store has."""
        found: tuple[Any, ...] | None = self.query(query, values).fetchone()
        if found is None or None in found:
            raise self.damaged("a row is missing")
        return found

    def embeddings(self, blobs: list[bytes]) -> Array:
        """Stored embeddings as (n, D)."""
        vectors = self.vectors(blobs)
        if not np.all(np.abs(vectors) < LIMIT):
            raise self.damaged("an embedding is out of range")
        return vectors

    def vectors(self, blobs: list[bytes]) -> Array:
        """Stored float32 vectors as (n, D)."""
        vectors: Array = self._numbers(blobs, np.dtype("<f4"))
        if not np.all(np.isfinite(vectors)):
            raise self.damaged("an embedding is not finite")
        return vectors

    def check_columns(self, columns: Sequence[Sequence[Any]]) -> Array:
        """The weights (n, D) of stored columns (weights, bias), both checked."""
        if not all(isinstance(bias, float) and math.isfinite(bias) for _, bias in columns):
            raise self.damaged("a bias is not a finite number")
        return self.vectors([weights for weights, _ in columns])

    def damaged(self, how: str) -> StoreError:
        """The error of a damaged store."""
        return StoreError(f"{self.path} is damaged: {how}.", RESTORE)

    def _by_label(
        self, index: dict[int, int], rows: list[tuple[int, int, bytes, bytes]]
    ) -> tuple[NDArray[np.int64], Integers, list[int]]:
        """Counts, sums and squares of each label, from its rows (label id, count, sum, squares)."""
        ids, counts, totals, squares = zip(*rows, strict=True) if rows else ((), (), (), ())
        if not set(map(type, counts)) <= {int} or not all(0 < count <= MOST_SHOTS for count in counts):
            raise self.damaged("a count is out of range")
        if not set(map(type, squares)) <= {bytes} or not set(map(len, squares)) <= {16}:
            raise self.damaged("a sum of squares has the wrong size")
        parts: Integers = self._numbers(list(totals), np.dtype("<i8"))
        numbers = np.array(counts, np.int64)
        most = numbers[:, None] * int(LIMIT * FRACTION) - 1
        if np.any(parts > most) or np.any(parts < -most):
            raise self.damaged("a sum is out of range")
        if ids == tuple(index):  # one row for each label, in their order, as in a store that was never merged
            return numbers, parts, [int.from_bytes(square, "little") for square in squares]
        owners = np.array([index[label_id] for label_id in ids], np.int64)
        present, first = np.unique(owners, return_index=True)
        by_label = np.zeros(len(index), np.int64)
        np.add.at(by_label, owners, counts)
        if len(present) < len(index) or np.any(by_label > MOST_SHOTS):
            raise self.damaged("a label has no shots, or too many")
        # Most labels have one row; add up only the rows beyond the first.
        sums, more = parts[first], np.delete(np.arange(len(rows)), first)
        np.add.at(sums, owners[more], parts[more])
        lengths = [0] * len(index)
        for owner, square in zip(owners.tolist(), squares, strict=True):
            lengths[owner] += int.from_bytes(square, "little")
        return by_label, sums, lengths

    def _numbers(self, blobs: list[bytes], kind: np.dtype[Any]) -> NDArray[Any]:
        if not set(map(type, blobs)) <= {bytes} or not set(map(len, blobs)) <= {kind.itemsize * self.dim}:
            raise self.damaged("an embedding or a sum has the wrong size")
        return np.frombuffer(b"".join(blobs), kind).reshape(len(blobs), self.dim)
