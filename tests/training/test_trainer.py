"""The outer loop: it learns, judges with frozen statistics, keeps the best encoder, and resumes as if never stopped."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.workstation import synthetic, tiny_encoder

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.interval import Interval
from edge_meta.training import ANIL, ProtoNet, trainer
from edge_meta.training.encoders import BFLOAT16, in_precision, resnet7
from edge_meta.training.run import RunFolder
from edge_meta.training.trainer import Progress

EPISODES = 12


def encoder(seed: int = 0, filters: int = 4) -> keras.Model:
    """One block of a Conv4 on 16×16 images: quick to trace, and with a batch norm."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((16, 16, 1))
    x = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Conv2D(filters, 3)(inputs))
    return keras.Model(inputs, keras.layers.Flatten()(keras.layers.MaxPool2D(4)(keras.layers.ReLU()(x))))


@pytest.fixture(autouse=True)
def op_determinism() -> None:
    tf.config.experimental.enable_op_determinism()


@pytest.fixture
def train() -> EpisodeSampler:
    return EpisodeSampler(synthetic(20, 10, noise=120.0), way=5, shot=1, query=3, seed=0)


@pytest.fixture
def val() -> EpisodeSampler:
    return EpisodeSampler(synthetic(10, 10, noise=120.0, seed=1), way=5, shot=1, query=5, seed=1)


@pytest.fixture
def every_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of 12 episodes are judged at 4, 8 and 12, on 20 episodes."""
    monkeypatch.setattr(trainer, "VALIDATIONS", 3)
    monkeypatch.setattr(trainer, "VALIDATION_EPISODES", 20)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {}, {"input": {}})


def new_learner(seed: int = 0, filters: int = 4) -> ProtoNet:
    """A compiled ProtoNet whose encoder starts from that seed, with a learning rate that decays over 12 episodes."""
    made = ProtoNet(encoder(seed, filters))
    made.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, EPISODES)))
    return made


def weights(learner: ProtoNet) -> list[np.ndarray]:
    return [variable.numpy() for variable in (*learner.variables, *learner.optimizer.variables)]


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def validations(history: list[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(row["episode"], row["val_accuracy"]) for row in history if "val_accuracy" in row]


def stopping_at(episode: int, number: signal.Signals = signal.SIGINT, tasks: int = 1) -> Callable[[Progress], None]:
    """Makes the loop find a stop request when it has done that episode."""

    def on_progress(progress: Progress) -> None:
        if progress.episode == episode - tasks:
            signal.raise_signal(number)

    return on_progress


def scripted(monkeypatch: pytest.MonkeyPatch, learner: ProtoNet, *means: float) -> None:
    """The learner's validations give these accuracies, in this order."""
    answers = iter(means)
    monkeypatch.setattr(learner, "evaluate", lambda sampler, episodes: Interval(next(answers), 0.01))


def spoil_from(monkeypatch: pytest.MonkeyPatch, learner: ProtoNet, episode: int, loss: float = math.nan) -> None:
    """The learner's loss is no longer finite from that episode on."""
    plain = learner.batch_loss
    done = learner.optimizer.iterations

    def spoiled(support: Any, query: Any) -> tuple[Any, Any]:
        sound, accuracy = plain(support, query)
        return sound * tf.where(tf.convert_to_tensor(done) >= episode - 1, loss, 1.0), accuracy

    monkeypatch.setattr(learner, "batch_loss", spoiled)


# --- learning and judging ---------------------------------------------------------------------------------------------


def test_fit_lowers_the_loss_and_raises_validation_accuracy(train: EpisodeSampler, val: EpisodeSampler) -> None:
    learner = ProtoNet(tiny_encoder(0))
    learner.compile(keras.optimizers.Adam(0.01))
    before = learner.evaluate(val, 200)
    history = learner.fit(train, 100, val)
    assert [row["episode"] for row in history] == list(range(4, 101, 4))
    assert np.mean([row["loss"] for row in history[-5:]]) < 0.6 * np.mean([row["loss"] for row in history[:5]])
    assert history[-1]["val_accuracy"] > before.mean + 0.05
    assert history[-1]["val_accuracy"] == learner.evaluate(val, trainer.VALIDATION_EPISODES).mean


