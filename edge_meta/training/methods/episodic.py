"""The base class of methods whose loss is that of an episode's queries."""

from __future__ import annotations

from abc import abstractmethod

import tensorflow as tf

from edge_meta.training.methods.base import Method


class EpisodicMethod(Method):
    """A method with a loss over episodes, whose gradient the outer optimizer takes."""

    @abstractmethod
    def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss that the outer loop minimizes, and the accuracy on the queries: means over a step's tasks.

        Called inside a gradient tape, with batch norm in training mode.

        Args:
            support, query: as for `gradients`.

        Returns:
            Two float32 scalars.
        """

    def loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`batch_loss` of a single task: support and query (way, examples, height, width, channels)."""
        return self.batch_loss(support[None], query[None])

    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss, right = self.batch_loss(support, query)
        return loss, right, tape.gradient(loss, self.trainable_variables)
