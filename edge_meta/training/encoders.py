"""Encoders: small convolutional networks, from a normalized image to an embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf
from keras import layers

Shape = tuple[int, int, int]

FLOAT32 = "float32"
BFLOAT16 = "mixed_bfloat16"


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
    """Seven convolutions: one of stride 2, three residual blocks of two (He et al. 2016, the last two of stride 2), and the
    mean over what is left of the image.

    Half-size maps from the first layer on make a step of training two to three times as fast as Conv4's. A shortcut that
    changes shape is a 2×2 average (He, T. et al. 2019, "Bag of tricks", ResNet-D) and a 1×1 convolution.

    Args:
        input_shape: (height, width, channels), height and width at least 16.
        filters: of the three blocks; the last is the embedding's dimension.
    """
    inputs = keras.Input(input_shape, name="image")
    return keras.Model(inputs, _residual(inputs, filters), name="resnet7")


def resnet8(input_shape: Shape = (56, 56, 1), filters: tuple[int, int, int, int] = (16, 24, 48, 60)) -> keras.Model:
    """`resnet7` behind one more convolution of stride 2, for images of twice the size, whose finer strokes it sees.

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


ENCODERS: dict[str, Callable[[Shape], keras.Model]] = {"conv4": conv4, "resnet7": resnet7, "resnet8": resnet8}


@keras.saving.register_keras_serializable(package="edge_meta")
class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization of images whose training pass is TensorFlow's fused kernel.

    The same function as Keras's own, which composes it of single operations and takes three times as long on a CPU. The
    kernel has no second derivatives, nor those of its statistics; inside of `composed`, and in float64, it is left out.
    Keras would not do there: its variance holds the mean constant (tf.nn.moments), which the first derivative alone does not
    see.
    Statistics over several devices, and frozen ones, are Keras's.
    """

    fused = True

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if not training or not self.trainable or self.synchronized:
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if self.fused and self.compute_dtype != "float64":
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, gamma, beta, epsilon=self.epsilon)[:3]
            # The kernel gives the unbiased variance; Keras averages the biased one.
            values = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
            variance *= (values - 1.0) / values
        else:
            wide = tf.cast(inputs, gamma.dtype)
            mean = tf.reduce_mean(wide, axis=(0, 1, 2))
            variance = tf.reduce_mean((wide - mean) ** 2, axis=(0, 1, 2))
            outputs = tf.cast((wide - mean) * tf.math.rsqrt(variance + self.epsilon) * gamma + beta, inputs.dtype)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs


@contextmanager
def composed(encoder: keras.Model) -> Iterator[None]:
    """What is traced inside composes batch norm of single operations: with all derivatives, those of its statistics too."""
    norms = [layer for layer in encoder.layers if isinstance(layer, FusedBatchNormalization)]
    before = [norm.fused for norm in norms]
    for norm in norms:
        norm.fused = False
    try:
        yield
    finally:
        for norm, fused in zip(norms, before, strict=True):
            norm.fused = fused


def in_precision(encoder: keras.Model, policy: str) -> keras.Model:
    """A copy of an encoder that computes in another precision; the embedding stays float32.

    Args:
        policy: one of Keras's, such as BFLOAT16, which leaves the weights in float32.
    """
    return _copy(encoder, policy, {})


def for_device(encoder: keras.Model) -> keras.Model:
    """A copy in float32 of Keras's own layers alone, which any Keras reads: what a run keeps, and what is converted."""
    return _copy(encoder, FLOAT32, {FusedBatchNormalization: layers.BatchNormalization})


def mirrored(encoder: keras.Model) -> keras.Model:
    """Embeds each image and its mirror image, and puts the two side by side, (batch, 2 · dim).

    Squared distances are the means of the two views', so that a single network votes twice. The images go through it as one
    batch: the weights are there once, and a device takes them through the network in one pass.
    """
    dim = encoder.output_shape[-1]
    image = keras.Input(encoder.input_shape[1:], name="image")
    both = keras.ops.concatenate([image, keras.ops.flip(image, axis=2)], axis=0)
    views = keras.ops.transpose(keras.ops.reshape(encoder(both), (2, -1, dim)), (1, 0, 2))
    scaled = layers.Rescaling(2**-0.5, name="embedding")(keras.ops.reshape(views, (-1, 2 * dim)))
    return keras.Model(image, scaled, name=f"{encoder.name}_mirrored")


def _copy(encoder: keras.Model, policy: str, replaced: dict[type[keras.Layer], type[keras.Layer]]) -> keras.Model:
    """A copy for one device, with layers of other classes."""

    def changed(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config() | {"dtype": FLOAT32 if layer is encoder.layers[-1] else policy}
        if isinstance(layer, layers.BatchNormalization):
            config["synchronized"] = False
        return replaced.get(type(layer), type(layer)).from_config(config)

    copy = keras.models.clone_model(encoder, clone_function=changed)
    copy.set_weights(encoder.get_weights())
    return copy


def _convolution(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return _norm(f"{name}_norm")(x)


def _norm(name: str) -> keras.Layer:
    return FusedBatchNormalization(momentum=0.9, epsilon=1e-5, name=name)
