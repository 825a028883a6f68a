"""MAML (Finn, Abbeel and Levine 2017, "Model-agnostic meta-learning for fast adaptation of deep networks").

From θ, a few gradient steps on a task's support set give θ_i'. The outer loop minimizes L(θ) = Σ L_i(θ_i'), the loss of each
task's *queries* at its adapted parameters, with respect to the start θ, which the inner loop leaves as it is. Second order
differentiates through the inner steps; first order (FOMAML) takes the gradient at θ_i' as if it were one at θ.

Proto-MAML (Triantafillou et al. 2020, "Meta-Dataset") starts the last layer from the task's prototypes, W = 2c, b = −‖c‖²,
and so takes any number of classes; plain MAML learns a start for a fixed way.
"""

from __future__ import annotations

from contextlib import nullcontext

import keras
import tensorflow as tf

from edge_meta.inputs import ImageInput
from edge_meta.training.base import AdaptingMethod
from edge_meta.training.encoders import composed
from edge_meta.training.inner_loop import InnerRates, Tensors, sgd_step
from edge_meta.training.tasks import accuracy, flatten_classes, mean_cross_entropy, truth_of


class MAML(AdaptingMethod):
    """MAML over all of an encoder's layers and a linear last layer.

    Args:
        encoder, input_spec: see `Method`.
        way: of every episode; None starts the last layer from prototypes instead (Proto-MAML).
        steps: of the inner loop.
        learning_rate: of the inner loop; the start of it where it is learned.
        first_order: no gradient through the inner steps.
        learn_rates: meta-learn a rate for each tensor and step.
        transductive: normalize queries by their own batch's statistics, as Finn et al. did, so that queries tell of each
            other. Otherwise the statistics come from the support set, at the adapted parameters.
    """

    joint_statistics = False

    def __init__(
        self,
        encoder: keras.Model,
        input_spec: ImageInput | None = None,
        way: int | None = 5,
        steps: int = 5,
        learning_rate: float = 0.1,
        first_order: bool = False,
        learn_rates: bool = False,
        transductive: bool = False,
    ) -> None:
        super().__init__(encoder, input_spec)
        self.way, self.steps, self.first_order, self.transductive = way, steps, first_order, transductive
        self.batch_norm = "the queries" if transductive else "the support set"
        self.head = [] if way is None else linear_start(encoder.output_shape[-1], way)
        self.rates = InnerRates(learning_rate, steps, len(encoder.trainable_variables) + 2, learn_rates)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return [*self.encoder.trainable_variables, *self.head, *self.rates.trainable_variables]

    def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        state = self._state()
        logits, left = [], []
        for task in range(support.shape[0]):
            adapted, after = self._adapt(support[task], state)
            logits.append(self._logits_at(adapted, state, support[task], query[task]))
            left.append(after)
        return self._judged(logits, left, query)

    def logits(self, support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        state = self._state()
        return self._logits_at(self._adapt(support, state)[0], state, support, query)

    def _state(self) -> Tensors:
        """The moving batch-norm statistics, from which every task of a step starts."""
        return [tf.convert_to_tensor(variable) for variable in self.encoder.non_trainable_variables]

    def _judged(self, logits: list[tf.Tensor], left: list[Tensors], query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss and accuracy of the tasks' logits; keeps the mean of the statistics that all devices' tasks leave behind."""
        here = [tf.reduce_mean(tf.stack(values), axis=0) for values in zip(*left, strict=True)]
        everywhere = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, here)
        for variable, value in zip(self.encoder.non_trainable_variables, everywhere, strict=True):
            variable.assign(value)
        every, truth = tf.concat(logits, axis=0), tf.tile(truth_of(query[0]), [len(logits)])
        return mean_cross_entropy(every, truth), accuracy(every, truth)

    def _adapt(self, support: tf.Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """θ', the encoder's parameters and the head's after the inner loop; and the moving statistics that the support set
        leaves behind at θ, which is what an export has."""
        examples, truth = flatten_classes(support), truth_of(support)
        at_start = state
        parameters = [tf.convert_to_tensor(variable) for variable in self.encoder.trainable_variables]
        parameters += self._head_start(support, state)
        for step in range(self.steps):
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                logits, after = self._forward(parameters, state, examples, training=True)
                loss = mean_cross_entropy(logits, truth)
            if step == 0:
                at_start = after
            gradients = tape.gradient(loss, parameters)
            if self.first_order:
                gradients = [tf.stop_gradient(gradient) for gradient in gradients]
            parameters = sgd_step(parameters, gradients, self.rates.at(step))
        return parameters, at_start

    def _logits_at(self, parameters: Tensors, state: Tensors, support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        queries = flatten_classes(query)
        if self.transductive:
            return self._forward(parameters, state, queries, training=True)[0]
        statistics = self._statistics(parameters, flatten_classes(support))
        return self._forward(parameters, statistics, queries, training=False)[0]

    def _head_start(self, support: tf.Tensor, state: Tensors) -> Tensors:
        if self.head:
            return [tf.convert_to_tensor(variable) for variable in self.head]
        parameters = list(self.encoder.trainable_variables)
        embeddings, _ = self._embed(parameters, state, flatten_classes(support), training=True)
        prototypes = tf.reduce_mean(tf.reshape(embeddings, (*support.shape[:2], -1)), axis=1)
        return [2.0 * tf.transpose(prototypes), -tf.reduce_sum(prototypes**2, axis=1)]

    def _forward(self, parameters: Tensors, state: Tensors, images: tf.Tensor, training: bool) -> tuple[tf.Tensor, Tensors]:
        *layers, weights, bias = parameters
        embeddings, state = self._embed(layers, state, images, training)
        return tf.matmul(embeddings, weights) + bias, state

    def _embed(self, layers: Tensors, state: Tensors, images: tf.Tensor, training: bool) -> tuple[tf.Tensor, Tensors]:
        with nullcontext() if self.first_order else composed(self.encoder):
            return self.encoder.stateless_call(layers, state, images, training=training)

    def _statistics(self, parameters: Tensors, images: tf.Tensor) -> Tensors:
        """The images' own statistics at these parameters, which derivatives go through: what moving averages m·0 + (1 − m)·s
        of a start at zero are left at, over 1 − m."""
        zeros = [tf.zeros_like(variable) for variable in self.encoder.non_trainable_variables]
        with composed(self.encoder):
            _, after = self.encoder.stateless_call(parameters[:-2], zeros, images, training=True)
        norms = [layer for layer in self.encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]
        momenta = [norm.momentum for norm in norms for _ in ("mean", "variance")]
        return [a / (1.0 - m) for a, m in zip(after, momenta, strict=True)]


def linear_start(dim: int, way: int) -> list[keras.Variable]:
    """A learned start (weights (dim, way), bias (way,)) of the last layer: zero, so that no class is preferred."""
    dtype = keras.config.floatx()
    return [
        keras.Variable(tf.zeros((dim, way), dtype), dtype=dtype, name="head_weights"),
        keras.Variable(tf.zeros(way, dtype), dtype=dtype, name="head_bias"),
    ]
