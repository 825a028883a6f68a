"""The features of motions are free of gravity, size and units, and the sums equal NumPy's."""

from __future__ import annotations

import numpy as np

from edge_meta.training.motion import LEVEL, STEPS, MotionFeatures, tcn
from edge_meta.types import Array


def motions(count: int = 4) -> Array:
    generator = np.random.default_rng(0)
    smooth = np.cumsum(generator.normal(size=(count, STEPS, 6)), axis=1)
    return (smooth + np.array([0, 4, 9, 0, 0, 0])).astype(np.float32)


def reference(given: Array) -> Array:
    """In float64."""
    parts = []
    for start in (0, 3):
        triple = given[:, :, start : start + 3].astype(np.float64)
        mean = triple.mean(axis=1, keepdims=True)
        summed = np.cumsum(triple - mean, axis=1)
        for values in (triple - mean, summed - summed.mean(axis=1, keepdims=True)):
            parts.append(values / np.sqrt((values**2).mean(axis=(1, 2), keepdims=True) + LEVEL**2))
        if start == 0:
            size = np.sqrt(3 * (triple**2).mean(axis=(1, 2), keepdims=True) + LEVEL**2)
            parts.append(np.broadcast_to(mean / size, triple.shape))
    return np.concatenate(parts, axis=2)


def test_equals_the_features_in_float64() -> None:
    given = motions()
    np.testing.assert_allclose(MotionFeatures()(given).numpy(), reference(given), atol=2e-4)


def test_units_change_little() -> None:
    given = motions()
    np.testing.assert_allclose(MotionFeatures()(given * 10).numpy(), MotionFeatures()(given).numpy(), atol=0.02)


def test_an_absent_sensor_is_zero() -> None:
    given = motions()
    given[:, :, 3:] = 0
    features = MotionFeatures()(given).numpy()
    assert not features[:, :, 9:].any()
    assert np.isfinite(features).all()


def test_the_network_is_small() -> None:
    network = tcn()
    assert network.count_params() <= 25_000
    np.testing.assert_allclose(np.linalg.norm(network(MotionFeatures()(motions())).numpy(), axis=1), 1, rtol=1e-5)
