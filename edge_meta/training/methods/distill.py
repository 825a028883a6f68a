"""Distillation: an encoder learns to give the embeddings of larger, trained networks (Romero et al. 2015, "FitNets").

The target is what the teachers say of an image, joined and centred: each value of a teacher divided by its standard
deviation, all of them projected to the encoder's dimension by principal components. Teacher and encoder see the same
random crops and colours ("consistent teaching", Beyer et al. 2022). Labels are not used.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_meta.datasets.base import Dataset
from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput, InputSpec
from edge_meta.training.encoder_copies import ends_in_unit_length
from edge_meta.training.episode_tensors import flatten_tasks
from edge_meta.training.methods.base import Method
from edge_meta.training.teachers import Teacher, require_colours

FITTED_ON = 4000  # images at most
BATCH = 50  # images
RIDGE = 1e-3  # of the values' mean variance


class Distill(Method):
    """Minimize 1 − cosine between the encoder's embedding and the teachers' target.

    Args:
        encoder, input_spec: see `Method`. The encoder ends in a linear layer and `UnitLength`.
        teachers: at least one.

    Raises:
        TrainingError: a teacher sees other channels than the encoder, the encoder ends otherwise, or the teachers have fewer
            values than its embedding.
    """

    def __init__(self, encoder: keras.Model, input_spec: InputSpec | None, teachers: Sequence[Teacher]) -> None:
        super().__init__(encoder, input_spec)
        if not isinstance(self.input_spec, ImageInput):
            raise TrainingError(f"{encoder.name} does not take images.", "Use another method: teachers see images.")
        require_colours(teachers, self.input_spec)
        self._images = self.input_spec
        self.teachers = tuple(teachers)
        joined, dim = sum(teacher.network.output_shape[-1] for teacher in teachers), encoder.output_shape[-1]
        if not ends_in_unit_length(encoder):
            raise TrainingError(
                f"{encoder.name} does not end in a linear layer and unit length.", "Use --encoder photo12, or --dim."
            )
        if joined < dim:
            raise TrainingError(
                f"The teachers have {joined} values, fewer than the embedding's {dim}.",
                "Add a --teacher, or use a larger one.",
            )
        self._centre = keras.Variable(tf.zeros(joined), trainable=False, name="centre")
        self._projection = keras.Variable(tf.zeros((joined, dim)), trainable=False, name="projection")

    @property
    def variables(self) -> list[keras.Variable]:
        return [*super().variables, self._centre, self._projection]

    def prepare(self, training: Dataset) -> None:
        """Fit the target's projection on training images, and start the last layer as the least-squares fit to it.

        An encoder that is nearer to the target as it is, such as one that was taught before, stays so.

        Raises:
            TrainingError: there are fewer images than values in an embedding.
        """
        dim = self._projection.shape[1]
        if len(training.examples) < dim:
            raise TrainingError(
                f"{training.name} has {len(training.examples)} training images, fewer than the embedding's {dim} values.",
                "Train on more images.",
            )
        chosen = np.random.default_rng(0).permutation(len(training.examples))[:FITTED_ON]
        batches = [training.examples[chosen[at : at + BATCH]].astype(np.float32) for at in range(0, len(chosen), BATCH)]
        joined = tf.function(self._joined)
        values = np.concatenate([joined(batch).numpy() for batch in batches]).astype(np.float64)
        centre = values.mean(axis=0)
        spread = values.std(axis=0) + 1e-6
        components = np.linalg.svd((values - centre) / spread, full_matrices=False)[2]
        projection = components[:dim].T / spread[:, None]
        self._centre.assign(centre)
        self._projection.assign(projection)
        self._fit_last_layer(batches, (values - centre) @ projection)

    def _fit_last_layer(self, batches: list[NDArray[np.float32]], targets: NDArray[np.float64]) -> None:
        last = self.encoder.get_layer("projection")
        below = keras.Model(self.encoder.input, last.input)
        spec = self._images
        features = np.concatenate([below((batch - spec.mean) * spec.scale, training=False).numpy() for batch in batches])
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean
        gram = centred.T @ centred
        ridge = RIDGE * np.trace(gram) / len(gram)
        weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), centred.T @ targets)
        kernel, bias = last.get_weights()
        if _mean_cosine(centred @ weights, targets) > _mean_cosine(features @ kernel + bias, targets):
            last.set_weights([weights.astype(np.float32), (-mean @ weights).astype(np.float32)])

    def _joined(self, pixels: tf.Tensor) -> tf.Tensor:
        return tf.concat([teacher.embed(pixels) for teacher in self.teachers], axis=-1)

    def _targets(self, pixels: tf.Tensor) -> tf.Tensor:
        return tf.math.l2_normalize((self._joined(pixels) - self._centre) @ self._projection, axis=-1)

    def targets_of(self, training: Dataset) -> tf.Tensor:
        """The teachers' answer to each training image, float32 (examples, dim): asked once, a step is twice as fast."""
        targets = tf.function(self._targets, reduce_retracing=True)
        images = training.examples
        return tf.concat(
            [targets(tf.constant(images[at : at + BATCH], tf.float32)) for at in range(0, len(images), BATCH)], axis=0
        )

    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor, *targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        images = flatten_tasks(tf.concat([support, query], axis=2))
        if targets:
            wanted = flatten_tasks(tf.concat(targets, axis=2))
        else:
            wanted = self._targets(images / self._images.scale + self._images.mean)
        with tf.GradientTape() as tape:
            embeddings = self.encoder(images, training=True)
            cosine = tf.reduce_mean(tf.reduce_sum(embeddings * wanted, axis=-1))
            loss = 1.0 - cosine
        return loss, cosine, tape.gradient(loss, self.trainable_variables)


def _mean_cosine(ours: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(targets, axis=1)
    return float(np.mean((ours * targets).sum(axis=1) / np.maximum(lengths, 1e-12)))
