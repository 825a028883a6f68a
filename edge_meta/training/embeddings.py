"""Embeddings of images by a Keras encoder, as an export will compute them."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from edge_meta.inputs import ImageInput


def embed_images(
    encoder: keras.Model, input_spec: ImageInput, images: NDArray[np.uint8], batch: int = 500
) -> NDArray[np.float32]:
    """Embed images with frozen batch-norm statistics.

    Args:
        input_spec: how images are normalized.
        images: uint8 (n, height, width, channels), n at least 1.
        batch: images that go through the encoder at once; it bounds the memory, and changes no more than rounding.

    Returns:
        float32 (n, dim).
    """
    batches = [
        encoder(input_spec.normalize(images[start : start + batch]), training=False).numpy()
        for start in range(0, len(images), batch)
    ]
    return np.concatenate(batches)