def test_a_step_is_the_optimizers_on_the_gradient_of_the_normalized_episode(train: EpisodeSampler) -> None:
    fitted, by_hand = ProtoNet(encoder()), ProtoNet(encoder())
    fitted.compile(keras.optimizers.SGD(0.5))
    fitted.fit(train, 1)
    episode, pixels = train.episode(0), train.dataset.examples
    with tf.GradientTape() as tape:
        loss, _ = by_hand.loss(*(1.0 - tf.constant(pixels[i], tf.float32) / 255.0 for i in (episode.support, episode.query)))
    gradients = tape.gradient(loss, by_hand.encoder.trainable_variables)
    for after, before, gradient in zip(
        fitted.encoder.trainable_variables, by_hand.encoder.trainable_variables, gradients, strict=True
    ):
        assert np.allclose(after.numpy(), before.numpy() - 0.5 * gradient, atol=1e-5)
        if after.name == "kernel":
            assert not np.allclose(after.numpy(), before.numpy(), atol=1e-3)


def test_fit_before_compile_is_a_programmers_error(train: EpisodeSampler) -> None:
    with pytest.raises(RuntimeError, match="compile"):
        ProtoNet(encoder(0)).fit(train, 1)


def test_compile_without_an_optimizer_is_adam() -> None:
    learner = ProtoNet(encoder(0))
    learner.compile()
    assert isinstance(learner.optimizer, keras.optimizers.Adam)
    assert float(learner.optimizer.learning_rate) == pytest.approx(1e-3)


def test_judging_uses_frozen_statistics_and_leaves_them(train: EpisodeSampler, val: EpisodeSampler) -> None:
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


def test_embedding_in_batches_keeps_every_image_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, images = ProtoNet(encoder(0)), synthetic(5, 5).examples
    whole = learner.embed(images)
    monkeypatch.setattr("edge_meta.training.base.EMBED_BATCH", 7)
    assert whole.shape == (25, 36)
    assert np.allclose(learner.embed(images), whole, atol=1e-5)


def test_progress_tells_where_the_run_is_and_how_long_it_takes(
    train: EpisodeSampler, val: EpisodeSampler, every_four: None
) -> None:
    seen: list[Progress] = []
    new_learner().fit(train, EPISODES, val, on_progress=seen.append)
    assert [progress.episode for progress in seen] == list(range(1, 13))
    assert [progress.episode for progress in seen if progress.validation] == [4, 8, 12]
    assert all(progress.episodes == EPISODES and progress.images_per_second > 0 for progress in seen)
    assert all(progress.eta > 0 for progress in seen[:-1])
    assert seen[-1].eta == 0
    # 20 images an episode: rate and time left tell of the same speed.
    assert seen[5].eta == pytest.approx(6 * 20 / seen[5].images_per_second)


def test_a_run_shorter_than_its_validations_is_judged_each_episode(train: EpisodeSampler, val: EpisodeSampler) -> None:
    assert [row["episode"] for row in new_learner().fit(train, 3, val)] == [1, 2, 3]


# --- the encoder that is kept -----------------------------------------------------------------------------------------


def kept(run: RunFolder) -> list[np.ndarray]:
    return keras.saving.load_model(run.encoder, compile=False).get_weights()


def test_the_encoder_kept_is_the_best_by_validation(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, every_four: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fitted, at = new_learner(), {}
    scripted(monkeypatch, fitted, 0.5, 0.9, 0.7)
    fitted.fit(train, EPISODES, val, run, lambda progress: at.update({progress.episode: fitted.encoder.get_weights()}))
    assert equal(kept(run), at[8])
    assert not equal(kept(run), at[12])
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoint.npz", "encoder.keras", "metrics.jsonl", "run.json", "tensorboard",
    ]  # fmt: skip


