"""Embeddings of examples by a Keras encoder, as an export will compute them."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_meta.inputs import InputSpec

BATCH, BATCH_PIXELS = 500, 1 << 20  # at most: activations of larger batches leave training's heap in pieces


def embed_images(
    encoder: keras.Model, input_spec: InputSpec, images: NDArray[Any], batch: int | None = None
) -> NDArray[np.float32]:
    """Embed images, recordings or series with frozen batch-norm statistics.

    Args:
        input_spec: how they are normalized.
        images: (n, *input_spec.shape), as `input_spec.read` gives them, n at least 1.
        batch: examples that go through the encoder at once; by default as many as memory is no matter for. It changes
            no more than rounding.

    Returns:
        float32 (n, dim).
    """
    batch = batch or max(1, min(BATCH, BATCH_PIXELS // math.prod(input_spec.shape[:2])))
    batches = [
        encoder(input_spec.normalize(images[start : start + batch]), training=False).numpy()
        for start in range(0, len(images), batch)
    ]
    return np.concatenate(batches)
