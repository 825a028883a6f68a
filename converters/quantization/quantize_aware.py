"""Fine-tune an encoder for int8: train it further with weights and activations rounded as int8 rounds them.

Forward, every weight and activation is rounded to values of int8; backward, rounding counts as the identity (the
straight-through estimator: Bengio, Léonard and Courville 2013; for networks like these: Jacob et al. 2018, "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"). Weights are symmetric, a scale for each output
channel; activations have one range a tensor, an average over past batches. Batch normalization, with the statistics that it
has, is folded into the weights before it. Channels are brought to one size first: a channel too small for the steps of its
range gets no gradient either. The converter uses the ranges as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from converters.quantization.equalize import consumers, equalize
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import ExportError
from edge_meta.inputs import InputSpec
from edge_meta.training.methods.protonet import ProtoNet
from edge_meta.training.progress import Progress

LEARNING_RATE = 3e-4
RANDOM_SEED = 17
MOMENTUM = 0.99  # of the ranges; a batch counts a hundredth
LEVELS = 127  # of a weight on either side of zero

# Layers whose outputs have the range of their inputs in int8.
KEEPING = (
    layers.InputLayer, layers.MaxPooling2D, layers.AveragePooling2D, layers.Flatten, layers.Reshape, layers.Permute,
    layers.ZeroPadding2D, layers.Cropping2D, layers.UpSampling2D, layers.Dropout, layers.Identity,
)  # fmt: skip


def fine_tune(
    encoder: keras.Model,
    data: Dataset,
    input_spec: InputSpec,
    calibration: NDArray[np.float32],
    episodes: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> keras.Model:
    """Train an encoder further, as a prototypical network (Snell et al. 2017), with the rounding of int8.

    Args:
        encoder: built of Keras layers; it is not changed.
        data: the training classes, for 20-way 1-shot episodes.
        calibration: normalized images (n, H, W, C) that the ranges of activations start from.
        episodes: their number; a few hundred are enough.

    Returns:
        The encoder with its rounding, which `convert` takes for int8; see `rounding`.

    Raises:
        ExportError: the encoder is not made of Keras layers.
    """
    aware = quantize_aware(encoder)
    ranges = [layer for layer in _every_layer(aware) if isinstance(layer, Range)]
    for each in ranges:
        each.momentum = 0.0
    aware(calibration, training=True)
    for each in ranges:
        each.momentum = MOMENTUM
    # The same order of sums gives the same bytes each time. It stays on for the rest of the process.
    tf.config.experimental.enable_op_determinism()
    way, shot, query = data.protocol(shot=1)
    learner = ProtoNet(aware, input_spec)
    learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, episodes)))
    learner.fit(EpisodeSampler(data, way, shot, query, RANDOM_SEED), episodes, on_progress=on_progress)
    return aware


def quantize_aware(encoder: keras.Model) -> keras.Model:
    """Copy an encoder with the rounding of int8. Its ranges are empty until it is called with `training=True`."""
    norms = _folded_norms(encoder)
    behind = {norm.name for norm in norms.values()}

    def changed(layer: keras.Layer) -> keras.Layer:
        if layer.name in behind:
            return layers.Identity(name=layer.name)
        config = layer.get_config() | ({"use_bias": True} if layer.name in norms else {})
        kind: Any = type(layer)
        return ROUNDED.get(kind, kind).from_config(config)

    def called(layer: keras.Layer, *inputs: keras.KerasTensor, **options: object) -> keras.KerasTensor:
        # The identity in place of a norm takes none of its options.
        outputs = layer(*inputs) if layer.name in behind else layer(*inputs, **options)
        original = encoder.get_layer(layer.name)
        # The converter fuses a norm and a ReLU into the operator before them; round once, behind them.
        after = consumers(encoder, original)
        fused = after and all(each.name in behind or isinstance(each, (layers.ReLU, layers.Activation)) for each in after)
        return outputs if fused or isinstance(original, KEEPING) else Range(name=f"{layer.name}_range")(outputs)

    try:
        if any(isinstance(layer, keras.Model) for layer in encoder.layers):
            raise ValueError("it has a model for a layer")
        copy = keras.models.clone_model(encoder, clone_function=changed, call_function=called)
    except (ValueError, TypeError, AttributeError) as error:
        raise ExportError(
            f"The encoder cannot be fine-tuned for int8: {str(error).splitlines()[0]}.",
            "Build it of Keras layers with the functional API, or leave --quantize-aware out.",
        ) from None
    for layer in encoder.layers:
        if layer.name in norms:
            copy.get_layer(layer.name).set_weights(_fold(layer, norms[layer.name]))
        elif layer.name not in behind:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
        if isinstance(layer, layers.BatchNormalization):
            copy.get_layer(layer.name).trainable = False
    equalize(encoder, copy, behind)
    image = keras.Input(encoder.input_shape[1:], name="image")
    return keras.Model(image, copy(Range(name="image_range")(image)), name=encoder.name)


@contextmanager
def without_rounding(encoder: keras.Model) -> Iterator[None]:
    """Let an encoder compute in float inside the context."""
    rounding = [layer for layer in _every_layer(encoder) if isinstance(layer, _Rounding)]
    for layer in rounding:
        layer.rounds = False
    try:
        yield
    finally:
        for layer in rounding:
            layer.rounds = True


class _Rounding:
    """A layer that rounds unless `rounds` is False. Traced functions keep the value that it had when they were traced."""

    rounds = True

    def rounded(self, weights: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
        """Round weights to int8, symmetric, with one scale over the axes."""
        if not self.rounds:
            return weights
        weights = tf.convert_to_tensor(weights)
        largest = tf.reduce_max(tf.abs(weights), axis=axes, keepdims=True)
        scale = tf.maximum(largest, np.finfo(np.float32).tiny) / LEVELS
        return weights + tf.stop_gradient(tf.round(weights / scale) * scale - weights)


class Range(_Rounding, layers.Layer):  # type: ignore[misc]  # Keras is not typed
    """Rounds activations to 256 values of a range, which includes zero and follows the batches of training."""

    momentum = MOMENTUM

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.low = self.add_weight(name="low", initializer="zeros", trainable=False)
        self.high = self.add_weight(name="high", initializer="zeros", trainable=False)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if training:
            for end, reached in ((self.low, tf.reduce_min(inputs)), (self.high, tf.reduce_max(inputs))):
                end.assign(end * self.momentum + reached * (1.0 - self.momentum))
        if not self.rounds:
            return inputs
        low, high = tf.minimum(tf.convert_to_tensor(self.low), 0.0), tf.maximum(tf.convert_to_tensor(self.high), 0.0)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)


class RoundedConv2D(_Rounding, layers.Conv2D):  # type: ignore[misc]  # Keras is not typed
    """A convolution with rounded weights."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return super().convolution_op(inputs, self.rounded(kernel, (0, 1, 2)))


