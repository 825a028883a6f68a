"""Encoders: small convolutional networks, from a normalized image to an embedding."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

Shape = tuple[int, int, int]


def conv4(input_shape: Shape = (28, 28, 1), filters: int = 64) -> keras.Model:
    """Conv4: four blocks of 3×3 convolution, batch normalization, ReLU and 2×2 max pooling (Vinyals et al. 2016).

    28×28 images give an embedding of `filters` dimensions. Batch normalization keeps nine tenths of its statistics at each
    step, as Snell et al.'s implementation does.

    Args:
        input_shape: (height, width, channels), height and width at least 16.
    """
    return _conv4(input_shape, filters, pool_first=False, name="conv4")


def conv4_fast(input_shape: Shape = (28, 28, 1), filters: int = 64) -> keras.Model:
    """Conv4 with pooling right behind each convolution, so that normalization and ReLU see a quarter of the values.

    With scales of batch norm that are not negative, which are enforced here, all that follows a convolution is increasing,
    and so commutes with a maximum: with frozen statistics this is the same function as a Conv4 of the same weights, and
    `for_device` makes it one. In training it differs in what the statistics are taken over.
    """
    return _conv4(input_shape, filters, pool_first=True, name="conv4_fast")


ENCODERS: dict[str, Callable[[Shape], keras.Model]] = {"conv4": conv4, "conv4_fast": conv4_fast}


def for_device(encoder: keras.Model) -> keras.Model:
    """The same function in the form that converts best: a Conv4 whose batch norm folds into its convolutions."""
    if encoder.name != "conv4_fast":
        return encoder
    deployed = conv4(encoder.input_shape[1:], encoder.get_layer("conv1").filters)
    deployed.set_weights(encoder.get_weights())
    return deployed


def _conv4(input_shape: Shape, filters: int, pool_first: bool, name: str) -> keras.Model:
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for block in range(1, 5):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{block}")(x)
        pool = layers.MaxPool2D(2, name=f"pool{block}")
        if pool_first:
            x = pool(x)
        scale = keras.constraints.NonNeg() if pool_first else None
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_constraint=scale, name=f"norm{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        if not pool_first:
            x = pool(x)
    return keras.Model(inputs, layers.Flatten(name="embedding")(x), name=name)
