"""Prototypical networks (Snell, Swersky and Zemel 2017, "Prototypical Networks for Few-shot Learning").

Embed support and query examples. Average each class's support embeddings into its prototype (eq. 1). A query belongs to a
class with the softmax over negative squared Euclidean distances to the prototypes (eq. 2). Minimize the mean cross-entropy
of the queries.
"""

from __future__ import annotations

import tensorflow as tf

from edge_meta.training.method import Method


class ProtoNet(Method):
    """A prototypical network around an encoder."""

    def loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        way, shot, queries = support.shape[0], support.shape[1], query.shape[1]
        images = tf.concat([flatten_classes(support), flatten_classes(query)], axis=0)
        embeddings = self.encoder(images, training=True)
        prototypes = tf.reduce_mean(tf.reshape(embeddings[: way * shot], (way, shot, -1)), axis=1)
        logits = -squared_distances(embeddings[way * shot :], prototypes)
        truth = tf.repeat(tf.range(way), queries)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits))
        hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), truth)
        return loss, tf.reduce_mean(tf.cast(hits, tf.float32))


def flatten_classes(examples: tf.Tensor) -> tf.Tensor:
    """(way, examples, ...) to (way · examples, ...)."""
    return tf.reshape(examples, (-1, *examples.shape[2:]))


def squared_distances(embeddings: tf.Tensor, prototypes: tf.Tensor) -> tf.Tensor:
    """‖f(x) − c_k‖² of embeddings (M, D) to prototypes (N, D), as (M, N), by way of ‖x‖² − 2x·c + ‖c‖²."""
    norms = tf.reduce_sum(embeddings**2, axis=1)[:, None] + tf.reduce_sum(prototypes**2, axis=1)
    return norms - 2.0 * tf.matmul(embeddings, prototypes, transpose_b=True)
