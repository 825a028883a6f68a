"""Batch normalization that trains fast on a CPU, and can be differentiated twice where that is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable(package="edge_meta")
class FusedBatchNormalization(layers.BatchNormalization):  # type: ignore[misc]  # Keras is not typed
    """Batch normalization of images that trains with TensorFlow's fused kernel.

    It is the same function as Keras's layer, which composes it of single operations and takes three times as long on a CPU.
    The kernel has no second derivatives, and no derivatives of its statistics. Inside `composed`, and in float64, this layer
    composes batch norm itself. Keras's layer would not do there: its variance holds the mean constant (tf.nn.moments), which
    is right for the first derivative alone. Frozen statistics, and those over several devices, are left to Keras.
    """

    fused = True

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if not training or not self.trainable or self.synchronized:
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if self.fused and self.compute_dtype != "float64":
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, gamma, beta, epsilon=self.epsilon)[:3]
            # The kernel gives the unbiased variance; Keras averages the biased one.
            values = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
            variance *= (values - 1.0) / values
        else:
            wide = tf.cast(inputs, gamma.dtype)
            mean = tf.reduce_mean(wide, axis=(0, 1, 2))
            variance = tf.reduce_mean((wide - mean) ** 2, axis=(0, 1, 2))
            outputs = tf.cast((wide - mean) * tf.math.rsqrt(variance + self.epsilon) * gamma + beta, inputs.dtype)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs


@contextmanager
def composed(encoder: keras.Model) -> Iterator[None]:
    """Compose batch norm of single operations in what is traced inside, for all derivatives, those of its statistics too."""
    norms = [layer for layer in encoder.layers if isinstance(layer, FusedBatchNormalization)]
    before = [norm.fused for norm in norms]
    for norm in norms:
        norm.fused = False
    try:
        yield
    finally:
        for norm, fused in zip(norms, before, strict=True):
            norm.fused = fused
