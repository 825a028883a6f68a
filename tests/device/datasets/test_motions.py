"""Motions: shapes drawn in the air, from a seed."""

from __future__ import annotations

import numpy as np
import pytest

from edge_meta.datasets.motions import CHANNELS, SHAPES, motion


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_drawn_by_every_person(shape: str) -> None:
    first, other = (motion(shape, person) for person in (0, 1))
    assert first.readings.shape == (128, len(CHANNELS))
    assert np.ptp(first.drawn, axis=0).max() > 0.5, "a path is about 1 wide or high"
    assert 0.3 < first.seconds < 8
    assert np.abs(first.readings - other.readings).mean() > 0.05, "no two people are alike"


def test_accelerations_contain_gravity() -> None:
    felt = np.array([motion("circle", person).readings[:, :3].mean(axis=0) for person in range(5)])
    assert np.median(np.linalg.norm(felt, axis=1)) == pytest.approx(9.81, abs=0.6)


def test_all_hold_the_phone_alike() -> None:
    felt = np.array([motion("tick", person).readings[:, :3].mean(axis=0) for person in range(6)])
    directions = felt / np.linalg.norm(felt, axis=1, keepdims=True)
    assert (directions @ directions.T).min() > 0.8


def test_a_seed_gives_the_same_motion() -> None:
    one, again, another = (motion("wave", 3, seed).readings for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != another).any()
