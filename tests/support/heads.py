"""For tests of heads: shots that mislead prototypes. Needs no more than the device has."""

from __future__ import annotations

import numpy as np

from edge_meta.heads.prototypes import class_means
from edge_meta.types import Array, Integers

Task = tuple[Array, Integers, Array]
"""Shots (M, D), their labels (M,), and prototypes (N, D)."""


def misled(counts: list[int], dim: int = 6, seed: int = 0, noise: float = 3.0) -> Task:
    """Shots (M, D), shuffled, their labels (M,) and prototypes (N, D); the first dimension is noise alone, and misleads."""
    rng = np.random.default_rng((seed, *counts))
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    shots = rng.normal(size=(len(counts), dim))[labels] + rng.normal(0, 0.3, (len(labels), dim))
    shots[:, 0] = rng.normal(0, noise, len(labels))
    shots = shots.astype(np.float32)
    return shots, labels, class_means(shots, labels, len(counts))
