"""Checkpoints: the best encoder is kept, and a run resumes as if it had never been stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

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
    validations,
    weights,
)
from support.workstation import tiny_encoder

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.evaluation.interval import Interval
from edge_meta.training import ANIL, ProtoNet
from edge_meta.training.encoder_copies import BFLOAT16, in_precision
from edge_meta.training.progress import Progress
from edge_meta.training.run import RunFolder

pytestmark = pytest.mark.usefixtures("op_determinism")


def kept(run: RunFolder) -> list[np.ndarray]:
    return keras.saving.load_model(run.encoder, compile=False).get_weights()


def scripted(*means: float, seed: int = 0) -> ProtoNet:
    """A method whose validations give these accuracies, in this order."""
    answers = iter(means)

    class Scripted(ProtoNet):
        def evaluate(self, sampler: EpisodeSampler, episodes: int = 1000) -> Interval:
            return Interval(next(answers), 0.01)

    return new_learner(seed, kind=Scripted)


def test_the_encoder_kept_is_the_best_on_validation(train: EpisodeSampler, val: EpisodeSampler, run: RunFolder) -> None:
    fitted, at = scripted(0.5, 0.9, 0.7), {}

    def remember(progress: Progress) -> None:
        at[progress.episode] = fitted.encoder.get_weights()

    fitted.fit(train, EPISODES, val, run, remember, **EVERY_FOUR)
    assert equal(kept(run), at[8])
    assert not equal(kept(run), at[12])
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoint.npz", "encoder.keras", "metrics.jsonl", "run.json", "tensorboard",
    ]  # fmt: skip


def test_a_resumed_run_remembers_its_best_validation(train: EpisodeSampler, val: EpisodeSampler, run: RunFolder) -> None:
    with pytest.raises(TrainingError, match="Stopped"):
        scripted(0.9).fit(train, EPISODES, val, run, stopping_at(6), **EVERY_FOUR)
    best = kept(run)
    scripted(0.8, 0.85, seed=1).fit(train, EPISODES, val, run, **EVERY_FOUR)
    assert equal(kept(run), best)


def test_without_validation_the_encoder_kept_is_the_newest(train: EpisodeSampler, run: RunFolder) -> None:
    fitted = new_learner()
    fitted.fit(train, EPISODES, run=run, **EVERY_FOUR)
    assert equal(kept(run), fitted.encoder.get_weights())


def test_the_encoder_kept_is_for_one_device_and_in_float32(train: EpisodeSampler, run: RunFolder) -> None:
    fitted = ProtoNet(in_precision(tiny_encoder(0), BFLOAT16))
    fitted.compile(keras.optimizers.SGD(0.01))
    norms = [layer for layer in fitted.encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.synchronized = True
    fitted.fit(train, 4, run=run, **EVERY_FOUR)
    saved = keras.saving.load_model(run.encoder, compile=False)
    assert {layer.dtype_policy.name for layer in saved.layers} == {"float32"}
    assert [saved.get_layer(norm.name).synchronized for norm in norms] == [False] * 4
    assert equal(saved.get_weights(), fitted.encoder.get_weights())
    assert all(norm.synchronized for norm in norms)


def test_a_stop_at_the_last_episode_loses_nothing(train: EpisodeSampler, run: RunFolder) -> None:
    fitted = new_learner()
    try:
        fitted.fit(train, EPISODES, run=run, on_progress=stopping_at(EPISODES), **EVERY_FOUR)
    except TrainingError:
        new_learner(seed=1).fit(train, EPISODES, run=run, **EVERY_FOUR)
    assert equal(kept(run), fitted.encoder.get_weights())


def test_a_stop_at_the_last_episode_keeps_its_validation(train: EpisodeSampler, val: EpisodeSampler, run: RunFolder) -> None:
    try:
        history = new_learner().fit(train, EPISODES, val, run, stopping_at(EPISODES), **EVERY_FOUR)
    except TrainingError:
        history = new_learner(seed=1).fit(train, EPISODES, val, run, **EVERY_FOUR)
    assert [episode for episode, _ in validations(history)] == [4, 8, 12]


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "number"),
    [(2, signal.SIGINT), (6, signal.SIGTERM), (8, signal.SIGINT)],
    ids=["before any validation", "between validations", "at a validation"],
)
def test_an_interrupted_run_ends_with_the_same_bits_and_curve(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder,
        at: int, number: signal.Signals,
) -> None:  # fmt: skip
    straight = new_learner()
    history = straight.fit(train, EPISODES, val, **EVERY_FOUR)
    handler = signal.getsignal(number)

    interrupted = new_learner()
    with pytest.raises(TrainingError, match=rf"Stopped at episode {at} of 12; a checkpoint is saved\. .*--resume"):
        interrupted.fit(train, EPISODES, val, run, stopping_at(at, number), **EVERY_FOUR)
    assert signal.getsignal(number) is handler

    resumed = new_learner(seed=99)
    assert not equal(weights(resumed), weights(interrupted))
    continued = resumed.fit(train, EPISODES, val, run, **EVERY_FOUR)
    assert equal(weights(resumed), weights(straight))
    assert validations(continued) == validations(history)


def test_a_run_may_be_interrupted_several_times(train: EpisodeSampler, run: RunFolder) -> None:
    straight = new_learner()
    straight.fit(train, EPISODES, **EVERY_FOUR)
    for at, seed in ((2, 0), (4, 1), (7, 2)):
        with pytest.raises(TrainingError):
            new_learner(seed).fit(train, EPISODES, run=run, on_progress=stopping_at(at), **EVERY_FOUR)
    resumed = new_learner(seed=99)
    resumed.fit(train, EPISODES, run=run, **EVERY_FOUR)
    assert equal(weights(resumed), weights(straight))


def test_variables_beside_the_encoder_are_resumed_and_kept(
    train: EpisodeSampler, val: EpisodeSampler, run: RunFolder
) -> None:
    def made(seed: int) -> ANIL:
        learner = ANIL(seeded_encoder(seed), way=None, steps=2, learn_rates=True)
        learner.compile()
        return learner

    straight, interrupted, resumed = made(0), made(0), made(99)
    history = straight.fit(train, EPISODES, val, tasks=2, **EVERY_FOUR)
    with pytest.raises(TrainingError, match="Stopped at episode 6 of 12"):
        interrupted.fit(train, EPISODES, val, run, stopping_at(6, tasks=2), tasks=2, **EVERY_FOUR)
    continued = resumed.fit(train, EPISODES, val, run, tasks=2, **EVERY_FOUR)
    assert equal(weights(resumed), weights(straight))
    assert resumed.learning_rates() == straight.learning_rates() != made(0).learning_rates()
    assert validations(continued) == validations(history)
    assert len(run.learning_rates()) == 2


def test_the_random_state_of_layers_is_resumed(train: EpisodeSampler, run: RunFolder) -> None:
    def made(seed: int) -> ProtoNet:
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((16, 16, 1))
        x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(inputs))
        learner = ProtoNet(keras.Model(inputs, keras.layers.Dense(4)(x)))
        learner.compile()
        return learner

    straight, resumed = made(0), made(99)
    straight.fit(train, EPISODES, **EVERY_FOUR)
    with pytest.raises(TrainingError, match="Stopped"):
        made(0).fit(train, EPISODES, run=run, on_progress=stopping_at(6), **EVERY_FOUR)
    resumed.fit(train, EPISODES, run=run, **EVERY_FOUR)
    assert equal(weights(resumed), weights(straight))


def test_resuming_a_finished_run_changes_nothing(train: EpisodeSampler, val: EpisodeSampler, run: RunFolder) -> None:
    fitted = new_learner()
    history = fitted.fit(train, EPISODES, val, run, **EVERY_FOUR)
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    resumed = new_learner(seed=99)
    assert resumed.fit(train, EPISODES, val, run, **EVERY_FOUR) == history
    assert equal(weights(resumed), weights(fitted))
    assert {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before


class SecondWorker(tf.distribute.OneDeviceStrategy):
    """The strategy of a host that is not the chief."""

    cluster_resolver = SimpleNamespace(task_id=1)


def test_a_worker_that_is_not_the_chief_writes_nothing(train: EpisodeSampler, val: EpisodeSampler, run: RunFolder) -> None:
    straight = new_learner()
    straight.fit(train, EPISODES, **EVERY_FOUR)
    with pytest.raises(TrainingError):
        new_learner().fit(train, EPISODES, val, run, stopping_at(6), **EVERY_FOUR)
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    with SecondWorker("/cpu:0").scope():
        resumed = new_learner(seed=99)
    history = resumed.fit(train, EPISODES, val, run, **EVERY_FOUR)
    assert [row["episode"] for row in history] == [4, 6, 8, 12]
    assert equal(weights(resumed), weights(straight))
    assert {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_never_half_written(train: EpisodeSampler, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError):
        new_learner().fit(train, EPISODES, run=run, on_progress=stopping_at(6), **EVERY_FOUR)
    before = (run.path / "checkpoint.npz").read_bytes()

    def torn(file: Any, **arrays: Any) -> None:
        file.write(b"PK half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", torn)
        with pytest.raises(KeyboardInterrupt):
            new_learner().fit(train, EPISODES, run=run, **EVERY_FOUR)
    assert (run.path / "checkpoint.npz").read_bytes() == before
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]
    straight, resumed = new_learner(), new_learner(seed=99)
    straight.fit(train, EPISODES, **EVERY_FOUR)
    resumed.fit(train, EPISODES, run=run, **EVERY_FOUR)
    assert equal(weights(resumed), weights(straight))


def test_a_full_disk_is_a_clear_error(train: EpisodeSampler, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any, **arrays: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        new_learner().fit(train, EPISODES, run=run, **EVERY_FOUR)


def damage_middle(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes(64) + content[len(content) // 2 + 64 :]


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[:-200], damage_middle, lambda content: b"\x93NUMPY" + content]
)
def test_a_damaged_checkpoint_is_refused_and_named(
    train: EpisodeSampler, run: RunFolder,
        damage: Callable[[bytes], bytes],
) -> None:  # fmt: skip
    new_learner().fit(train, 4, run=run, **EVERY_FOUR)
    checkpoint = run.path / "checkpoint.npz"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(TrainingError, match=r"checkpoint\.npz is damaged .* Delete it to start this run again"):
        new_learner().fit(train, EPISODES, run=run, **EVERY_FOUR)


def test_a_checkpoint_of_another_encoder_is_refused(train: EpisodeSampler, run: RunFolder) -> None:
    new_learner().fit(train, 4, run=run, **EVERY_FOUR)
    other = new_learner(filters=3)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz"):
        other.fit(train, EPISODES, run=run, **EVERY_FOUR)
