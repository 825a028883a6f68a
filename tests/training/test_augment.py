"""Distortions of training images: each image by itself, from a seed alone, and still an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from support.workstation import synthetic, tiny_encoder

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training import ProtoNet, augment
from edge_meta.training.augment import HANDWRITING, Distortion

SEED = (1, 2)
NONE = Distortion(rotation=0, shear=0, log_scale=0, shift=0, elastic=0, thicker=0, thinner=0)


@pytest.fixture
def drawings() -> np.ndarray:
    """Float32 (30, 20, 24, 1): thirty times the same dark strokes on white."""
    drawing = np.full((20, 24, 1), 255, np.float32)
    drawing[5:15, 8:10] = drawing[12:14, 6:18] = 0
    return np.repeat(drawing[None], 30, axis=0)


def distort(images: np.ndarray, seed: tuple[int, int] = SEED, strength: Distortion = HANDWRITING) -> np.ndarray:
    return augment.distort(tf.constant(images), tf.constant(seed), strength).numpy()


def test_distortions_depend_on_the_seed_alone(drawings: np.ndarray) -> None:
    assert np.array_equal(distort(drawings), distort(drawings))
    in_graph = tf.function(augment.distort)(tf.constant(drawings), tf.constant(SEED))
    assert np.allclose(in_graph, distort(drawings), atol=0.1)  # a fused operation rounds otherwise
    assert not np.allclose(distort(drawings), distort(drawings, (1, 3)), atol=1)


def test_each_image_is_distorted_by_itself_and_remains_a_drawing(drawings: np.ndarray) -> None:
    distorted = distort(drawings)
    assert distorted.shape == drawings.shape
    assert distorted.min() > -0.01
    assert distorted.max() < 255.01
    assert len(np.unique(distorted.round().reshape(30, -1), axis=0)) == 30
    ink, before = (255 - distorted).sum(axis=(1, 2, 3)), (255 - drawings[0]).sum()
    assert np.all((0.3 * before < ink) & (ink < 3 * before))
    assert np.median(np.abs(distorted[:, 0, 0] - 255)) == 0  # white stays white at the edges


@pytest.mark.parametrize("channels", [1, 3])
def test_at_zero_strength_images_stay_as_they_are(channels: int) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (4, 17, 12, channels)).astype(np.float32)
    assert np.allclose(distort(images, strength=NONE), images, atol=0.01)


def test_a_shift_moves_by_its_share_of_the_side(drawings: np.ndarray) -> None:
    y, x = np.meshgrid(np.arange(20), np.arange(24), indexing="ij")
    ink = 255 - distort(drawings, strength=replace(NONE, shift=0.1))[..., 0]
    moves = np.stack([(ink * axis).sum(axis=(1, 2)) / ink.sum(axis=(1, 2)) for axis in (y, x)], axis=1)
    plain = 255 - drawings[0, ..., 0]
    moves -= [(plain * axis).sum() / plain.sum() for axis in (y, x)]
    assert np.all(np.abs(moves) <= np.array([0.1 * 19, 0.1 * 23]) + 0.01)
    assert np.all(np.abs(moves).max(axis=0) > [1.2, 1.5])


def test_strokes_get_thicker_or_thinner(drawings: np.ndarray) -> None:
    strokes = replace(NONE, thicker=HANDWRITING.thicker, thinner=HANDWRITING.thinner)
    ink = (255 - distort(drawings, strength=strokes)).sum(axis=(1, 2, 3)) / (255 - drawings[0]).sum()
    assert ink.min() < 0.9
    assert ink.max() > 1.1


def test_training_with_distortions_is_another_training() -> None:
    def losses(distorted: bool) -> list[float]:
        learner = ProtoNet(tiny_encoder(0))
        learner.compile()
        history = learner.fit(EpisodeSampler(synthetic(), 3, 1, 2), 3, augment=distorted)
        return [row["loss"] for row in history]

    assert losses(True) != losses(False)
