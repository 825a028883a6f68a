"""An encoder of gestures: what motion sensors feel, made free of pose, size and units, and a small network."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from edge_meta.training.series_features import SeriesFeatures

STEPS, AXES = 128, 6
BLOCK = 16  # steps that are summed at a time
LEVEL = 0.1  # m/s² and rad/s; motions that are weaker are not made stronger
LARGEST = 4.0  # of a feature
NO_GRAVITY = (0.0, 0.02, 0.01)  # m/s²: the direction that counts as up where no gravity is felt
UPRIGHT = 0.02  # squared length of the level part of the phone's x axis below which that part is shortened
FEATURES = 21
FILTERS = ((24, 5, 2), (28, 5, 2), (32, 5, 2), (32, 3, 1))  # with lengths and strides


@keras.saving.register_keras_serializable("edge_meta")
class MotionFeatures(layers.Layer):  # type: ignore[misc]  # Keras is not typed
    """From accelerations and turn rates (n, 128, 6) to (n, 128, 1, 21) values of about unit size, −4 to 4.

    The mean acceleration is gravity for the most part, and says which way is up. The triples are: accelerations without
    their mean, turn rates without theirs; both along the axes right (the phone's x, made level), forward and up; the running
    sums of these, which are velocity and angle; and up itself in the phone's axes, short where gravity is not clear. Each
    triple but the last is divided by its root mean square, so that units and sizes change nothing. A sensor of zeros gives
    zeros.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        blocks = STEPS // BLOCK
        self._within = np.triu(np.ones((BLOCK, BLOCK), np.float32))
        self._before = np.triu(np.ones((blocks, blocks), np.float32), 1)
        super().build(input_shape)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        gravity = ops.mean(inputs[:, :, :3], axis=1, keepdims=True)
        motion = inputs[:, :, :3] - gravity
        acceleration, rate = _scaled(motion), _scaled(_centred(inputs[:, :, 3:]))
        room = _room(gravity)
        level = [
            ops.concatenate([ops.sum(triple * axis, axis=2, keepdims=True) for axis in room], axis=2)
            for triple in (acceleration, rate)
        ]
        summed = self._summed(ops.concatenate(level, axis=2))
        felt = _square(gravity) + ops.mean(ops.square(motion), axis=(1, 2), keepdims=True)
        up = gravity * ops.rsqrt(felt + LEVEL**2) * np.ones((1, STEPS, 1), np.float32)
        parts = [acceleration, rate, *level, _scaled(summed[:, :, :3]), _scaled(summed[:, :, 3:]), up]
        return ops.expand_dims(ops.clip(ops.concatenate(parts, axis=2), -LARGEST, LARGEST), 2)

    def _summed(self, values: keras.KerasTensor) -> keras.KerasTensor:
        """The running sum over time, without its mean: within blocks, and of the blocks before, by two small matrices."""
        turned = ops.reshape(ops.transpose(values, (0, 2, 1)), (-1, AXES, STEPS // BLOCK, BLOCK))
        within = ops.matmul(turned, self._within)
        before = ops.matmul(within[..., BLOCK - 1], self._before)
        summed = ops.reshape(within + ops.expand_dims(before, -1), (-1, AXES, STEPS))
        return _centred(ops.transpose(summed, (0, 2, 1)))


def _room(gravity: keras.KerasTensor) -> tuple[keras.KerasTensor, ...]:
    """The axes right, forward and up in the phone's axes, each (n, 1, 3), from the mean acceleration (n, 1, 3)."""
    up = gravity + np.array(NO_GRAVITY, np.float32)
    up *= ops.rsqrt(_square(up) + 1e-6)
    right = np.array([1, 0, 0], np.float32) - up[:, :, 0:1] * up
    right *= ops.rsqrt(_square(right) + UPRIGHT)
    (ux, uy, uz), (rx, ry, rz) = ([axis[:, :, at : at + 1] for at in range(3)] for axis in (up, right))
    forward = ops.concatenate([uy * rz - uz * ry, uz * rx - ux * rz, ux * ry - uy * rx], axis=2)
    return right, forward, up


def _square(vectors: keras.KerasTensor) -> keras.KerasTensor:
    return ops.sum(ops.square(vectors), axis=2, keepdims=True)


def _centred(values: keras.KerasTensor) -> keras.KerasTensor:
    return values - ops.mean(values, axis=1, keepdims=True)


def _scaled(values: keras.KerasTensor) -> keras.KerasTensor:
    return values * ops.rsqrt(ops.mean(ops.square(values), axis=(1, 2), keepdims=True) + LEVEL**2)


def tcn(input_shape: tuple[int, ...] = (STEPS, 1, FEATURES), dim: int = 28, motion: bool = False) -> keras.Model:
    """From series to an embedding: four temporal convolutions (Bai et al. 2018), four means over time, a linear layer.

    Args:
        input_shape: (steps, channels) of a series, for features in front; or (steps, 1, features). Time is an image's
            height, so that converters need no operators between.
        dim: of the embedding, whose squared distances tell gestures apart.
        motion: put `MotionFeatures` in front of series (128, 6); else `SeriesFeatures`, which take any channels.
    """
    inputs = keras.Input(input_shape, name="series")
    x = inputs
    if len(input_shape) == 2:
        x = (MotionFeatures if motion else SeriesFeatures)(name="features")(inputs)
    for number, (filters, length, stride) in enumerate(FILTERS, 1):
        x = layers.Conv2D(
            filters, (length, 1), (stride, 1), padding="same", use_bias=False, name=f"block{number}_conv"
        )(x)  # fmt: skip
        x = layers.BatchNormalization(momentum=0.98, epsilon=1e-3, name=f"block{number}_norm")(x)
        x = layers.ReLU(6.0, name=f"block{number}_relu")(x)
    x = layers.AveragePooling2D((x.shape[1] // 4, 1), name="quarters")(x)
    x = layers.Flatten(name="flat")(x)
    return keras.Model(inputs, layers.Dense(dim, name="embedding")(x), name="tcn")
