"""The store: enrolled labels, their shots, the adapted head, and what undo needs; one transaction a change.

Nothing here knows about images or interpreters.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import LabelError, StoreError
from edge_meta.runtime.database import ENROLL_FIRST, RESTORE, Database

# Embeddings are summed as integers of 2^-24, which add up to the same bits in any order. |value| < 2^15 leaves room for
# 2^24 shots of a label in 64 bits.
FRACTION = 2.0**24
LIMIT = 2.0**15

Array = NDArray[np.float32]
Column = tuple[Array, float]


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment.

    Attributes:
        labels: in the order of their first enrollment.
        counts: (N,) shots of each label.
        prototypes: float32 (N, D), the exact mean of each label's shots, rounded once.
        scatters: float64 (N,), Σ‖x − c‖² over each label's shots.
        columns: label index → (weights (D,), bias) of the labels whose column adaptation has moved.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    prototypes: Array
    scatters: NDArray[np.float64]
    columns: dict[int, Column] = field(default_factory=dict)


@dataclass(frozen=True)
class Undone:
    """What an undo took back: `enroll` or `adapt`, its label (None for adapt), and how many shots went."""

    action: str
    label: str | None
    shots: int


class Store:
    """A store file, bound to one encoder. Not safe to share between threads; processes may share the file.

    The file is made by the first enroll, so that asking never leaves an empty one behind.

    Args:
        path: the .db file.
        encoder_id, dim: of the bundle that it is used with.
        seed: content of a store to start from when there is no file yet.

    Raises:
        StoreError: not a store, of a newer format, of another encoder, or not readable.
    """

    def __init__(self, path: str | Path, encoder_id: str, dim: int, seed: bytes | None = None) -> None:
        self.path, self.dim = Path(path), dim
        self._database = Database(self.path, encoder_id, dim, seed)
        self._query = self._database.query

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def version(self) -> int:
        """A number that changes when another process has changed the file."""
        if not self._database.connected():
            return 0
        with self._database.explained():
            return int(self._query("PRAGMA data_version").fetchone()[0])

    def snapshot(self) -> Snapshot:
        """All that classifying needs, read at once."""
        if not self._database.connected():
            return Snapshot((), np.zeros(0, np.int64), np.zeros((0, self.dim), np.float32), np.zeros(0))
        with self._database.reading():
            return self._read()[0]

    def shots(self) -> list[tuple[str, str, str]]:
        """(label, shot id, origin) of every shot, ids in hexadecimal."""
        if not self._database.connected():
            return []
        with self._database.reading():
            rows = self._query(
                "SELECT label, lower(hex(shots.id)), lower(hex(origin)) FROM shots "
                "JOIN labels ON labels.id = label_id ORDER BY labels.id, shots.rowid"
            ).fetchall()
        return [(str(label), str(shot), str(origin)) for label, shot, origin in rows]

    def enroll(self, label: str, embeddings: Array) -> None:
        """Add shots (n, D) to a label, which is created if it is new. Its column goes back to its prototype.

        Raises:
            StoreError: the change could not be written; nothing has changed.
            LabelError: the label is empty or is not text that can be stored.
            ValueError: the embeddings are not (n, D) with n at least 1.
        """
        _check_label(label)
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dim or not len(embeddings):
            raise ValueError(f"embeddings of shape {embeddings.shape} are not (n, {self.dim})")
        if not np.all(np.abs(embeddings) < LIMIT):
            raise StoreError(
                f"An embedding has values that are not finite, or beyond ±{LIMIT:.0f}.",
                "The encoder is not usable as it is: scale its output down, or export it again.",
            )
        with self._database.change(create=True):
            self._query("INSERT INTO labels (label) VALUES (?) ON CONFLICT DO NOTHING", (label,))
            label_id = self._label_id(label)
            origin = self._query("SELECT origin FROM store").fetchone()[0]
            log_id = self._log("enroll", "WHERE label_id = ?", (label_id,))
            self._query("DELETE FROM columns WHERE label_id = ?", (label_id,))
            for embedding in embeddings:
                shot_id = secrets.token_bytes(16)
                self._query("INSERT INTO shots VALUES (?, ?, ?, ?)", (shot_id, label_id, origin, _packed(embedding)))
                self._query("INSERT INTO log_shots VALUES (?, ?)", (log_id, shot_id))

    def forget(self, label: str, shot: str | None = None) -> int:
        """Remove a label for good, or one shot of it by its id (hexadecimal); returns how many shots went.

        Undo cannot bring them back: the undo log and the write-ahead log lose them too, and SQLite overwrites their bytes.

        Raises:
            LabelError: no such label, or the label has no such shot.
        """
        with self._database.change():
            label_id = self._label_id(label)
            if shot is None:
                removed = self._query("SELECT count(*) FROM shots WHERE label_id = ?", (label_id,)).fetchone()[0]
                self._query("DELETE FROM labels WHERE id = ?", (label_id,))
            else:
                removed = self._query(
                    "DELETE FROM shots WHERE label_id = ? AND lower(hex(id)) = ?", (label_id, shot.lower())
                ).rowcount
                if not removed:
                    raise LabelError(
                        f"{label!r} has no shot {shot!r}.", "List the shots with: edge-meta inspect BUNDLE --shots"
                    )
                self._query("DELETE FROM columns WHERE label_id = ?", (label_id,))
                self._query("DELETE FROM log_columns WHERE label_id = ?", (label_id,))
                self._drop_label_without_shots(label_id)
            self._query("DELETE FROM log WHERE action = 'enroll' AND id NOT IN (SELECT log_id FROM log_shots)")
        self._database.overwrite_removed()
        return int(removed)

    @contextmanager
    def adapting(self) -> Iterator[Adapting]:
        """A change of the head: read the shots, set new columns, all in one transaction."""
        with self._database.change():
            yield Adapting(self)

    def undo(self) -> Undone:
        """Take back the last enroll or adapt.

        Raises:
            LabelError: there is nothing to take back.
        """
        with self._database.change():
            last = self._query("SELECT id, action FROM log ORDER BY id DESC LIMIT 1").fetchone()
            if last is None:
                raise LabelError(f"There is nothing to undo in {self.path}.", "Only enroll and adapt can be undone.")
            log_id, action = last
            owner = self._query(
                "SELECT DISTINCT labels.id, label FROM log_shots JOIN shots ON shots.id = shot_id "
                "JOIN labels ON labels.id = label_id WHERE log_id = ?",
                (log_id,),
            ).fetchone()
            if action == "adapt":
                self._query("DELETE FROM columns")
            self._query("INSERT INTO columns SELECT label_id, weights, bias FROM log_columns WHERE log_id = ?", (log_id,))
            removed = self._query(
                "DELETE FROM shots WHERE id IN (SELECT shot_id FROM log_shots WHERE log_id = ?)", (log_id,)
            ).rowcount
            if owner:
                self._drop_label_without_shots(owner[0])
            self._query("DELETE FROM log WHERE id = ?", (log_id,))
        return Undone(action, owner[1] if owner else None, removed)

    # The rest reads and writes rows inside a transaction.

    def _read(self) -> tuple[Snapshot, Array, NDArray[np.int64], list[int]]:
        """The snapshot; all shots (M, D), the index of each one's label (M,), and the labels' row ids."""
        labels = self._query("SELECT id, label FROM labels ORDER BY id").fetchall()
        shots = self._query("SELECT label_id, embedding FROM shots ORDER BY label_id").fetchall()
        columns = self._query("SELECT label_id, weights, bias FROM columns").fetchall()
        index = {label_id: position for position, (label_id, _) in enumerate(labels)}
        if not all(isinstance(label, str) for _, label in labels) or any(row[0] not in index for row in (*shots, *columns)):
            raise self._damaged("a row belongs to no label")
        if not all(isinstance(bias, float) and math.isfinite(bias) for _, _, bias in columns):
            raise self._damaged("a bias is not a finite number")
        owners = np.array([index[label_id] for label_id, _ in shots], np.int64)
        counts = np.bincount(owners, minlength=len(labels))
        if not counts.all():
            raise self._damaged("a label has no shots")
        embeddings = self._vectors([embedding for _, embedding in shots])
        if not np.all(np.abs(embeddings) < LIMIT):
            raise self._damaged("an embedding is out of range")
        fixed = np.rint(embeddings.astype(np.float64) * FRACTION).astype(np.int64)
        sums = np.zeros((len(labels), self.dim), np.int64)
        if labels:
            sums = np.add.reduceat(fixed, np.concatenate(([0], np.cumsum(counts)[:-1])), axis=0)
        prototypes = (sums / (counts[:, None] * FRACTION)).astype(np.float32)
        offsets = embeddings.astype(np.float64) - prototypes[owners]
        snapshot = Snapshot(
            labels=tuple(label for _, label in labels),
            counts=counts,
            prototypes=prototypes,
            scatters=np.bincount(owners, np.einsum("md,md->m", offsets, offsets), len(labels)).astype(np.float64),
            columns={index[label_id]: (self._vectors([weights])[0], bias) for label_id, weights, bias in columns},
        )
        return snapshot, embeddings, owners, [label_id for label_id, _ in labels]

    def _vectors(self, blobs: list[bytes]) -> Array:
        if not all(isinstance(blob, bytes) and len(blob) == 4 * self.dim for blob in blobs):
            raise self._damaged("an embedding has the wrong size")
        vectors = np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), self.dim)
        if not np.all(np.isfinite(vectors)):
            raise self._damaged("an embedding is not finite")
        return vectors

    def _damaged(self, how: str) -> StoreError:
        return StoreError(f"{self.path} is damaged: {how}.", RESTORE)

    def _label_id(self, label: str) -> int:
        row = self._query("SELECT id FROM labels WHERE label = ?", (label,)).fetchone()
        if row is None:
            enrolled = [name for (name,) in self._query("SELECT label FROM labels ORDER BY id LIMIT 8")]
            raise LabelError(
                f"{label!r} is not enrolled.", f"Enrolled are: {', '.join(enrolled)}." if enrolled else ENROLL_FIRST
            )
        return int(row[0])

    def _drop_label_without_shots(self, label_id: int) -> None:
        self._query(
            "DELETE FROM labels WHERE id = ? AND NOT EXISTS (SELECT 1 FROM shots WHERE label_id = labels.id)",
            (label_id,),
        )

    def _log(self, action: str, replaced: str, values: Sequence[Any] = ()) -> int:
        """Note a change and the columns that it replaces; `replaced` is an SQL condition on `columns`."""
        log_id = self._query("INSERT INTO log (action) VALUES (?)", (action,)).lastrowid
        self._query(f"INSERT INTO log_columns SELECT {log_id}, label_id, weights, bias FROM columns {replaced}", values)
        assert log_id is not None
        return log_id


class Adapting:
    """What a change of the head may do inside its transaction; see `Store.adapting`.

    Attributes:
        snapshot: the store as it is.
        embeddings: float32 (M, D), all shots.
        labels: (M,), the index of each shot's label in the snapshot.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.snapshot, self.embeddings, self.labels, self._label_ids = store._read()

    def replace_head(self, weights: Array, bias: Array) -> None:
        """Set all columns: weights (D, N) and bias (N,), labels in the order of the snapshot."""
        store = self._store
        store._log("adapt", "")
        store._query("DELETE FROM columns")
        for label_id, column, value in zip(self._label_ids, weights.T, bias, strict=True):
            store._query("INSERT INTO columns VALUES (?, ?, ?)", (label_id, _packed(column), float(value)))

    def keep_head(self) -> None:
        """Leave the columns as they are; undo takes this back all the same, and not the change before it."""
        self._store._log("adapt", "")


def _packed(vector: Array) -> bytes:
    return np.asarray(vector, "<f4").tobytes()


def _check_label(label: str) -> None:
    if not isinstance(label, str) or not label.strip():
        raise LabelError(f"{label!r} is not a label.", "Give a label that is not empty.")
    try:
        label.encode()
    except UnicodeEncodeError:
        raise LabelError(f"{label!r} is not valid Unicode text.", "Give a label without lone surrogates.") from None
