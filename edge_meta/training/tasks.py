"""What all methods do with a task's tensors."""

from __future__ import annotations

import tensorflow as tf


def flatten_classes(examples: tf.Tensor) -> tf.Tensor:
    """(way, examples, ...) to (way · examples, ...)."""
    return tf.reshape(examples, (-1, *examples.shape[2:]))


def flatten(examples: tf.Tensor) -> tf.Tensor:
    """(tasks, way, examples, height, width, channels) to (tasks · way · examples, height, width, channels)."""
    return tf.reshape(examples, (-1, *examples.shape[3:]))


def truth_of(examples: tf.Tensor) -> tf.Tensor:
    """The class, 0 to way − 1, of each of (way, examples, ...), in the order of `flatten_classes`; int32."""
    return tf.repeat(tf.range(examples.shape[0]), examples.shape[1])


def mean_cross_entropy(logits: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """Mean softmax cross-entropy of logits (M, N) with classes (M,)."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits))


def accuracy(logits: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """The fraction of logits (M, N) whose largest is their class's."""
    right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), truth)
    return tf.reduce_mean(tf.cast(right, tf.float32))
