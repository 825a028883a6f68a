"""Reptile (Nichol, Achiam and Schulman 2018, "On first-order meta-learning algorithms").

From θ, a few gradient steps on a task's support set give θ_i'. The outer loop moves θ towards their mean: θ − mean θ_i'
stands in for the gradient, and the outer optimizer's learning rate is the paper's ε. Queries are only for the loss and
accuracy that are reported.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from edge_meta.inputs import InputSpec
from edge_meta.training.methods.maml import MAML


class Reptile(MAML):
    """Reptile over all of an encoder's layers and a linear last layer.

    Args:
        encoder, input_spec: see `Method`.
        way, steps, learning_rate, transductive: see `MAML`.
    """

    def __init__(
        self,
        encoder: keras.Model,
        input_spec: InputSpec | None = None,
        way: int = 5,
        steps: int = 5,
        learning_rate: float = 0.1,
        transductive: bool = False,
    ) -> None:
        super().__init__(encoder, input_spec, way, steps, learning_rate, first_order=True, transductive=transductive)

    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        adapted, logits = self.adapt_tasks(support, query)
        ends = zip(*(each.parameters for each in adapted), strict=True)
        directions = [
            variable - tf.reduce_mean(tf.stack(values), axis=0)
            for variable, values in zip(self.trainable_variables, ends, strict=True)
        ]
        return *self.loss_of(adapted, logits, query), directions
