"""The layer that brings embeddings to unit length."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable(package="edge_meta")
class UnitLength(layers.Layer):  # type: ignore[misc]  # Keras is not typed
    """Divide each vector (batch, dim) by its length.

    Keras's `UnitNormalization` is the same function in other operations, which a converter does not know for TFLite's
    L2_NORMALIZATION; in int8, those lose nearly all.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.math.l2_normalize(inputs, axis=-1, epsilon=1e-12)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
