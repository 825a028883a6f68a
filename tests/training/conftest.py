"""Fixtures of the tests of training."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training import small_config, train_episodes, val_episodes

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.training.config import TrainingConfig
from edge_meta.training.pipeline import train as train_run
from edge_meta.training.run import RunFolder


@pytest.fixture
def train() -> EpisodeSampler:
    return train_episodes()


@pytest.fixture
def val() -> EpisodeSampler:
    return val_episodes()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """The folder of a run that was not trained yet."""
    return RunFolder.create(tmp_path / "run", {}, {"input": {}})


@pytest.fixture
def op_determinism() -> None:
    """Turn op determinism on, for the rest of the process."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """Three episodes on an .npz of 15 classes, 9 of which train and 3 validate."""
    return small_config(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(config: TrainingConfig, quick_conv4: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run of that configuration. Tests must not write to it."""
    return train_run(config, tmp_path_factory.mktemp("finished") / "run")
