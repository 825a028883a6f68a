"""The nearest prototypes of an embedding, in hardly more time than reading the prototypes takes.

‖x − c‖² = ‖x‖² − 2 (c·x − ‖c‖²/2), so one product of a matrix and a vector ranks all labels. Distances come from the
differences to the embedding themselves, and so does the order of labels that are too near to each other for the rounding
of the product.

Shapes: D is the embedding's dimension, N the number of labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Near = tuple[float, int, float]  # squared distance ‖x − c‖², label's index, c·x − ‖c‖²/2

UNIT = 2.0**-24  # of float32's rounding, relative


class Prototypes:
    """Prototypes (N, D), ready to be ranked. They are not copied."""

    def __init__(self, prototypes: Array) -> None:
        squares = np.einsum("nd,nd->n", prototypes, prototypes, dtype=np.float64)
        self._prototypes, self._half_squares = prototypes, (squares / 2).astype(np.float32)
        # To first order, c·x − ‖c‖²/2 is off by no more than u (D + 2) (‖c‖ ‖x‖ + ‖c‖²/2), so that a difference of two is by
        # twice as much; and ‖x‖ is at most ‖c‖ + ‖x − c‖.
        rounding, longest = 2 * UNIT * (prototypes.shape[1] + 2), math.sqrt(squares.max(initial=0.0))
        self._doubt, self._doubt_by_distance = rounding * 1.5 * longest**2, rounding * longest

    def rank(self, embedding: Array, count: int = 1) -> tuple[list[Near], Array]:
        """The `count` nearest labels to an embedding (D,), at least one, or all if there are fewer.

        Returns:
            The nearest first, of equals the one enrolled first; and c·x − ‖c‖²/2 of all labels (N,), which is half of each
            logit of the prototypes' linear head (Snell et al. 2017, eq. 8).
        """
        prototypes = self._prototypes
        halves: Array = prototypes.dot(embedding)
        halves -= self._half_squares
        if count >= len(prototypes):
            return self._ordered(list(range(len(prototypes))), embedding, halves), halves
        # One after the other, each out of the way of the next. Of few labels, nothing in NumPy finds a few sooner.
        nearest: list[Near] = []
        for _ in range(count):
            label = int(halves.argmax())
            difference = prototypes[label] - embedding
            nearest.append((float(difference.dot(difference)), label, halves.item(label)))
            halves[label] = -math.inf
        next_half = halves.item(halves.argmax())
        for _, label, half in nearest:
            halves[label] = half
        distance, _, half = nearest[-1]
        least = half - self._doubt - self._doubt_by_distance * math.sqrt(distance)
        if next_half < least:
            nearest.sort()
            return nearest, halves
        return self._ordered(np.flatnonzero(~(halves < least)).tolist(), embedding, halves)[:count], halves

    def distances(self, embedding: Array, labels: Iterable[int]) -> list[float]:
        """‖x − c‖² of an embedding (D,) to the prototypes of some labels, to the bit as `rank` gives them."""
        differences = [self._prototypes[label] - embedding for label in labels]
        return [float(difference.dot(difference)) for difference in differences]

    def _ordered(self, labels: Sequence[int], embedding: Array, halves: Array) -> list[Near]:
        taken: list[float] = halves[labels].tolist()
        return sorted(zip(self.distances(embedding, labels), labels, taken, strict=True))
