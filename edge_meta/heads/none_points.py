"""Things that are no label, as points of the embedding: a query that lies nearer to one than to its label is unknown.

A single example lies farther from a query of its own kind than a prototype, the mean of several, does. So the distance to
the nearest example of none is divided by `FACTOR`. Where single shots are not kept, the mean of all of them is the only
point, with the factor 1: it tells little of things that differ, and next to nothing from eight labels on.
"""

from __future__ import annotations

import math

import numpy as np

from edge_meta.types import Array

# Chosen on validation classes of Caltech-101 and the grocery data, among 0.8 to 2.
FACTOR = 1.2


class NonePoints:
    """The points of a store's examples of none.

    Args:
        points: (K, D); K may be 0.
        factor: by which distances to them are divided.
    """

    def __init__(self, points: Array, factor: float = FACTOR) -> None:
        self._points, self._factor = points, factor

    def limit(self, embedding: Array) -> float:
        """The squared distance to its label's prototype up to which an embedding (D,) can be known.

        It is that to the nearest point, divided by the factor; infinite where there are no points.
        """
        if not len(self._points):
            return math.inf
        differences = self._points - embedding
        return float(np.einsum("kd,kd->k", differences, differences).min()) / self._factor
