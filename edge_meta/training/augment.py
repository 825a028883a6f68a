"""Random distortions of training images: affine, elastic, and stroke width, as another hand would draw the same thing.

One resampling does the affine and the elastic part (Simard et al. 2003, "Best practices for convolutional neural networks
applied to visual document analysis", with a coarse displacement grid in place of a smoothed fine one). Everything is in the
graph, and depends only on a seed, so that a resumed run draws the same distortions.
"""

from __future__ import annotations

import math

import tensorflow as tf

ROTATION = math.radians(12)
SHEAR = 0.2
LOG_SCALE = 0.18
SHIFT = 0.07  # of the image's side
ELASTIC = 0.025  # of the image's side, at each node of the grid
THICKER, THINNER = 0.3, 0.4  # the share of the image with strokes a pixel wider or thinner on each side
NODES = 5  # of the displacement grid, a side


def distort(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Distort each image of a batch by itself.

    Args:
        images: float32 (batch, height, width, channels), dark strokes on a light ground; what comes in from outside is
            the nearest edge pixel.
        seed: int32 (2,).

    Returns:
        float32 images of the same shape.
    """
    affine_seed, elastic_seed, stroke_seed = tf.unstack(tf.random.split(seed, 3))
    moved = _resample(images, _affine(images, affine_seed) + _elastic(images, elastic_seed))
    return _change_strokes(moved, stroke_seed)


def _affine(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Where each pixel comes from, (batch, height, width, 2) as y and x in −1 … 1 from the image's centre."""
    batch, height, width = images.shape[0], images.shape[1], images.shape[2]
    y, x = tf.meshgrid(tf.linspace(-1.0, 1.0, height), tf.linspace(-1.0, 1.0, width), indexing="ij")
    draws = tf.random.stateless_uniform((6, batch, 1, 1), seed, -1.0, 1.0)
    angle, shear = draws[0] * ROTATION, draws[1] * SHEAR
    scale_y, scale_x = tf.exp(draws[2] * LOG_SCALE), tf.exp(draws[3] * LOG_SCALE)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    from_y = scale_y * (cosine * y - sine * x) + 2.0 * SHIFT * draws[4]
    from_x = scale_x * (sine * y + cosine * x + shear * y) + 2.0 * SHIFT * draws[5]
    return tf.stack([from_y, from_x], axis=-1)


def _elastic(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Smooth displacements (batch, height, width, 2), in the unit of `_affine`."""
    nodes = tf.random.stateless_normal((images.shape[0], NODES, NODES, 2), seed, stddev=2.0 * ELASTIC)
    return tf.image.resize(nodes, images.shape[1:3], method="bicubic")


def _resample(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Bilinear interpolation of images at places (batch, height, width, 2)."""
    height, width = images.shape[1], images.shape[2]
    sides = tf.constant([height - 1, width - 1], tf.float32)
    at = tf.clip_by_value((places + 1.0) / 2.0 * sides, 0.0, sides)
    corner = tf.minimum(tf.floor(at), sides - 1.0)
    weight = at - corner
    row, column = tf.unstack(tf.cast(corner, tf.int32), axis=-1)
    pixels = tf.reshape(images, (images.shape[0], height * width, images.shape[3]))

    def pixel(down: int, right: int) -> tf.Tensor:
        return tf.gather(pixels, (row + down) * width + column + right, batch_dims=1)

    y, x = weight[..., :1], weight[..., 1:]
    upper = pixel(0, 0) * (1.0 - x) + pixel(0, 1) * x
    lower = pixel(1, 0) * (1.0 - x) + pixel(1, 1) * x
    return upper * (1.0 - y) + lower * y


def _change_strokes(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Blend each image with itself eroded (thicker strokes) or dilated (thinner), in part."""
    amount = tf.random.stateless_uniform((images.shape[0], 1, 1, 1), seed, -THINNER, THICKER)
    lighter = tf.nn.max_pool2d(images, 3, 1, "SAME")
    darker = -tf.nn.max_pool2d(-images, 3, 1, "SAME")
    return images + tf.maximum(amount, 0.0) * (darker - images) + tf.maximum(-amount, 0.0) * (lighter - images)
