"""Encoders: small convolutional networks, from a normalized image to an embedding."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from edge_meta.training.batch_norm import FusedBatchNormalization
from edge_meta.training.efficientnet_lite import efficientnet_lite
from edge_meta.training.keyword_net import dscnn
from edge_meta.training.mobilenet import mobilenet_v2, mobilenet_v3_small
from edge_meta.training.motion import tcn

Shape = tuple[int, int, int]


def conv4(input_shape: Shape = (28, 28, 1), filters: int = 64) -> keras.Model:
    """Conv4: four blocks of 3×3 convolution, batch normalization, ReLU and 2×2 max pooling (Vinyals et al. 2016).

    28×28 images give an embedding of `filters` dimensions. Batch normalization keeps nine tenths of its statistics at each
    step, as Snell et al.'s implementation does.

    Args:
        input_shape: (height, width, channels), height and width at least 16.
    """
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for block in range(1, 5):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{block}")(x)
        x = _norm(f"norm{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        x = layers.MaxPool2D(2, name=f"pool{block}")(x)
    return keras.Model(inputs, layers.Flatten(name="embedding")(x), name="conv4")


def resnet7(input_shape: Shape = (28, 28, 1), filters: tuple[int, int, int] = (32, 48, 56)) -> keras.Model:
    """Seven convolutions: one of stride 2, then three residual blocks of two (He et al. 2016), and global average pooling.

    The last two blocks have stride 2. Maps of half the size from the first layer on make a training step two to three times
    as fast as Conv4's. A shortcut that changes shape is 2×2 average pooling (He, T. et al. 2019, "Bag of tricks", ResNet-D)
    and a 1×1 convolution.

    Args:
        input_shape: (height, width, channels), height and width at least 16.
        filters: of the three blocks; the last is the embedding's dimension.
    """
    inputs = keras.Input(input_shape, name="image")
    return keras.Model(inputs, _residual(inputs, filters), name="resnet7")


def resnet8(input_shape: Shape = (56, 56, 1), filters: tuple[int, int, int, int] = (16, 24, 48, 60)) -> keras.Model:
    """One more convolution of stride 2 before `resnet7`, for images of twice the size, with finer strokes.

    Args:
        input_shape: (height, width, channels), height and width at least 16.
        filters: of that convolution and of the three blocks; the last is the embedding's dimension.
    """
    inputs = keras.Input(input_shape, name="image")
    x = _convolution(inputs, filters[0], 2, "fine")
    x = layers.ReLU(name="fine_relu")(x)
    return keras.Model(inputs, _residual(x, filters[1:]), name="resnet8")


def _residual(x: keras.KerasTensor, filters: tuple[int, int, int]) -> keras.KerasTensor:
    """The layers of `resnet7`, to the embedding."""
    x = _convolution(x, filters[0], 2, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    for block, (width, stride) in enumerate(zip(filters, (1, 2, 2), strict=True), 1):
        y = _convolution(x, width, stride, f"block{block}_a")
        y = layers.ReLU(name=f"block{block}_a_relu")(y)
        y = _convolution(y, width, 1, f"block{block}_b")
        if stride > 1:
            x = layers.AveragePooling2D(stride, padding="same", name=f"block{block}_pool")(x)
        if x.shape[-1] != width:
            x = layers.Conv2D(width, 1, use_bias=False, name=f"block{block}_shortcut")(x)
        x = layers.ReLU(name=f"block{block}_relu")(layers.Add(name=f"block{block}_sum")([x, y]))
    return layers.GlobalAveragePooling2D(name="embedding")(x)


def photo12(input_shape: Shape = (128, 128, 3), dim: int = 256) -> keras.Model:
    """The first 12 of EfficientNet-Lite0's 16 blocks and a linear layer: for photos, with a third of its weights.

    Args:
        input_shape: (height, width, 3), height and width at least 32.
        dim: of the embedding.
    """
    return efficientnet_lite(input_shape, blocks=12, dim=dim, name="photo12")


# From an example's shape to a new encoder; those of `choices.WITH_DIM` also take `dim`.
ENCODERS: dict[str, Callable[..., keras.Model]] = {
    "conv4": conv4,
    "resnet7": resnet7,
    "resnet8": resnet8,
    "photo12": photo12,
    "efficientnet_lite0": efficientnet_lite,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3_small,
    "dscnn": dscnn,
    "tcn": tcn,
}


def _convolution(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return _norm(f"{name}_norm")(x)


def _norm(name: str) -> keras.Layer:
    return FusedBatchNormalization(momentum=0.9, epsilon=1e-5, name=name)
