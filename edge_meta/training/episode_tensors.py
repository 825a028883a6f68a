"""Tensors of episodes: their shapes, labels, loss and accuracy, for all methods."""

from __future__ import annotations

import tensorflow as tf


def flatten_tasks(examples: tf.Tensor) -> tf.Tensor:
    """(tasks, way, examples, height, width, channels) to (tasks · way · examples, height, width, channels)."""
    return tf.reshape(examples, (-1, *examples.shape[3:]))


def flatten_classes(examples: tf.Tensor) -> tf.Tensor:
    """(way, examples, ...) to (way · examples, ...)."""
    return tf.reshape(examples, (-1, *examples.shape[2:]))


def labels_of(examples: tf.Tensor) -> tf.Tensor:
    """The label, 0 to way − 1, of each of (way, examples, ...), in the order of `flatten_classes`; int32."""
    return tf.repeat(tf.range(examples.shape[0]), examples.shape[1])


def mean_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean softmax cross-entropy of logits (M, N) with labels (M,)."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The fraction of logits (M, N) that are largest at their label, of labels (M,)."""
    right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
    return tf.reduce_mean(tf.cast(right, tf.float32))
