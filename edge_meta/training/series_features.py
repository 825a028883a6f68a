"""The front end of encoders of series other than motions: each channel without its mean, at unit size."""

from __future__ import annotations

import keras
from keras import layers, ops

SMALLEST = 1e-6  # squared size below which a channel counts as still
LARGEST = 4.0  # of a feature


@keras.saving.register_keras_serializable("edge_meta")
class SeriesFeatures(layers.Layer):  # type: ignore[misc]  # Keras is not typed
    """From series (n, steps, channels) to (n, steps, 1, channels) values of about unit size, −4 to 4.

    Each channel loses its mean over time and is divided by its root mean square, so that units and offsets change nothing.
    A channel that never changes gives zeros.
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        moved = inputs - ops.mean(inputs, axis=1, keepdims=True)
        scaled = moved * ops.rsqrt(ops.mean(ops.square(moved), axis=1, keepdims=True) + SMALLEST)
        return ops.expand_dims(ops.clip(scaled, -LARGEST, LARGEST), 2)
