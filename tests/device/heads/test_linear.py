"""The heads against float64 mathematics written independently of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_meta.errors import InputError
from edge_meta.heads import linear

Task = tuple[NDArray[Any], NDArray[np.int64], NDArray[Any]]

WAYS_SHOTS_DIMS = [(2, 1, 1), (3, 2, 5), (5, 5, 64), (20, 1, 16), (1, 4, 8)]


def task(way: int, shot: int, dim: int) -> Task:
    """Shots (M, D) around class centers, their labels (M,), and prototypes (N, D); near enough for the softmax to waver."""
    rng = np.random.default_rng((way, shot, dim))
    centers = rng.normal(size=(way, dim))
    labels = np.repeat(np.arange(way), shot)
    shots = ((centers[labels] + rng.normal(0, 0.7, (way * shot, dim))) / dim**0.5).astype(np.float32)
    prototypes = np.stack([shots[labels == k].mean(axis=0) for k in range(way)])
    return shots, labels, prototypes


def cross_entropy(shots: NDArray[Any], labels: NDArray[np.int64], weights: NDArray[Any], bias: NDArray[Any]) -> float:
    logits = shots.astype(np.float64) @ weights + bias
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]))


def gradient(
    shots: NDArray[Any], labels: NDArray[np.int64], weights: NDArray[Any], bias: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """By hand, in float64: the mean over shots of x (p − y)ᵀ and of p − y."""
    along_weights, along_bias = np.zeros_like(weights), np.zeros_like(bias)
    for x, label in zip(shots.astype(np.float64), labels, strict=True):
        logits = x @ weights + bias
        excess = np.exp(logits - np.logaddexp.reduce(logits)) - np.eye(len(bias))[label]
        along_weights += np.outer(x, excess) / len(labels)
        along_bias += excess / len(labels)
    return along_weights, along_bias


@pytest.mark.parametrize("shape", WAYS_SHOTS_DIMS)
def test_squared_distances_are_sums_of_squared_differences(shape: tuple[int, int, int]) -> None:
    shots, _, prototypes = task(*shape)
    wanted = [sum((float(a) - float(b)) ** 2 for a, b in zip(shots[0], row, strict=True)) for row in prototypes]
    np.testing.assert_allclose(linear.squared_distances(shots[0], prototypes), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0, 1e4, 1e30])
def test_softmax_is_a_distribution_at_any_scale(scale: float) -> None:
    logits = (scale * np.random.default_rng(0).normal(size=(7, 5))).astype(np.float32)
    wide = logits.astype(np.float64)
    wanted = np.exp(wide - np.logaddexp.reduce(wide, axis=1, keepdims=True))
    np.testing.assert_allclose(linear.softmax(logits), wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(linear.softmax(logits).sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("shape", WAYS_SHOTS_DIMS)
def test_the_linear_head_starts_as_the_prototypes(shape: tuple[int, int, int]) -> None:
    shots, _, prototypes = task(*shape)
    weights, bias = linear.linear_from_prototypes(prototypes)
    for shot in shots:
        logits, distances = shot @ weights + bias, linear.squared_distances(shot, prototypes)
        assert logits.argmax() == distances.argmin()
        np.testing.assert_allclose(linear.softmax(logits), linear.softmax(-distances), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("own", [[], [0], [1, 3], [0, 1, 2, 3, 4]])
def test_columns_that_did_not_move_leave_the_prototypes_head(own: list[int]) -> None:
    _, _, prototypes = task(5, 2, 8)
    weights, bias = linear.linear_from_prototypes(prototypes)
    found = linear.linear_from_columns(prototypes, {index: (weights[:, index], float(bias[index])) for index in own})
    for part, wanted in zip(found, (weights, bias), strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-5, atol=1e-5)
        assert part.dtype == np.float32


@pytest.mark.parametrize("own", [[0, 1], [1, 3, 4], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_a_new_label_joins_on_the_scale_of_the_others(own: list[int], scale: float) -> None:
    """On a head of another scale, with all columns shifted alike, it is as if the label had been there from the start."""
    shots, _, prototypes = task(5, 2, 8)
    weights, bias = linear.linear_from_prototypes(prototypes)
    aside = np.random.default_rng(0).normal(0, 5, (8, 1)).astype(np.float32)
    moved_weights, moved_bias = scale * weights + aside, scale * bias - 3.0
    columns = {index: (moved_weights[:, index], float(moved_bias[index])) for index in own}
    found_weights, found_bias = linear.linear_from_columns(prototypes, columns)
    np.testing.assert_allclose(
        linear.softmax(shots @ found_weights + found_bias), linear.softmax(shots @ moved_weights + moved_bias), atol=1e-3
    )


@pytest.mark.parametrize("shape", WAYS_SHOTS_DIMS)
def test_a_step_follows_the_finite_difference_gradient(shape: tuple[int, int, int]) -> None:
    shots, labels, prototypes = task(*shape)
    weights, bias = linear.linear_from_prototypes(prototypes)
    moved_weights, moved_bias, loss = linear.linear_step(shots, labels, weights, bias, 1.0)

    def slope(weights_step: NDArray[Any], bias_step: NDArray[Any]) -> float:
        ends = [cross_entropy(shots, labels, weights + s * weights_step, bias + s * bias_step) for s in (1e-5, -1e-5)]
        return (ends[0] - ends[1]) / 2e-5

    still_weights, still_bias = np.zeros(weights.shape), np.zeros(bias.shape)
    for at in np.random.default_rng(0).permutation(list(np.ndindex(weights.shape)))[:100]:
        along = still_weights.copy()
        along[tuple(at)] = 1.0
        assert (weights - moved_weights)[tuple(at)] == pytest.approx(slope(along, still_bias), abs=2e-6)
    for k in range(len(bias)):
        assert (bias - moved_bias)[k] == pytest.approx(slope(still_weights, np.eye(len(bias))[k]), abs=2e-6)
    assert loss == pytest.approx(cross_entropy(shots, labels, weights, bias), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("shape", WAYS_SHOTS_DIMS)
def test_fifty_chained_steps_stay_with_float64(shape: tuple[int, int, int]) -> None:
    shots, labels, prototypes = task(*shape)
    rates = np.random.default_rng(1).uniform(0.001, 0.05, 50).tolist()
    weights, bias, losses = linear.adapt(shots, labels, prototypes, rates)

    wide = prototypes.astype(np.float64)
    exact_weights, exact_bias, exact_losses = 2.0 * wide.T, -(wide**2).sum(axis=1), []
    for rate in rates:
        exact_losses.append(cross_entropy(shots, labels, exact_weights, exact_bias))
        along_weights, along_bias = gradient(shots, labels, exact_weights, exact_bias)
        exact_weights, exact_bias = exact_weights - rate * along_weights, exact_bias - rate * along_bias
    np.testing.assert_allclose(weights, exact_weights, atol=1e-5 * np.abs(exact_weights).max())
    np.testing.assert_allclose(bias, exact_bias, atol=1e-5 * np.abs(exact_bias).max())
    np.testing.assert_allclose(losses, exact_losses, rtol=1e-4, atol=1e-5)


def test_small_steps_lower_the_loss_each_time() -> None:
    shots, labels, prototypes = task(5, 5, 16)
    _, _, losses = linear.adapt(shots, labels, prototypes, [0.01] * 30)
    assert len(losses) == 30
    assert np.all(np.diff(losses) < 0)


def test_a_step_leaves_its_arguments_alone_and_stays_float32() -> None:
    shots, labels, prototypes = task(3, 2, 4)
    weights, bias = linear.linear_from_prototypes(prototypes)
    given = shots, labels, weights, bias
    before = [part.copy() for part in given]
    moved_weights, moved_bias, _ = linear.linear_step(*given, 0.5)
    assert all(np.array_equal(part, copy) for part, copy in zip(given, before, strict=True))
    assert moved_weights.dtype == moved_bias.dtype == np.float32
    assert not np.array_equal(moved_weights, weights)
    assert not np.array_equal(moved_bias, bias)


@pytest.mark.parametrize(
    ("learned", "steps", "learning_rate", "rates"),
    [
        ((0.3, 0.2, 0.1), None, None, [0.3, 0.2, 0.1]),
        ((0.3, 0.2, 0.1), 1, None, [0.3]),
        ((0.3, 0.2, 0.1), 2, None, [0.3, 0.2]),
        ((0.3, 0.2, 0.1), 3, None, [0.3, 0.2, 0.1]),
        ((0.3, 0.2, 0.1), 6, None, [0.3, 0.2, 0.1, 0.1, 0.1, 0.1]),
        ([0.3], 3, None, [0.3, 0.3, 0.3]),
        ((0.3, 0.2, 0.1), None, 0.5, [0.5, 0.5, 0.5]),
        ((0.3, 0.2, 0.1), 1, 0.5, [0.5]),
        ((0.3, 0.2, 0.1), 5, 0.5, [0.5] * 5),
    ],
)
def test_each_step_has_its_learned_rate(
    learned: Sequence[float], steps: int | None, learning_rate: float | None, rates: list[float]
) -> None:
    before = list(learned)
    assert linear.step_rates(learned, steps, learning_rate) == rates
    assert list(learned) == before


@pytest.mark.parametrize("steps", [0, -1, -(10**9)])
@pytest.mark.parametrize("learning_rate", [None, 0.1])
def test_steps_below_one_are_refused(steps: int, learning_rate: float | None) -> None:
    with pytest.raises(InputError, match=f"^{steps} steps are not possible. Use 1 to 100000"):
        linear.step_rates((0.3, 0.2), steps, learning_rate)


@pytest.mark.parametrize("learning_rate", [0.0, -0.1, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("steps", [None, 2])
def test_a_learning_rate_that_is_not_above_zero_is_refused(steps: int | None, learning_rate: float) -> None:
    with pytest.raises(InputError, match=f"learning rate of {learning_rate} is not possible"):
        linear.step_rates((0.3, 0.2), steps, learning_rate)
