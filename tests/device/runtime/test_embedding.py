"""embed_all: each example's embedding in its place, and progress that ends with all."""

from __future__ import annotations

import numpy as np
from support.device import takes

from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder


def test_each_example_has_its_own_embedding(bundle: Bundle) -> None:
    encoder, takes_images = Encoder(bundle.model), bundle.manifest.input_spec
    images = takes(0, 5)[..., None]
    together = embed_all(encoder, takes_images, images)
    assert (together.shape, together.dtype) == ((5, encoder.dim), np.float32)
    assert len(np.unique(together, axis=0)) == 5
    for image, embedding in zip(images, together, strict=True):
        assert np.array_equal(encoder.embed(takes_images.normalize(image)[None]), embedding)


def test_progress_ends_with_all_examples(bundle: Bundle) -> None:
    told: list[tuple[int, int]] = []
    images = np.repeat(takes(0, 1)[..., None], 130, axis=0)
    embed_all(Encoder(bundle.model), bundle.manifest.input_spec, images, lambda *counts: told.append(counts))
    assert told == [(100, 130), (130, 130)]
