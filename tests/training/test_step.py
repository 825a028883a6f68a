"""A step of the outer loop: the optimizer on the mean gradient of its tasks, with XLA or without."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.training import (
    new_learner,
    seeded_encoder,
)

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.training import ProtoNet
from edge_meta.training.encoders import resnet7
from edge_meta.training.progress import Progress
from edge_meta.training.step import train_step

pytestmark = pytest.mark.usefixtures("op_determinism")


def test_a_step_applies_the_gradient_of_the_normalized_episode(train: EpisodeSampler) -> None:
    fitted, by_hand = ProtoNet(seeded_encoder()), ProtoNet(seeded_encoder())
    fitted.compile(keras.optimizers.SGD(0.5))
    fitted.fit(train, 1)
    episode, pixels = train.episode(0), train.dataset.examples
    with tf.GradientTape() as tape:
        loss, _ = by_hand.loss(*(1.0 - tf.constant(pixels[i], tf.float32) / 255.0 for i in (episode.support, episode.query)))
    gradients = tape.gradient(loss, by_hand.encoder.trainable_variables)
    for after, before, gradient in zip(
        fitted.encoder.trainable_variables, by_hand.encoder.trainable_variables, gradients, strict=True
    ):
        np.testing.assert_allclose(after.numpy(), before.numpy() - 0.5 * gradient, atol=1e-5)
        if after.name == "kernel":
            assert not np.allclose(after.numpy(), before.numpy(), atol=1e-3)


def test_a_step_has_the_mean_loss_of_its_tasks(train: EpisodeSampler) -> None:
    seen: list[Progress] = []
    history = new_learner().fit(train, 6, on_progress=seen.append, tasks=3)
    assert [progress.episode for progress in seen] == [3, 6]
    assert [row["episode"] for row in history] == [3, 6]
    stacked = (np.stack([getattr(train.episode(index), side) for index in range(3)]) for side in ("support", "query"))
    images = (1.0 - tf.constant(train.dataset.examples[indices], tf.float32) / 255.0 for indices in stacked)
    assert history[0]["loss"] == pytest.approx(float(new_learner().batch_loss(*images)[0]), rel=1e-4)


def test_episodes_that_do_not_fill_the_last_step_are_refused(train: EpisodeSampler) -> None:
    with pytest.raises(TrainingError, match="10 episodes are not a multiple of 3 tasks"):
        new_learner().fit(train, 10, tasks=3)


def test_a_step_compiled_by_xla_is_the_same_step(train: EpisodeSampler) -> None:
    def losses(xla: bool) -> list[float]:
        keras.utils.set_random_seed(0)
        learner = ProtoNet(resnet7((16, 16, 1), filters=(4, 4, 8)))
        learner.compile(keras.optimizers.SGD(0.01))
        return [row["loss"] for row in learner.fit(train, 8, tasks=2, xla=xla)]

    plain = losses(xla=False)
    assert np.ptp(plain) > 0.01
    np.testing.assert_allclose(losses(xla=True), plain, rtol=1e-4)


def test_xla_compiles_the_step_when_asked(train: EpisodeSampler, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    function = tf.function

    def watched(*arguments: Any, jit_compile: bool = False, **options: Any) -> Any:
        asked.append(jit_compile)
        return function(*arguments, jit_compile=False, **options)

    monkeypatch.setattr(tf, "function", watched)
    for xla in (False, True):
        train_step(new_learner(), train, False, xla)
    assert asked == [False, True]
