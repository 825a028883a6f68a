"""Judge a store by its own shots: leave each shot, or each label, out, and classify what was left out.

No example is embedded again: without a shot x, a prototype of n shots with the sum s is (s − x) / (n − 1). The limits of
distance stay those of the whole store.

Shapes: D is the embedding's dimension, N the number of labels, M the number of shots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_meta.heads.none_points import NonePoints, none_factors
from edge_meta.types import Array, Array64, Integers


@dataclass(frozen=True)
class Answers:
    """Answers to examples whose label, or kind of stranger, is known.

    Attributes:
        truth: (M,), the index of each example's label; of strangers, that of their kind, and none of them is right.
        nearest: (M,), the index of the nearest label, known or not.
        distances: (M,), the squared distance to that label's prototype.
        limits: (M,), the squared distance up to which the example is known as that label.
    """

    truth: Integers
    nearest: Integers
    distances: Array64
    limits: Array64

    @property
    def known(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = self.distances <= self.limits
        return known

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.known & ~self._elsewhere

    @property
    def mistaken(self) -> NDArray[np.bool_]:
        """Those that are known by another label than theirs."""
        return self.known & self._elsewhere

    @property
    def _elsewhere(self) -> NDArray[np.bool_]:
        elsewhere: NDArray[np.bool_] = self.nearest != self.truth
        return elsewhere


def label_sums(shots: Array, owners: Integers, count: int) -> tuple[Array64, Integers]:
    """The sum of each label's shots, (count, D), and how many they are, (count,).

    Args:
        shots: (M, D).
        owners: (M,), the index of each shot's label.
    """
    sums = np.zeros((count, shots.shape[1]))
    np.add.at(sums, owners, shots.astype(np.float64))
    return sums, np.bincount(owners, minlength=count)


def left_out_distances(shots: Array, owners: Integers, sums: Array64, counts: Integers) -> Array64:
    """Squared distances (M, N) of shots to prototypes, to that of their own label without them.

    The distance of a label's only shot to its own is infinite.

    Args:
        shots: (M, D), all of a store's, or some of them.
        owners: (M,), the index of each shot's label.
        sums: (N, D), over all shots of each label.
        counts: (N,), of each label, at least 1.
    """
    distances = np.empty((len(shots), len(counts)))
    wide = shots.astype(np.float64)
    for label, (total, count) in enumerate(zip(sums, counts.tolist(), strict=True)):
        difference, own = wide - total / count, owners == label
        difference[own] = wide[own] - (total - wide[own]) / (count - 1) if count > 1 else np.inf
        distances[:, label] = (difference**2).sum(axis=1)
    return distances


def leave_shots_out(distances: Array64, owners: Integers, counts: Integers, limits: Array64, to_none: Array64) -> Answers:
    """Classify each shot by the store without it. A label's only shot cannot be judged, and has no answer.

    Args:
        distances: of the shots; see `left_out_distances`.
        counts, limits: (N,).
        to_none: (M,), squared distances of the shots to the nearest example of none; infinite where there is none.
    """
    judged = counts[owners] > 1
    return _answers(distances[judged], owners[judged], limits, counts, to_none[judged])


def leave_labels_out(distances: Array64, owners: Integers, counts: Integers, limits: Array64, to_none: Array64) -> Answers:
    """Classify each shot as a stranger, by the store without its label. A sole label leaves none to be taken for.

    Args:
        distances: of the shots; see `left_out_distances`.
        counts, limits, to_none: see `leave_shots_out`.
    """
    if len(limits) < 2:
        distances, owners, to_none = distances[:0], owners[:0], to_none[:0]
    others = np.where(owners[:, None] == np.arange(len(limits)), np.inf, distances)
    return _answers(others, owners, limits, counts, to_none)


def leave_none_out(examples: Array, prototypes: Array, counts: Integers, limits: Array64) -> Answers:
    """Classify each example of none as a stranger, by the store without it.

    Args:
        examples: (K, D).
        prototypes: (N, D), N at least 1.
        counts, limits: (N,).

    Returns:
        Answers whose truth is N, which is no label.
    """
    distances = squared_distances(examples, prototypes)
    left = [NonePoints(np.delete(examples, index, axis=0)).nearest(example) for index, example in enumerate(examples)]
    return _answers(distances, np.full(len(examples), len(limits)), limits, counts, np.array(left, np.float64))


def squared_distances(examples: Array, prototypes: Array) -> Array64:
    """Squared distances (K, N) of examples (K, D) to prototypes (N, D)."""
    columns = [((examples - prototype).astype(np.float64) ** 2).sum(axis=1) for prototype in prototypes]
    return np.stack(columns, axis=1)


def _answers(distances: Array64, truth: Integers, limits: Array64, counts: Integers, to_none: Array64) -> Answers:
    nearest = distances.argmin(axis=1)
    known_up_to = np.minimum(limits[nearest], to_none / none_factors(counts[nearest]))
    return Answers(truth, nearest, distances[np.arange(len(truth)), nearest], known_up_to)
