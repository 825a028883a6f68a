"""Prototypical networks (Snell, Swersky and Zemel 2017, "Prototypical Networks for Few-shot Learning").

Embed support and query examples. Average each class's support embeddings into its prototype (eq. 1). A query belongs to a
class with the softmax over negative squared Euclidean distances to the prototypes (eq. 2). Minimize the mean cross-entropy
of the queries.
"""

from __future__ import annotations

import tensorflow as tf

from edge_meta.training.method import Method
from edge_meta.training.tasks import accuracy, flatten_classes, mean_cross_entropy, truth_of


class ProtoNet(Method):
    """A prototypical network around an encoder. Batch norm takes its statistics from support and queries together."""

    def loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        way, shot = support.shape[:2]
        images = tf.concat([flatten_classes(support), flatten_classes(query)], axis=0)
        embeddings = self.encoder(images, training=True)
        prototypes = tf.reduce_mean(tf.reshape(embeddings[: way * shot], (way, shot, -1)), axis=1)
        logits = -squared_distances(embeddings[way * shot :], prototypes)
        truth = truth_of(query)
        return mean_cross_entropy(logits, truth), accuracy(logits, truth)


def squared_distances(embeddings: tf.Tensor, prototypes: tf.Tensor) -> tf.Tensor:
    """‖f(x) − c_k‖² of embeddings (M, D) to prototypes (N, D), as (M, N), by way of ‖x‖² − 2x·c + ‖c‖²."""
    norms = tf.reduce_sum(embeddings**2, axis=1)[:, None] + tf.reduce_sum(prototypes**2, axis=1)
    return norms - 2.0 * tf.matmul(embeddings, prototypes, transpose_b=True)
