"""Helpers for tests of training and converting: small datasets and encoders. Only making an encoder imports TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_meta.datasets import Dataset

SIZE = 16  # the smallest image that conv4 takes


def drawings(classes: int, examples: int, channels: int = 1, noise: float = 60.0, seed: int = 0) -> np.ndarray:
    """Draw uint8 (classes * examples, 16, 16, channels): a pattern for each class, noise for each example."""
    rng = np.random.default_rng(seed)
    patterns = 255.0 * rng.integers(0, 2, (classes, SIZE, SIZE, channels))
    noisy = np.repeat(patterns, examples, axis=0) + rng.normal(0, noise, (classes * examples, SIZE, SIZE, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def synthetic(classes: int = 12, examples: int = 10, channels: int = 1, noise: float = 60.0, seed: int = 0) -> Dataset:
    """Make a dataset of `drawings` in memory."""
    labels = np.repeat(np.arange(classes, dtype=np.int32), examples)
    names = tuple(f"class {index}" for index in range(classes))
    images = drawings(classes, examples, channels, noise, seed)
    return Dataset("synthetic", "train", images, labels, names, ("",) * classes)


def scattered(labels: np.ndarray, spread: float, dim: int = 6) -> np.ndarray:
    """Embeddings (examples, dim) around a centre for each class, so that some are nearer to another class's."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(labels.max() + 1, dim))
    embeddings: np.ndarray = (centres[labels] + spread * rng.normal(size=(len(labels), dim))).astype(np.float32)
    return embeddings


def embedded(data: Dataset, seed: int = 0, spread: float = 0.5, groups: float = 0.0, dim: int = 16) -> np.ndarray:
    """Embeddings (n, dim): a normal cloud around each class's centre; with `groups`, classes of a group lie together."""
    rng = np.random.default_rng(seed)
    names = sorted(set(data.groups))
    centres = rng.normal(size=(len(data.class_names), dim))
    centres += groups * rng.normal(size=(len(names), dim))[[names.index(group) for group in data.groups]]
    embeddings: np.ndarray = (centres[data.labels] + spread * rng.normal(size=(len(data.labels), dim))).astype(np.float32)
    return embeddings


def save_npz(path: Path, classes: int = 30, examples: int = 20, **how: Any) -> str:
    """Write an .npz of `drawings`; returns its name as a dataset."""
    np.savez(path, x=drawings(classes, examples, **how), y=np.repeat(np.arange(classes), examples))
    return f"npz:{path}"


def tiny_encoder(seed: int = 0, filters: int = 8, channels: int = 1) -> Any:
    """Make a Conv4 of 8 filters on 16×16 images from a seed; this turns op determinism on for the process."""
    import keras
    import tensorflow as tf

    from edge_meta.training import conv4

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    return conv4((SIZE, SIZE, channels), filters)


@contextmanager
def eight_filters() -> Iterator[None]:
    """Give the encoder conv4 of training configurations 8 filters in place of 64."""
    from edge_meta.training import ENCODERS, conv4

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(ENCODERS, "conv4", partial(conv4, filters=8))
        yield
