"""Things that are no label, as points of the embedding: a query that lies nearer to one than to its label is unknown.

A single example lies farther from a query of its own kind than a prototype does: 2σ² away, where that of n shots lies
σ² (1 + 1/n) away. So a query is known up to the distance to the nearest example of none, divided by `FACTOR` · n / (n + 1);
2 would make the two alike. Where single shots are not kept, the mean of all of them is the only point, and is taken as it
is: it tells little of things that differ, and next to nothing from eight labels on.
"""

from __future__ import annotations

import math

import numpy as np

from edge_meta.types import Array, Array64, Integers

# Of 1.4 to 1.7, which do equally well on validation classes of Caltech-101 and the grocery data, the one that accepts the
# fewest strangers.
FACTOR = 1.7


def none_factors(shots: Integers) -> Array64:
    """By what distances to an example of none are divided, (N,), for labels of so many shots."""
    factors: Array64 = FACTOR * shots / (shots + 1.0)
    return factors


class NonePoints:
    """The points of a store's examples of none.

    Args:
        points: (K, D); K may be 0.
        single: whether they are single examples.
    """

    def __init__(self, points: Array, single: bool = True) -> None:
        self._points, self._single = points, single

    def nearest(self, embedding: Array) -> float:
        """The squared distance of an embedding (D,) to the nearest point; infinite where there is none."""
        if not len(self._points):
            return math.inf
        differences = self._points - embedding
        return float(np.einsum("kd,kd->k", differences, differences).min())

    def limit(self, embedding: Array, shots: int) -> float:
        """The squared distance to the prototype of a label of so many shots up to which an embedding (D,) can be known."""
        return self.nearest(embedding) / (FACTOR * shots / (shots + 1.0) if self._single else 1.0)
