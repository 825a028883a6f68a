"""The linear last layer of a task: its start, and the inner loop that moves it alone."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf


def zero_head(dim: int, way: int) -> list[keras.Variable]:
    """A start that the outer loop learns: weights (dim, way) and bias (way,) at zero, so that no class is preferred."""
    dtype = keras.config.floatx()
    return [
        keras.Variable(tf.zeros((dim, way), dtype), dtype=dtype, name="head_weights"),
        keras.Variable(tf.zeros(way, dtype), dtype=dtype, name="head_bias"),
    ]


def prototype_head(prototypes: tf.Tensor) -> list[tf.Tensor]:
    """The start from prototypes c: W = 2c, b = −‖c‖² (Snell et al. 2017, eq. 8; Triantafillou et al. 2020).

    Args:
        prototypes: (..., way, dim).

    Returns:
        Weights (..., dim, way) and bias (..., way).
    """
    return [2.0 * tf.linalg.matrix_transpose(prototypes), -tf.reduce_sum(prototypes**2, axis=-1)]


def head_steps(
    embeddings: tf.Tensor, onehot: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor, rates: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Take gradient steps of linear heads on the mean cross-entropy of their support sets, for all tasks at once.

    The gradient is written out, Xᵀ (softmax(XW + b) − Y) / M, so no inner tape is needed. The device does the same in
    `heads.linear_step`.

    Args:
        embeddings: (tasks, M, D).
        onehot: labels (tasks, M, N).
        weights, bias: (tasks, D, N) and (tasks, N).
        rates: for each step a learning rate, (2,) for weights and bias.

    Returns:
        Weights and bias after the steps, of the same shapes.
    """
    examples = tf.cast(tf.shape(embeddings)[1], embeddings.dtype)
    for rate in rates:
        logits = tf.matmul(embeddings, weights) + bias[:, None]
        gradient = (tf.nn.softmax(logits) - onehot) / examples
        weights = weights - rate[0] * tf.matmul(embeddings, gradient, transpose_a=True)
        bias = bias - rate[1] * tf.reduce_sum(gradient, axis=1)
    return weights, bias
