"""Fixtures of several rooms. Nothing here imports TensorFlow before a test asks for it: tests/device has none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.workstation import SIZE, drawings, eight_filters, save_npz

from edge_meta.datasets import cache
from edge_meta.runtime.bundle import Bundle

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session", autouse=True)
def uncovered_children() -> None:
    """Leave the processes that tests start out of the coverage: it would slow them, and it imports modules of its own."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def pytest_sessionfinish() -> None:
    """Save what was covered: pytest-xdist kills a worker that takes more than ten seconds to exit, as on a busy machine."""
    measured = sys.modules["coverage"].Coverage.current() if "coverage" in sys.modules else None
    if measured is not None:
        measured.save()


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Remember here which bundles ran, for all tests, and not in the home of the user who runs them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        if "MPLCONFIGDIR" not in os.environ:  # matplotlib would list all fonts anew
            patch.setenv("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def omniglot() -> Path:
    """The data folder with Omniglot in it. Without it, skip the test, or fail it if EDGE_META_REQUIRE_DATA is 1."""
    folder = cache.folder().resolve()
    if not (folder / "omniglot" / "images_background.zip").exists():
        reason = f"{folder} has no omniglot/images_background.zip; set EDGE_META_DATA, or run: edge-meta data fetch omniglot"
        if os.environ.get("EDGE_META_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="module")
def small_conv4() -> Iterator[None]:
    """See `eight_filters`."""
    with eight_filters():
        yield


@pytest.fixture(scope="module")
def quick_conv4() -> Iterator[None]:
    """See `one_block_for_conv4`."""
    from support.training import one_block_for_conv4

    with one_block_for_conv4():
        yield


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on an .npz file of 30 classes. Tests must not write to it."""
    from edge_meta.training.config import TrainingConfig
    from edge_meta.training.pipeline import train

    folder = tmp_path_factory.mktemp("finished")
    config = TrainingConfig(save_npz(folder / "patterns.npz", noise=90.0), image_size=SIZE, way=5, query=5, episodes=60)
    with eight_filters():
        return train(config, folder / "run").path


@pytest.fixture(scope="session")
def trained(finished_run: Path) -> Any:
    """The finished run's encoder, a Keras model. Tests must not change its weights."""
    import keras

    return keras.saving.load_model(finished_run / "encoder.keras", compile=False)


@pytest.fixture(scope="session")
def converted(trained: Any) -> Callable[..., bytes]:
    """converted(quantize, max_classes, max_shots): convert the trained encoder, once for each set of arguments."""
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


@pytest.fixture(scope="session")
def int8_bundle(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The finished run's bundle in int8, for 8 classes and 16 shots; tests must not write to it."""
    from converters import export_bundle

    output = tmp_path_factory.mktemp("exported") / "int8.bundle"
    # So short a run may lose more to rounding than an encoder for use.
    return export_bundle(finished_run, output, quantize="int8", max_classes=8, max_shots=16, max_drop=5.0)
