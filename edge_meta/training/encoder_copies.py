"""Copies of an encoder: in another precision, with Keras's batch norm for the device, scaled, and with the mirror view."""

from __future__ import annotations

import keras
from keras import layers

from edge_meta.training.batch_norm import FusedBatchNormalization
from edge_meta.training.front_ends import FRONT_ENDS
from edge_meta.training.unit_length import UnitLength

FLOAT32 = "float32"
BFLOAT16 = "mixed_bfloat16"


def in_precision(encoder: keras.Model, policy: str) -> keras.Model:
    """Copy an encoder so that it computes in another precision; the embedding stays float32.

    Args:
        policy: one of Keras's, such as BFLOAT16, which leaves the weights in float32.
    """
    return _copy(encoder, policy, {})


def for_device(encoder: keras.Model) -> keras.Model:
    """Copy an encoder in float32, with Keras's own batch norm. Runs keep it, and it is converted.

    Any Keras reads it, unless it ends in `UnitLength`. An encoder that is so already is returned as it is.
    """
    if not any(_needs_change(layer) for layer in encoder.layers):
        return encoder
    return _copy(encoder, FLOAT32, {FusedBatchNormalization: layers.BatchNormalization})


def with_fused_norms(encoder: keras.Model, momentum: float) -> keras.Model:
    """Copy an encoder of Keras's so that it trains as ours do: with fused batch norm, of that momentum."""
    return _copy(encoder, FLOAT32, {layers.BatchNormalization: FusedBatchNormalization}, momentum)


def _needs_change(layer: keras.Layer | keras.Operation) -> bool:
    """Whether a layer is of another precision than float32, or a batch norm of ours or over several devices."""
    of_norm = isinstance(layer, FusedBatchNormalization) or getattr(layer, "synchronized", False)
    return of_norm or getattr(getattr(layer, "dtype_policy", None), "name", FLOAT32) != FLOAT32


def ends_in_unit_length(encoder: keras.Model) -> bool:
    """Whether all embeddings have length 1."""
    return isinstance(encoder.layers[-1], UnitLength)


def scaled(encoder: keras.Model, factor: float) -> keras.Model:
    """Multiply the embeddings."""
    return keras.Model(encoder.input, layers.Rescaling(factor, name="scale")(encoder.output), name=encoder.name)


def mirrored(encoder: keras.Model) -> keras.Model:
    """Embed each image and its mirror image, side by side: (batch, 2 · dim).

    Squared distances are then the means of those of the two views. Both images go through the network as one batch, so the
    weights are stored once, and a device makes one pass.
    """
    dim = encoder.output_shape[-1]
    image = keras.Input(encoder.input_shape[1:], name="image")
    both = keras.ops.concatenate([image, keras.ops.flip(image, axis=2)], axis=0)
    views = keras.ops.transpose(keras.ops.reshape(encoder(both), (2, -1, dim)), (1, 0, 2))
    scaled = layers.Rescaling(2**-0.5, name="embedding")(keras.ops.reshape(views, (-1, 2 * dim)))
    return keras.Model(image, scaled, name=f"{encoder.name}_mirrored")


def _copy(
    encoder: keras.Model, policy: str, replaced: dict[type[keras.Layer], type[keras.Layer]], momentum: float | None = None
) -> keras.Model:
    """A copy for one device, with layers of other classes, and batch norm of another momentum."""

    def changed(layer: keras.Layer | keras.Operation) -> keras.Layer | keras.Operation:
        if not isinstance(layer, layers.Layer):  # arithmetic between layers, which has no precision of its own
            return type(layer).from_config(layer.get_config())
        is_float = layer is encoder.layers[-1] or isinstance(layer, FRONT_ENDS)
        config = layer.get_config() | {"dtype": FLOAT32 if is_float else policy}
        if isinstance(layer, layers.BatchNormalization):
            config["synchronized"] = False
            config["momentum"] = momentum or config["momentum"]
        return replaced.get(type(layer), type(layer)).from_config(config)

    copy = keras.models.clone_model(encoder, clone_function=changed)
    copy.set_weights(encoder.get_weights())
    return copy