class RoundedDepthwiseConv2D(_Rounding, layers.DepthwiseConv2D):  # type: ignore[misc]  # Keras is not typed
    """A depthwise convolution with rounded weights."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = keras.ops.depthwise_conv(
            inputs, self.rounded(self.kernel, (0, 1)), self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return self.activation(outputs + self.bias if self.use_bias else outputs)


class RoundedDense(_Rounding, layers.Dense):  # type: ignore[misc]  # Keras is not typed
    """A dense layer with rounded weights, one scale for all, as the converter quantizes them."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = keras.ops.matmul(inputs, self.rounded(self.kernel, (0, 1)))
        return self.activation(outputs + self.bias if self.use_bias else outputs)


ROUNDED: dict[Any, Any] = {
    layers.Conv2D: RoundedConv2D,
    layers.DepthwiseConv2D: RoundedDepthwiseConv2D,
    layers.Dense: RoundedDense,
}


def _folded_norms(encoder: keras.Model) -> dict[str, keras.Layer]:
    """Map each layer's name to the batch norm behind it, where nothing else takes the layer's output."""
    found = {}
    for layer in encoder.layers:
        after = consumers(encoder, layer)
        linear = type(layer) in ROUNDED and layer.activation is keras.activations.linear
        if linear and len(after) == 1 and isinstance(after[0], layers.BatchNormalization):
            found[layer.name] = after[0]
    return found


def _fold(layer: keras.Layer, norm: keras.Layer) -> list[NDArray[np.float32]]:
    """Fold a norm's frozen statistics into a layer's kernel and bias; returns both."""
    kernel, *bias = (each.astype(np.float64) for each in layer.get_weights())
    mean, variance = (np.asarray(each, np.float64) for each in (norm.moving_mean, norm.moving_variance))
    factor = 1.0 / np.sqrt(variance + norm.epsilon)
    factor = factor * np.asarray(norm.gamma, np.float64) if norm.scale else factor
    moved = ((bias[0] if bias else 0.0) - mean) * factor
    moved = moved + np.asarray(norm.beta, np.float64) if norm.center else moved
    along = factor.reshape(kernel.shape[2:]) if isinstance(layer, layers.DepthwiseConv2D) else factor
    return [(kernel * along).astype(np.float32), moved.astype(np.float32)]


def _every_layer(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _every_layer(layer)
        else:
            yield layer
