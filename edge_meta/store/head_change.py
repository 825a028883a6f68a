"""Change of a store's head: read the shots, then set or remove its columns, in one transaction."""

from __future__ import annotations

from edge_meta.store.writer import Writer, to_blob
from edge_meta.types import Array


class HeadChange:
    """One change of the head, inside the transaction that `Store.adapting` begins.

    Each change is a step of the undo log, with a copy of the head before it. But if the step before it was a change of the
    head, too, and the head stays the same, it is no step: undo takes both back. So adapting again adds no copy.

    Attributes:
        snapshot: the store before the change.
        embeddings: float32 (M, D), all shots.
        labels: int64 (M,), the index of each shot's label in the snapshot.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.snapshot = writer.snapshot()
        self.embeddings, self.labels, self._label_ids = writer.shots()

    def replace_head(self, weights: Array, bias: Array) -> None:
        """Set all columns: weights (D, N) and bias (N,), labels in the order of the snapshot."""
        columns = zip(self._label_ids, weights.T, bias, strict=True)
        self._set([(label_id, to_blob(column), float(value)) for label_id, column, value in columns])

    def drop_head(self) -> None:
        """Remove all columns: the head is that of the prototypes."""
        self._set([])

    def _set(self, columns: list[tuple[int, bytes, float]]) -> None:
        query = self._writer.query
        last = query("SELECT action FROM log ORDER BY id DESC LIMIT 1").fetchone()
        if last == ("adapt",) and columns == query("SELECT * FROM columns ORDER BY label_id").fetchall():
            return
        self._writer.log("adapt", "")
        query("DELETE FROM columns")
        for column in columns:
            query("INSERT INTO columns VALUES (?, ?, ?)", column)
