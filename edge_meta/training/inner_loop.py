"""Inner loops: gradient steps as pure functions, so that the outer loop can differentiate through them.

A step here takes tensors and returns new ones; it changes no variable (Grefenstette et al. 2019, "Generalized inner loop
meta-learning").
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

Tensors = list[tf.Tensor]


def sgd_step(parameters: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], rates: tf.Tensor) -> Tensors:
    """θ' = θ − α g (Finn et al. 2017), with a learning rate for each parameter tensor: `rates` (parameters,)."""
    pairs = zip(parameters, gradients, strict=True)
    return [parameter - rates[index] * gradient for index, (parameter, gradient) in enumerate(pairs)]


class InnerRates:
    """Inner learning rates, one for each step and parameter tensor; learned or not.

    Learned ones are those of MAML++ (Antoniou et al. 2019, section 4, per-layer per-step). With a single step they are
    Meta-SGD (Li et al. 2017), but with a rate for each tensor in place of each weight.

    Args:
        start: all rates at first.
        steps: of the inner loop.
        parameters: the number of parameter tensors.
        learned: let the outer loop move them.
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
