"""Correct the limits of distance by a store's own shots: each enrolled label is a stranger to the others.

A limit that was calibrated on one kind of things fails on another: with limits from Caltech's classes that let 5 % of
strangers through, strange groceries are nearly all taken for known ones. The store itself tells two things more:

* how near a stranger may come: leave a label out, and its shots are strangers to the labels that are left. At the
  false-accept rate, their distances have a quantile. It is computed as that of a log-normal distribution from the mean and
  the spread of the logarithms, which varies less than the second smallest of some 40 distances;
* how far a label's own examples lie: the limit is near `OWN_DISTANCES` times their mean squared distance.

The logarithms of the three limits are averaged. The calibration weighs as `Rejection.prior_labels` labels, the strangers as
the labels that a shot has to compare with, and each label with two shots as `OWN_WEIGHT` labels.

A wider limit takes more evidence than a narrower one, since a few labels that happen to be unlike each other say little
of strangers: with N labels, the strangers' weight is (N − 1)²/8 up to N = 9.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from edge_meta.types import Array, Array64, Integers

MOST_LABELS, MOST_SHOTS = 64, 5  # of a store that are strangers in turn; more add to the time, and hardly to the evidence
CERTAIN_LABELS = 8  # others, from which on a wider limit counts in full
# Chosen on validation classes of Caltech-101 and the grocery data.
OWN_DISTANCES, OWN_WEIGHT = 1.5, 0.2
# What single shots would add to the variance of the logarithms, where only prototypes and scatters are there.
VARIANCE_OF_SHOTS = 0.04
# Equal shots, of one label or under two by mistake, tell nothing of other examples: distances count as this share of the
# usual spread at least.
LEAST_SHARE = 0.25


class Evidence(NamedTuple):
    """The shots and sums of a store of N labels, by which its limits are corrected.

    Attributes:
        shots: (M, D), of some labels or all; or, where single shots are not kept, these labels' prototypes.
        owners: (M,), the index of each shot's label.
        prototypes: (N, D).
        counts: (N,), shots of each label.
        scatters: (N,), Σ‖x − c‖² over each label's shots.
        single: whether `shots` are single shots.
    """

    shots: Array
    owners: Integers
    prototypes: Array
    counts: Integers
    scatters: Array64
    single: bool = True


def spread_over(labels: int) -> Integers:
    """The indices of at most `MOST_LABELS` of N labels, evenly spread."""
    return np.unique(np.linspace(0, labels - 1, min(labels, MOST_LABELS)).astype(np.int64))


def correction(evidence: Evidence, limits: Array64, rate: float, prior_labels: float, spread: float) -> float:
    """The factor on all limits; 1 where there is no evidence.

    Args:
        limits: (N,), squared distances up to which a label is known, as calibrated.
        rate: of false accepts.
        prior_labels: as many labels as the calibration weighs.
        spread: mean squared distance of examples to the mean of their class, as calibrated.
    """
    others = len(evidence.prototypes) - 1
    total = weights = 0.0
    if others > 0 and len(evidence.shots):
        strangers = _of_strangers(evidence, limits, rate, spread)
        weights = others * min(1.0, others / CERTAIN_LABELS) if strangers > 0 else float(others)
        total = weights * strangers
    several = evidence.counts > 1
    if several.any():
        weight = OWN_WEIGHT * int(several.sum())
        weights += weight
        total += weight * _of_own_shots(evidence.counts[several], evidence.scatters[several], limits[several], spread)
    return math.exp(total / (weights + prior_labels))


def _of_strangers(evidence: Evidence, limits: Array64, rate: float, spread: float) -> float:
    """The logarithm of the quantile, at the rate, of each label's shots' distances to the nearest other, by its limit."""
    logarithms = np.log(to_nearest_other(evidence, limits, LEAST_SHARE * spread))
    weights = 1.0 / np.bincount(evidence.owners)[evidence.owners]
    mean = float(np.average(logarithms, weights=weights))
    variance = float(np.average((logarithms - mean) ** 2, weights=weights))
    return mean + normal_quantile(rate) * math.sqrt(variance + (0.0 if evidence.single else VARIANCE_OF_SHOTS))


def _of_own_shots(counts: Integers, scatters: Array64, limits: Array64, spread: float) -> float:
    """The logarithm of `OWN_DISTANCES` times the mean distance to be expected of a query of the labels, by their limits.

    Of a label with n shots and the variance σ² = Σ‖x − c‖² / (n − 1), it is σ² (1 + 1/n).
    """
    distances = np.maximum(scatters / (counts - 1), LEAST_SHARE * spread) * (1.0 + 1.0 / counts)
    return math.log(OWN_DISTANCES * float((distances / limits).mean()))


def to_nearest_other(evidence: Evidence, limits: Array64, least: float = 0.0) -> Array64:
    """Squared distances (M,), `least` or more, of shots to the nearest prototype but their own label's, by its limit.

    Where prototypes stand for shots, the mean squared distance of the shots: from their prototype, that to any other point
    differs by their scatter alone.
    """
    shots, owners, prototypes = evidence.shots, evidence.owners, evidence.prototypes
    lengths = np.einsum("nd,nd->n", prototypes, prototypes)
    distances = np.einsum("md,md->m", shots, shots)[:, None] - 2.0 * (shots @ prototypes.T) + lengths
    rows = np.arange(len(shots))
    distances[rows, owners] = np.inf
    nearest = distances.argmin(axis=1)
    exact = ((shots - prototypes[nearest]).astype(np.float64) ** 2).sum(axis=1)
    if not evidence.single:
        exact += evidence.scatters[owners] / evidence.counts[owners]
    shares: Array64 = np.maximum(exact, least) / limits[nearest]
    return shares


def normal_quantile(share: float) -> float:
    """The value below which that share of a normal distribution lies, within 0.0005 (Abramowitz and Stegun 1964, 26.2.23).

    The standard library's is in `statistics`, which takes long to import.
    """
    if share > 0.5:
        return -normal_quantile(1.0 - share)
    t = math.sqrt(-2.0 * math.log(share))
    above = 2.515517 + t * (0.802853 + t * 0.010328)
    below = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    return above / below - t
