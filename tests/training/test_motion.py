"""The features of motions against NumPy in float64: free of gravity, units and the way a phone is held."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_meta.training.motion import FEATURES, LARGEST, LEVEL, NO_GRAVITY, STEPS, UPRIGHT, MotionFeatures, tcn
from edge_meta.types import Array

Array64 = NDArray[np.float64]


def motions(count: int = 4) -> Array:
    generator = np.random.default_rng(0)
    smooth = np.cumsum(generator.normal(size=(count, STEPS, 6)), axis=1)
    return (smooth + np.array([1, 4, 9, 0, 0, 0])).astype(np.float32)


def features(given: Array) -> Array:
    found: Array = MotionFeatures()(given).numpy()[:, :, 0]
    return found


def scaled(values: Array64) -> Array64:
    """Of root mean square one."""
    result: Array64 = values / np.sqrt((values**2).mean(axis=(1, 2), keepdims=True) + LEVEL**2)
    return result


def reference(given: Array) -> Array64:
    """In float64, one motion at a time."""
    exact = given.astype(np.float64)
    gravity = exact[:, :, :3].mean(axis=1)
    felt, rate = (scaled(triple - triple.mean(axis=1, keepdims=True)) for triple in (exact[:, :, :3], exact[:, :, 3:]))
    up = gravity + NO_GRAVITY
    up /= np.sqrt((up**2).sum(axis=1, keepdims=True) + 1e-6)
    right = np.array([1.0, 0, 0]) - up[:, :1] * up
    right /= np.sqrt((right**2).sum(axis=1, keepdims=True) + UPRIGHT)
    room = np.stack([right, np.cross(up, right), up], axis=1)  # (n, axis, 3)
    level = [np.einsum("nti,nai->nta", triple, room) for triple in (felt, rate)]
    summed = [np.cumsum(triple, axis=1) for triple in level]
    sums = [scaled(triple - triple.mean(axis=1, keepdims=True)) for triple in summed]
    motion = ((exact[:, :, :3] - gravity[:, None]) ** 2).mean(axis=(1, 2))
    length = np.sqrt((gravity**2).sum(axis=1) + motion + LEVEL**2)
    down = np.broadcast_to((gravity / length[:, None])[:, None], felt.shape)
    return np.concatenate([felt, rate, *level, *sums, down], axis=2).clip(-LARGEST, LARGEST)


def test_equals_the_features_in_float64() -> None:
    given = motions()
    assert features(given).shape == (4, STEPS, FEATURES)
    np.testing.assert_allclose(features(given), reference(given), atol=5e-4)


def test_units_change_little() -> None:
    given = motions()
    np.testing.assert_allclose(features(given * 10), features(given), atol=0.02)


def test_a_turn_about_its_x_axis_leaves_the_level_triples_alone() -> None:
    given, angle = motions(), 0.7
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    turned = np.concatenate([given[:, :, :3] @ turn, given[:, :, 3:] @ turn], axis=2).astype(np.float32)
    level = slice(6, 18)
    np.testing.assert_allclose(features(turned)[:, :, level], features(given)[:, :, level], atol=0.05)
    assert np.abs(features(turned)[:, :, :3] - features(given)[:, :, :3]).max() > 0.5


@pytest.mark.parametrize(("absent", "zeros"), [(slice(3, 6), [3, 4, 5, 9, 10, 11, 15, 16, 17]), (slice(0, 3), [0, 1, 2])])
def test_an_absent_sensor_gives_zeros(absent: slice, zeros: list[int]) -> None:
    given = motions()
    given[:, :, absent] = 0
    assert np.isfinite(features(given)).all()
    assert not features(given)[:, :, zeros].any()


def test_the_network_is_small() -> None:
    network = tcn()
    assert network.count_params() <= 20_000
    assert network(MotionFeatures()(motions())).shape == (4, 28)
