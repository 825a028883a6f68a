"""Random changes to photos."""

import numpy as np
import pytest
import tensorflow as tf

from edge_meta.training.photo_augment import BRIGHTNESS, distort_photos

SIDE = 24


def photos(count=64, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, SIDE, SIDE, 3)).astype(np.float32)


def distorted(images, seed=(1, 2)):
    return distort_photos(tf.constant(images), tf.constant(seed)).numpy()


def test_the_same_seed_changes_photos_alike():
    images = photos()
    np.testing.assert_array_equal(distorted(images), distorted(images))
    assert not np.array_equal(distorted(images), distorted(images, seed=(1, 3)))


def test_each_photo_is_changed_by_itself():
    same = np.repeat(photos(1), 8, axis=0)
    assert len(np.unique(distorted(same).reshape(8, -1), axis=0)) == 8


def test_values_stay_in_range():
    changed = distorted(photos())
    assert changed.shape == (64, SIDE, SIDE, 3)
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_a_grey_photo_stays_grey():
    changed = distorted(np.repeat(photos()[..., :1], 3, axis=-1))
    np.testing.assert_allclose(changed, np.repeat(changed[..., :1], 3, axis=-1), atol=1e-3)


def test_an_even_grey_changes_in_brightness_alone():
    changed = distorted(np.full((64, SIDE, SIDE, 3), 100, np.float32))
    np.testing.assert_allclose(changed, np.broadcast_to(changed[:, :1, :1, :1], changed.shape), rtol=1e-5)
    assert 100 * (1 - BRIGHTNESS) <= changed.min() < 95
    assert 105 < changed.max() <= 100 * (1 + BRIGHTNESS)


def test_half_of_the_photos_are_mirrored():
    ramp = np.broadcast_to(np.linspace(20, 200, SIDE, dtype=np.float32)[:, None], (256, SIDE, SIDE, 3))
    falling = (np.diff(distorted(ramp)[..., 0].mean(axis=1)).mean(axis=1) < 0).mean()
    assert falling == pytest.approx(0.5, abs=0.1)
