"""Reptile (Nichol, Achiam and Schulman 2018, "On first-order meta-learning algorithms").

From θ, a few gradient steps on a task's support set give θ_i'. The outer loop moves θ towards their mean: θ − mean θ_i'
stands in for the gradient, and the outer optimizer's learning rate is the paper's ε. Queries only show how well that goes.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from edge_meta.inputs import ImageInput
from edge_meta.training.methods.maml import MAML


class Reptile(MAML):
    """Reptile over all of an encoder's layers and a linear last layer; the settings are those of first-order MAML."""

    def __init__(self, encoder: keras.Model, input_spec: ImageInput | None = None, way: int = 5, **settings: Any) -> None:
        super().__init__(encoder, input_spec, way, first_order=True, **settings)

    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        state = self._state()
        logits, left, ends = [], [], []
        for task in range(support.shape[0]):
            adapted, after = self._adapt(support[task], state)
            logits.append(self._logits_at(adapted, state, support[task], query[task]))
            ends.append(adapted)
            left.append(after)
        directions = [
            variable - tf.reduce_mean(tf.stack(values), axis=0)
            for variable, values in zip(self.trainable_variables, zip(*ends, strict=True), strict=True)
        ]
        return *self._judged(logits, left, query), directions
