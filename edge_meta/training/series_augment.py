"""Random changes of training series: size, pace and noise, as of another person and sensor.

All of it runs in the graph and depends on a seed alone, so that a resumed run draws the same changes.
"""

from __future__ import annotations

import tensorflow as tf

LOG_SIZE = 0.4  # at most
LONGEST_CUT = 0.12  # of the series, at each end
WARP = 0.04  # of the series, at most, that its middle comes early or late
NOISE = 0.1  # of a channel's standard deviation, at most


def distort_series(series: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Change each series of a batch by itself.

    Args:
        series: float32 (batch, steps, channels).
        seed: int32 (2,).

    Returns:
        float32 series of the same shape, cut a little at both ends, at an uneven pace, larger or smaller, with noise.
    """
    batch, steps, _ = series.shape
    draw_seed, noise_seed = tf.unstack(tf.random.split(seed, 2))
    begin, end, warp, size, noise = tf.unstack(tf.random.stateless_uniform((5, batch, 1), draw_seed))
    time = tf.linspace(0.0, 1.0, steps)
    start, stop = LONGEST_CUT * begin, 1.0 - LONGEST_CUT * end
    places = start + (stop - start) * time + WARP * (2.0 * warp - 1.0) * tf.sin(3.14159265 * time)
    at = tf.clip_by_value(places, 0.0, 1.0) * (steps - 1)
    before = tf.minimum(tf.cast(tf.floor(at), tf.int32), steps - 2)
    part = (at - tf.cast(before, tf.float32))[:, :, None]
    left, right = (tf.gather(series, before + side, batch_dims=1) for side in (0, 1))
    moved = (left * (1.0 - part) + right * part) * tf.exp(LOG_SIZE * (2.0 * size - 1.0))[:, :, None]
    spread = tf.math.reduce_std(moved, axis=1, keepdims=True)
    return moved + NOISE * noise[:, :, None] * spread * tf.random.stateless_normal(series.shape, noise_seed)
