"""Shots and labels left out, in closed form, as stores say that never had them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.device import embeddings, opened

from edge_meta.evaluation.left_out import (
    label_sums,
    leave_labels_out,
    leave_none_out,
    leave_shots_out,
    left_out_distances,
)
from edge_meta.heads.none_points import NonePoints
from edge_meta.types import Array, Array64, Integers

COUNTS = np.array([3, 2, 1, 4])
OWNERS = np.repeat(np.arange(4), COUNTS)[::-1].copy()  # the order of the shots plays no part
SHOTS = embeddings(0, 10) + 2 * embeddings(1, 4)[OWNERS] + np.float32(100)  # far from zero, where rounding shows
LIMITS = np.array([20.0, 40.0, 25.0, 30.0])


def distances() -> Array64:
    return left_out_distances(SHOTS, OWNERS, *label_sums(SHOTS, OWNERS, 4))


def of_new_store(path: Path, shots: Array, owners: Integers, query: Array) -> dict[int, float]:
    """Label → squared distance of a query, by a store in which these shots alone are enrolled."""
    with opened(path) as store:
        for label in np.unique(owners):
            store.enroll(str(label), shots[owners == label])
        now = store.snapshot()
    prototypes = now.prototypes.astype(np.float64)
    return {int(name): float(((query - row) ** 2).sum()) for name, row in zip(now.labels, prototypes, strict=True)}


@pytest.mark.usefixtures("hasty")
def test_a_left_out_shot_is_judged_as_by_a_store_without_it(tmp_path: Path) -> None:
    answers = leave_shots_out(distances(), OWNERS, COUNTS, LIMITS, np.full(10, np.inf))
    judged = np.flatnonzero(OWNERS != 2)
    assert answers.truth.tolist() == OWNERS[judged].tolist()
    for at, shot in enumerate(judged):
        others = np.arange(10) != shot
        expected = of_new_store(tmp_path / f"{shot}.db", SHOTS[others], OWNERS[others], SHOTS[shot])
        nearest = min(expected, key=lambda label: expected[label])
        assert answers.nearest[at] == nearest
        assert answers.distances[at] == pytest.approx(expected[nearest], rel=1e-5)
        assert answers.limits[at] == LIMITS[nearest]
        assert distances()[shot, OWNERS[shot]] == pytest.approx(expected[int(OWNERS[shot])], rel=1e-5)


@pytest.mark.usefixtures("hasty")
def test_a_left_out_label_is_judged_as_by_a_store_without_it(tmp_path: Path) -> None:
    answers = leave_labels_out(distances(), OWNERS, COUNTS, LIMITS, np.full(10, np.inf))
    for shot, label in enumerate(OWNERS):
        others = label != OWNERS
        expected = of_new_store(tmp_path / f"{shot}.db", SHOTS[others], OWNERS[others], SHOTS[shot])
        nearest = min(expected, key=lambda other: expected[other])
        assert answers.nearest[shot] == nearest
        assert answers.distances[shot] == pytest.approx(expected[nearest], rel=1e-5)
        assert answers.known[shot] == (expected[nearest] <= LIMITS[nearest])


def test_answers_are_right_mistaken_or_unknown() -> None:
    shots = np.array([[0.0], [2.0], [9.0], [10.0], [12.0], [1.0]], np.float32)
    owners = np.array([0, 0, 0, 1, 1, 1])
    far = left_out_distances(shots, owners, *label_sums(shots, owners, 2))
    answers = leave_shots_out(far, owners, np.array([3, 3]), np.array([21.0, 21.0]), np.full(6, np.inf))
    assert answers.nearest.tolist() == [0, 0, 1, 1, 1, 0]
    assert answers.right.tolist() == [False, True, False, True, False, False]
    assert answers.mistaken.tolist() == [False, False, True, False, False, True]
    assert (answers.known == (answers.right | answers.mistaken)).all()


def test_a_sole_label_leaves_no_strangers_and_one_shot_no_answer() -> None:
    shot, owner = np.ones((1, 4), np.float32), np.array([0])
    far = left_out_distances(shot, owner, *label_sums(shot, owner, 1))
    assert np.isinf(far).all()
    assert len(leave_shots_out(far, owner, np.array([1]), np.ones(1), np.ones(1)).truth) == 0
    assert len(leave_labels_out(far, owner, np.array([1]), np.ones(1), np.ones(1)).truth) == 0


def test_examples_of_none_bound_what_is_known() -> None:
    to_none = np.linspace(1.0, 40.0, 10)
    answers = leave_labels_out(distances(), OWNERS, COUNTS, LIMITS, to_none)
    by_none = [
        NonePoints(np.full((1, 1), far**0.5)).limit(np.zeros(1), int(COUNTS[nearest]))
        for far, nearest in zip(to_none, answers.nearest, strict=True)
    ]
    np.testing.assert_allclose(answers.limits, np.minimum(LIMITS[answers.nearest], by_none))


def test_an_example_of_none_is_judged_by_the_others() -> None:
    prototypes, counts, limits = np.array([[0.0], [10.0]], np.float32), np.array([2, 5]), np.array([9.0, 9.0])
    answers = leave_none_out(np.array([[2.0], [3.0], [11.0]], np.float32), prototypes, counts, limits)
    assert answers.nearest.tolist() == [0, 0, 1]
    assert answers.distances.tolist() == [4.0, 9.0, 1.0]
    assert answers.known.tolist() == [False, False, True]  # the first two have each other
    assert answers.truth.tolist() == [2, 2, 2]
    assert len(leave_none_out(np.zeros((0, 1), np.float32), prototypes, counts, limits).truth) == 0
