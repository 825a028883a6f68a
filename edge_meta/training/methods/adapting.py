"""The base class of methods with an inner loop, which are judged after adapting to a task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property

import numpy as np
import tensorflow as tf

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.interval import Interval
from edge_meta.training.episode_tensors import accuracy, labels_of
from edge_meta.training.example_tensors import normalized
from edge_meta.training.methods.episodic import EpisodicMethod


class AdaptingMethod(EpisodicMethod):
    """A method that adapts to each task's support set."""

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
            float(self._traced_accuracy(images, tf.constant(episode.support), tf.constant(episode.query)))
            for episode in sampler.episodes(episodes)
        ]
        return Interval.of(np.array(values))

    @cached_property
    def _traced_accuracy(self) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
        # Traced once for all validations of a run: tracing the inner loop takes longer than an episode.
        traced: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor] = tf.function(self._accuracy)
        return traced

    def _accuracy(self, images: tf.Tensor, support: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """The accuracy of one episode, of all images and the indices (way, examples) of its support and query sets."""
        logits = self.logits(self._gather(images, support), self._gather(images, query))
        return accuracy(logits, labels_of(query))

    def _gather(self, images: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """Normalized images at indices."""
        return normalized(self.input_spec, tf.cast(tf.gather(images, indices), tf.float32))
