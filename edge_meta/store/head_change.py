"""Change of a store's head: read the shots, then set or remove its columns, in one transaction."""

from __future__ import annotations

from edge_meta.store.writer import Writer, to_blob
from edge_meta.types import Array


class HeadChange:
    """One change of the head, inside the transaction that `Store.adapting` begins.

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
        self.drop_head()
        for label_id, column, value in zip(self._label_ids, weights.T, bias, strict=True):
            self._writer.query("INSERT INTO columns VALUES (?, ?, ?)", (label_id, to_blob(column), float(value)))

    def drop_head(self) -> None:
        """Remove all columns: the head is that of the prototypes. Undo takes this back, even where there were no columns."""
        self._writer.log("adapt", "")
        self._writer.query("DELETE FROM columns")
