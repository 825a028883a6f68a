"""A store whose file is deleted, replaced or overwritten is refused, and nothing is acknowledged that nobody finds again."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from support.device import cli, embeddings, opened, python, state

from edge_meta import Classifier
from edge_meta.errors import StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.store import Store

SESSION = """
import os, signal, sys
import numpy as np
from edge_meta.store.store import Store
path, first, last = sys.argv[1], *map(int, sys.argv[2:])
with Store(path, "0123456789abcdef" * 2, 16) as store:
    for number in range(first, last):
        store.enroll(f"label {number % 7}", np.random.default_rng(number).normal(size=(3, 16)).astype("f4"))
        if number % 50 == 20:
            store.forget(store.snapshot().labels[0])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def remove_log(path: Path) -> None:
    """Do what the error says."""
    Path(f"{path}-wal").unlink()
    Path(f"{path}-shm").unlink()


@pytest.fixture
def killed(tmp_path: Path) -> Callable[[Path, int, int], None]:
    """killed(path, first, last): enroll in a process that is then killed, so that a log is left."""

    def run(path: Path, first: int, last: int) -> None:
        assert python(tmp_path, "-c", SESSION, path, str(first), str(last)).returncode == -signal.SIGKILL
        assert Path(f"{path}-wal").stat().st_size > 0

    return run


@pytest.mark.skipif(os.name == "nt", reason="Windows neither deletes nor replaces an open file")
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_goes_while_open_takes_no_change(filled: Store, path: Path, tmp_path: Path, how: str) -> None:
    other = tmp_path / "other.db"
    with opened(other) as there:
        there.enroll("dalet", embeddings(3, 2))
        expected = state(there)
    if how == "replaced":
        other.replace(path)
    else:
        path.unlink()
    for use in (
        lambda: filled.enroll("alef", embeddings(5, 1)), lambda: filled.forget("bet"), filled.undo, filled.snapshot,
        filled.version, filled.shots,
    ):  # fmt: skip
        with pytest.raises(StoreError, match=rf"store\.db was {how} while it was open.*Load the bundle again"):
            use()
    filled.close()
    if how == "replaced":
        with pytest.raises(StoreError, match="was overwritten"):  # the log of the file that is gone is still beside it
            opened(path)
        remove_log(path)
        with opened(path) as again:
            assert state(again) == expected
    else:
        assert not path.exists()


def test_a_file_replaced_during_a_change_takes_none(filled: Store, path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "other.db")

    def change() -> None:
        with filled.adapting() as head:
            (tmp_path / "other.db").replace(path)
            head.drop_head()

    with pytest.raises(StoreError, match="was replaced while it was open"):
        change()


def test_a_classifier_says_that_its_store_was_replaced(classifier: Classifier, tmp_path: Path) -> None:
    path = classifier.store.path
    dim = classifier.bundle.manifest.dim
    classifier.store.enroll("alef", embeddings(0, 1, dim))
    assert classifier.classify_embedding(embeddings(0, 1, dim)[0]).top[0].label == "alef"
    shutil.copy(path, tmp_path / "other.db")
    (tmp_path / "other.db").replace(path)
    with pytest.raises(StoreError, match="was replaced while it was open"):
        classifier.classify_embedding(embeddings(0, 1, dim)[0])


def test_a_folder_that_is_changed_to_is_not_a_replacement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with opened(Path("store.db")) as store:
        store.enroll("alef", embeddings(0, 1))
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.enroll("bet", embeddings(1, 1))
    assert os.listdir(tmp_path / "elsewhere") == []


# Restoring over a store


