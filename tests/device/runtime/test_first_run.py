"""A bundle from elsewhere runs in a child process once, before it runs in this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.device import altered
from support.tflite import ADD_N, one_operator

from edge_meta import Classifier
from edge_meta.errors import BundleError
from edge_meta.runtime import subprocess_check
from edge_meta.runtime.backends import RuntimeOptions
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.first_run import check_first_run, remember_run


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder; nothing ran yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The backends of the child processes that were started; none really is."""
    started: list[str | None] = []
    monkeypatch.setattr(subprocess_check, "check_model", lambda model, backend=None: started.append(backend))
    return started


def test_a_bundle_from_elsewhere_runs_in_a_child_once(tmp_path: Path, cache: Path, ran: list[str | None]) -> None:
    other = Bundle.open(altered(tmp_path))
    for _ in range(3):
        Classifier.load(other, tmp_path / "store.db").close()
    assert ran == [None]
    (record,) = (path for path in cache.rglob("*") if path.is_file())
    assert record.name.startswith(other.manifest.files["encoder.tflite"])
    assert record.stat().st_size == 0


def test_a_shipped_bundle_and_an_exported_one_do_not(
    tmp_path: Path, bundle: Bundle, cache: Path, ran: list[str | None]
) -> None:
    Classifier.load(bundle, tmp_path / "store.db").close()
    assert not cache.exists()
    other = Bundle.open(altered(tmp_path))
    remember_run(other)
    Classifier.load(other, tmp_path / "store.db").close()
    check_first_run(other, RuntimeOptions(delegate="libany.so"))
    assert ran == []


def test_each_run_is_checked_where_nothing_can_be_written(tmp_path: Path, cache: Path, ran: list[str | None]) -> None:
    other = Bundle.open(altered(tmp_path))
    cache.write_text("a file, not a folder")
    for _ in range(2):
        Classifier.load(other, tmp_path / "store.db").close()
    assert ran == [None, None]


def test_a_model_that_fails_in_the_child_never_runs_here(tmp_path: Path, cache: Path) -> None:
    model = one_operator(ADD_N, inputs=6, shape=(16384, 16384))  # 7 GiB, more than the child may take
    other = Bundle.open(altered(tmp_path, files={"encoder.tflite": model}))
    for _ in range(2):
        with pytest.raises(BundleError, match=r"encoder\.tflite in .*altered\.bundle: The "):
            Classifier.load(other, tmp_path / "store.db")
    assert not any(path.is_file() for path in cache.rglob("*"))


def test_the_child_really_runs_the_model(tmp_path: Path, cache: Path) -> None:
    Classifier.load(altered(tmp_path), tmp_path / "store.db").close()
    assert sum(path.is_file() for path in cache.rglob("*")) == 1
    assert os.environ["XDG_CACHE_HOME"] == str(cache)
