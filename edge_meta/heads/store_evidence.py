"""Correct the limits of distance by a store's own shots: each enrolled label is a stranger to the others.

A limit that was calibrated on one kind of things fails on another: with limits from Caltech's classes that let 5 % of
strangers through, strange groceries are nearly all taken for known ones. The store itself tells how near a stranger may
come: leave a label out, and its shots are strangers to the labels that are left. The quantile of their distances, at the
false-accept rate, is a second estimate of the limit. The two are averaged in the logarithm, the calibration counting as
`Rejection.prior_labels` labels and the store as the labels that a shot has to compare with.

A wider limit takes more evidence than a narrower one, since a few labels that happen to be unlike each other say little
of strangers: with N labels, its weight is (N − 1)²/8 up to N = 9.
"""

from __future__ import annotations

import numpy as np

from edge_meta.types import Array, Array64, Integers

MOST_LABELS, MOST_SHOTS = 64, 5  # of a store that are strangers in turn; more add to the time, and hardly to the evidence
CERTAIN_LABELS = 8  # others, from which on a wider limit counts in full


def spread_over(labels: int) -> Integers:
    """The indices of at most `MOST_LABELS` of N labels, evenly spread."""
    return np.unique(np.linspace(0, labels - 1, min(labels, MOST_LABELS)).astype(np.int64))


def correction(
    shots: Array,
    owners: Integers,
    prototypes: Array,
    limits: Array64,
    rate: float,
    prior_labels: float,
    within: Array64 | None = None,
) -> float:
    """The factor on all limits; 1 where there is no evidence.

    Args:
        shots: (M, D), of some labels or all; or, where single shots are not kept, prototypes.
        owners: (M,), the index of each shot's label.
        prototypes: (N, D).
        limits: (N,), squared distances up to which a label is known, as calibrated.
        rate: of false accepts.
        prior_labels: as many labels as the calibration weighs.
        within: (M,), added to the distances: the mean squared distance of the shots behind a prototype to it.
    """
    others = len(prototypes) - 1
    if others < 1 or not len(shots):
        return 1.0
    ratios = _to_nearest_other(shots, owners, prototypes, limits, 0.0 if within is None else within)
    shift = float(np.log(_weighted_quantile(ratios, 1.0 / np.bincount(owners)[owners], rate)))
    evidence = others * min(1.0, others / CERTAIN_LABELS) if shift > 0 else others
    return float(np.exp(shift * evidence / (evidence + prior_labels)))


def _to_nearest_other(
    shots: Array, owners: Integers, prototypes: Array, limits: Array64, within: Array64 | float
) -> Array64:
    """Squared distances (M,) of shots to the nearest prototype but their own label's, as shares of that label's limit."""
    lengths = np.einsum("nd,nd->n", prototypes, prototypes)
    distances = np.einsum("md,md->m", shots, shots)[:, None] - 2.0 * (shots @ prototypes.T) + lengths
    rows = np.arange(len(shots))
    distances[rows, owners] = np.inf
    nearest = distances.argmin(axis=1)
    exact = ((shots - prototypes[nearest]).astype(np.float64) ** 2).sum(axis=1) + within
    ratios: Array64 = np.maximum(exact, np.finfo(np.float64).tiny) / limits[nearest]
    return ratios


def _weighted_quantile(values: Array64, weights: Array64, share: float) -> float:
    """The value below which that share of the weight lies, interpolated in the logarithm; each value is at its middle."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.exp(np.interp(share, below / weights.sum(), np.log(values[order]))))
