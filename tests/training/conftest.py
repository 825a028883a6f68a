"""Fixtures of the tests of training."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training import train_episodes, val_episodes

from edge_meta.datasets.episodes import EpisodeSampler
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
