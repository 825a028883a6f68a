"""A trainable start from the shipped bundle of photos, whose int8 file is all of it that comes with the wheel.

The file's weights, as floats, are the encoder's with each batch norm folded into the convolution before it. A folded batch
norm does nothing and could not be trained, so each gets the statistics that its convolution has on training images, and the
gain and offset that undo them: the encoder gives the same embeddings, and training begins from there.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import Encoder

OBJECTS = "objects"
"""The bundle, and the name of the start."""

ENCODER = "photo12"
"""The network that the bundle's file is made of."""

DIM = 256
IMAGES, BATCH = 64, 8  # that statistics are measured on, and at once

Arrays = list[NDArray[np.float32]]


def start_from_objects(encoder: keras.Model, name: str, images: NDArray[np.uint8]) -> None:
    """Set an encoder's weights to those of the shipped bundle `objects`.

    Args:
        encoder: a photo12 for images of any size, with 256 values out.
        name: of the encoder, one of `choices.ENCODERS`.
        images: for training, uint8 (n, height, width, 3).

    Raises:
        TrainingError: it is another encoder.
    """
    if name != ENCODER or encoder.output_shape[-1] != DIM:
        raise TrainingError(
            f"The bundle {OBJECTS} has no weights for {name} of {encoder.output_shape[-1]} values.",
            f"Use --rgb --encoder {ENCODER} without --dim, or another --start.",
        )
    kernels, biases = _folded_weights()
    convolutions = [layer for layer in encoder.layers if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D))]
    norms = [layer for layer in encoder.layers if isinstance(layer, layers.BatchNormalization)]
    for layer, norm, kernel, bias in zip(convolutions, norms, kernels[:-1], biases[:-1], strict=True):
        layer.set_weights([kernel.transpose(1, 2, 3, 0)])
        one = np.ones_like(bias)
        norm.set_weights([one, bias, 0 * one, one - norm.epsilon])
    encoder.get_layer("projection").set_weights([kernels[-1].T, biases[-1]])
    _unfold(encoder, convolutions, norms, images)


def _folded_weights() -> tuple[Arrays, Arrays]:
    """Kernels (out, height, width, in) or, depthwise, (1, height, width, channels), the last (out, in); and biases."""
    interpreter = Encoder(Bundle.open(OBJECTS).model, RuntimeOptions(xnnpack=False)).interpreter
    kernels: Arrays = []
    biases: Arrays = []
    for tensor in reversed(interpreter.get_tensor_details()):  # the file lists its constants from the last to the first
        of, shape = tensor["quantization_parameters"], tensor["shape"]
        scales = of["scales"]
        is_constant = len(scales) > 0 and (
            len(scales) > 1 or shape[:1].prod() > 1
        )  # other tensors have one scale, for one image
        if tensor["name"].startswith(ENCODER) and is_constant:
            along = [1] * len(shape)
            along[of["quantized_dimension"]] = len(scales)
            values = (interpreter.get_tensor(tensor["index"]) * scales.reshape(along)).astype(np.float32)
            (biases if len(shape) == 1 else kernels).append(values)
    return kernels, biases


def _unfold(encoder: keras.Model, convolutions: list[Any], norms: list[Any], images: NDArray[np.uint8]) -> None:
    """Give each batch norm its convolution's statistics on images, and leave what the encoder computes as it is."""
    spec = ImageInput.for_shape(encoder.input_shape[1:])
    chosen = images[np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int)]
    outputs = keras.Model(encoder.input, [layer.output for layer in convolutions])
    sums = [np.zeros((3, norm.gamma.shape[0])) for norm in norms]  # of ones, values and squares
    for start in range(0, len(chosen), BATCH):
        for total, output in zip(sums, outputs(spec.normalize(chosen[start : start + BATCH]), training=False), strict=True):
            rows = np.asarray(output, np.float64).reshape(-1, output.shape[-1])
            total += [np.full(rows.shape[1], len(rows)), rows.sum(axis=0), (rows**2).sum(axis=0)]
    for norm, (count, total, squares) in zip(norms, sums, strict=True):
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0.0)
        norm.set_weights([np.sqrt(variance + norm.epsilon), np.asarray(norm.beta) + mean, mean, variance])
