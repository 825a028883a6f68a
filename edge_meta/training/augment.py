"""Random distortions of training images: affine, elastic, and stroke width, as another hand would draw the same thing.

One resampling does the affine and the elastic part (Simard et al. 2003, "Best practices for convolutional neural networks
applied to visual document analysis", but with a coarse displacement grid in place of a smoothed fine one). All of it runs in
the graph and depends on a seed alone, so that a resumed run draws the same distortions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Distortion:
    """The strength of distortions; zero turns a part off.

    Attributes:
        rotation: the largest angle, in radians.
        shear: the largest shear.
        log_scale: the largest logarithm of the scale, for height and width apart.
        shift: the largest shift, as a share of the image's side.
        elastic: the standard deviation of displacements at the grid's nodes, as a share of the image's side.
        nodes: of the displacement grid, on each side.
        thicker, thinner: the largest share of the image with strokes a pixel wider, or thinner, on each side.
    """

    rotation: float = math.radians(12)
    shear: float = 0.2
    log_scale: float = 0.18
    shift: float = 0.07
    elastic: float = 0.025
    nodes: int = 5
    thicker: float = 0.3
    thinner: float = 0.4


HANDWRITING = Distortion()


def distort(images: tf.Tensor, seed: tf.Tensor, strength: Distortion = HANDWRITING) -> tf.Tensor:
    """Distort each image of a batch by itself.

    Args:
        images: float32 (batch, height, width, channels), dark strokes on a light ground. Pixels that come in from outside
            the image are those of its nearest edge.
        seed: int32 (2,).

    Returns:
        float32 images of the same shape.
    """
    affine_seed, elastic_seed, stroke_seed = tf.unstack(tf.random.split(seed, 3))
    places = _affine(images, affine_seed, strength) + _elastic(images, elastic_seed, strength)
    return _change_strokes(_resample(images, places), stroke_seed, strength)


def _affine(images: tf.Tensor, seed: tf.Tensor, strength: Distortion) -> tf.Tensor:
    """The place that each pixel comes from, (batch, height, width, 2): y and x in −1 … 1 from the image's centre."""
    batch, height, width = images.shape[0], images.shape[1], images.shape[2]
    y, x = tf.meshgrid(tf.linspace(-1.0, 1.0, height), tf.linspace(-1.0, 1.0, width), indexing="ij")
    draws = tf.random.stateless_uniform((6, batch, 1, 1), seed, -1.0, 1.0)
    angle, shear = draws[0] * strength.rotation, draws[1] * strength.shear
    scale_y, scale_x = tf.exp(draws[2] * strength.log_scale), tf.exp(draws[3] * strength.log_scale)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    from_y = scale_y * (cosine * y - sine * x) + 2.0 * strength.shift * draws[4]
    from_x = scale_x * (sine * y + cosine * x + shear * y) + 2.0 * strength.shift * draws[5]
    return tf.stack([from_y, from_x], axis=-1)


def _elastic(images: tf.Tensor, seed: tf.Tensor, strength: Distortion) -> tf.Tensor:
    """Smooth displacements (batch, height, width, 2), in the unit of `_affine`."""
    shape = (images.shape[0], strength.nodes, strength.nodes, 2)
    nodes = tf.random.stateless_normal(shape, seed, stddev=2.0 * strength.elastic)
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


def _change_strokes(images: tf.Tensor, seed: tf.Tensor, strength: Distortion) -> tf.Tensor:
    """Blend each image with itself eroded (thicker strokes) or dilated (thinner strokes), in part."""
    amount = tf.random.stateless_uniform((images.shape[0], 1, 1, 1), seed, -strength.thinner, strength.thicker)
    lighter = tf.nn.max_pool2d(images, 3, 1, "SAME")
    darker = -tf.nn.max_pool2d(-images, 3, 1, "SAME")
    return images + tf.maximum(amount, 0.0) * (darker - images) + tf.maximum(-amount, 0.0) * (lighter - images)
