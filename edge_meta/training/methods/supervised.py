"""Supervised pre-training, a strong and simple baseline: one linear classifier over all training classes.

Judged by nearest prototypes, it is the baseline of SimpleShot (Wang et al. 2019, without its normalizations) and the first
stage of Meta-Baseline (Chen et al. 2021), whose second is episodic: a protonet run that starts from this one's encoder.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from edge_meta.inputs import InputSpec
from edge_meta.training.episode_tensors import accuracy, flatten_tasks, mean_cross_entropy
from edge_meta.training.linear_head import zero_head
from edge_meta.training.methods.base import Method


class Supervised(Method):
    """Cross-entropy over all of the dataset's classes; an episode is merely a batch of images.

    Args:
        encoder, input_spec: see `Method`.
        classes: of the training data.
    """

    def __init__(self, encoder: keras.Model, input_spec: InputSpec | None = None, classes: int = 2) -> None:
        super().__init__(encoder, input_spec)
        self.head = zero_head(encoder.output_shape[-1], classes)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return [*self.encoder.trainable_variables, *self.head]

    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        images = tf.concat([support, query], axis=2)
        labels = tf.repeat(tf.cast(tf.reshape(classes, [-1]), tf.int32), images.shape[2])
        with tf.GradientTape() as tape:
            embeddings = self.encoder(flatten_tasks(images), training=True)
            weights, bias = self.head
            logits = tf.matmul(embeddings, weights) + bias
            loss = mean_cross_entropy(logits, labels)
        return loss, accuracy(logits, labels), tape.gradient(loss, self.trainable_variables)
