"""An embedding map turns an old encoder's embeddings into a new one's, so that a store outlives its encoder.

What the old encoder has embedded need not be embedded again, which would take the examples. The problem: Shen et al. 2020,
"Backward-Compatible Representation Learning". Maps of old embeddings: Hu et al. 2019, "Visual Feature Translation", and
Ramanujan et al. 2022, "Forward Compatible Training". The map is fitted at export, and lies in the new encoder's bundle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_meta.store.exact_sums import FRACTION, LARGEST_SQUARES, LIMIT, Sums, scatters, squared_lengths
from edge_meta.types import Array, Array64


@dataclass(frozen=True)
class EmbeddingMap:
    """x → x · weights + offset.

    Every machine does the same additions and multiplications in the same order (no BLAS, which chooses the order itself), so
    that devices that migrate copies of one store get the same bits.

    Attributes:
        weights: float32 (d, D), from the old encoder's dimension to the new one's.
        offset: float32 (D,).
    """

    weights: Array
    offset: Array

    def embeddings(self, old: Array) -> Array:
        """Map embeddings (n, d) to float32 (n, D).

        Raises:
            ValueError: one is beyond what a store takes.
        """
        mapped = self._mapped(old.astype(np.float64), 1)
        if not np.all(np.abs(mapped) < LIMIT):
            raise ValueError("an embedding is out of range after the map")
        return mapped.astype(np.float32)

    def sums(self, old: Sums, spread: float) -> Sums:
        """Map the sums of a set of shots: the map of a sum is the sum of the maps.

        Args:
            old: the sums before the map.
            spread: how the map changes the shots' squared distance to their mean; see `EmbeddingMapRecord`. It is an
                estimate, because the sums hold the distance in all directions together.

        Raises:
            ValueError: the mapped sums are beyond what a store takes.
        """
        mean = self._mapped(old.total[None] / FRACTION, old.count)
        if not np.all(np.abs(mean) < LIMIT * old.count):
            raise ValueError("a sum is out of range after the map")
        total = np.rint(mean * FRACTION).astype(np.int64)
        (length,), (scatter,) = squared_lengths(total), scatters([old.count], old.total[None], [old.squares]).tolist()
        squares = -(-length // old.count) + round(spread * scatter * FRACTION**2)
        if squares >= LARGEST_SQUARES:
            raise ValueError("a sum of squares is out of range after the map")
        return Sums(old.count, total[0], squares)

    def to_bytes(self) -> bytes:
        """float32, little-endian: the rows of the weights one after the other, then the offset."""
        return np.vstack([self.weights, self.offset]).astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, content: bytes, old_dim: int, dim: int) -> EmbeddingMap:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: it is not a map of these dimensions, or not finite.
        """
        if len(content) != 4 * (old_dim + 1) * dim:
            raise ValueError(f"it has {len(content):,} bytes, and a map from {old_dim} to {dim} values another number")
        numbers = np.frombuffer(content, "<f4").reshape(old_dim + 1, dim)
        if not np.all(np.isfinite(numbers)):
            raise ValueError("it is not finite")
        return cls(numbers[:-1], numbers[-1])

    def _mapped(self, vectors: Array64, count: int) -> Array64:
        """Map vectors (n, d), each the sum of `count` shots, to (n, D)."""
        mapped: Array64 = np.repeat(count * self.offset.astype(np.float64)[None], len(vectors), axis=0)
        for column, row in zip(vectors.T, self.weights.astype(np.float64), strict=True):
            mapped += column[:, None] * row
        return mapped
