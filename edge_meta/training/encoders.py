"""Encoders: small convolutional networks, from a normalized image to an embedding."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers


def conv4(input_shape: tuple[int, int, int] = (28, 28, 1), filters: int = 64) -> keras.Model:
    """Conv4: four blocks of 3×3 convolution, batch normalization, ReLU and 2×2 max pooling (Vinyals et al. 2016).

    28×28 images give an embedding of `filters` dimensions. Batch normalization keeps a tenth of each batch, as Snell et
    al.'s implementation does.

    Args:
        input_shape: (height, width, channels), height and width at least 16.
    """
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for block in range(1, 5):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{block}")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        x = layers.MaxPool2D(2, name=f"pool{block}")(x)
    return keras.Model(inputs, layers.Flatten(name="embedding")(x), name="conv4")


ENCODERS: dict[str, Callable[[tuple[int, int, int]], keras.Model]] = {"conv4": conv4}
