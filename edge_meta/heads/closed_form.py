"""Linear heads in closed form, among which `adaptation` chooses by held-out shots.

Shapes: D is the embedding's dimension, N the number of labels, M the number of shots. Arithmetic is in float64, and heads
are float32. Each head's logits have a scale of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_meta.heads.linear import LinearHead
from edge_meta.types import Array, Integers

# From the nearest to no adaptation to the farthest.
SHRINKAGES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1)
STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)


def discriminant_heads(embeddings: Array, labels: Integers, prototypes: Array) -> Iterator[LinearHead]:
    """Linear discriminant analysis (Fisher 1936) with a shrunken covariance (Friedman 1989), a head for each shrinkage.

    A head's logits are −(x − c)ᵀ Σ⁻¹ (x − c) / 2, up to a term that all labels share. Σ is the shots' covariance around
    their prototypes, moved towards a multiple of the identity; at shrinkage 1 the nearest prototype wins. There is no head
    where all shots equal their prototype.
    """
    around = embeddings.astype(np.float64) - prototypes[labels]
    _, singular, axes = np.linalg.svd(around, full_matrices=False)
    variances = singular**2 / max(1, len(labels) - len(prototypes))
    mean = variances.sum() / embeddings.shape[1]
    if not mean > 0:
        return
    # All labels' logits may be shifted alike. Around the prototypes' mean, float32 loses the least.
    center = prototypes.mean(axis=0, dtype=np.float64)
    from_center = prototypes - center
    along = from_center @ axes.T
    for shrinkage in SHRINKAGES:
        elsewhere = 1.0 / (shrinkage * mean)  # the precision where the shots do not vary
        precisions = 1.0 / ((1.0 - shrinkage) * variances + shrinkage * mean) - elsewhere
        weights = (elsewhere * from_center + (precisions * along) @ axes).T
        bias = -0.5 * np.einsum("nd,dn->n", from_center, weights) - center @ weights
        yield LinearHead(weights.astype(np.float32), bias.astype(np.float32))


def ridge_heads(embeddings: Array, labels: Integers, prototypes: Array) -> Iterator[LinearHead]:
    """Ridge regression of one-hot labels on embeddings, with a bias that is not penalized (Bertinetto et al. 2019, R2D2), a
    head for each strength."""
    center = embeddings.mean(axis=0, dtype=np.float64)
    left, singular, axes = np.linalg.svd(embeddings - center, full_matrices=False)
    truth = np.eye(len(prototypes))[labels]
    shares = truth.mean(axis=0)
    along = left.T @ (truth - shares)
    for multiple in STRENGTHS:
        strength = multiple * np.mean(singular**2)
        weights = axes.T @ ((singular / (singular**2 + strength))[:, None] * along)
        yield LinearHead(weights.astype(np.float32), (shares - center @ weights).astype(np.float32))
