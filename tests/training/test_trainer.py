"""The outer loop: it learns, judges with frozen statistics, and says how far it is."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.training import (
    EPISODES,
    EVERY_FOUR,
    equal,
    new_learner,
    seeded_encoder,
    stopping_at,
    weights,
)
from support.workstation import synthetic, tiny_encoder

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.training import ProtoNet
from edge_meta.training.embeddings import embed_images
from edge_meta.training.progress import Meter, Progress
from edge_meta.training.run import RunFolder

pytestmark = pytest.mark.usefixtures("op_determinism")


def test_fit_lowers_the_loss_and_raises_validation_accuracy(train: EpisodeSampler, val: EpisodeSampler) -> None:
    learner = ProtoNet(tiny_encoder(0))
    learner.compile(keras.optimizers.Adam(0.01))
    before = learner.evaluate(val, 200)
    history = learner.fit(train, 100, val)
    assert [row["episode"] for row in history] == list(range(4, 101, 4))
    assert np.mean([row["loss"] for row in history[-5:]]) < 0.6 * np.mean([row["loss"] for row in history[:5]])
    assert history[-1]["val_accuracy"] > before.mean + 0.05
    assert history[-1]["val_accuracy"] == learner.evaluate(val, 200).mean


def test_fit_before_compile_is_a_runtime_error(train: EpisodeSampler) -> None:
    with pytest.raises(RuntimeError, match="compile"):
        ProtoNet(seeded_encoder()).fit(train, 1)


def test_compile_without_an_optimizer_is_adam() -> None:
    learner = ProtoNet(seeded_encoder())
    learner.compile()
    assert isinstance(learner.optimizer, keras.optimizers.Adam)
    assert float(learner.optimizer.learning_rate) == pytest.approx(1e-3)


def test_evaluate_uses_frozen_statistics_and_leaves_them(train: EpisodeSampler, val: EpisodeSampler) -> None:
    fitted = new_learner()
    fitted.fit(train, 3)
    before = weights(fitted)
    judged = fitted.evaluate(val, 30)
    assert equal(weights(fitted), before)
    images = val.dataset.examples
    embeddings = fitted.encoder(1.0 - images.astype(np.float32) / 255.0, training=False).numpy()
    assert judged.mean == pytest.approx(accuracies(embeddings, val, 30).mean())
    # With statistics of the batch, an image's embedding would depend on its company.
    assert np.allclose(fitted.embed(images[:1]), embeddings[:1], atol=1e-5)


def test_embedding_in_batches_keeps_every_image_in_its_place() -> None:
    learner, images = ProtoNet(seeded_encoder()), synthetic(5, 5).examples
    whole = learner.embed(images)
    assert whole.shape == (25, 36)
    assert np.allclose(embed_images(learner.encoder, learner.input_spec, images, batch=7), whole, atol=1e-5)


def test_progress_gives_the_episode_the_speed_and_the_time_left(train: EpisodeSampler, val: EpisodeSampler) -> None:
    seen: list[Progress] = []
    new_learner().fit(train, EPISODES, val, on_progress=seen.append, **EVERY_FOUR)
    assert [progress.episode for progress in seen] == list(range(1, 13))
    assert [progress.episode for progress in seen if progress.validation] == [4, 8, 12]
    assert all(progress.episodes == EPISODES and progress.images_per_second > 0 for progress in seen)
    assert all(progress.eta > 0 for progress in seen[:-1])
    assert seen[-1].eta == 0
    # 20 images an episode: rate and time left tell of the same speed, as long as no validation has been timed.
    assert seen[3].eta == pytest.approx(8 * 20 / seen[3].images_per_second)
    assert seen[4].eta > 7 * 20 / seen[4].images_per_second


def test_the_time_left_is_without_compiling_and_with_validations() -> None:
    meter = Meter(episodes=10, start=0, images_per_episode=20, interval=4)
    meter.add(1.0, 0.5, 100.0)
    assert meter.progress(1).eta == 900.0
    meter.add(1.0, 0.5, 2.0)
    assert meter.progress(2).eta == pytest.approx(16.0)
    meter.add_validation(5.0)
    assert meter.progress(2).eta == pytest.approx(16.0 + 3 * 5.0)
    assert (meter.progress(10).eta, meter.progress(10).steps) == (0.0, 2)


def test_a_short_run_is_validated_after_each_episode(train: EpisodeSampler, val: EpisodeSampler) -> None:
    assert [row["episode"] for row in new_learner().fit(train, 3, val)] == [1, 2, 3]


def test_a_stop_without_a_run_folder_says_nothing_is_saved(train: EpisodeSampler) -> None:
    with pytest.raises(TrainingError, match="Stopped"):
        new_learner().fit(train, EPISODES, on_progress=stopping_at(5), **EVERY_FOUR)


@pytest.mark.parametrize(("at", "loss"), [(5, math.nan), (6, math.inf), (8, math.nan)])
def test_a_loss_that_is_not_finite_keeps_the_checkpoint_before(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, loss: float, at: int
) -> None:
    class Spoiled(ProtoNet):
        """Its loss is no longer finite from an episode on."""

        def batch_loss(self, support: tf.Tensor, query: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            sound, accuracy = super().batch_loss(support, query)
            done = tf.convert_to_tensor(self.optimizer.iterations)
            return sound * tf.where(done >= at - 1, loss, 1.0), accuracy

    before = {}

    def on_progress(progress: Progress) -> None:
        if progress.episode == 4:
            before.update({name: (run.path / name).read_bytes() for name in ("checkpoint.npz", "encoder.keras")})

    with pytest.raises(TrainingError, match=r"The loss is (nan|inf) at episode 8\. Use a smaller learning rate"):
        new_learner(kind=Spoiled).fit(train, EPISODES, val, run, on_progress, **EVERY_FOUR)
    assert {name: (run.path / name).read_bytes() for name in before} == before
    assert len(before) == 2
