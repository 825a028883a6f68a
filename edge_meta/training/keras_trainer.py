"""Keras's habits around a method: compile, fit with epochs and callbacks, evaluate, predict, save, summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.log import LOG
from edge_meta.training.encoder_copies import for_device
from edge_meta.training.methods.base import Method
from edge_meta.training.step import require_step, train_step


class Trainer(keras.Model):  # type: ignore[misc]  # Keras is not typed
    """A Keras model that trains by a method, so that Keras's own callbacks work on it.

    A step is one step of the outer loop, an epoch so many of them. Weights are those of the method: the encoder's, and what
    else it learns.

    Args:
        method: such as `ProtoNet(encoder)`.
    """

    def __init__(self, method: Method) -> None:
        super().__init__(name=f"{method.encoder.name}_trainer")
        self.encoder = method.encoder
        of_encoder = {id(variable) for variable in method.encoder.variables}
        self.learned_besides = [each for each in method.variables if id(each) not in of_encoder]
        self.method = method
        self.built = True

    def call(self, images: Any, training: bool = False) -> Any:
        """Embed normalized images, float32 (batch, height, width, channels)."""
        return self.encoder(images, training=training)

    def compile(self, optimizer: keras.optimizers.Optimizer | str | None = None) -> None:
        """Set the outer loop's optimizer, by name or as an object; Adam at 1e-3 unless given."""
        super().compile(optimizer=keras.optimizers.Adam(1e-3) if optimizer is None else optimizer)
        self.method.compile(self.optimizer)
        with self.method.strategy.scope():
            self.optimizer.build(self.method.trainable_variables)

    def fit(
        self,
        train: EpisodeSampler,
        epochs: int = 1,
        steps_per_epoch: int = 100,
        validation_data: EpisodeSampler | None = None,
        validation_steps: int = 200,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        verbose: int = 1,
        initial_epoch: int = 0,
        tasks: int = 1,
        augment: bool = False,
    ) -> keras.callbacks.History:
        """Train on the sampler's episodes in their order.

        Args:
            validation_data: the episodes that `evaluate` judges the method on, after each epoch.
            validation_steps: episodes in one validation.
            callbacks: Keras's. They see `loss` and `accuracy`, and with validation data `val_accuracy` and `val_ci95`.
            verbose: 0 silent, 1 a bar, 2 a line an epoch.
            initial_epoch: to go on from, with the episodes that follow.
            tasks: episodes in a step.
            augment: distort every training image by itself.

        Returns:
            The history, whose `history` holds a list of values by name, one an epoch.

        Raises:
            RuntimeError: `compile` was not called.
            TrainingError: the step cannot be run (see `require_step`).
        """
        if self.method.optimizer is None:
            raise RuntimeError("call compile() before fit()")
        require_step(self.method.strategy, tasks, tasks, xla=False)
        step = train_step(self.method, train, augment)
        listed = keras.callbacks.CallbackList(
            callbacks, add_history=True, add_progbar=verbose != 0, model=self,
            verbose=verbose, epochs=epochs, steps=steps_per_epoch,
        )  # fmt: skip
        self.stop_training = False
        logs: dict[str, float] = {}
        listed.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            listed.on_epoch_begin(epoch)
            results = []
            for index in range(steps_per_epoch):
                listed.on_train_batch_begin(index)
                first = (epoch * steps_per_epoch + index) * tasks
                results.append(step([train.episode(first + task) for task in range(tasks)], first))
                logs = _means(results)
                listed.on_train_batch_end(index, logs)
                if self.stop_training:
                    break
            if validation_data is not None:
                judged = self.evaluate(validation_data, validation_steps)
                logs |= {f"val_{name}": value for name, value in judged.items()}
            LOG.info("epoch %d of %d: %s", epoch + 1, epochs, logs)
            listed.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        listed.on_train_end(logs)
        return self.history

    def evaluate(self, data: EpisodeSampler, steps: int = 1000) -> dict[str, float]:
        """Judge the method on that many episodes; see `Method.evaluate`.

        Returns:
            `accuracy`, a share, and `ci95`, the half width of its 95 % interval.
        """
        judged = self.method.evaluate(data, steps)
        return {"accuracy": judged.mean, "ci95": judged.ci95}

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed images, uint8 (n, height, width, channels), as float32 (n, dim)."""
        return self.method.embed(images)

    def save(self, path: str | Path) -> None:
        """Write the encoder to a `.keras` file, which `edge-meta export` takes."""
        for_device(self.encoder).save(path)

    def summary(self, **how: Any) -> None:
        """Print the encoder's layers; see `keras.Model.summary`."""
        self.encoder.summary(**how)


def _means(results: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The mean loss and accuracy of an epoch so far."""
    losses, accuracies = zip(*results, strict=True)
    return {"loss": fmean(losses), "accuracy": fmean(accuracies)}
