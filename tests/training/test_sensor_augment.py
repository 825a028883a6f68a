"""Random changes of recordings and of series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from edge_meta.inputs import AudioInput, SeriesInput
from edge_meta.training.example_tensors import distortion_of, normalized
from edge_meta.training.recording_augment import distort_recordings
from edge_meta.training.series_augment import distort_series

Distort = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

TIME = np.arange(4000, dtype=np.float32)
WORD = (8000 * np.sin(TIME / 8) * np.exp(-(((TIME - 2000) / 500) ** 2))).astype(np.float32)
WAVE = np.stack([np.sin(np.arange(128) / 9), np.zeros(128)], axis=1).astype(np.float32)
CASES = [(distort_recordings, WORD), (distort_series, WAVE)]


@pytest.mark.parametrize(("distort", "example"), CASES)
def test_each_example_is_changed_by_itself(distort: Distort, example: np.ndarray) -> None:
    changed = distort(tf.constant(np.stack([example] * 4)), tf.constant([1, 2])).numpy()
    assert changed.shape == (4, *example.shape)
    assert all(np.abs(each - example).max() > 0.01 * np.abs(example).max() for each in changed)
    assert np.abs(changed[0] - changed[1]).max() > 0.01 * np.abs(example).max()


@pytest.mark.parametrize(("distort", "example"), CASES)
def test_the_seed_decides_all(distort: Distort, example: np.ndarray) -> None:
    batch = tf.constant(example[None])
    first, again, other = (distort(batch, tf.constant([seed, 0])).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_silence_stays_silent() -> None:
    assert not distort_recordings(tf.zeros((2, 100)), tf.constant([0, 0])).numpy().any()


def test_a_sensor_that_lacks_stays_zero() -> None:
    assert not distort_series(tf.constant(WAVE[None]), tf.constant([0, 0])).numpy()[:, :, 1].any()


@pytest.mark.parametrize("spec", [AudioInput(100), SeriesInput((10, 2), channels=("x", "y"))], ids=str)
def test_tensors_are_normalized_as_on_the_device(spec: AudioInput | SeriesInput) -> None:
    examples = spec.synthetic(np.random.default_rng(0), 3)
    found = normalized(spec, tf.constant(examples.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, spec.normalize(examples), rtol=1e-6)


def test_each_kind_of_example_has_its_distortion() -> None:
    assert distortion_of(AudioInput(100)) is distort_recordings
    assert distortion_of(SeriesInput((10, 1), channels=("x",))) is distort_series
