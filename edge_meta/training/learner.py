"""The type of a method as the outer loop sees it."""

from __future__ import annotations

from typing import Protocol

import keras
import tensorflow as tf

from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.interval import Interval
from edge_meta.inputs import InputSpec


class Learner(Protocol):
    """All that the outer loop uses of a compiled method; `methods.base.Method` documents each."""

    @property
    def encoder(self) -> keras.Model: ...

    @property
    def input_spec(self) -> InputSpec: ...

    @property
    def strategy(self) -> tf.distribute.Strategy: ...

    @property
    def optimizer(self) -> keras.optimizers.Optimizer: ...

    @property
    def trainable_variables(self) -> list[keras.Variable]: ...

    @property
    def variables(self) -> list[keras.Variable]: ...

    def targets_of(self, training: Dataset) -> tf.Tensor | None: ...

    def gradients(
        self, support: tf.Tensor, query: tf.Tensor, classes: tf.Tensor, *targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]: ...

    def learning_rates(self) -> tuple[float, ...] | None: ...

    def evaluate(self, sampler: EpisodeSampler, episodes: int) -> Interval: ...
