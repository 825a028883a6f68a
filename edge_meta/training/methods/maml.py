"""MAML (Finn, Abbeel and Levine 2017, "Model-agnostic meta-learning for fast adaptation of deep networks").

From θ, a few gradient steps on a task's support set give θ_i'. The outer loop minimizes L(θ) = Σ L_i(θ_i'), the loss of each
task's *queries* at its adapted parameters. It moves the start θ, which the inner loop leaves as it is. Second order
differentiates through the inner steps; first order (FOMAML) takes the gradient at θ_i' as if it were one at θ.

Proto-MAML (Triantafillou et al. 2020, "Meta-Dataset") starts the last layer from the task's prototypes, W = 2c, b = −‖c‖²,
and so takes any number of classes; plain MAML learns a start for a fixed way.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import keras
import tensorflow as tf

from edge_meta.inputs import InputSpec
from edge_meta.training.batch_norm import composed
from edge_meta.training.episode_tensors import accuracy, flatten_classes, labels_of, mean_cross_entropy
from edge_meta.training.inner_loop import InnerRates, Tensors, sgd_step
from edge_meta.training.linear_head import prototype_head, zero_head
from edge_meta.training.methods.adapting import AdaptingMethod


class Adapted(NamedTuple):
    """The outcome of the inner loop of one task.

    Attributes:
        parameters: θ', the encoder's and then the head's weights and bias.
        statistics: the moving batch-norm statistics that the support set leaves behind at θ, as an export has them.
    """

    parameters: Tensors
    statistics: Tensors


class MAML(AdaptingMethod):
    """MAML over all of an encoder's layers and a linear last layer.

    Args:
        encoder, input_spec: see `Method`.
        way: of every episode; None starts the last layer from prototypes instead (Proto-MAML).
        steps: of the inner loop.
        learning_rate: of the inner loop; where rates are learned, their start.
        first_order: no gradient through the inner steps.
        learn_rates: meta-learn a rate for each tensor and step.
        transductive: normalize queries by the statistics of their own batch, as Finn et al. did; then a query's result
            depends on the other queries. Otherwise the statistics come from the support set, at the adapted parameters.
    """

    joint_statistics = False

    def __init__(
        self,
        encoder: keras.Model,
        input_spec: InputSpec | None = None,
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
        self.evaluation_batch_norm = f"batch-norm statistics of {self.batch_norm}"
        self.head = [] if way is None else zero_head(encoder.output_shape[-1], way)
        self.rates = InnerRates(learning_rate, steps, len(encoder.trainable_variables) + 2, learn_rates)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return [*self.encoder.trainable_variables, *self.head, *self.rates.trainable_variables]

    def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self.loss_of(*self.adapt_tasks(support, query), query)

    def logits(self, support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        state = self._moving_statistics()
        return self._logits_at(self._adapt(support, state).parameters, state, support, query)

    def adapt_tasks(self, support: tf.Tensor, query: tf.Tensor) -> tuple[list[Adapted], list[tf.Tensor]]:
        """Adapt to each task of a step, in training mode.

        Args:
            support, query: as for `gradients`.

        Returns:
            For each task the outcome of its inner loop, and the logits (way · query, way) of its queries.
        """
        state = self._moving_statistics()
        adapted, logits = [], []
        for task in range(support.shape[0]):
            adapted.append(self._adapt(support[task], state))
            logits.append(self._logits_at(adapted[-1].parameters, state, support[task], query[task]))
        return adapted, logits

    def loss_of(self, adapted: list[Adapted], logits: list[tf.Tensor], query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss and accuracy of the tasks' logits.

        The encoder's moving statistics become the mean of those that the tasks leave behind, on all devices.
        """
        here = [
            tf.reduce_mean(tf.stack(values), axis=0) for values in zip(*(each.statistics for each in adapted), strict=True)
        ]
        everywhere = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, here)
        for variable, value in zip(self.encoder.non_trainable_variables, everywhere, strict=True):
            variable.assign(value)
        every, labels = tf.concat(logits, axis=0), tf.tile(labels_of(query[0]), [len(logits)])
        return mean_cross_entropy(every, labels), accuracy(every, labels)

    def _moving_statistics(self) -> Tensors:
        """The moving batch-norm statistics, from which every task of a step starts."""
        return [tf.convert_to_tensor(variable) for variable in self.encoder.non_trainable_variables]

    def _adapt(self, support: tf.Tensor, state: Tensors) -> Adapted:
        """Run the inner loop on a support set (way, shot, height, width, channels)."""
        examples, labels = flatten_classes(support), labels_of(support)
        at_start = state
        parameters = [tf.convert_to_tensor(variable) for variable in self.encoder.trainable_variables]
        parameters += self._head_start(support, state)
        for step in range(self.steps):
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                logits, after = self._forward(parameters, state, examples, training=True)
                loss = mean_cross_entropy(logits, labels)
            if step == 0:
                at_start = after
            gradients = tape.gradient(loss, parameters)
            if self.first_order:
                gradients = [tf.stop_gradient(gradient) for gradient in gradients]
            parameters = sgd_step(parameters, gradients, self.rates.at(step))
        return Adapted(parameters, at_start)

    def _logits_at(self, parameters: Tensors, state: Tensors, support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """Logits (way · query, way) of a task's queries at its adapted parameters."""
        queries = flatten_classes(query)
        if self.transductive:
            return self._forward(parameters, state, queries, training=True)[0]
        statistics = self._statistics(parameters, flatten_classes(support))
        return self._forward(parameters, statistics, queries, training=False)[0]

    def _head_start(self, support: tf.Tensor, state: Tensors) -> Tensors:
        """Weights and bias of the last layer, learned or of the task's prototypes."""
        if self.head:
            return [tf.convert_to_tensor(variable) for variable in self.head]
        parameters = list(self.encoder.trainable_variables)
        embeddings, _ = self._embed(parameters, state, flatten_classes(support), training=True)
        return prototype_head(tf.reduce_mean(tf.reshape(embeddings, (*support.shape[:2], -1)), axis=1))

    def _forward(self, parameters: Tensors, state: Tensors, images: tf.Tensor, training: bool) -> tuple[tf.Tensor, Tensors]:
        """Logits (batch, way) of images at parameters, and the moving statistics after them."""
        *layers, weights, bias = parameters
        embeddings, state = self._embed(layers, state, images, training)
        return tf.matmul(embeddings, weights) + bias, state

    def _embed(self, layers: Tensors, state: Tensors, images: tf.Tensor, training: bool) -> tuple[tf.Tensor, Tensors]:
        """Embeddings (batch, dim) of images at the encoder's parameters, and the moving statistics after them."""
        with nullcontext() if self.first_order else composed(self.encoder):
            embeddings, after = self.encoder.stateless_call(layers, state, images, training=training)
        return embeddings, after

    def _statistics(self, parameters: Tensors, images: tf.Tensor) -> Tensors:
        """The batch-norm statistics of images alone at these parameters; derivatives go through them.

        From a start at zero, moving averages with momentum m are left at (1 − m)·s, where s are the batch's statistics.
        """
        zeros = [tf.zeros_like(variable) for variable in self.encoder.non_trainable_variables]
        with composed(self.encoder):
            _, after = self.encoder.stateless_call(parameters[:-2], zeros, images, training=True)
        norms = [layer for layer in self.encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]
        momenta = [norm.momentum for norm in norms for _ in ("mean", "variance")]
        return [a / (1.0 - m) for a, m in zip(after, momenta, strict=True)]
