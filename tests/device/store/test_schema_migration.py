"""Stores of formats 1 and 2 are brought up to format 3 when they are opened, and lose nothing by it."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import bytes_in, embeddings, opened, state
from support.stores import FORMAT_1

from edge_meta.errors import StoreError
from edge_meta.store.store import Store
from edge_meta.types import Array

LABELS = ["alef", "👴", "e\u0301\0"]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A format 1 store: 2, 3 and 4 shots of three labels, adapted, and one more enroll of the first label after that."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FORMAT_1)
        connection.execute("INSERT INTO store VALUES (?, 16, ?)", ("0123456789abcdef" * 2, b"o" * 16))
        for k, label in enumerate(LABELS, 1):
            connection.execute("INSERT INTO labels (label) VALUES (?)", (label,))
            connection.execute("INSERT INTO log (action) VALUES ('enroll')")
            add(connection, k, k, embeddings(k, k + 1))
        connection.execute("INSERT INTO log (action) VALUES ('adapt')")
        for label_id in (2, 3):
            connection.execute("INSERT INTO columns VALUES (?, ?, 0.5)", (label_id, embeddings(7, 1).tobytes()))
        connection.execute("INSERT INTO log (action) VALUES ('enroll')")
        connection.execute("INSERT INTO log_columns VALUES (5, 1, ?, 0.25)", (embeddings(8, 1).tobytes(),))
        add(connection, 1, 5, embeddings(9, 1))
    return path


def add(connection: sqlite3.Connection, label_id: int, log_id: int, shots: Array) -> None:
    for k, shot in enumerate(shots):
        shot_id = bytes([label_id, log_id, k] * 5 + [0])
        connection.execute("INSERT INTO shots VALUES (?, ?, ?, ?)", (shot_id, label_id, b"o" * 16, shot.tobytes()))
        connection.execute("INSERT INTO log_shots VALUES (?, ?)", (log_id, shot_id))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_everything_is_there_and_undo_goes_on(old: Path, tmp_path: Path) -> None:
    shots = [np.concatenate([embeddings(1, 2), embeddings(9, 1)]), embeddings(2, 3), embeddings(3, 4)]
    with opened(old) as store, opened(tmp_path / "new.db") as new:
        for label, embedded in zip(LABELS, shots, strict=True):
            new.enroll(label, embedded)
        now, wanted = store.snapshot(), new.snapshot()
        assert now.labels == wanted.labels
        assert now.prototypes.tobytes() == wanted.prototypes.tobytes()
        assert now.counts.tolist() == wanted.counts.tolist() == [3, 3, 4]
        assert now.scatters.tolist() == wanted.scatters.tolist()
        assert {k: bias for k, (_, bias) in now.columns.items()} == {1: 0.5, 2: 0.5}
        assert [(label, origin) for label, _, origin in store.shots()] == [
            (label, (b"o" * 16).hex()) for label, embedded in zip(LABELS, shots, strict=True) for _ in embedded
        ]
        assert version(old) == 3

        store.enroll("new", embeddings(20, 1))
        undone = [store.undo() for _ in range(3)]
        assert [(u.action, u.label, u.shots) for u in undone] == [
            ("enroll", "new", 1),
            ("enroll", "alef", 1),
            ("adapt", None, 0),
        ]
        assert store.snapshot().counts.tolist() == [2, 3, 4]
        assert store.forget("👴").shots == 3
        assert "👴".encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("old.db*"))


def test_merging_reads_an_old_store_and_leaves_it_as_it_is(old: Path, filled: Store) -> None:
    before = old.read_bytes()
    done = filled.merge(old)
    assert (done.added, done.classes) == (10, 5)
    assert old.read_bytes() == before
    with opened(old) as store:
        ids = {shot for _, shot, _ in store.shots()}
        assert ids <= {shot for _, shot, _ in filled.shots()}
        assert filled.merge(old).added == 0


def test_an_old_seed_starts_a_new_store(old: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "mine.db", seed=old.read_bytes()) as mine:
        assert mine.snapshot().labels == tuple(LABELS)


def test_an_old_store_that_cannot_be_written_says_so(old: Path) -> None:
    before = old.read_bytes()
    with closing(sqlite3.connect(old, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"old\.db is of store format 1 and cannot be brought up to format 3 .*locked"):
            opened(old, busy_seconds=0.05)
        holder.execute("ROLLBACK")
    assert old.read_bytes() == before
    opened(old).close()
    assert version(old) == 3


@pytest.fixture
def format_2(tmp_path: Path) -> Path:
    """A format 2 store: 2, 3 and 4 shots of three labels."""
    path, new = tmp_path / "format 2.db", tmp_path / "new.db"
    with opened(new) as store:
        for k, label in enumerate(LABELS, 1):
            store.enroll(label, embeddings(k, k + 1))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(Path(__file__).with_name("format_2.sql").read_text("utf-8"))
        connection.execute("ATTACH ? AS new", (str(new),))
        with connection:
            for table in ("store", "log", "labels", "sums", "shots"):
                connection.execute(f"INSERT INTO main.{table} SELECT * FROM new.{table} ORDER BY rowid")
    return path


def schema(path: Path) -> list[tuple[str, ...]]:
    """All that is declared, without the table that SQLite makes for format 1 and drops with the first VACUUM."""
    asked = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name != 'sqlite_sequence' ORDER BY name"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(asked).fetchall()


def test_a_store_of_format_2_keeps_all_it_has(format_2: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "new.db") as new, opened(format_2) as store:
        assert state(store) == state(new)
        assert store.shots() == new.shots()
        assert version(format_2) == 3
        assert store.undo() == new.undo()


@pytest.mark.parametrize("kind", ["old", "format_2"])
def test_a_migrated_store_has_the_schema_of_a_new_one(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    opened(path).close()
    with opened(tmp_path / "anew.db") as store:
        store.enroll("alef", embeddings(0, 1))
    assert schema(path) == schema(tmp_path / "anew.db")


@pytest.mark.parametrize("kind", ["old", "format_2"])
def test_migrating_scrubs_what_was_removed_before(kind: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM labels WHERE id = 2")
    wanted = embeddings(2, 3)[1].tobytes()
    assert wanted in bytes_in(path.parent)
    (path.parent / "new.db").unlink(missing_ok=True)
    with opened(path) as store:
        assert store.snapshot().labels == (LABELS[0], LABELS[2])
        assert wanted not in bytes_in(path.parent)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE shots SET embedding = x'00' WHERE rowid = 3",
        "UPDATE shots SET embedding = CAST(zeroblob(60) || x'0000c07f' AS BLOB) WHERE rowid = 3",
        "UPDATE shots SET label_id = 9 WHERE rowid = 3",
        "UPDATE log SET action = 'enroll' WHERE id = 1; DROP TABLE log_columns",
    ],
)
def test_a_damaged_old_store_is_refused_and_stays_as_it_is(old: Path, damage: str) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(damage)
    before = old.read_bytes()
    with pytest.raises(StoreError, match=r"old\.db"):
        opened(old)
    assert old.read_bytes() == before


def test_several_that_open_an_old_store_at_once_all_get_it(old: Path) -> None:
    together = threading.Barrier(4)

    def enroll(label: str) -> Any:
        together.wait(timeout=30)
        with opened(old) as store:
            store.enroll(label, embeddings(0, 1))
            return store.snapshot().labels[:3]

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(enroll, "abcd")) == {tuple(LABELS)}
    with opened(old) as store:
        assert sorted(store.snapshot().labels[3:]) == list("abcd")
