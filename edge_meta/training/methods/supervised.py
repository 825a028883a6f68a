"""Supervised pre-training on all base classes, the strong simple line: one linear classifier over every training class.

Judged by nearest prototypes, it is the baseline of SimpleShot (Wang et al. 2019, without its normalizations) and the first
stage of Meta-Baseline (Chen et al. 2021), whose second is episodic: a protonet run that starts from this one's encoder.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from edge_meta.inputs import ImageInput
from edge_meta.training.base import Method
from edge_meta.training.methods.maml import linear_start
from edge_meta.training.tasks import accuracy, flatten, mean_cross_entropy


class Supervised(Method):
    """Cross-entropy over all of the dataset's classes; an episode is merely a batch of images.

    Args:
        encoder, input_spec: see `Method`.
        classes: of the training data.
    """

    def __init__(self, encoder: keras.Model, input_spec: ImageInput | None = None, classes: int = 2) -> None:
        super().__init__(encoder, input_spec)
        self.head = linear_start(encoder.output_shape[-1], classes)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return [*self.encoder.trainable_variables, *self.head]

    def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        raise NotImplementedError("the classes' numbers are needed; see gradients")

    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        images = tf.concat([support, query], axis=2)
        truth = tf.repeat(tf.cast(tf.reshape(classes, [-1]), tf.int32), images.shape[2])
        with tf.GradientTape() as tape:
            embeddings = self.encoder(flatten(images), training=True)
            weights, bias = self.head
            logits = tf.matmul(embeddings, weights) + bias
            loss = mean_cross_entropy(logits, truth)
        return loss, accuracy(logits, truth), tape.gradient(loss, self.trainable_variables)
