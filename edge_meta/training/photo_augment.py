"""Random changes to training photos: crops, mirroring, brightness, contrast and saturation.

All of it runs in the graph and depends on a seed alone, so that a resumed run draws the same changes.
"""

from __future__ import annotations

import tensorflow as tf

SMALLEST_CROP = 0.5  # of the photo's area
LOG_ASPECT = 0.2  # of a crop, at most
BRIGHTNESS, CONTRAST, SATURATION = 0.15, 0.25, 0.3  # at most, as shares

LUMA = (0.299, 0.587, 0.114)  # Rec. 601


def distort_photos(photos: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Change each photo of a batch by itself.

    Args:
        photos: float32 (batch, height, width, 3), from 0 to 255.
        seed: int32 (2,).

    Returns:
        float32 photos of the same shape and range.
    """
    crop_seed, colour_seed = tf.unstack(tf.random.split(seed, 2))
    return _recolour(_crop(photos, crop_seed), colour_seed)


def _crop(photos: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    batch = photos.shape[0]
    draws = tf.random.stateless_uniform((5, batch), seed)
    side = tf.sqrt(SMALLEST_CROP + (1.0 - SMALLEST_CROP) * draws[0])
    aspect = tf.exp(LOG_ASPECT * (draws[1] - 0.5))
    height, width = tf.minimum(side * aspect, 1.0), tf.minimum(side / aspect, 1.0)
    top, left = draws[2] * (1.0 - height), draws[3] * (1.0 - width)
    mirrored = draws[4] < 0.5
    right = left + width
    boxes = tf.stack([top, tf.where(mirrored, right, left), top + height, tf.where(mirrored, left, right)], axis=1)
    return tf.image.crop_and_resize(photos, boxes, tf.range(batch), photos.shape[1:3])


def _recolour(photos: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    draws = tf.random.stateless_uniform((3, photos.shape[0], 1, 1, 1), seed, -1.0, 1.0)
    grey = tf.reduce_sum(photos * LUMA, axis=-1, keepdims=True)
    photos = grey + (photos - grey) * (1.0 + SATURATION * draws[0])
    mean = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
    photos = mean + (photos - mean) * (1.0 + CONTRAST * draws[1])
    return tf.clip_by_value(photos * (1.0 + BRIGHTNESS * draws[2]), 0.0, 255.0)
