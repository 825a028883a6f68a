"""Ranking prototypes against differences in float64, where float32 products cannot tell them apart too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_meta.runtime.nearest import Prototypes

SIZES = [(1, 1), (2, 3), (20, 64), (100, 112), (3000, 16)]


def reference(embedding: NDArray[Any], prototypes: NDArray[Any]) -> NDArray[np.float64]:
    return np.square(prototypes.astype(np.float64) - embedding.astype(np.float64)).sum(axis=1)


def drawn(size: int, dim: int, offset: float = 0.0, spread: float = 1.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Prototypes around one place, far from zero if the offset is large, and an embedding among them."""
    rng = np.random.default_rng((size, dim))
    return (offset + spread * rng.normal(size=(size, dim))).astype("f4"), (offset + spread * rng.normal(size=dim)).astype(
        "f4"
    )


@pytest.mark.parametrize("count", [1, 3, 12, 5000])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (1000.0, 1.0), (1000.0, 1e-2), (3e4, 1.0), (0.0, 1e-6)])
def test_the_nearest_come_in_order_with_their_distances(
    size: tuple[int, int], count: int, offset: float, spread: float
) -> None:
    prototypes, embedding = drawn(*size, offset, spread)
    distances = reference(embedding, prototypes)
    near, _ = Prototypes(prototypes).rank(embedding, count)
    found = [label for _, label, _ in near]
    assert len(set(found)) == len(found) == min(count, len(prototypes))
    np.testing.assert_allclose([distance for distance, _, _ in near], distances[found], rtol=1e-5)
    np.testing.assert_allclose(distances[found], np.sort(distances)[: len(found)], rtol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_halves_rank_as_the_linear_head_does(offset: float) -> None:
    prototypes, embedding = drawn(50, 32, offset)
    wide = prototypes.astype(np.float64)
    near, halves = Prototypes(prototypes).rank(embedding, 4)
    wanted = wide @ embedding - np.square(wide).sum(axis=1) / 2
    np.testing.assert_allclose(halves, wanted, rtol=1e-5, atol=1e-4 * max(1.0, offset**2))
    assert all(halves[label] == half for _, label, half in near)


@pytest.mark.parametrize("size", [20, 4097])
def test_of_equal_prototypes_the_first_comes_first(size: int) -> None:
    one = np.random.default_rng(1).normal(size=(1, 33)).astype("f4")
    near, _ = Prototypes(np.repeat(one, size, axis=0)).rank(one[0] + np.float32(0.1), 5)
    assert [label for _, label, _ in near] == [0, 1, 2, 3, 4]


def test_a_prototype_itself_is_at_distance_zero() -> None:
    prototypes, _ = drawn(300, 64, 500.0)
    for label in (0, 137, 299):
        near, _ = Prototypes(prototypes).rank(prototypes[label])
        assert near[0][:2] == (0.0, label)


def test_an_embedding_that_is_not_a_number_is_nearest_to_nothing_and_raises_nothing() -> None:
    prototypes, _ = drawn(20, 8)
    near, _ = Prototypes(prototypes).rank(np.full(8, np.nan, np.float32), 3)
    assert len(near) == 3
    assert all(np.isnan(distance) for distance, _, _ in near)
