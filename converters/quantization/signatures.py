"""Functions of `encoder.tflite`: embed, and the heads for apps without NumPy.

All shapes are static and all inputs and outputs float32, so that one file runs in every LiteRT and TFLite runtime. D is the
embedding's dimension, N the most labels, M the most shots in a training step. The heads are functional, state goes in and
comes out, since a pip-installed runtime cannot run the ops that variables need.

A GPU runs all of them whole: it takes no LOG_SOFTMAX and no tensor of rank 0, so a scalar is a vector of one value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

FLOAT_MAX = tf.float32.max
# Far below any real logit, and finite, so that its product with a zero in a one-hot row is zero.
NO_LOGIT = -1e30


def frozen(encoder: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The encoder for one image (1, H, W, C), with its weights as constants.

    The conversion of a Keras model traced among other signatures loses its weights, without an error.
    """
    spec = tf.TensorSpec((1, *encoder.input_shape[1:]), tf.float32)
    traced = tf.function(lambda image: encoder(image, training=False)).get_concrete_function(spec)
    constant = convert_variables_to_constants_v2(traced)
    return lambda image: constant(image)[0]


def embed_signature(module: tf.Module, encoder: keras.Model) -> Any:
    """Add the function `embed` to a module; returns its concrete function."""
    embed = frozen(encoder)
    module.embed = tf.function(lambda image: {"embedding": embed(image)})
    return module.embed.get_concrete_function(image=_spec(1, *encoder.input_shape[1:]))


def signatures(encoder: keras.Model, max_classes: int, max_shots: int) -> tuple[tf.Module, dict[str, Any]]:
    """Trace all functions; returns the module that owns them, and concrete functions by signature name."""
    dim = encoder.output_shape[-1]
    n, m = max_classes, max_shots
    module = tf.Module()
    embed = embed_signature(module, encoder)
    module.enroll = tf.function(enroll)
    module.score = tf.function(score)
    module.train_step = tf.function(train_step)
    return module, {
        "embed": embed,
        "enroll": module.enroll.get_concrete_function(
            embedding=_spec(1, dim), onehot=_spec(n), prototypes=_spec(n, dim), counts=_spec(n)
        ),
        "score": module.score.get_concrete_function(
            embedding=_spec(1, dim), prototypes=_spec(n, dim), counts=_spec(n)
        ),
        "train_step": module.train_step.get_concrete_function(
            embeddings=_spec(m, dim), onehot=_spec(m, n), class_mask=_spec(n), W=_spec(dim, n), b=_spec(n),
            learning_rate=_spec(1),
        ),
    }  # fmt: skip


def _spec(*shape: int) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.float32)


def enroll(embedding: tf.Tensor, onehot: tf.Tensor, prototypes: tf.Tensor, counts: tf.Tensor) -> dict[str, tf.Tensor]:
    """Add a shot to the label that `onehot` marks: its prototype is the mean of its shots."""
    total = counts + onehot
    share = onehot / tf.maximum(total, 1.0)
    return {"prototypes": prototypes + tf.reshape(share, (-1, 1)) * (embedding - prototypes), "counts": total}


def score(embedding: tf.Tensor, prototypes: tf.Tensor, counts: tf.Tensor) -> dict[str, tf.Tensor]:
    """Compute squared distances to the prototypes and the softmax over their negatives; rows without shots get (max, 0)."""
    enrolled = counts > 0.0
    squared = tf.reduce_sum(tf.math.squared_difference(prototypes, embedding), axis=1)
    # Not tf.nn.softmax: its output range is known, so the converter would make it int8 without any calibration.
    probabilities = tf.exp(log_softmax(tf.where(enrolled, -squared, NO_LOGIT)))
    return {
        "distances": tf.reshape(tf.where(enrolled, squared, FLOAT_MAX), (1, -1)),
        "scores": tf.reshape(tf.where(enrolled, probabilities, 0.0), (1, -1)),
    }


def log_softmax(logits: tf.Tensor) -> tf.Tensor:
    """Compute log softmax over the last axis by operators that a GPU has."""
    shifted = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
    # Not minus the logarithm of the sum: the converter would make LOG_SOFTMAX of that.
    return shifted + tf.math.log(1.0 / tf.reduce_sum(tf.exp(shifted), axis=-1, keepdims=True))


def train_step(
    embeddings: tf.Tensor,
    onehot: tf.Tensor,
    class_mask: tf.Tensor,
    W: tf.Tensor,  # noqa: N803 - the signature's input names are the bundle format's
    b: tf.Tensor,
    learning_rate: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Take a gradient step of the linear head on the mean cross-entropy; the loss is the one before the step.

    Rows of `onehot` that are all zero are padding, and labels whose `class_mask` is zero take no part. The learning rate
    and the loss have the shape (1,).
    """
    # Not a choice between whole rows: LiteRT's GPU spreads a condition over rows wrongly.
    highest = tf.where(class_mask > 0.0, tf.fill(class_mask.shape, FLOAT_MAX), tf.fill(class_mask.shape, NO_LOGIT))
    logits = tf.minimum(tf.matmul(embeddings, W) + b, highest)
    shots = tf.reduce_sum(onehot, axis=1, keepdims=True)
    total = tf.maximum(tf.reduce_sum(shots, axis=0), 1.0)
    log_probabilities = log_softmax(logits)
    gradient = (tf.exp(log_probabilities) * shots - onehot) / total
    return {
        "W": W - learning_rate * tf.matmul(embeddings, gradient, transpose_a=True),
        "b": b - learning_rate * tf.reduce_sum(gradient, axis=0),
        "loss": -tf.reshape(tf.reduce_sum(onehot * log_probabilities, axis=(0, 1), keepdims=True), (1,)) / total,
    }


def signature_shapes(interpreter: Any) -> dict[str, Any]:
    """List the shapes of inputs and outputs: signature → `inputs` or `outputs` → name → shape."""
    described: dict[str, Any] = {}
    for name in sorted(interpreter.get_signature_list()):
        runner = interpreter.get_signature_runner(name)
        described[name] = {
            side: {key: [int(size) for size in value["shape"]] for key, value in sorted(details.items())}
            for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details()))
        }
    return described
