"""What the device's tests share: drawn images, the shipped bundle and altered copies of it, stores, the command line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from edge_meta import Classifier, files
from edge_meta.cli import main
from edge_meta.runtime.bundle import Bundle
from edge_meta.store import database
from edge_meta.store.store import Store

# The same examples in each run, so that a change lands or not for its own sake.
# No strategy draws subnormal numbers: on 64-bit ARM, importing tflite-runtime makes the processor flush them to zero.
settings.register_profile(
    "device", deadline=None, database=None, derandomize=True, max_examples=50, suppress_health_check=list(HealthCheck)
)
settings.load_profile("device")


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where default stores go, instead of the home of whoever runs the tests."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(scope="session")
def draw() -> Callable[..., NDArray[np.uint8]]:
    """draw(kind, take=0, height=28, width=28): black strokes on white (height, width); the takes of a kind are alike."""

    def drawn(kind: int, take: int = 0, height: int = 28, width: int = 28) -> NDArray[np.uint8]:
        corners = np.random.default_rng(kind).uniform(0.05, 0.9, (6, 2))
        corners += np.random.default_rng((kind, take)).normal(0, 0.015, corners.shape)
        along = np.linspace(0, 1, 4 * max(height, width))[:, None]
        points = np.concatenate([start + (end - start) * along for start, end in pairwise(corners)])
        pen = max(1, min(height, width) // 14)
        rows, columns = np.clip(points * (height, width), 0, (height - pen, width - pen)).astype(int).T
        image = np.full((height, width), 255, np.uint8)
        for down in range(pen):
            for right in range(pen):
                image[rows + down, columns + right] = 0
        return image

    return drawn


@pytest.fixture(scope="session")
def takes(draw: Callable[..., NDArray[np.uint8]]) -> Callable[..., NDArray[np.uint8]]:
    """takes(kind, count, first=0): several takes of a kind, (count, 28, 28)."""
    return lambda kind, count, first=0: np.stack([draw(kind, take) for take in range(first, first + count)])


@pytest.fixture(scope="session")
def mixed(takes: Callable[..., NDArray[np.uint8]]) -> Callable[..., NDArray[np.uint8]]:
    """mixed(label, count, first=0): several takes of each of three kinds, (3 · count, 28, 28), so that labels 0 to 2 have
    prototypes that are near to each other's examples."""
    return lambda label, count, first=0: np.concatenate([takes(label + 3 * kind, count, first) for kind in range(3)])


@pytest.fixture
def png(tmp_path: Path) -> Callable[..., Path]:
    """png(name, pixels): the pixels as an image file."""
    from PIL import Image

    def save(name: str, pixels: NDArray[np.uint8]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return save


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return Bundle.open("omniglot")


@pytest.fixture
def altered(tmp_path: Path, bundle: Bundle) -> Callable[..., Path]:
    """altered(change, files): a copy of the shipped bundle with other manifest fields, and files with fitting checksums."""

    def make(
        change: Callable[[dict[str, Any]], object] = lambda fields: None,
        files: Mapping[str, bytes] | None = None,
        name: str = "altered.bundle",
    ) -> Path:
        folder = tmp_path / name
        shutil.copytree(bundle.path, folder)
        fields = json.loads((folder / "manifest.json").read_bytes())
        for file, content in (files or {}).items():
            (folder / file).write_bytes(content)
            fields["files"][file] = hashlib.sha256(content).hexdigest()
        change(fields)
        (folder / "manifest.json").write_text(json.dumps(fields), "utf-8")
        return folder

    return make


@pytest.fixture
def classifier(bundle: Bundle, tmp_path: Path) -> Iterator[Classifier]:
    with Classifier.load(bundle, tmp_path / "store.db") as loaded:
        yield loaded


@pytest.fixture(scope="session")
def embeddings() -> Callable[..., NDArray[np.float32]]:
    """embeddings(seed, count, dim=16): random ones, (count, dim)."""
    return lambda seed, count, dim=16: np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


@pytest.fixture(scope="session")
def opened() -> Callable[..., Store]:
    """opened(path, **options): the store at a path, of an encoder of dim 16 unless told otherwise."""
    return lambda path, **options: Store(path, **{"encoder_id": "0123456789abcdef" * 2, "dim": 16, **options})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where `store` lives; its folder is made with it."""
    return tmp_path / "folder" / "store.db"


@pytest.fixture
def store(opened: Callable[..., Store], path: Path) -> Iterator[Store]:
    """A store with no file yet."""
    with opened(path) as new:
        yield new


@pytest.fixture
def filled(store: Store, embeddings: Callable[..., NDArray[np.float32]]) -> Store:
    """`store` with three labels of 2, 3 and 1 shots."""
    for seed, (label, count) in enumerate([("alef", 2), ("bet", 3), ("gimel", 1)]):
        store.enroll(label, embeddings(seed, count))
    return store


@pytest.fixture(scope="session")
def state() -> Callable[[Store], tuple[object, ...]]:
    """state(store): all that classifying sees, to the bit."""

    def read(store: Store) -> tuple[object, ...]:
        now = store.snapshot()
        columns = {now.labels[k]: (weights.tobytes(), bias) for k, (weights, bias) in now.columns.items()}
        return now.labels, now.counts.tolist(), now.prototypes.tobytes(), now.scatters.tolist(), columns

    return read


@pytest.fixture(scope="session")
def adapt() -> Callable[..., None]:
    """adapt(store, seed=0): move every column of its head to somewhere else."""

    def move(store: Store, seed: int = 0) -> None:
        with store.adapting() as change:
            rng, shape = np.random.default_rng(seed), change.snapshot.prototypes.T.shape
            change.replace_head(rng.normal(size=shape).astype("f4"), rng.normal(size=shape[1]).astype("f4"))

    return move


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores that do not wait for the disk, for tests that make many."""
    monkeypatch.setattr(files, "_sync", lambda path: None)
    monkeypatch.setattr(database, "PRAGMAS", ("synchronous = OFF", *database.PRAGMAS[1:]))


@pytest.fixture
def bytes_in() -> Callable[[Path], bytes]:
    """bytes_in(folder): the content of all files in it, whatever their names."""
    return lambda folder: b"\xff".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.fixture
def cli() -> Callable[..., Result]:
    """cli(*arguments, code=0): run edge-meta in this process and require an exit code."""

    def run(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """python(*arguments, **environment): a new interpreter, in a folder that is not the checkout."""
    inherited = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(os.fspath, arguments)], cwd=tmp_path, env={**inherited, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="surrogateescape", timeout=60,
            check=False,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def said() -> Callable[[Result], dict[str, Any]]:
    """The one JSON object on stdout, with nothing on stderr."""

    def read(result: Result) -> dict[str, Any]:
        assert result.stderr == ""
        assert result.stdout.count("\n") == 1
        fields: dict[str, Any] = json.loads(result.stdout)
        return fields

    return read


@pytest.fixture(scope="session")
def complaint() -> Callable[[Result], str]:
    """The one paragraph on stderr, with nothing on stdout."""

    def read(result: Result) -> str:
        assert result.stdout == ""
        assert result.stderr.startswith("Error: ")
        assert "Traceback" not in result.stderr
        assert "\n" not in result.stderr.rstrip("\n")
        return result.stderr

    return read
