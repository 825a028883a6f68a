"""Scoring against what is enrolled as fast as memory is read, with arrays that follow a change label by label."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.heads import linear
from edge_meta.store.reader import Snapshot
from edge_meta.types import Array

ROUNDING = 2.0**-24  # of float32, relative
NOTHING = np.float32(-80)  # a logit whose exponential counts for nothing beside 1, and is not one of those that take long
SOME = 8  # labels, that are found faster one after the other than by partition


Near = tuple[float, int, float]  # minus the logit (a prototype's is minus its distance), the label's index, its distance


class Scored(NamedTuple):
    """A label, by its index, with its softmax score and its prototype's squared distance."""

    label: int
    score: float
    distance: float


class Head:
    """The head of a snapshot, whose arrays it takes over, ready to score. Not safe to share between threads.

    Half the logits are w·x + b: with w = c and b = −‖c‖²/2 for a prototype c (Snell et al. 2017, eq. 8), and with half of
    the columns of a head that was adapted. So one product of a matrix and a vector scores all labels.

    Attributes:
        adapted: whether adaptation has moved any column; such a head is not updated, but made anew.
        labels: in the order of their first enrollment.
        counts, prototypes, scatters, migrated: as in `Snapshot`.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.labels = list(snapshot.labels)
        self._index = {label: index for index, label in enumerate(self.labels)}
        # Arrays with room for more rows; those in use are the first len(labels).
        self._counts, self._prototypes, self._scatters = snapshot.counts, snapshot.prototypes, snapshot.scatters
        self.adapted = bool(snapshot.columns)
        self.migrated = snapshot.migrated
        weights, bias = linear.linear_from_columns(snapshot.prototypes, snapshot.columns)
        self._weights, self._bias = np.ascontiguousarray(weights.T / 2), bias / 2
        self._longest = self._error_bound = self._doubt_of_bias = 0.0
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
        """How many shots a label has; 0 if it is not there."""
        index = self._index.get(label)
        return 0 if index is None else int(self._counts[index])

    def update(self, label: str, now: Snapshot) -> None:
        """Follow a change of one label, of a head that is not adapted; `now` is the snapshot of that label alone, and empty
        when it is gone."""
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
        (prototype,) = now.prototypes
        self._counts[index], self._scatters[index], self._prototypes[index] = now.counts[0], now.scatters[0], prototype
        self._weights[index], self._bias[index] = prototype, -0.5 * float(prototype @ prototype)
        self._settle(slice(index, index + 1))

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
        np.maximum(others, NOTHING, out=others)
        total = sum(exponentials) + float(np.exp(others, out=others).sum())
        scores = zip(near[:top_k], exponentials, strict=False)
        return [Scored(label, exponential / total, distance) for (_, label, distance), exponential in scores]

    def nearest(self, embedding: Array, top_k: int = 1) -> tuple[list[Near], Array, float]:
        """The top_k labels by logit, those of the same logit in the order of the labels, and perhaps more of the next.

        One product tells which can be among them at all, however it was rounded; these, and their distances, are computed
        again from the difference to the prototype itself.

        Returns:
            The labels, the best first; half of the logits of all others (N,), which float32 rounds, with −∞ for those
            returned; and the same of the best.

        Raises:
            InputError: the embedding is not finite.
        """
        prototypes, lowest = self._prototypes, -math.inf
        half_logits: Array = self._rows.dot(embedding)
        half_logits += self._offsets
        top_k = min(max(1, top_k), len(half_logits))
        if top_k > SOME or self.adapted:
            return self._nearest_of_many(embedding, half_logits, float(np.partition(half_logits, -top_k)[-top_k]))
        # One after the other, each out of the way of the next: nothing in NumPy finds a few sooner.
        near, values = [], []
        for _ in range(top_k):
            label = int(half_logits.argmax())
            difference = prototypes[label] - embedding
            distance = float(difference.dot(difference))
            near.append((distance, label, distance))
            values.append(half_logits.item(label))
            half_logits[label] = lowest
        # An embedding is no longer than the longest prototype and its distance to that, so its length is not needed yet.
        doubt = self._error_bound * (self._longest + math.sqrt(distance)) + self._doubt_of_bias
        if half_logits.item(half_logits.argmax()) < values[-1] - doubt:
            near.sort()
            return near, half_logits, values[0]
        half_logits[[label for _, label, _ in near]] = values
        return self._nearest_of_many(embedding, half_logits, values[-1])

    def _nearest_of_many(self, embedding: Array, half_logits: Array, least: float) -> tuple[list[Near], Array, float]:
        """As `nearest`: all labels whose half_logits are as large as `least`, or may be, with distances in float64."""
        wide = embedding.astype(np.float64)
        length = math.sqrt(wide.dot(wide))
        if not math.isfinite(length):
            raise InputError("The embedding is not finite.", "The encoder is not usable as it is: export it again.")
        labels = np.flatnonzero(half_logits >= least - (self._error_bound * length + self._doubt_of_bias))
        distances = linear.squared_distances(wide, self._prototypes[labels])
        logits = 2 * (self._weights[labels] @ wide + self._bias[labels]) if self.adapted else -distances
        near = sorted(zip((-logits).tolist(), labels.tolist(), distances.tolist(), strict=True))
        first = half_logits.item(near[0][1])
        half_logits[labels] = -math.inf
        return near, half_logits, first

    def _settle(self, changed: slice) -> None:
        """After rows have changed: which are in use, the longest prototype, and how far apart rounding can put the products
        of two rows with an embedding: by a factor on its length, and by themselves."""
        self._rows, self._offsets = self._weights[: len(self.labels)], self._bias[: len(self.labels)]
        rounding = 2 * ROUNDING * (self._weights.shape[1] + 2)
        self._longest = max(self._longest, _longest(self._prototypes[changed]))
        self._error_bound = max(self._error_bound, rounding * _longest(self._weights[changed]))
        self._doubt_of_bias = max(self._doubt_of_bias, rounding * float(np.abs(self._bias[changed]).max(initial=0.0)))

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
