"""An encoder of gestures: what a phone's sensors feel, made free of pose, size and units, and a small network."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from edge_meta.training.unit_length import UnitLength

STEPS, AXES = 128, 6
BLOCK = 16  # steps that are summed at a time
LEVEL = 0.1  # m/s² and rad/s; motions that are weaker are not made stronger
FILTERS = ((32, 2), (48, 2), (56, 2), (56, 1))  # and strides


@keras.saving.register_keras_serializable("edge_meta")
class MotionFeatures(layers.Layer):  # type: ignore[misc]  # Keras is not typed
    """From accelerations and turn rates (n, 128, 6) to (n, 128, 15) values of about unit size.

    These are the accelerations without their mean, which is gravity for the most part; their running sum, which is the
    velocity; both again of the turn rates, whose sum is the angle; and the direction of the mean acceleration. Each triple
    is divided by its root mean square, so that units and sizes change nothing. A triple of zeros stays zero.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        blocks = STEPS // BLOCK
        self._within = np.triu(np.ones((BLOCK, BLOCK), np.float32))
        self._before = np.triu(np.ones((blocks, blocks), np.float32), 1)
        super().build(input_shape)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        parts = []
        for start in (0, 3):
            triple = inputs[:, :, start : start + 3]
            mean = ops.mean(triple, axis=1, keepdims=True)
            motion = triple - mean
            parts += [_scaled(motion, LEVEL), _scaled(_centred(self._summed(motion)), LEVEL)]
            if start == 0:
                power = ops.mean(ops.square(triple), axis=(1, 2), keepdims=True)
                parts.append((mean * ops.rsqrt(3 * power + LEVEL**2)) * np.ones((1, STEPS, 1), np.float32))
        return ops.concatenate(parts, axis=2)

    def _summed(self, values: keras.KerasTensor) -> keras.KerasTensor:
        """The running sum over time: within blocks, and of the blocks before, by two small matrices."""
        turned = ops.reshape(ops.transpose(values, (0, 2, 1)), (-1, 3, STEPS // BLOCK, BLOCK))
        within = ops.matmul(turned, self._within)
        before = ops.matmul(within[..., BLOCK - 1], self._before)
        return ops.transpose(ops.reshape(within + ops.expand_dims(before, -1), (-1, 3, STEPS)), (0, 2, 1))


def _centred(values: keras.KerasTensor) -> keras.KerasTensor:
    return values - ops.mean(values, axis=1, keepdims=True)


def _scaled(values: keras.KerasTensor, level: float) -> keras.KerasTensor:
    power = ops.mean(ops.square(values), axis=(1, 2), keepdims=True)
    return values * ops.rsqrt(power + level**2)


def tcn(input_shape: tuple[int, int] = (STEPS, 15), dim: int = 32) -> keras.Model:
    """From series to an embedding of unit length: four temporal convolutions (Bai et al. 2018), and four means over time.

    All but the first are of depth and of channels apart: 18,000 weights.

    Args:
        input_shape: (steps, channels).
        dim: of the embedding.
    """
    inputs = keras.Input(input_shape, name="series")
    x = inputs
    for number, (filters, stride) in enumerate(FILTERS, 1):
        kind = layers.Conv1D if number == 1 else layers.SeparableConv1D
        y = kind(filters, 5, strides=stride, padding="same", use_bias=False, name=f"block{number}_conv")(x)
        y = layers.BatchNormalization(momentum=0.97, epsilon=1e-3, name=f"block{number}_norm")(y)
        x = layers.ReLU(6.0, name=f"block{number}_relu")(y)
    x = layers.AveragePooling1D(x.shape[1] // 4, name="quarters")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(dim, name="projection")(x)
    return keras.Model(inputs, UnitLength(name="embedding")(x), name="tcn")
