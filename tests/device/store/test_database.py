"""The store's file: several at once lose nothing, failing changes leave nothing, and other files are refused untouched."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.device import adapt, embeddings, opened, python, state

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.store import Store

DIM = 16


# Several at once


def test_two_stores_on_one_file_see_each_others_changes(filled: Store, path: Path) -> None:
    with opened(path) as other:
        for change in (
            lambda: other.enroll("dalet", embeddings(4, 1)),
            lambda: adapt(other),
            lambda: other.forget("alef"),
            other.undo,
        ):
            version = filled.version()
            assert filled.version() == version
            change()
            assert filled.version() != version
            assert state(filled) == state(other)
        version = other.version()
        filled.enroll("he", embeddings(5, 1))
        assert other.version() != version


def test_an_open_store_sees_a_file_that_appears(path: Path) -> None:
    with opened(path) as early, opened(path) as writer:
        assert early.snapshot().labels == ()
        writer.enroll("alef", embeddings(0, 1))
        assert early.snapshot().labels == ("alef",)
        assert len(early.shots()) == 1
        early.enroll("bet", embeddings(1, 1))
        assert writer.snapshot().labels == ("alef", "bet")


WRITER = """
import sys
import numpy as np
from edge_meta.store.store import Store
path, label = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
with Store(path, "0123456789abcdef" * 2, 16) as store:
    for value in range(15):
        store.enroll(label, np.full((1, 16), value, np.float32))
