"""Scoring against what is enrolled as fast as memory is read, with arrays that follow a change label by label."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.runtime import heads
from edge_meta.runtime.reading import Snapshot
from edge_meta.runtime.sums import Array

ROUNDING = 2.0**-24  # of float32, relative
NOTHING = np.float32(-80)  # a logit whose exponential counts for nothing beside 1, and is not one of those that take long
FEW = 100  # labels, among which it is not worth while to look for the near ones first


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
        weights, bias = heads.linear_from_columns(snapshot.prototypes, snapshot.columns)
        self._weights, self._bias = np.ascontiguousarray(weights.T / 2), bias / 2
        self._longest = self._largest = 0.0
        self._measure(slice(0, len(self.labels)))

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
        self._measure(slice(index, index + 1))

    def rank(self, embedding: Array, top_k: int) -> list[Scored]:
        """The top_k labels (all, if there are fewer) by score, those of the same score in the order of the labels.

        Where there are many, one product in float32 tells which can be among them at all; these, and their distances, are
        computed again in float64 from the difference to the prototype itself.

        Raises:
            InputError: the embedding is not finite.
        """
        wide = embedding.astype(np.float64)
        squared_length = float(wide @ wide)
        if not math.isfinite(squared_length):
            raise InputError("The embedding is not finite.", "The encoder is not usable as it is: export it again.")
        size = len(self.labels)
        top_k = min(max(1, top_k), size)
        near: slice | NDArray[np.int64] = slice(size)
        if size > FEW:
            # Not the @ of a matrix, which many NumPys spread over threads that wait for each other on a busy machine.
            halves = np.einsum("nd,d->n", self._weights[:size], embedding)
            halves += self._bias[:size]
            doubt = ROUNDING * (len(embedding) + 2) * (self._longest * math.sqrt(squared_length) + self._largest)
            near = np.flatnonzero(halves >= np.partition(halves, size - top_k)[size - top_k] - 2 * doubt)
        distances = heads.squared_distances(wide, self._prototypes[near])
        logits = 2 * (self._weights[near] @ wide + self._bias[near]) if self.adapted else squared_length - distances
        order = (-logits).argsort(kind="stable")[:top_k]
        exponentials = np.exp(logits - logits[order[0]])
        total = exponentials.sum()
        if size > FEW:
            halves[near] = -np.inf
            halves -= np.float32(logits[order[0]] / 2)
            halves *= 2
            np.maximum(halves, NOTHING, out=halves)
            total += np.exp(halves, out=halves).sum()
        labels = order if isinstance(near, slice) else near[order]
        columns = labels.tolist(), (exponentials[order] / total).tolist(), distances[order].tolist()
        return [Scored(*row) for row in zip(*columns, strict=True)]

    def _measure(self, rows: slice) -> None:
        """Keep the largest length of a row of weights and the largest bias, which bound the rounding of their products."""
        lengths, bias = np.einsum("nd,nd->n", self._weights[rows], self._weights[rows]), np.abs(self._bias[rows])
        self._longest = max(self._longest, math.sqrt(lengths.max(initial=0.0)))
        self._largest = max(self._largest, float(bias.max(initial=0.0)))

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
