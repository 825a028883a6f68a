"""A store with impossible rows is refused as a whole, by every verb that takes it in or changes it for good."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from support.device import adapt, embeddings, opened, state

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.archive import write_archive
from edge_meta.store.store import Store

DAMAGES = {
    "huge revision": "UPDATE sums SET revision = 9223372036854775807",
    "huge step": "UPDATE log SET id = 9223372036854775807 WHERE id = (SELECT max(id) FROM log)",
    "step none": "UPDATE log SET id = -1 WHERE id = 2",
    "huge label id": "INSERT INTO labels VALUES (9223372036854775807, 'z'); UPDATE sums SET label_id = 9223372036854775807",
    "white label": "UPDATE labels SET label = ' ' WHERE id = 1",
    "long label": "UPDATE labels SET label = replace(hex(zeroblob(501)), '0', 'x') WHERE id = 1",
    "bytes as label": "UPDATE labels SET label = x'ff' WHERE id = 1",
    "label that is no UTF-8": "UPDATE labels SET label = CAST(x'ff80' AS TEXT) WHERE id = 1",
    "present and removed": "INSERT INTO removed SELECT id FROM shots LIMIT 1",
    "row present and removed": "INSERT INTO removed SELECT id FROM sums LIMIT 1",
    "short id": "UPDATE shots SET id = x'00' WHERE rowid = 1",
    "text as origin": "UPDATE sums SET origin = 'text'",
    "huge squares": f"UPDATE sums SET squares = x'{'ff' * 16}'",
    "short sum": "UPDATE sums SET sum = x'00'",
    "infinite count": "UPDATE sums SET count = 9e999",
    "short embedding": "UPDATE shots SET embedding = x'00' WHERE rowid = 1",
    "another embedding": "UPDATE shots SET embedding = (SELECT embedding FROM shots WHERE rowid = 2) WHERE rowid = 1",
    "bias of no number": "UPDATE columns SET bias = 9e999",
    "past bias of text": "UPDATE log_columns SET bias = 'text'",
    "past column twice": "INSERT INTO log_columns SELECT * FROM log_columns",
}


def change(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA ignore_check_constraints = ON;" + script)
        connection.execute("PRAGMA journal_mode = DELETE")


@pytest.fixture
def lived(filled: Store) -> Path:
    """The closed file of `filled`, adapted, with one more shot of its first label."""
    adapt(filled)
    filled.enroll("alef", embeddings(7, 1))
    filled.close()
    return filled.path


VERBS: dict[str, Callable[[Store, Path], object]] = {
    "forget": lambda store, folder: store.forget(store.snapshot().labels[-1]),
    "undo": lambda store, folder: store.undo(),
    "export": lambda store, folder: write_archive(store, folder / "out.npz"),
    "shots": lambda store, folder: store.shots(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_impossible_rows_are_refused_by_every_verb(lived: Path, tmp_path: Path, damage: str) -> None:
    change(lived, DAMAGES[damage])
    before = lived.read_bytes()
    for verb in VERBS.values():
        with pytest.raises(StoreError, match=r"store\.db"), opened(lived) as store:
            verb(store, tmp_path)
    with pytest.raises(StoreError, match=r"prototypes\.db"):
        opened(tmp_path / "new.db", seed=before)
    with opened(tmp_path / "mine.db") as mine:
        mine.enroll("mine", embeddings(9, 1))
        now = state(mine)
        with pytest.raises(StoreError, match=r"store\.db"):
            mine.merge(lived)
        assert state(mine) == now
    change(lived, "")
    assert lived.read_bytes() == before
    assert not {"out.npz", "new.db"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("verb", VERBS)
def test_pages_that_are_damaged_are_refused(lived: Path, tmp_path: Path, verb: str) -> None:
    content = bytearray(lived.read_bytes())
    content[36:40] = (1).to_bytes(4, "big")  # there is one free page, and no list that leads to it
    lived.write_bytes(content)
    with opened(lived) as store:
        before = state(store)  # opening reads no more than it needs
        with pytest.raises(StoreError, match=r"store\.db is damaged: .*size is 0"):
            VERBS[verb](store, tmp_path)
        assert state(store) == before


def test_sums_beyond_their_range_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sums.db"
    with opened(path, keep_shots=False) as store:
        store.enroll("alef", embeddings(0, 2))
    change(path, f"UPDATE sums SET squares = x'{'ff' * 16}'")
    for verb in (VERBS["forget"], VERBS["undo"], VERBS["export"], lambda store, _: store.enroll("alef", embeddings(1, 1))):
        with opened(path, keep_shots=False) as store, pytest.raises(StoreError, match=r"sums\.db is damaged"):
            verb(store, tmp_path)


@pytest.mark.parametrize(
    ("differs", "said"),
    [
        ("UPDATE labels SET label = 'other' WHERE label = 'bet'", "under 'other', and .*store.db has it under 'bet'"),
        ("UPDATE sums SET origin = randomblob(16)", "with another origin or embedding"),
    ],
)
def test_one_shot_id_with_two_meanings_is_refused(lived: Path, tmp_path: Path, differs: str, said: str) -> None:
    copy, third = tmp_path / "copy.db", tmp_path / "third.db"
    copy.write_bytes(lived.read_bytes())
    change(copy, differs)
    with opened(lived) as store:
        before = state(store)
        with pytest.raises(StoreError, match=rf"copy\.db has the id [0-9a-f]{{32}} .*{said}"):
            store.merge(copy)
        assert state(store) == before
    with opened(third) as store, pytest.raises(StoreError, match=r"copy\.db has the id"):
        store.merge(lived, copy)


def test_a_shot_id_with_two_embeddings_is_refused(tmp_path: Path) -> None:
    one, two = (tmp_path / f"{name}.db" for name in ("one", "two"))
    for path, embedding in ((one, embeddings(0, 1)), (two, embeddings(1, 1))):
        with opened(path) as store:
            store.enroll("alef", embedding)
        change(path, f"UPDATE shots SET id = x'{'11' * 16}'; UPDATE sums SET origin = x'{'22' * 16}'")
    with opened(one) as store, pytest.raises(StoreError, match="with another origin or embedding"):
        store.merge(two)


def test_no_label_is_longer_than_a_thousand_characters(store: Store) -> None:
    store.enroll("x" * 1000, embeddings(0, 1))
    with pytest.raises(LabelError, match="1,001 characters is too long"):
        store.enroll("x" * 1001, embeddings(0, 1))
    assert store.snapshot().counts.tolist() == [1]


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_in_a_store_end_in_an_error_or_a_result(lived: Path, tmp_path: Path, hasty: None, seed: int) -> None:
    rng, content = np.random.default_rng(seed), lived.read_bytes()
    damaged = tmp_path / "damaged.db"
    for _ in range(15):
        changed = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 30)):
            changed[at] = rng.integers(256)
        for verb in VERBS.values():
            damaged.write_bytes(changed)
            with suppress(StoreError, LabelError), opened(damaged) as store:
                verb(store, tmp_path)
        with suppress(StoreError, LabelError), opened(tmp_path / f"{seed}.db") as mine:
            mine.merge(damaged)
