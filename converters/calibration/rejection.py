"""Calibrate rejection: measure the distance of strangers to the nearest of several prototypes, on validation classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import Dataset
from edge_meta.heads.prototypes import class_scatters, within_class_variance
from edge_meta.heads.rejection import Rejection
from edge_meta.types import Array, Array64, Integers

RANDOM_SEED = 7
EPISODES = 200
STRANGERS = 30  # of an episode
LABELS = (1, 2, 5, 10, 20, 50, 100)
RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SHOTS = (1, 5)
FALSE_ACCEPT = 0.05
# Chosen on Caltech-101's and the grocery data's training and validation classes. Among several groups, such as alphabets,
# the calibration has seen strangers of other kinds, and the store's few labels tell less than it does.
PRIOR_LABELS = 0.5
HELD_OUT = 0.4  # of the groups, for strangers


def calibrate_rejection(embeddings: Array, data: Dataset, enrolled: Array | None = None) -> Rejection | None:
    """Measure how far strangers are, by number of labels and false-accept rate, from episodes of 1 and 5 shots.

    In each episode 2/5 of the groups are put aside, drawn anew, and strangers are examples of those; where the data has a
    single group, the same with its classes.

    Args:
        embeddings: (examples, D) of the data, as the quantized encoder gives them.
        enrolled: the same for examples that are enrolled, if they were embedded in another way.

    Returns:
        None if the data has too few classes or examples.
    """
    enrolled = embeddings if enrolled is None else enrolled
    counts = np.bincount(data.labels)
    if len(counts) < 4 or counts.min() < max(SHOTS) + 1:
        return None
    spread = max(within_class_variance(embeddings, data.labels), float(np.finfo(np.float32).tiny))
    rng = np.random.default_rng(RANDOM_SEED)
    numbers = tuple(labels for labels in LABELS if labels <= _fewest_enrollable(data))
    # Distances are measured in widths, and widths() needs the spread alone.
    several_groups = len(set(data.groups)) > 1
    draft = Rejection(FALSE_ACCEPT, numbers, RATES, SHOTS, (), spread, None if several_groups else PRIOR_LABELS)
    thresholds = []
    for shot in SHOTS:
        found = [_to_nearest(embeddings, enrolled, data, labels, shot, draft, rng) for labels in numbers]
        table = [np.maximum(np.quantile(row, RATES), 1e-6 * spread).tolist() for row in found]
        thresholds.append(tuple(tuple(map(_rounded, row)) for row in table))
    return replace(draft, thresholds=tuple(thresholds), spread=_rounded(spread))


def _to_nearest(
    embeddings: Array, enrolled: Array, data: Dataset, labels: int, shot: int, draft: Rejection, rng: np.random.Generator
) -> Array64:
    """Squared distances of strangers to the nearest of `labels` prototypes, in units of that label's width."""
    counts = np.bincount(data.labels)
    starts = np.cumsum(counts) - counts
    found = []
    for _ in range(EPISODES):
        foreign = _held_out(data, rng)
        chosen = rng.permutation(np.flatnonzero(~foreign))[:labels]
        support = np.stack([starts[label] + rng.permutation(counts[label])[:shot] for label in chosen])
        prototypes = enrolled[support].mean(axis=1)
        strangers = embeddings[rng.choice(np.flatnonzero(foreign[data.labels]), STRANGERS)]
        distances = ((strangers[:, None] - prototypes) ** 2).sum(axis=2)
        nearest = distances.argmin(axis=1)
        widths = draft.widths(np.full(labels, shot), class_scatters(enrolled[support], prototypes))
        found.append(distances[np.arange(STRANGERS), nearest] / widths[nearest])
    return np.concatenate(found)


def _held_out(data: Dataset, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw the classes that strangers come from, as a mask (classes,)."""
    kinds = np.unique(_kinds(data))
    aside = rng.permutation(kinds)[: max(1, int(HELD_OUT * len(kinds)))]
    return np.isin(_kinds(data), aside)


def _fewest_enrollable(data: Dataset) -> int:
    """Count the classes left to enroll, whichever groups are held out."""
    _, sizes = np.unique(_kinds(data), return_counts=True)
    return int(np.sort(sizes)[: len(sizes) - max(1, int(HELD_OUT * len(sizes)))].sum())


def _kinds(data: Dataset) -> Integers:
    """The number of each class's group, or of the class where all are of one group."""
    _, numbers = np.unique(data.groups, return_inverse=True)
    return numbers if numbers.any() else np.arange(len(data.groups))


def _rounded(value: float) -> float:
    """Round to four digits: the measurement is no better, and they keep the manifest readable."""
    return float(f"{value:.4g}")
