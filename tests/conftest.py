"""What several test modules share. Nothing here imports TensorFlow before a test asks for it: tests/device has none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge_meta.cli import main
from edge_meta.datasets import Dataset, cache

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIZE = 16  # the smallest image that conv4 takes


def drawings(classes: int, examples: int, channels: int = 1, noise: float = 60.0, seed: int = 0) -> np.ndarray:
    """uint8 (classes * examples, 16, 16, channels): each class has its pattern, and each example its noise."""
    rng = np.random.default_rng(seed)
    patterns = 255.0 * rng.integers(0, 2, (classes, SIZE, SIZE, channels))
    noisy = np.repeat(patterns, examples, axis=0) + rng.normal(0, noise, (classes * examples, SIZE, SIZE, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def omniglot() -> Path:
    """The folder of data that holds Omniglot; without it the test is skipped, or fails if data is required."""
    folder = cache.folder().resolve()
    if not (folder / "omniglot" / "images_background.zip").exists():
        reason = f"{folder} has no omniglot/images_background.zip; set EDGE_META_DATA, or run: edge-meta data fetch omniglot"
        if os.environ.get("EDGE_META_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., Dataset]:
    """Makes a dataset in memory: synthetic(classes, examples, channels, noise, seed)."""

    def make(classes: int = 12, examples: int = 10, channels: int = 1, noise: float = 60.0, seed: int = 0) -> Dataset:
        labels = np.repeat(np.arange(classes, dtype=np.int32), examples)
        names = tuple(f"class {index}" for index in range(classes))
        images = drawings(classes, examples, channels, noise, seed)
        return Dataset("synthetic", "train", images, labels, names, ("",) * classes)

    return make


@pytest.fixture(scope="session")
def save_npz() -> Callable[..., str]:
    """Writes an .npz of drawings and returns its name as a dataset: save_npz(path, classes, examples, ...)."""

    def save(path: Path, classes: int = 30, examples: int = 20, **how: Any) -> str:
        np.savez(path, x=drawings(classes, examples, **how), y=np.repeat(np.arange(classes), examples))
        return f"npz:{path}"

    return save


@pytest.fixture(scope="session")
def cli() -> Callable[..., Result]:
    """cli(*arguments, code=0): runs edge-meta in this process and requires an exit code."""

    def run(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture(scope="session")
def tiny_encoder() -> Callable[..., Any]:
    """Makes a Conv4 of 8 filters on 16×16 images from a seed; op determinism is on from then."""
    import keras
    import tensorflow as tf

    from edge_meta.training import conv4

    tf.config.experimental.enable_op_determinism()

    def make(seed: int = 0, filters: int = 8, channels: int = 1) -> Any:
        keras.utils.set_random_seed(seed)
        return conv4((SIZE, SIZE, channels), filters)

    return make


@contextmanager
def eight_filters() -> Iterator[None]:
    """What recipes call conv4 has 8 filters in place of 64."""
    from edge_meta.training import ENCODERS, conv4

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(ENCODERS, "conv4", partial(conv4, filters=8))
        yield


@pytest.fixture(scope="module")
def small_conv4() -> Iterator[None]:
    """What recipes call conv4 has 8 filters in place of 64."""
    with eight_filters():
        yield


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, save_npz: Callable[..., str]) -> Path:
    """The folder of a finished run on an .npz file of 30 classes; not to be written to."""
    from edge_meta.training.config import TrainingConfig, train

    folder = tmp_path_factory.mktemp("finished")
    config = TrainingConfig(save_npz(folder / "patterns.npz", noise=90.0), image_size=SIZE, way=5, query=5, episodes=60)
    with eight_filters():
        return train(config, folder / "run").path


@pytest.fixture(scope="session")
def trained(finished_run: Path) -> Any:
    """The finished run's encoder, a Keras model; its weights are not to be changed."""
    import keras

    return keras.saving.load_model(finished_run / "encoder.keras", compile=False)


@pytest.fixture(scope="session")
def converted(trained: Any) -> Callable[..., bytes]:
    """Converts the trained encoder, once for each set of arguments: converted(quantize, max_classes, max_shots)."""
    from converters.quantization.convert import convert
    from edge_meta.inputs import ImageInput

    made: dict[tuple[str, int, int], bytes] = {}

    def make(quantize: str, max_classes: int = 8, max_shots: int = 16) -> bytes:
        key = (quantize, max_classes, max_shots)
        if key not in made:
            samples = ImageInput(SIZE, SIZE).normalize(drawings(18, 5, noise=90.0))
            made[key] = convert(trained, quantize, samples, max_classes, max_shots)
        return made[key]

    return make