def test_a_resumed_run_does_not_forget_how_good_the_kept_encoder_is(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, every_four: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first = new_learner()
    scripted(monkeypatch, first, 0.9)
    with pytest.raises(TrainingError):
        first.fit(train, EPISODES, val, run, stopping_at(6))
    best = kept(run)
    second = new_learner(seed=1)
    scripted(monkeypatch, second, 0.8, 0.85)
    second.fit(train, EPISODES, val, run)
    assert equal(kept(run), best)


def test_without_validation_the_encoder_kept_is_the_newest(train: EpisodeSampler, run: RunFolder, every_four: None) -> None:
    fitted = new_learner()
    fitted.fit(train, EPISODES, run=run)
    assert equal(kept(run), fitted.encoder.get_weights())


def test_a_stop_request_at_the_last_episode_loses_nothing(train: EpisodeSampler, run: RunFolder, every_four: None) -> None:
    fitted = new_learner()
    try:
        fitted.fit(train, EPISODES, run=run, on_progress=stopping_at(EPISODES))
    except TrainingError:
        new_learner(seed=1).fit(train, EPISODES, run=run)
    assert equal(kept(run), fitted.encoder.get_weights())


def test_a_stop_request_at_the_last_episode_does_not_spare_its_validation(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, every_four: None
) -> None:
    try:
        history = new_learner().fit(train, EPISODES, val, run, stopping_at(EPISODES))
    except TrainingError:
        history = new_learner(seed=1).fit(train, EPISODES, val, run)
    assert [episode for episode, _ in validations(history)] == [4, 8, 12]


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "number"),
    [(2, signal.SIGINT), (6, signal.SIGTERM), (8, signal.SIGINT)],
    ids=["before any validation", "between validations", "at a validation"],
)
def test_a_run_that_was_interrupted_ends_with_the_bits_and_the_curve_of_one_that_was_not(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, every_four: None,
    at: int, number: signal.Signals,
) -> None:  # fmt: skip
    straight = new_learner()
    history = straight.fit(train, EPISODES, val)
    handler = signal.getsignal(number)

    interrupted = new_learner()
    with pytest.raises(TrainingError, match=rf"Stopped at episode {at} of 12; a checkpoint is saved\. .*--resume"):
        interrupted.fit(train, EPISODES, val, run, stopping_at(at, number))
    assert signal.getsignal(number) is handler

    resumed = new_learner(seed=99)
    assert not equal(weights(resumed), weights(interrupted))
    continued = resumed.fit(train, EPISODES, val, run)
    assert equal(weights(resumed), weights(straight))
    assert validations(continued) == validations(history)


def test_a_run_may_be_interrupted_again_and_again(train: EpisodeSampler, run: RunFolder, every_four: None) -> None:
    straight = new_learner()
    straight.fit(train, EPISODES)
    for at, seed in ((2, 0), (4, 1), (7, 2)):
        with pytest.raises(TrainingError):
            new_learner(seed).fit(train, EPISODES, run=run, on_progress=stopping_at(at))
    resumed = new_learner(seed=99)
    resumed.fit(train, EPISODES, run=run)
    assert equal(weights(resumed), weights(straight))


def test_what_a_method_learns_beside_its_encoder_is_resumed_and_kept_too(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, every_four: None
) -> None:
    def made(seed: int) -> ANIL:
        learner = ANIL(encoder(seed), way=None, steps=2, learn_rates=True)
        learner.compile()
        return learner

    straight, interrupted, resumed = made(0), made(0), made(99)
    history = straight.fit(train, EPISODES, val, tasks=2)
    with pytest.raises(TrainingError, match="Stopped at episode 6 of 12"):
        interrupted.fit(train, EPISODES, val, run, stopping_at(6, tasks=2), tasks=2)
    continued = resumed.fit(train, EPISODES, val, run, tasks=2)
    assert equal(weights(resumed), weights(straight))
    assert resumed.learning_rates() == straight.learning_rates() != made(0).learning_rates()
    assert validations(continued) == validations(history)
    assert len(run.learning_rates()) == 2


def test_episodes_that_do_not_fill_the_last_step_are_refused(train: EpisodeSampler) -> None:
    with pytest.raises(TrainingError, match="10 episodes are not a multiple of 3 tasks"):
        new_learner().fit(train, 10, tasks=3)


def test_a_step_of_several_tasks_sees_them_all(train: EpisodeSampler) -> None:
    seen: list[Progress] = []
    history = new_learner().fit(train, 6, on_progress=seen.append, tasks=3)
    assert [progress.episode for progress in seen] == [3, 6]
    assert [row["episode"] for row in history] == [3, 6]
    stacked = (np.stack([getattr(train.episode(index), side) for index in range(3)]) for side in ("support", "query"))
    images = (1.0 - tf.constant(train.dataset.examples[indices], tf.float32) / 255.0 for indices in stacked)
    assert history[0]["loss"] == pytest.approx(float(new_learner().batch_loss(*images)[0]), rel=1e-4)


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
        trainer.train_step(new_learner(), train, False, xla)
    assert asked == [False, True]


def test_the_encoder_kept_is_for_one_device_and_in_float32(train: EpisodeSampler, run: RunFolder, every_four: None) -> None:
    fitted = ProtoNet(in_precision(tiny_encoder(0), BFLOAT16))
    fitted.compile(keras.optimizers.SGD(0.01))
    norms = [layer for layer in fitted.encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.synchronized = True
    fitted.fit(train, 4, run=run)
    saved = keras.saving.load_model(run.encoder, compile=False)
    assert {layer.dtype_policy.name for layer in saved.layers} == {"float32"}
    assert [saved.get_layer(norm.name).synchronized for norm in norms] == [False] * 4
    assert equal(saved.get_weights(), fitted.encoder.get_weights())
    assert all(norm.synchronized for norm in norms)


def test_the_random_state_of_an_encoders_layers_is_resumed_too(
    train: EpisodeSampler, run: RunFolder, every_four: None
) -> None:
    def made(seed: int) -> ProtoNet:
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((16, 16, 1))
        x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(inputs))
        learner = ProtoNet(keras.Model(inputs, keras.layers.Dense(4)(x)))
        learner.compile()
        return learner

    straight, resumed = made(0), made(99)
    straight.fit(train, EPISODES)
    with pytest.raises(TrainingError, match="Stopped"):
        made(0).fit(train, EPISODES, run=run, on_progress=stopping_at(6))
    resumed.fit(train, EPISODES, run=run)
    assert equal(weights(resumed), weights(straight))