@pytest.mark.parametrize("changes", [1, 5, 60, 400])
@pytest.mark.parametrize("way", ["over", "beside"])
def test_an_older_copy_beside_a_left_over_log_is_refused(
    path: Path, tmp_path: Path, killed: Callable[[Path, int, int], None], changes: int, way: str
) -> None:
    backup = tmp_path / "backup.db"
    with opened(path) as store:
        store.enroll("alef", embeddings(0, 200))
        expected = state(store)
    shutil.copy(path, backup)
    with opened(path) as store:
        store.enroll("bet", embeddings(1, 3))
    killed(path, 100, 100 + changes)
    if way == "over":
        path.write_bytes(backup.read_bytes())
    else:
        path.unlink()
        shutil.copy(backup, path)
    for _ in range(2):
        with pytest.raises(StoreError, match=rf"store\.db was overwritten.*remove {path}-wal and {path}-shm"):
            opened(path)
    assert path.read_bytes() == backup.read_bytes()
    remove_log(path)
    with opened(path) as store:
        assert state(store) == expected


def test_another_store_beside_a_left_over_log_is_refused(
    path: Path, tmp_path: Path, killed: Callable[[Path, int, int], None]
) -> None:
    path.parent.mkdir()
    killed(path, 0, 20)
    with opened(tmp_path / "other.db") as other:
        for seed in range(20):
            other.enroll("alef", embeddings(seed, 2))
    path.write_bytes((tmp_path / "other.db").read_bytes())
    with pytest.raises(StoreError, match="was overwritten"):
        opened(path)


@pytest.mark.parametrize("changes", [1, 150, 500])
def test_the_log_of_a_killed_process_is_taken_back(
    path: Path, killed: Callable[[Path, int, int], None], changes: int
) -> None:
    path.parent.mkdir()
    for turn in range(3):
        killed(path, turn * changes, (turn + 1) * changes)
    with opened(path) as store:
        assert len(store.shots()) > 0
        before = state(store)
    assert not Path(f"{path}-wal").exists()
    with opened(path) as store:
        assert state(store) == before


def test_a_store_in_use_is_opened_whatever_is_being_written(filled: Store, path: Path) -> None:
    for seed in range(200):  # over several times that SQLite begins the log anew
        filled.enroll(f"label {seed % 5}", embeddings(seed, 8))
        with opened(path) as other:
            assert state(other) == state(filled)


def test_a_closed_store_is_one_file(filled: Store, path: Path) -> None:
    filled.close()
    assert os.listdir(path.parent) == ["store.db"]


# Names and modes


def test_a_store_of_two_names_is_refused(filled: Store, path: Path, tmp_path: Path) -> None:
    filled.close()
    os.link(path, tmp_path / "second.db")
    for name in (path, tmp_path / "second.db"):
        with pytest.raises(StoreError, match=r"has 2 names \(hard links\).*copy it"):
            opened(name)
    (tmp_path / "second.db").unlink()
    with opened(path) as again:
        assert again.snapshot().labels == ("alef", "bet", "gimel")


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o000])
def test_only_its_owner_may_read_a_new_store(tmp_path: Path, bundle: Bundle, mask: int) -> None:
    before = os.umask(mask)
    try:
        with bundle.open_store(tmp_path / "store.db") as store:
            store.enroll("alef", embeddings(0, 1, bundle.manifest.dim))
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("store.db*")}
        assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
        cli("export-store", "omniglot", tmp_path / "out.npz", "--store", tmp_path / "store.db")
        cli("import-store", "omniglot", tmp_path / "out.npz", "--store", tmp_path / "in.db")
        assert (tmp_path / "out.npz").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "in.db").stat().st_mode & 0o777 == 0o600
        for file in ("out.npz", "store.db"):
            (tmp_path / file).chmod(0o640)
        with bundle.open_store(tmp_path / "store.db") as store:
            store.enroll("bet", embeddings(0, 1, bundle.manifest.dim))
        cli("export-store", "omniglot", tmp_path / "out.npz", "--store", tmp_path / "store.db")
        assert {(tmp_path / file).stat().st_mode & 0o777 for file in ("out.npz", "store.db")} == {0o640}
    finally:
        os.umask(before)
