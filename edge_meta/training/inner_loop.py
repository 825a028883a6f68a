"""Inner loops: optimizers as pure functions, so that the outer loop can differentiate through their steps.

An optimizer here moves tensors, not variables: `update` returns new parameters and leaves the old ones as they were
(Grefenstette et al. 2019, "Generalized inner loop meta-learning").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

Tensors = list[tf.Tensor]


class InnerOptimizer(ABC):
    """A differentiable optimizer. Slots are its memory between steps, one entry for each parameter."""

    def slots(self, parameters: Sequence[tf.Tensor]) -> list[Any]:
        return [None] * len(parameters)

    @abstractmethod
    def direction(self, gradient: tf.Tensor, slot: Any, step: int) -> tuple[tf.Tensor, Any]:
        """What to subtract, times the learning rate, and the new slot; `step` counts from 0."""

    def update(
        self, parameters: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], slots: list[Any], step: int, rates: tf.Tensor
    ) -> tuple[Tensors, list[Any]]:
        """New parameters and slots; `rates` (parameters,) holds a learning rate for each."""
        moved, kept = [], []
        for index, (parameter, gradient, slot) in enumerate(zip(parameters, gradients, slots, strict=True)):
            direction, slot = self.direction(gradient, slot, step)
            moved.append(parameter - rates[index] * direction)
            kept.append(slot)
        return moved, kept


class SGD(InnerOptimizer):
    """θ' = θ − α g, as in Finn et al. 2017."""

    def direction(self, gradient: tf.Tensor, slot: Any, step: int) -> tuple[tf.Tensor, Any]:
        return gradient, None


class Momentum(InnerOptimizer):
    """θ' = θ − α v with v ← μ v + g."""

    def __init__(self, momentum: float = 0.9) -> None:
        self.momentum = momentum

    def slots(self, parameters: Sequence[tf.Tensor]) -> list[Any]:
        return [tf.zeros_like(parameter) for parameter in parameters]

    def direction(self, gradient: tf.Tensor, slot: Any, step: int) -> tuple[tf.Tensor, Any]:
        velocity = self.momentum * slot + gradient
        return velocity, velocity


class Adam(InnerOptimizer):
    """Adam (Kingma and Ba 2015, algorithm 1), its moments started anew for each task."""

    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7) -> None:
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slots(self, parameters: Sequence[tf.Tensor]) -> list[Any]:
        return [(tf.zeros_like(parameter), tf.zeros_like(parameter)) for parameter in parameters]

    def direction(self, gradient: tf.Tensor, slot: Any, step: int) -> tuple[tf.Tensor, Any]:
        first = self.beta_1 * slot[0] + (1.0 - self.beta_1) * gradient
        second = self.beta_2 * slot[1] + (1.0 - self.beta_2) * gradient**2
        unbiased = first / (1.0 - self.beta_1 ** (step + 1))
        # The derivative of a square root at 0 is infinite, and a dead unit's gradient is exactly 0: keep away from it.
        spread = tf.sqrt(tf.maximum(second / (1.0 - self.beta_2 ** (step + 1)), self.epsilon**2))
        return unbiased / (spread + self.epsilon), (first, second)


class Rates:
    """Inner learning rates, one for each step and parameter tensor; learned or not.

    Learned ones are those of MAML++ (Antoniou et al. 2019, section 4, per-layer per-step), of which a single step is
    Meta-SGD (Li et al. 2017) with a rate for each tensor in place of each weight.
    """

    def __init__(self, start: float, steps: int, parameters: int, learned: bool) -> None:
        dtype = keras.config.floatx()
        values = tf.fill((steps, parameters), tf.cast(start, dtype))
        self.variable = keras.Variable(values, trainable=learned, dtype=dtype, name="inner_rates")

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return [self.variable] if self.variable.trainable else []

    def at(self, step: int) -> tf.Tensor:
        """The rates (parameters,) of a step."""
        return tf.convert_to_tensor(self.variable)[step]


def head_steps(
    embeddings: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor, rates: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradient steps of linear heads on the mean cross-entropy of their support sets, for all tasks at once.

    The gradient is written out, Xᵀ (softmax(XW + b) − Y) / M, so that no inner tape is needed; it is the arithmetic of the
    runtime's `heads.linear_step`.

    Args:
        embeddings: (tasks, M, D).
        labels: one-hot (tasks, M, N).
        weights, bias: (tasks, D, N) and (tasks, N).
        rates: for each step a learning rate, (2,) for weights and bias.
    """
    examples = tf.cast(tf.shape(embeddings)[1], embeddings.dtype)
    for rate in rates:
        logits = tf.matmul(embeddings, weights) + bias[:, None]
        gradient = (tf.nn.softmax(logits) - labels) / examples
        weights = weights - rate[0] * tf.matmul(embeddings, gradient, transpose_a=True)
        bias = bias - rate[1] * tf.reduce_sum(gradient, axis=1)
    return weights, bias
