"""Random changes of training recordings: shift, speed, gain and noise, as of another speaker, room and microphone.

All of it runs in the graph and depends on a seed alone, so that a resumed run draws the same changes.
"""

from __future__ import annotations

import tensorflow as tf

SHIFT = 0.1  # of the recording, at most, to either side
LOG_SPEED = 0.16  # at most: 0.85 to 1.17 times as fast
LOG_GAIN = 0.7  # at most: half to twice as loud
QUIETEST, LOUDEST = -40.0, -6.0  # dB of the noise, of the recording's loudness


def distort_recordings(recordings: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Change each recording of a batch by itself.

    Args:
        recordings: float32 (batch, samples), of any scale. What comes in from outside is silence.
        seed: int32 (2,).

    Returns:
        float32 recordings of the same shape.
    """
    batch, samples = recordings.shape
    place_seed, level_seed, noise_seed = tf.unstack(tf.random.split(seed, 3))
    shift, speed = tf.unstack(tf.random.stateless_uniform((2, batch, 1), place_seed, -1.0, 1.0))
    gain, level = tf.unstack(tf.random.stateless_uniform((2, batch, 1), level_seed))
    middle = samples / 2
    at = (tf.range(samples, dtype=tf.float32) - middle) * tf.exp(LOG_SPEED * speed) + middle + SHIFT * samples * shift
    heard = _between(recordings, at) * tf.exp(LOG_GAIN * (2.0 * gain - 1.0))
    loudness = tf.sqrt(tf.reduce_mean(heard**2, axis=1, keepdims=True))
    noise = tf.random.stateless_normal((batch, samples), noise_seed)
    return heard + noise * loudness * 10.0 ** ((QUIETEST + (LOUDEST - QUIETEST) * level) / 20.0)


def _between(recordings: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Recordings at places (batch, samples) between their samples, on straight lines; zero outside."""
    last = recordings.shape[1] - 1
    inside = tf.cast((at >= 0.0) & (at <= last), tf.float32)
    before = tf.clip_by_value(tf.cast(tf.floor(at), tf.int32), 0, last - 1)
    part = tf.clip_by_value(at - tf.cast(before, tf.float32), 0.0, 1.0)
    left, right = (tf.gather(recordings, before + side, batch_dims=1) for side in (0, 1))
    return inside * (left * (1.0 - part) + right * part)