def test_resuming_a_finished_run_changes_nothing(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, every_four: None
) -> None:
    fitted = new_learner()
    history = fitted.fit(train, EPISODES, val, run)
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    resumed = new_learner(seed=99)
    assert resumed.fit(train, EPISODES, val, run) == history
    assert equal(weights(resumed), weights(fitted))
    assert {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before


def test_a_stop_request_without_a_run_folder_says_that_nothing_is_saved(train: EpisodeSampler) -> None:
    with pytest.raises(TrainingError, match="Stopped"):
        new_learner().fit(train, EPISODES, on_progress=stopping_at(5))


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_never_half_written(
    train: EpisodeSampler, run: RunFolder, every_four: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingError):
        new_learner().fit(train, EPISODES, run=run, on_progress=stopping_at(6))
    before = (run.path / "checkpoint.npz").read_bytes()

    def torn(file: Any, **arrays: Any) -> None:
        file.write(b"PK half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", torn)
        with pytest.raises(KeyboardInterrupt):
            new_learner().fit(train, EPISODES, run=run)
    assert (run.path / "checkpoint.npz").read_bytes() == before
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]
    straight, resumed = new_learner(), new_learner(seed=99)
    straight.fit(train, EPISODES)
    resumed.fit(train, EPISODES, run=run)
    assert equal(weights(resumed), weights(straight))


def test_a_full_disk_is_a_clear_error(train: EpisodeSampler, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any, **arrays: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        new_learner().fit(train, EPISODES, run=run)


def damage_middle(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes(64) + content[len(content) // 2 + 64 :]


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[:-200], damage_middle, lambda content: b"\x93NUMPY" + content]
)
def test_a_damaged_checkpoint_is_refused_and_named(
    train: EpisodeSampler, run: RunFolder, every_four: None,
    damage: Callable[[bytes], bytes],
) -> None:  # fmt: skip
    new_learner().fit(train, 4, run=run)
    checkpoint = run.path / "checkpoint.npz"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(TrainingError, match=r"checkpoint\.npz is damaged .* Delete it to start this run again"):
        new_learner().fit(train, EPISODES, run=run)


def test_a_checkpoint_of_another_encoder_is_refused(train: EpisodeSampler, run: RunFolder, every_four: None) -> None:
    new_learner().fit(train, 4, run=run)
    other = new_learner(filters=3)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz"):
        other.fit(train, EPISODES, run=run)


@pytest.mark.parametrize(("at", "loss"), [(5, math.nan), (6, math.inf), (8, math.nan)])
def test_a_loss_that_is_no_longer_finite_ends_the_run_and_keeps_the_checkpoint_before(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, every_four: None,
    monkeypatch: pytest.MonkeyPatch, loss: float, at: int,
) -> None:  # fmt: skip
    fitted, before = new_learner(), {}
    spoil_from(monkeypatch, fitted, at, loss)

    def on_progress(progress: Progress) -> None:
        if progress.episode == 4:
            before.update({name: (run.path / name).read_bytes() for name in ("checkpoint.npz", "encoder.keras")})

    with pytest.raises(TrainingError, match=r"The loss is (nan|inf) at episode 8\. Use a smaller learning rate"):
        fitted.fit(train, EPISODES, val, run, on_progress)
    assert {name: (run.path / name).read_bytes() for name in before} == before
    assert len(before) == 2


# --- several hosts ----------------------------------------------------------------------------------------------------


def test_a_worker_that_is_not_the_chief_restores_and_writes_nothing(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder, every_four: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, resumed = new_learner(), new_learner(seed=99)
    straight.fit(train, EPISODES)
    with pytest.raises(TrainingError):
        new_learner().fit(train, EPISODES, val, run, stopping_at(6))
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    monkeypatch.setattr(trainer, "is_chief", lambda strategy: False)
    history = resumed.fit(train, EPISODES, val, run)
    assert [row["episode"] for row in history] == [4, 6, 8, 12]
    assert equal(weights(resumed), weights(straight))
    assert {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before
