"""Neighbourhood components analysis (Goldberger et al. 2004) of an episode's embeddings, as Laenen and Bertinetto 2021, "On
episodes, prototypical networks, and few-shot learning", train encoders by it.

A prototypical network compares queries with prototypes, and so learns from few of an episode's pairs. Here every example, of
support and queries alike, looks for its own class among all others: it picks neighbour j with the softmax over negative
squared Euclidean distances, and the loss is the mean of −log P(the neighbour is of its class). More is learned
from the same images; on the device, prototypes classify as before.
"""

from __future__ import annotations

import tensorflow as tf

from edge_meta.training.episode_tensors import accuracy, flatten_tasks, labels_of
from edge_meta.training.methods.protonet import ProtoNet, linear_logits

NEVER = -1e9  # a logit whose softmax is zero


class NCA(ProtoNet):
    """A prototypical network that learns from all pairs of an episode; the accuracy it reports is that by prototypes."""

    def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        tasks, way, shot = support.shape[:3]
        examples = tf.concat([support, query], axis=2)
        embeddings = tf.reshape(self.encoder(flatten_tasks(examples), training=True), (tasks, way, examples.shape[2], -1))
        known, asked = embeddings[:, :, :shot], embeddings[:, :, shot:]
        logits = linear_logits(tf.reshape(asked, (tasks, way * query.shape[2], -1)), tf.reduce_mean(known, axis=2))
        right = accuracy(tf.reshape(logits, (-1, way)), tf.tile(labels_of(query[0]), [tasks]))
        every = tf.reshape(embeddings, (tasks, way * examples.shape[2], -1))
        return neighbour_loss(every, labels_of(examples[0])), right


def neighbour_loss(embeddings: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean over the examples i of −log (Σ exp −‖x_i − x_j‖² over j ≠ i of its class / the same sum over all j ≠ i).

    Args:
        embeddings: (tasks, M, D).
        labels: int (M,), the class of each, the same in all tasks; each class has two or more.
    """
    logits = linear_logits(embeddings, embeddings)
    others = tf.where(tf.eye(labels.shape[0], dtype=tf.bool), tf.cast(NEVER, logits.dtype), logits)
    own = tf.where(labels[:, None] == labels[None, :], others, tf.cast(NEVER, logits.dtype))
    return tf.reduce_mean(tf.reduce_logsumexp(others, axis=-1) - tf.reduce_logsumexp(own, axis=-1))
