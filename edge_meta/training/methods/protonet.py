"""Prototypical networks (Snell, Swersky and Zemel 2017, "Prototypical Networks for Few-shot Learning").

Embed support and query examples. Average each class's support embeddings into its prototype (eq. 1). A query belongs to a
class with the softmax over negative squared Euclidean distances to the prototypes (eq. 2), which is that of a linear layer
made of the prototypes (eq. 8). Minimize the mean cross-entropy of the queries.
"""

from __future__ import annotations

import tensorflow as tf

from edge_meta.training.episode_tensors import accuracy, flatten_tasks, labels_of, mean_cross_entropy
from edge_meta.training.methods.episodic import EpisodicMethod


class ProtoNet(EpisodicMethod):
    """A prototypical network around an encoder. Batch norm takes its statistics from support and queries together."""

    def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        tasks, way, shot = support.shape[:3]
        images = tf.concat([flatten_tasks(support), flatten_tasks(query)], axis=0)
        embeddings = self.encoder(images, training=True)
        known, asked = embeddings[: tasks * way * shot], embeddings[tasks * way * shot :]
        prototypes = tf.reduce_mean(tf.reshape(known, (tasks, way, shot, -1)), axis=2)
        logits = linear_logits(tf.reshape(asked, (tasks, way * query.shape[2], -1)), prototypes)
        logits, labels = tf.reshape(logits, (-1, way)), tf.tile(labels_of(query[0]), [tasks])
        return mean_cross_entropy(logits, labels), accuracy(logits, labels)


def linear_logits(embeddings: tf.Tensor, prototypes: tf.Tensor) -> tf.Tensor:
    """The linear form of the head (eq. 8): logits (tasks, M, N) of embeddings (tasks, M, D) and prototypes (tasks, N, D).

    They are 2c·x − ‖c‖². That is −‖x − c‖² plus ‖x‖², which is the same for all classes and leaves the softmax as it is.
    """
    return 2.0 * tf.matmul(embeddings, prototypes, transpose_b=True) - tf.reduce_sum(prototypes**2, axis=2)[:, None]
