"""An encoder of spoken words: depthwise separable convolutions (Zhang et al. 2017, "Hello edge") over a spectrogram."""

from __future__ import annotations

import keras
from keras import layers

from edge_meta.training.log_mel import BANDS, LogMel
from edge_meta.training.unit_length import UnitLength

# Filters, stride, and whether there is a shortcut, of each block after the first convolution.
BLOCKS = ((48, 1), (96, 2), (96, 1), (144, 2), (144, 1), (144, 1))
STEM = 24


def dscnn(input_shape: tuple[int, ...] = (98, BANDS, 1), dim: int = 96) -> keras.Model:
    """From a second of sound to an embedding of unit length: 9.6 million multiplications for a second of sound.

    The last map is averaged over time, and its bands stay apart.

    Args:
        input_shape: (samples,) of a recording, for a `LogMel` in front; or (frames, bands, 1) of log-mel values.
        dim: of the embedding.
    """
    is_sound = len(input_shape) == 1
    inputs = keras.Input(input_shape, name="samples" if is_sound else "log_mel")
    x = LogMel(name="log_mel")(inputs) if is_sound else inputs
    x = _normed(layers.Conv2D(STEM, 5, 2, padding="same", use_bias=False, name="stem_conv")(x), "stem")
    for number, (filters, stride) in enumerate(BLOCKS, 1):
        y = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=f"block{number}_depthwise")(x)
        y = _normed(y, f"block{number}_a")
        y = layers.Conv2D(filters, 1, use_bias=False, name=f"block{number}_conv")(y)
        y = _normed(y, f"block{number}_b")
        x = layers.Add(name=f"block{number}_sum")([x, y]) if stride == 1 and x.shape[-1] == filters else y
    x = layers.AveragePooling2D((x.shape[1], 1), name="time_mean")(x)
    x = layers.Flatten(name="bands")(x)
    x = layers.Dense(dim, name="projection")(x)
    return keras.Model(inputs, UnitLength(name="embedding")(x), name="dscnn")


def _normed(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=0.97, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)
