"""The base class of all methods: an encoder, its gradients, and Keras's compile, fit and evaluate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.interval import Interval
from edge_meta.inputs import ImageInput, InputSpec
from edge_meta.training import trainer
from edge_meta.training.embeddings import embed_images
from edge_meta.training.encoder_check import as_encoder
from edge_meta.training.progress import Progress
from edge_meta.training.run import RunFolder


class Method(ABC):
    """A way to train an encoder on episodes. A subclass is one module that owns its loss and its inner loop.

    Like a Keras model, a method trains on the devices of the `tf.distribute` strategy in whose scope it and its encoder
    were made. Each replica takes its share of a step's tasks; the gradient is the mean over replicas.

    Args:
        encoder: any Keras model from float32 (batch, height, width, channels) to embeddings (batch, dim); with `input_spec`,
            also from recordings (batch, samples) or series (batch, steps, channels).
        input_spec: how examples become what the encoder takes; by default that of uint8 images of its input shape.

    Raises:
        TrainingError: the model cannot be an encoder; see `as_encoder`.
    """

    joint_statistics = True
    """Batch norm takes its training statistics over all tasks of a step together, on whatever devices they are."""

    batch_norm = "support and query examples together"
    """The examples that batch norm takes its training statistics over, in words for people."""

    evaluation_batch_norm = "frozen batch-norm statistics"
    """The statistics of batch norm that `evaluate` uses, in words for people."""

    def __init__(self, encoder: keras.Model, input_spec: InputSpec | None = None) -> None:
        self.encoder = encoder = as_encoder(encoder, input_spec)
        self.strategy: tf.distribute.Strategy = tf.distribute.get_strategy()
        if self.joint_statistics and self.strategy.num_replicas_in_sync > 1:
            for layer in encoder.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True
        self.input_spec: InputSpec = input_spec or ImageInput.for_shape(encoder.input_shape[1:])
        self.optimizer: keras.optimizers.Optimizer | None = None

    def __repr__(self) -> str:
        encoder = self.encoder
        return f"<{type(self).__name__} of {encoder.name}: {self.input_spec} to {encoder.output_shape[-1]} values>"

    @abstractmethod
    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Loss, accuracy on the queries, and a gradient for each of `trainable_variables`: means over a step's tasks.

        Batch norm is in training mode.

        Args:
            support: float32 (tasks, way, shot, height, width, channels), normalized.
            query: float32 (tasks, way, query, height, width, channels), normalized.
            classes: int (tasks, way), the dataset's class behind each of an episode's.

        Returns:
            Two float32 scalars, and what the outer optimizer takes for the gradients.
        """

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The variables that the outer loop moves."""
        return list(self.encoder.trainable_variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables that a checkpoint of the method holds."""
        of_encoder = {id(variable) for variable in self.encoder.variables}
        return [*self.encoder.variables, *(each for each in self.trainable_variables if id(each) not in of_encoder)]

    def prepare(self, training: Dataset) -> None:  # noqa: B027  # most methods have nothing to prepare
        """Fit what the method needs to know of the training data; called once, at the start of a run."""

    def targets_of(self, training: Dataset) -> tf.Tensor | None:
        """A row (examples, ...) of each training image for `gradients` to take, where its targets never change.

        It is called once by each `fit` that does not distort images.
        """
        return None

    def learning_rates(self) -> tuple[float, ...] | None:
        """The learned rates that the device's `adapt` takes its steps with; None where the method learns none."""
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
        on_progress: Callable[[Progress], None] | None = None,
        augment: bool = False,
        tasks: int = 1,
        xla: bool = False,
        validations: int = 25,
        validation_episodes: int = 200,
        minutes: float | None = None,
    ) -> list[dict[str, Any]]:
        """Meta-train on the sampler's episodes 0 to `episodes` − 1; see `trainer.fit`.

        Args:
            validation: the episodes that `evaluate` judges the method on, at even intervals.
            run: the folder for checkpoints and the best encoder; a run that is there already goes on.
            on_progress: called after each step.
            augment: distort every training example by itself; see `example_tensors.distortion_of`.
            tasks: episodes in one step of the outer loop, the meta-batch; `episodes` is a multiple of it.
            xla: compile the step with XLA; on one device only.
            validations: intervals in a run; each ends with a validation and a checkpoint.
            validation_episodes: episodes in one validation.
            minutes: end after this time, with a validation and a checkpoint; on one host only.

        Returns:
            The history, a dict for each interval: "episode", "loss", "accuracy", "images_per_second", and with
            `validation` "val_accuracy" and "val_ci95".

        Raises:
            RuntimeError: `compile` was not called.
            TrainingError: see `trainer.fit`.
        """
        if self.optimizer is None:
            raise RuntimeError("call compile() before fit()")
        return trainer.fit(
            self, sampler, episodes, validation, run, on_progress,
            augment=augment, tasks=tasks, xla=xla, validations=validations, validation_episodes=validation_episodes,
            minutes=minutes,
        )  # fmt: skip

    def evaluate(self, sampler: EpisodeSampler, episodes: int = 1000) -> Interval:
        """Closed-set accuracy with prototypes and frozen batch-norm statistics, as an export classifies."""
        return Interval.of(accuracies(self.embed(sampler.dataset.examples), sampler, episodes))

    def embed(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of examples (n, ...); see `embed_images`."""
        return embed_images(self.encoder, self.input_spec, images)
