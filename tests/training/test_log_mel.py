"""The log-mel layer against NumPy's transform in float64."""

from __future__ import annotations

import numpy as np
import pytest

from edge_meta.training.keyword_net import dscnn
from edge_meta.training.log_mel import BANDS, FLOOR, HOP, LENGTH, SILENCE, WINDOW, LogMel, mel_weights
from edge_meta.types import Array

SAMPLES, FRAMES = 16000, 98


def sounds(count: int = 3) -> Array:
    generator = np.random.default_rng(0)
    time = np.arange(SAMPLES) / SAMPLES
    tones = np.sin(2 * np.pi * generator.uniform(100, 6000, (count, 1)) * time)
    return (0.3 * tones + generator.normal(0, 0.01, (count, SAMPLES))).astype(np.float32)


def reference(samples: Array) -> Array:
    """By NumPy's own transform, in float64."""
    window = np.hanning(WINDOW + 1)[:-1]
    starts = HOP * np.arange(FRAMES)
    frames = np.stack([samples[:, start : start + WINDOW] for start in starts], axis=1).astype(np.float64) * window
    power = np.abs(np.fft.rfft(frames, LENGTH))[..., : LENGTH // 2] ** 2
    bands = power @ mel_weights().astype(np.float64)
    return np.log(bands / (bands.mean(axis=(1, 2), keepdims=True) + SILENCE) + FLOOR)[..., None]


def test_equals_the_transform_of_numpy() -> None:
    given = sounds()
    found = LogMel()(given).numpy()
    assert found.shape == (3, FRAMES, BANDS, 1)
    np.testing.assert_allclose(found, reference(given), atol=1e-4)


def test_loudness_changes_nothing() -> None:
    given = sounds()
    np.testing.assert_allclose(LogMel()(given * 0.05).numpy(), LogMel()(given).numpy(), atol=1e-2)


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(LogMel()(np.zeros((1, SAMPLES), np.float32)).numpy(), np.log(FLOOR), rtol=1e-6)


def test_each_band_hears_its_own_pitch() -> None:
    weights = mel_weights()
    peaks = weights.argmax(axis=0)
    assert (np.diff(peaks) > 0).all()
    assert weights.min() == 0
    assert (weights.max(axis=0) > 0.4).all()


def test_the_network_is_small() -> None:
    network = dscnn()
    assert network.count_params() <= 300_000
    lengths = np.linalg.norm(network(LogMel()(sounds())).numpy(), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


@pytest.mark.parametrize("dim", [32, 96])
def test_the_embedding_has_the_size_that_was_asked_for(dim: int) -> None:
    assert dscnn(dim=dim).output_shape == (None, dim)