"""


def test_an_acknowledged_change_survives_a_kill(tmp_path: Path, path: Path) -> None:
    killed = WRITER.replace("store.enroll(", "value > 4 and os.kill(os.getpid(), signal.SIGKILL); store.enroll(")
    assert python(tmp_path, "-c", "import os, signal" + killed, path, "alef").returncode == -signal.SIGKILL
    with opened(path) as store:
        assert store.snapshot().counts.tolist() == [5]


def test_two_processes_writing_at_once_lose_nothing(path: Path, tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), label],
            cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for label in ("alef", "bet")
    ]  # fmt: skip
    for process in writers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in writers:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[1] for process in writers] == ["", ""]
    with opened(path) as both:
        assert sorted(both.snapshot().labels) == ["alef", "bet"]
        assert both.snapshot().counts.tolist() == [15, 15]
        np.testing.assert_array_equal(both.snapshot().prototypes, np.full((2, DIM), 7, np.float32))


def test_a_store_first_used_by_several_at_once_takes_all_of_them(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def enroll(path: Path, label: str) -> None:
        together.wait(timeout=30)
        with opened(path) as mine:
            mine.enroll(label, embeddings(0, 1))

    with ThreadPoolExecutor(4) as pool:
        for turn in range(8):
            path = tmp_path / f"{turn}.db"
            list(pool.map(enroll, [path] * 4, "abcd"))
            with opened(path) as everything:
                assert sorted(everything.snapshot().labels) == list("abcd")


def test_an_empty_file_is_a_store_that_is_yet_to_be_made(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with opened(path) as store:
        assert store.snapshot().labels == ()
        assert path.read_bytes() == b""
        store.enroll("alef", embeddings(0, 1))
    with opened(path) as store:
        assert store.snapshot().labels == ("alef",)


# Failing


def test_a_failing_change_leaves_nothing_half_written(filled: Store, path: Path) -> None:
    adapt(filled)
    before, shots = state(filled), filled.shots()
    filled.database.query(
        "CREATE TEMP TRIGGER second_shot BEFORE INSERT ON shots WHEN EXISTS (SELECT 1 FROM shots WHERE log_id = NEW.log_id) "
        "BEGIN SELECT RAISE(FAIL, 'second shot'); END"
    )
    filled.database.query(
        "CREATE TEMP TRIGGER second_column BEFORE INSERT ON columns WHEN EXISTS (SELECT 1 FROM columns) "
        "BEGIN SELECT RAISE(FAIL, 'second column'); END"
    )
    for change, row in (
        (lambda: filled.enroll("dalet", embeddings(4, 3)), "second shot"),
        (lambda: filled.enroll("alef", embeddings(4, 3)), "second shot"),
        (lambda: adapt(filled, 1), "second column"),
    ):
        with pytest.raises(StoreError, match=row):
            change()
        assert state(filled) == before
        assert filled.shots() == shots
        with opened(path) as other:
            assert state(other) == before
    filled.database.query("DROP TRIGGER second_shot")
    filled.enroll("dalet", embeddings(4, 3))
    filled.undo()
    assert state(filled) == before


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_interrupted_change_of_the_head_leaves_it_as_it_was(filled: Store, error: type[BaseException]) -> None:
    adapt(filled)
    before = state(filled)

    def interrupted() -> None:
        with filled.adapting() as change:
            change.replace_head(np.ones((DIM, 3), np.float32), np.ones(3, np.float32))
            raise error

    with pytest.raises(error):
        interrupted()
    assert state(filled) == before
    filled.undo()
    assert filled.snapshot().columns == {}


def test_a_full_disk_loses_nothing(filled: Store, path: Path) -> None:
    before = state(filled)
    pages = filled.database.query("PRAGMA page_count").fetchone()[0]
    filled.database.query(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"store\.db.*full.*Free some space"):
        filled.enroll("dalet", embeddings(4, 500))
    assert state(filled) == before
    filled.database.query("PRAGMA max_page_count = 1000000")
    filled.enroll("dalet", embeddings(4, 500))
    filled.close()
    with opened(path) as again:
        assert again.snapshot().counts.tolist() == [2, 3, 1, 500]


def test_a_locked_store_can_be_read_and_works_again_later(filled: Store, path: Path) -> None:
    before = state(filled)
    with opened(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as holder:
        store.database.query("PRAGMA busy_timeout = 50")
        holder.execute("BEGIN IMMEDIATE")
        for change in (
            lambda: store.enroll("dalet", embeddings(4, 1)), lambda: store.forget("alef"), store.undo, lambda: adapt(store),
        ):  # fmt: skip
            with pytest.raises(StoreError, match=r"store\.db.*Another program"):
                change()
            assert state(store) == before
        holder.execute("ROLLBACK")
        store.enroll("dalet", embeddings(4, 1))
        assert len(store.snapshot().labels) == 4


@pytest.fixture
def spoil() -> Callable[[str, Path], None]:
    """spoil(kind, path): put something there that is not the store that will be asked for."""

    def make(kind: str, path: Path) -> None:
        other = {"other encoder": {"encoder_id": "f" * 32}, "other dimension": {"dim": DIM + 1}}.get(kind, {})
        with opened(path, **other) as store:
            for seed in range(40):
                store.enroll(f"label {seed}", embeddings(seed, 4, store.dim))
        if kind == "newer":
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA user_version = 4")
        elif kind == "other SQLite":
            path.unlink()
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("CREATE TABLE contacts (name TEXT)")
        elif kind == "text":
            path.write_bytes(b"label,embedding\n" * 100)
        elif kind.startswith("first"):
            path.write_bytes(path.read_bytes()[: int(kind.split()[1])])

    return make


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("other encoder", "belongs to encoder ffffffffffff"),
        ("other dimension", "belongs to encoder"),
        ("newer", "store format 4.*upgrade"),
        ("other SQLite", "not a store"),
        ("text", "not a store"),
        ("first 60", "not a store"),
        ("first 4096", "not a store|damaged"),
        ("first 20000", "damaged"),
    ],
)
def test_other_files_are_refused_by_name_and_not_touched(
    tmp_path: Path, kind: str, said: str, spoil: Callable[[str, Path], None]
) -> None:
    path = tmp_path / "asked-for.db"
    spoil(kind, path)
    before = path.read_bytes()

    def use() -> None:
        with opened(path) as store:
            store.snapshot()

    with pytest.raises(StoreError, match=rf"asked-for\.db.*({said})"):
        use()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["asked-for.db"]


@given(at=st.integers(0, 65_535), damage=st.binary(min_size=1, max_size=4))
def test_a_damaged_store_is_read_or_is_a_store_error(tmp_path: Path, at: int, damage: bytes) -> None:
    whole, path = tmp_path / "whole.db", tmp_path / "damaged.db"
    if not whole.exists():
        with opened(whole) as store:
            for seed in range(3):
                store.enroll(f"lábel {seed}", embeddings(seed, 2))
            adapt(store)
    content = whole.read_bytes()
    # Most of a small store is zeros; what is damaged here is one of the bytes that are not.
    used = np.flatnonzero(np.frombuffer(content, np.uint8))
    at = int(used[at % len(used)])
    path.write_bytes(content[:at] + damage + content[at + len(damage) :])
    with suppress(StoreError, LabelError), opened(path) as store:
        assert len(store.snapshot().labels) <= 3
        assert len(store.shots()) <= 6
        store.enroll("lábel 1", embeddings(5, 1))
        store.undo()


@pytest.mark.parametrize("name", ["file/store.db", "file/deeper/store.db", "folder.db", "x" * 300 + ".db"])
def test_an_unusable_path_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder.db").mkdir()

    def use() -> None:
        with opened(tmp_path / name) as store:
            store.enroll("alef", embeddings(0, 1))

    with pytest.raises(StoreError, match=name):
        use()
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_stale_journal_does_not_bring_a_store_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    killed = opened(path)
    killed.enroll("alef", embeddings(0, 1))
    journal = tmp_path / "kept-wal"
    shutil.copy(f"{path}-wal", journal)
    killed.close()
    path.unlink()
    shutil.copy(journal, f"{path}-wal")
    with opened(path) as anew:
        anew.enroll("bet", embeddings(1, 1))
        assert anew.snapshot().labels == ("bet",)


def test_the_journal_of_a_store_just_made_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exists, other = Path.exists, opened(path)

    def overtaken(asked: Path) -> bool:
        """The other process comes right after the last look at whether there is a file."""
        answer = exists(asked)
        if asked == path and list(path.parent.glob(".*/made.db")):
            monkeypatch.undo()
            other.enroll("theirs", embeddings(0, 1))
        return answer

    with opened(path) as mine:
        monkeypatch.setattr(Path, "exists", overtaken)
        mine.enroll("mine", embeddings(1, 1))
        other.enroll("theirs", embeddings(2, 1))
        assert mine.snapshot().labels == other.snapshot().labels == ("theirs", "mine")
        assert mine.snapshot().counts.tolist() == [2, 1]
        other.close()
    with opened(path) as again:
        assert again.snapshot().counts.tolist() == [2, 1]
