"""Prototypes of labelled shots, and how the shots scatter around them.

A device's store has exact ones (`edge_meta.store.exact_sums`); these are for shots held in arrays.

Shapes: D is the embedding's dimension, N the number of labels, M the number of shots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.types import Array, Array64, Integers


def class_means(embeddings: Array, labels: Integers, count: int) -> Array:
    """Prototypes (count, D) of shots (M, D) with labels (M,), each at least once."""
    truth = np.eye(count, dtype=np.float32)[labels]
    prototypes: Array = truth.T @ embeddings / truth.sum(axis=0)[:, None]
    return prototypes


def class_scatters(support: Array, prototypes: Array) -> Array64:
    """Σ‖x − c‖² over each label's shots, float64 (N,), of a support set (N, shot, D) with prototypes (N, D)."""
    scatters: Array64 = ((support - prototypes[:, None]) ** 2).sum(axis=(1, 2), dtype=np.float64)
    return scatters


def within_class_variance(embeddings: Array, labels: NDArray[np.integer[Any]]) -> float:
    """The mean squared distance of examples to their class's mean, pooled over classes: Σ‖x − c‖² / Σ(n − 1).

    Args:
        embeddings: (M, D).
        labels: (M,), ascending from 0, without a gap.
    """
    counts = np.bincount(labels)
    means = np.add.reduceat(embeddings.astype(np.float64), np.cumsum(counts) - counts) / counts[:, None]
    return float(((embeddings - means[labels]) ** 2).sum() / max(1, (counts - 1).sum()))
