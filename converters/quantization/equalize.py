"""Equalize channels across layers (Nagel, van Baalen, Blankevoort and Welling 2019, "Data-Free Quantization Through Weight
Equalization and Bias Correction", section 4.1): divide a layer's channels by factors and multiply the next layer's weights
with them. A ReLU or a pooling between the two commutes with a positive factor, so the function stays, and the channels of a
tensor, which share a range, get the same size.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

SWEEPS = 10  # a layer in the middle belongs to two pairs

PASSING = (
    layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D, layers.ZeroPadding2D, layers.Dropout,
    layers.BatchNormalization,
)  # fmt: skip


def equalize(encoder: keras.Model, folded: keras.Model, norms: set[str]) -> None:
    """Change a copy's weights so that each pair of layers shares the size of its channels evenly.

    Args:
        encoder: gives the order of the layers.
        folded: its copy with the same names, with batch norms folded.
        norms: the names of the folded batch norms.
    """
    pairs = [(layer.name, after) for layer in encoder.layers if (after := _next(encoder, layer, norms))]
    for _ in range(SWEEPS):
        for before, after in pairs:
            kernel, *bias = folded.get_layer(before).get_weights()
            next_kernel, *next_bias = folded.get_layer(after).get_weights()
            out = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)))
            taken = np.abs(next_kernel).max(axis=(*range(next_kernel.ndim - 2), next_kernel.ndim - 1))
            alive = (out > 0) & (taken > 0)
            factor = np.where(alive, np.sqrt(np.where(alive, out, 1.0) / np.where(alive, taken, 1.0)), 1.0)
            folded.get_layer(before).set_weights([kernel / factor, *(each / factor for each in bias)])
            folded.get_layer(after).set_weights([next_kernel * factor[:, None], *next_bias])


def consumers(encoder: keras.Model, layer: keras.Layer) -> list[keras.Operation]:
    """The layers that take a layer's output within the encoder."""
    inside = {id(operation) for operation in encoder.operations}
    return [node.operation for node in layer._outbound_nodes if id(node.operation) in inside]


def _next(encoder: keras.Model, layer: keras.Layer, norms: set[str]) -> str | None:
    """The layer that alone takes this one's channels as inputs of its weights; None if there is none."""
    if type(layer) not in (layers.Conv2D, layers.Dense) or not _homogeneous(layer.activation):
        return None
    while len(after := consumers(encoder, layer)) == 1:
        layer = after[0]
        if type(layer) in (layers.Conv2D, layers.Dense):
            return layer.name if getattr(layer, "groups", 1) == 1 else None
        relu = (isinstance(layer, layers.ReLU) and layer.max_value is None and not layer.threshold) or (
            isinstance(layer, layers.Activation) and _homogeneous(layer.activation)
        )
        passes = isinstance(layer, PASSING) and (not isinstance(layer, layers.BatchNormalization) or layer.name in norms)
        if not (relu or passes):
            return None
    return None


def _homogeneous(activation: object) -> bool:
    return activation in (keras.activations.linear, keras.activations.relu)
