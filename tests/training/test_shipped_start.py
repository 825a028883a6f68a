"""The start from the shipped bundle of photos."""

from __future__ import annotations

import numpy as np
import pytest

from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.training.encoders import conv4, photo12
from edge_meta.training.shipped_start import start_from_objects

SPEC = ImageInput.for_shape((128, 128, 3))


def photos(count: int) -> np.ndarray:
    """Smooth random images in colour, uint8 (count, 128, 128, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.stack([SPEC.read(each) for each in coarse])


def test_the_encoder_embeds_as_the_bundle_does() -> None:
    images = photos(16)
    encoder = photo12()
    start_from_objects(encoder, "photo12", images)
    bundle = embed_all(Encoder(Bundle.open("objects").model), SPEC, images)
    bundle /= np.linalg.norm(bundle, axis=1, keepdims=True)
    for training in (False, True):  # batch statistics are those that it was given
        embeddings = np.asarray(encoder(SPEC.normalize(images), training=training))
        assert (embeddings * bundle).sum(axis=1).min() > 0.97


def test_another_encoder_is_a_clear_error() -> None:
    with pytest.raises(TrainingError, match="objects has no weights for conv4 of 64 values"):
        start_from_objects(conv4((16, 16, 3)), "conv4", photos(1))
