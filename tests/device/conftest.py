"""Fixtures of the device's tests: the shipped bundle, stores, and a data folder in place of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.device import embeddings, opened

from edge_meta import Classifier, files
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
    """Put default stores here, not into the home of the user who runs the tests."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return Bundle.open("omniglot")


@pytest.fixture
def classifier(bundle: Bundle, tmp_path: Path) -> Iterator[Classifier]:
    with Classifier.load(bundle, tmp_path / "store.db") as loaded:
        yield loaded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of `store`; its folder does not exist yet."""
    return tmp_path / "folder" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A store with no file yet."""
    with opened(path) as new:
        yield new


@pytest.fixture
def filled(store: Store) -> Store:
    """`store` with three labels of 2, 3 and 1 shots."""
    for seed, (label, count) in enumerate([("alef", 2), ("bet", 3), ("gimel", 1)]):
        store.enroll(label, embeddings(seed, count))
    return store


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores that do not wait for the disk, for tests that make many."""
    monkeypatch.setattr(files, "sync", lambda path: None)
    monkeypatch.setattr(database, "PRAGMAS", ("synchronous = OFF", *database.PRAGMAS[1:]))
