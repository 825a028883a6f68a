"""The heads in closed form against the float64 mathematics that they solve."""

from __future__ import annotations

import numpy as np
import pytest
from support.heads import misled

from edge_meta.heads.closed_form import SHRINKAGES, STRENGTHS, discriminant_heads, ridge_heads


@pytest.mark.parametrize(("counts", "dim"), [([5, 8, 3], 6), ([2, 2, 1], 9), ([30, 30], 3)])
def test_discriminant_heads_use_a_shrunken_covariance(counts: list[int], dim: int) -> None:
    shots, labels, prototypes = misled(counts, dim)
    made = list(discriminant_heads(shots, labels, prototypes))
    assert len(made) == len(SHRINKAGES)
    around = shots.astype(np.float64) - prototypes[labels]
    covariance = around.T @ around / (len(shots) - len(counts))
    queries = 2 * np.random.default_rng(1).normal(size=(20, dim))
    for shrinkage, (weights, bias) in zip(SHRINKAGES, made, strict=True):
        shrunken = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / dim * np.eye(dim)
        apart = queries[:, None] - prototypes
        wanted = -0.5 * np.einsum("qnd,de,qne->qn", apart, np.linalg.inv(shrunken), apart)
        logits = queries @ weights + bias
        np.testing.assert_allclose(
            logits - logits.mean(axis=1, keepdims=True), wanted - wanted.mean(axis=1, keepdims=True), rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize(("counts", "dim"), [([5, 8, 3], 6), ([2, 2, 1], 9), ([30, 30], 3)])
def test_ridge_heads_solve_the_normal_equations_with_a_free_bias(counts: list[int], dim: int) -> None:
    shots, labels, prototypes = misled(counts, dim)
    made = list(ridge_heads(shots, labels, prototypes))
    assert len(made) == len(STRENGTHS)
    wide = np.column_stack([shots.astype(np.float64), np.ones(len(shots))])
    singular = np.linalg.svd(shots - shots.mean(axis=0, dtype=np.float64), compute_uv=False)
    for strength, (weights, bias) in zip(STRENGTHS, made, strict=True):
        penalty = strength * np.mean(singular**2) * np.diag([*np.ones(dim), 0.0])
        wanted = np.linalg.solve(wide.T @ wide + penalty, wide.T @ np.eye(len(counts))[labels])
        np.testing.assert_allclose(np.vstack([weights, bias]), wanted, rtol=1e-4, atol=1e-5)
