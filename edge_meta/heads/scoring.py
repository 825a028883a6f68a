"""The head in the form that scores fastest: one matrix product for all labels, in arrays that follow each label's change."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.heads import linear
from edge_meta.store.reader import Snapshot
from edge_meta.types import Array

ROUNDING = 2.0**-24  # the relative rounding error of float32
LEAST_LOGIT = np.float32(-80)  # its exponential is nothing beside 1; lower ones would be subnormal numbers, which are slow
FEW = 8  # labels, at most, that are found faster one after the other than by a partition

Near = tuple[float, int, float]
"""Minus a label's logit (the logit of a prototype is minus its distance), the label's index, and its distance."""


class Scored(NamedTuple):
    """A label, by its index, with its softmax score and its prototype's squared distance."""

    label: int
    score: float
    distance: float


class ScoringHead:
    """The head of a snapshot, ready to score. It takes the snapshot's arrays over. Not safe to share between threads.

    Half of each logit is w·x + b, with half of a column of the linear head: w = c and b = −‖c‖²/2 for a prototype c (Snell
    et al. 2017, eq. 8). So the product of one matrix and one vector scores all labels.

    Attributes:
        adapted: whether adaptation has moved any column; such a head cannot be updated, only made anew.
        labels: in the order of their first enrollment.
        counts, prototypes, scatters, migrated: as in `Snapshot`.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.labels = list(snapshot.labels)
        self._index = {label: index for index, label in enumerate(self.labels)}
        # These arrays have room for more rows; the first len(labels) are in use.
        self._counts, self._prototypes, self._scatters = snapshot.counts, snapshot.prototypes, snapshot.scatters
        self.adapted = bool(snapshot.columns)
        self.migrated = snapshot.migrated
        self._weights, self._bias = _half_of(linear.linear_from_columns(snapshot.prototypes, snapshot.columns))
        self._longest = self._weight_error_bound = self._bias_error_bound = 0.0
        self._settle(slice(0, len(self.labels)))

    @property
    def counts(self) -> NDArray[np.int64]:
        return self._counts[: len(self.labels)]

    @property
    def prototypes(self) -> Array:
        return self._prototypes[: len(self.labels)]

    @property
    def scatters(self) -> NDArray[np.float64]:
        return self._scatters[: len(self.labels)]

    def shots(self, label: str) -> int:
        """The number of a label's shots; 0 if it is not enrolled."""
        index = self._index.get(label)
        return 0 if index is None else int(self._counts[index])

    def update(self, label: str, now: Snapshot) -> None:
        """Follow a change of one label.

        The head must not be adapted.

        Args:
            now: the snapshot of that label alone; empty if the label is gone.
        """
        index = self._index.get(label)
        self.migrated.pop(label, None)
        self.migrated |= now.migrated
        if not now.labels:
            if index is not None:
                self._remove(index)
            return
        if index is None:
            index = self._index[label] = len(self.labels)
            self.labels.append(label)
            if index == len(self._counts):
                self._grow()
        row = slice(index, index + 1)
        self._counts[row], self._scatters[row], self._prototypes[row] = now.counts, now.scatters, now.prototypes
        self._weights[row], self._bias[row] = _half_of(linear.linear_from_prototypes(now.prototypes))
        self._settle(row)

    def rank(self, embedding: Array, top_k: int) -> list[Scored]:
        """The top_k labels (all, if there are fewer) by score, those of the same score in the order of the labels.

        Raises:
            InputError: the embedding is not finite.
        """
        near, others, first = self.nearest(embedding, top_k)
        best = near[0][0]
        others -= first
        exponentials = [math.exp(best - logit) for logit, _, _ in near]
        others *= 2
        np.maximum(others, LEAST_LOGIT, out=others)
        total = sum(exponentials) + float(np.exp(others, out=others).sum())
        scores = zip(near[:top_k], exponentials, strict=False)
        return [Scored(label, exponential / total, distance) for (_, label, distance), exponential in scores]

    def nearest(self, embedding: Array, top_k: int = 1) -> tuple[list[Near], Array, float]:
        """The top_k labels by logit, those of the same logit in the order of the labels, and perhaps some of the next.

        The matrix product, within its bounds of rounding, tells which labels can be among them. Their distances are then
        computed from the difference to the prototype itself.

        Returns:
            The labels, the best first; half of the logits of all others (N,), as float32 rounds them, with −∞ in the place
            of the labels returned; and half of the best label's logit.

        Raises:
            InputError: the embedding is not finite.
        """
        prototypes, lowest = self._prototypes, -math.inf
        half_logits: Array = self._rows.dot(embedding)
        half_logits += self._offsets
        top_k = min(max(1, top_k), len(half_logits))
        if top_k > FEW or self.adapted:
            return self._nearest_of_many(embedding, half_logits, float(np.partition(half_logits, -top_k)[-top_k]))
        # Find one after the other, and blank each for the next: nothing in NumPy finds a few sooner.
        near, values = [], []
        for _ in range(top_k):
            label = int(half_logits.argmax())
            difference = prototypes[label] - embedding
            distance = float(difference.dot(difference))
            near.append((distance, label, distance))
            values.append(half_logits.item(label))
            half_logits[label] = lowest
        # The embedding is at most as long as the longest prototype and a distance together, so skip its exact length.
        error = self._weight_error_bound * (self._longest + math.sqrt(distance)) + self._bias_error_bound
        if half_logits.item(half_logits.argmax()) < values[-1] - error:
            near.sort()
            return near, half_logits, values[0]
        half_logits[[label for _, label, _ in near]] = values
        return self._nearest_of_many(embedding, half_logits, values[-1])

    def _nearest_of_many(self, embedding: Array, half_logits: Array, least: float) -> tuple[list[Near], Array, float]:
        """As `nearest`, for all labels whose half of a logit is at least `least`, or may be; distances are in float64."""
        wide = embedding.astype(np.float64)
        length = math.sqrt(wide.dot(wide))
        if not math.isfinite(length):
            raise InputError("The embedding is not finite.", "The encoder is not usable as it is: export it again.")
        labels = np.flatnonzero(half_logits >= least - (self._weight_error_bound * length + self._bias_error_bound))
        distances = linear.squared_distances(wide, self._prototypes[labels])
        logits = 2 * (self._weights[labels] @ wide + self._bias[labels]) if self.adapted else -distances
        near = sorted(zip((-logits).tolist(), labels.tolist(), distances.tolist(), strict=True))
        first = half_logits.item(near[0][1])
        half_logits[labels] = -math.inf
        return near, half_logits, first

    def _settle(self, changed: slice) -> None:
        """Update what depends on the rows, after some have changed: views of those in use, and bounds of rounding.

        Rounding moves the products of two rows with an embedding x apart by at most the weights' bound times ‖x‖, plus the
        bias's bound.
        """
        self._rows, self._offsets = self._weights[: len(self.labels)], self._bias[: len(self.labels)]
        rounding = 2 * ROUNDING * (self._weights.shape[1] + 2)
        self._longest = max(self._longest, _longest(self._prototypes[changed]))
        self._weight_error_bound = max(self._weight_error_bound, rounding * _longest(self._weights[changed]))
        self._bias_error_bound = max(self._bias_error_bound, rounding * float(np.abs(self._bias[changed]).max(initial=0.0)))

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        names = ("_counts", "_prototypes", "_scatters", "_weights", "_bias")
        return {name: getattr(self, name) for name in names}

    def _grow(self) -> None:
        for name, array in self._arrays().items():
            room = np.zeros((2 * len(array) + 16, *array.shape[1:]), array.dtype)
            room[: len(array)] = array
            setattr(self, name, room)

    def _remove(self, index: int) -> None:
        del self.labels[index]
        self._index = {label: index for index, label in enumerate(self.labels)}
        for array in self._arrays().values():
            array[index:-1] = array[index + 1 :]
        self._settle(slice(0, 0))


def _longest(rows: Array) -> float:
    return math.sqrt(np.einsum("nd,nd->n", rows, rows).max(initial=0.0))


def _half_of(head: linear.LinearHead) -> tuple[Array, Array]:
    """Half of a head's weights, as rows (N, D), and of its bias (N,)."""
    half = np.float32(0.5)
    return np.ascontiguousarray(half * head.weights.T), half * head.bias
