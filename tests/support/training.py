"""For tests of the outer loop: a quick encoder, methods around it, episodes, and stop requests."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training import ENCODERS, ProtoNet
from edge_meta.training.batch_norm import FusedBatchNormalization
from edge_meta.training.config import TrainingConfig
from edge_meta.training.progress import Progress
from edge_meta.training.run import RunFolder
from support.workstation import SIZE, save_npz, synthetic

EPISODES = 12
EVERY_FOUR = {"validations": 3, "validation_episodes": 20}  # of a run of 12 episodes: validated at 4, 8 and 12


def one_block(input_shape: tuple[int, int, int] = (SIZE, SIZE, 1), filters: int = 4) -> keras.Model:
    """One block of a Conv4: quick to trace, and with batch norm."""
    inputs = keras.Input(input_shape)
    x = FusedBatchNormalization(momentum=0.9)(keras.layers.Conv2D(filters, 3)(inputs))
    return keras.Model(inputs, keras.layers.Flatten()(keras.layers.MaxPool2D(4)(keras.layers.ReLU()(x))))


@contextmanager
def one_block_for_conv4() -> Iterator[None]:
    """Make `one_block` of the encoder conv4 of training configurations."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(ENCODERS, "conv4", one_block)
        yield


def small_config(folder: Path) -> TrainingConfig:
    """Three 3-way episodes on an .npz of 15 classes, 9 of which train and 3 validate."""
    return TrainingConfig(save_npz(folder / "own.npz", 15, 8), image_size=SIZE, way=3, query=2, episodes=3)


def seeded_encoder(seed: int = 0, filters: int = 4) -> keras.Model:
    """`one_block` with the weights of a seed."""
    keras.utils.set_random_seed(seed)
    return one_block(filters=filters)


def train_episodes() -> EpisodeSampler:
    """5-way 1-shot episodes of hard classes, 20 images each."""
    return EpisodeSampler(synthetic(20, 10, noise=120.0), way=5, shot=1, query=3, seed=0)


def val_episodes() -> EpisodeSampler:
    return EpisodeSampler(synthetic(10, 10, noise=120.0, seed=1), way=5, shot=1, query=5, seed=1)


def new_learner(seed: int = 0, filters: int = 4, kind: type[ProtoNet] = ProtoNet) -> Any:
    """A compiled method whose encoder starts from that seed, with a learning rate that decays over 12 episodes."""
    made = kind(seeded_encoder(seed, filters))
    made.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, EPISODES)))
    return made


def weights(learner: Any) -> list[np.ndarray]:
    return [variable.numpy() for variable in (*learner.variables, *learner.optimizer.variables)]


def encoder_weights(run: RunFolder) -> list[np.ndarray]:
    """The weights of the encoder that a run kept."""
    kept: list[np.ndarray] = run.load_encoder().get_weights()
    return kept


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def validations(history: list[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(row["episode"], row["val_accuracy"]) for row in history if "val_accuracy" in row]


def stopping_at(episode: int, number: signal.Signals = signal.SIGINT, tasks: int = 1) -> Callable[[Progress], None]:
    """Make the loop find a stop request when it has done that episode."""

    def on_progress(progress: Progress) -> None:
        if progress.episode == episode - tasks:
            signal.raise_signal(number)

    return on_progress
