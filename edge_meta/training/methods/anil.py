"""ANIL (Raghu et al. 2020, "Rapid learning or feature reuse?"): MAML whose inner loop moves the last layer alone.

The encoder embeds each image once, and the inner loops of all tasks are one batch of small matrix products.

Proto-ANIL, the head-only form of Proto-MAML (Triantafillou et al. 2020), starts the last layer from the task's prototypes.
Its inner loop is that of the device's `adapt`, and takes any number of classes.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from edge_meta.inputs import InputSpec
from edge_meta.training.episode_tensors import accuracy, flatten_tasks, labels_of, mean_cross_entropy
from edge_meta.training.inner_loop import InnerRates
from edge_meta.training.linear_head import head_steps, prototype_head, zero_head
from edge_meta.training.methods.adapting import AdaptingMethod


class ANIL(AdaptingMethod):
    """ANIL and, with `way` None, Proto-ANIL.

    In training, batch norm takes its statistics from the joint batch of all tasks; evaluation uses the frozen ones.

    Args:
        encoder, input_spec: see `Method`.
        way: of every episode; None starts the last layer from prototypes instead.
        steps: of the inner loop.
        learning_rate: of the inner loop; where rates are learned, their start.
        learn_rates: meta-learn a rate for each step.
    """

    def __init__(
        self,
        encoder: keras.Model,
        input_spec: InputSpec | None = None,
        way: int | None = 5,
        steps: int = 5,
        learning_rate: float = 0.1,
        learn_rates: bool = False,
    ) -> None:
        super().__init__(encoder, input_spec)
        self.way, self.steps = way, steps
        self.head = [] if way is None else zero_head(encoder.output_shape[-1], way)
        self.rates = InnerRates(learning_rate, steps, 1, learn_rates)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        return [*self.encoder.trainable_variables, *self.head, *self.rates.trainable_variables]

    def learning_rates(self) -> tuple[float, ...] | None:
        """Proto-ANIL's rates, one for each inner step, which fit the device's `adapt`; ANIL's start from another head."""
        return None if self.head else tuple(float(rate) for rate in self.rates.variable.numpy()[:, 0])

    def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self._adapted_logits(support, query, training=True)
        labels = tf.tile(labels_of(query[0]), [support.shape[0]])
        return mean_cross_entropy(logits, labels), accuracy(logits, labels)

    def logits(self, support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        return self._adapted_logits(support[None], query[None], training=False)

    def _adapted_logits(self, support: tf.Tensor, query: tf.Tensor, training: bool) -> tf.Tensor:
        """Logits (tasks · way · query, way) at the adapted heads."""
        tasks, way, shot = support.shape[:3]
        queries = query.shape[2]
        images = tf.concat([support, query], axis=2)
        embeddings = self.encoder(flatten_tasks(images), training=training)
        embeddings = tf.reshape(embeddings, (tasks, way, shot + queries, -1))
        known, asked = embeddings[:, :, :shot], embeddings[:, :, shot:]
        onehot = tf.tile(tf.repeat(tf.eye(way, dtype=embeddings.dtype), shot, axis=0)[None], (tasks, 1, 1))
        if self.head:
            weights, bias = (tf.repeat(tf.convert_to_tensor(start)[None], tasks, axis=0) for start in self.head)
        else:
            weights, bias = prototype_head(tf.reduce_mean(known, axis=2))
        rates = [tf.repeat(self.rates.at(step), 2) for step in range(self.steps)]
        weights, bias = head_steps(tf.reshape(known, (tasks, way * shot, -1)), onehot, weights, bias, rates)
        logits = tf.matmul(tf.reshape(asked, (tasks, way * queries, -1)), weights) + bias[:, None]
        return tf.reshape(logits, (-1, way))
