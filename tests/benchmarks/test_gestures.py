"""The motions that the bundle for gestures learns from obey mechanics, and are of the path that was drawn."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_meta.datasets import cache
from edge_meta.datasets.motions import paths, sensors

FOLDER = Path(__file__).parents[2] / "benchmarks" / "gestures"


@pytest.fixture
def motions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "motions", raising=False)
    return importlib.import_module("motions")


def one_person(count: int, lever: float, size: float) -> sensors.People:
    """Somebody who holds the phone level, turns it with the path or not, and does nothing twice otherwise."""
    wrist = np.zeros((count, 3, 2))
    wrist[:, 2, 0] = lever  # about up, by metres to the right
    full = np.ones(count)
    return sensors.People(np.tile(np.eye(3), (count, 1, 1)), wrist, size * full, 1.5 * full, np.zeros((count, 2)))


def readings(motions: ModuleType, lever: float = 0.0, gravity: float = 9.81, size: float = 0.3) -> NDArray[np.float64]:
    generator = np.random.default_rng(0)
    curves = motions.random_curve(generator, 3)
    made: NDArray[np.float64] = sensors.readings(curves, one_person(3, lever, size), gravity, 0.0, generator)
    return made


def test_a_level_phone_feels_gravity_along_its_third_axis(motions: ModuleType) -> None:
    felt = readings(motions)[..., :3].mean(axis=1)
    np.testing.assert_allclose(felt, np.tile([0, 0, 9.81], (3, 1)), atol=1.0)
    np.testing.assert_allclose(readings(motions, gravity=0.0)[..., :3].mean(axis=1), 0, atol=1.0)


def test_from_rest_to_rest_velocities_cancel(motions: ModuleType) -> None:
    acceleration = readings(motions, gravity=0.0, size=100.0)[..., :3]  # so large that noise does not count
    assert (np.abs(acceleration.sum(axis=1)).max(axis=1) < 0.1 * np.abs(acceleration).sum(axis=(1, 2))).all()


def test_turn_rates_add_up_to_the_angle_of_the_path(motions: ModuleType) -> None:
    still, turning = (readings(motions, lever)[..., 5] for lever in (0.0, 4.0))
    angle = np.cumsum(turning - still, axis=1) * 1.5 / paths.STEPS
    swing = np.ptp(angle, axis=1)
    assert (swing > 0.1).all()
    assert (swing <= 4.0 * 0.3 * 1.2).all()  # radians a metre, times the width of the path


def test_rotations_are_rotations() -> None:
    turns = sensors.rotations(np.random.default_rng(0).normal(size=(5, 3)))
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (5, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(sensors.rotations(np.array([0, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-9)


def test_digits_stand_upright(motions: ModuleType) -> None:
    if not (cache.folder() / "imu_gestures" / "wand.npz").exists():
        pytest.skip("the data folder has no imu_gestures/wand.npz")
    one, seven = (motions.strokes()[digit] for digit in (1, 7))
    for drawn in (one, seven):  # both are drawn from the top down
        assert (drawn[:, 0, 1] > drawn[:, -1, 1]).mean() > 0.9


def test_a_path_is_even_and_one_wide() -> None:
    path = paths.evenly(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]))
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert np.ptp(path, axis=0).max() == pytest.approx(1.0)
    assert steps.max() < 1.5 * np.median(steps)
