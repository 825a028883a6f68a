"""What every meta-learning method is: an encoder, a loss over one episode, and Keras's compile, fit and evaluate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.interval import Interval
from edge_meta.inputs import ImageInput
from edge_meta.training import trainer
from edge_meta.training.run import RunFolder
from edge_meta.training.tasks import accuracy, truth_of

EMBED_BATCH = 500


class Method(ABC):
    """A meta-learning method around an encoder. A subclass is one module that owns its loss and its inner loop.

    Like Keras's models, a method trains on the devices of the `tf.distribute` strategy in whose scope it and its encoder
    were made: each replica takes its share of a step's tasks, and gradients are their mean.

    Args:
        encoder: a Keras model from float32 (batch, height, width, channels) to embeddings (batch, dim).
        input_spec: how uint8 images become what the encoder takes; by default the one for the encoder's input shape.
    """

    joint_statistics = True
    """In training, batch norm takes its statistics over all tasks of a step together, on whatever devices they are."""

    batch_norm = "support and query examples together"
    """What the statistics of batch norm are taken over in training, for people to read."""

    def __init__(self, encoder: keras.Model, input_spec: ImageInput | None = None) -> None:
        self.encoder = encoder
        self.strategy = tf.distribute.get_strategy()
        if self.joint_statistics and self.strategy.num_replicas_in_sync > 1:
            for layer in encoder.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True
        self.input_spec = input_spec or ImageInput.for_shape(encoder.input_shape[1:])
        self.optimizer: keras.optimizers.Optimizer | None = None

    @abstractmethod
    def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss that the outer loop minimizes, and the accuracy on the queries: means over a step's tasks.

        Called inside a gradient tape, with batch normalization in training mode.

        Args:
            support: float32 (tasks, way, shot, height, width, channels), normalized.
            query: float32 (tasks, way, query, height, width, channels), normalized.

        Returns:
            Two float32 scalars.
        """

    def loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`batch_loss` of a single task."""
        return self.batch_loss(support[None], query[None])

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """What the outer loop moves."""
        return list(self.encoder.trainable_variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """All that a checkpoint of the method holds."""
        of_encoder = {id(variable) for variable in self.encoder.variables}
        return [*self.encoder.variables, *(each for each in self.trainable_variables if id(each) not in of_encoder)]

    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Loss, accuracy, and what the outer optimizer takes for the gradient of `trainable_variables`.

        Args:
            support, query: as for `batch_loss`.
            classes: (tasks, way), which of the dataset's classes an episode's are.
        """
        with tf.GradientTape() as tape:
            loss, right = self.batch_loss(support, query)
        return loss, right, tape.gradient(loss, self.trainable_variables)

    def learning_rates(self) -> tuple[float, ...] | None:
        """The learning rates that the runtime's `adapt` should take its steps with, where the method has learned them."""
        return None

    def compile(self, optimizer: keras.optimizers.Optimizer | None = None) -> None:
        """Set the outer loop's optimizer; Adam at 1e-3 unless given."""
        with self.strategy.scope():
            self.optimizer = optimizer or keras.optimizers.Adam(1e-3)

    def fit(
        self,
        sampler: EpisodeSampler,
        episodes: int,
        validation: EpisodeSampler | None = None,
        run: RunFolder | None = None,
        on_progress: Callable[[trainer.Progress], None] | None = None,
        augment: bool = False,
        tasks: int = 1,
        xla: bool = False,
    ) -> list[dict[str, Any]]:
        """Meta-train on the sampler's episodes; see `loop.fit`. Returns the history, a dict for each validation.

        Args:
            augment: distort every training image by itself; see `augment.distort`.
            tasks: episodes in one step of the outer loop, the meta-batch; `episodes` is a multiple of it.
            xla: compile the step with XLA; on one device only.
        """
        if self.optimizer is None:
            raise RuntimeError("call compile() before fit()")
        return trainer.fit(self, sampler, episodes, validation, run, on_progress, augment, tasks, xla)

    def evaluate(self, sampler: EpisodeSampler, episodes: int = 1000) -> Interval:
        """Closed-set accuracy with prototypes and frozen batch-norm statistics, which is what an export will do."""
        return Interval.of(accuracies(self.embed(sampler.dataset.examples), sampler, episodes))

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of uint8 images; see the function `embed`."""
        return embed(self.encoder, self.input_spec, images)


class AdaptingMethod(Method):
    """A method that adapts to each task's support set, and is judged by what it says after that."""

    way: int | None
    """The way that every episode must have; None for any."""

    @abstractmethod
    def logits(self, support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """Logits (way · query, way) of the queries of one task after adapting to its support set, at test time.

        Args:
            support, query: (way, examples, height, width, channels), normalized.
        """

    def evaluate(self, sampler: EpisodeSampler, episodes: int = 1000) -> Interval:
        """Closed-set accuracy after adapting to each episode's support set."""
        images = tf.constant(sampler.dataset.examples)
        values = [
            float(self._judge(images, tf.constant(episode.support), tf.constant(episode.query)))
            for episode in sampler.episodes(episodes)
        ]
        return Interval.of(np.array(values))

    @cached_property
    def _judge(self) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
        # Traced once for all validations of a run: tracing the inner loop takes longer than an episode.
        @tf.function
        def judge(images: tf.Tensor, support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
            logits = self.logits(self._gather(images, support), self._gather(images, query))
            return accuracy(logits, truth_of(query))

        return judge

    def _gather(self, images: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        return (tf.cast(tf.gather(images, indices), tf.float32) - self.input_spec.mean) * self.input_spec.scale


def embed(encoder: keras.Model, input_spec: ImageInput, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 images (n, height, width, channels) to embeddings (n, dim) in float32, with frozen batch-norm statistics."""
    batches = [
        encoder(input_spec.normalize(images[start : start + EMBED_BATCH]), training=False).numpy()
        for start in range(0, len(images), EMBED_BATCH)
    ]
    return np.concatenate(batches)
