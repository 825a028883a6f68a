"""Renaming a label: its shots and head stay, undo gives the old name back, and merges stay exact."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.device import adapt, bytes_in, embeddings, opened, state

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.archive import read_archive, write_archive
from edge_meta.store.store import Store
from edge_meta.store.undo import Undone


def filled_store(path: Path, keep_shots: bool) -> Store:
    store = opened(path, keep_shots=keep_shots)
    for seed, (label, count) in enumerate([("alef", 2), ("bet", 3)]):
        store.enroll(label, embeddings(seed, count))
    return store


def twin(store: Store, path: Path) -> Store:
    """A copy of a store, for another device."""
    with closing(sqlite3.connect(store.path)) as source:
        source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(store.path, path)
    return opened(path, keep_shots=store.keep_shots)


def counts(store: Store) -> dict[str, int]:
    now = store.snapshot()
    return dict(zip(now.labels, now.counts.tolist(), strict=True))


def content(store: Store) -> dict[str, tuple[int, bytes]]:
    """The count and prototype of each label, whatever their order."""
    now = store.snapshot()
    return {label: (int(now.counts[k]), now.prototypes[k].tobytes()) for k, label in enumerate(now.labels)}


@pytest.fixture(params=[True, False], ids=["shots", "sums"])
def taught(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    return filled_store(tmp_path / "store.db", request.param)


def test_a_renamed_label_keeps_its_place_and_shots(taught: Store) -> None:
    labels, *rest = state(taught)
    assert labels == ("alef", "bet")
    assert taught.rename("alef", "aleph") == 2
    assert state(taught) == (("aleph", "bet"), *rest)


def test_an_adapted_head_stays_with_a_renamed_label(filled: Store) -> None:
    adapt(filled)
    before = filled.snapshot()
    filled.rename("bet", "beth")
    now = filled.snapshot()
    assert {k: (w.tobytes(), b) for k, (w, b) in now.columns.items()} == {
        k: (w.tobytes(), b) for k, (w, b) in before.columns.items()
    }


def test_undo_gives_the_old_name_back_then_goes_on(taught: Store) -> None:
    before = state(taught)
    taught.rename("bet", "beth")
    taught.rename("beth", "b")
    assert taught.undo() == Undone("rename", "beth", 3)
    assert taught.undo() == Undone("rename", "bet", 3)
    assert state(taught) == before
    assert taught.undo() == Undone("enroll", "bet", 3)


def test_an_enroll_before_a_rename_is_undone_after_it(taught: Store) -> None:
    taught.enroll("alef", embeddings(7, 1))
    taught.rename("alef", "aleph")
    taught.enroll("aleph", embeddings(8, 2))
    assert counts(taught) == {"aleph": 5, "bet": 3}
    assert [taught.undo() for _ in range(3)] == [
        Undone("enroll", "aleph", 2),
        Undone("rename", "alef", 3),
        Undone("enroll", "alef", 1),
    ]
    assert counts(taught) == {"alef": 2, "bet": 3}


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [("gimel", "g", "not enrolled"), ("alef", "bet", "enrolled already"), ("alef", " ", "not a label")],
)
def test_impossible_names_are_refused(taught: Store, old: str, new: str, cause: str) -> None:
    before = state(taught)
    with pytest.raises(LabelError, match=cause):
        taught.rename(old, new)
    assert state(taught) == before


def test_the_new_name_reaches_copies_and_counts_once(taught: Store, tmp_path: Path) -> None:
    other = twin(taught, tmp_path / "other.db")
    taught.rename("alef", "aleph")
    other.merge(taught.path)
    assert content(other) == content(taught)
    assert counts(other) == {"bet": 3, "aleph": 2}
    assert (other.merge(taught.path).added, taught.merge(other.path).added) == (0, 0)
    assert content(other) == content(taught)


def test_copies_renamed_alike_count_each_shot_once(taught: Store, tmp_path: Path) -> None:
    other = twin(taught, tmp_path / "other.db")
    for store in (taught, other):
        store.rename("alef", "aleph")
    done = taught.merge(other.path)
    assert (done.added, done.removed, counts(taught)) == (0, 0, {"aleph": 2, "bet": 3})


def test_shots_enrolled_to_the_old_name_elsewhere_stay(tmp_path: Path) -> None:
    store = filled_store(tmp_path / "store.db", True)
    other = twin(store, tmp_path / "other.db")
    store.rename("alef", "aleph")
    other.enroll("alef", embeddings(9, 4))
    store.merge(other.path)
    other.merge(store.path)
    assert counts(store) == {"aleph": 2, "bet": 3, "alef": 4}
    assert content(other) == content(store)
    with pytest.raises(LabelError, match="enrolled already"):
        store.undo()


@pytest.mark.parametrize("renamed", ["one", "both"])
@pytest.mark.parametrize("later", [0, 1, 3])
def test_sums_enrolled_to_a_label_renamed_elsewhere_are_not_lost(tmp_path: Path, renamed: str, later: int) -> None:
    store = filled_store(tmp_path / "store.db", False)
    other = twin(store, tmp_path / "other.db")
    other.enroll("alef", embeddings(9, 4))
    for each in (store, other) if renamed == "both" else (store,):
        each.rename("alef", "aleph")
    for seed in range(later):
        store.enroll("aleph", embeddings(20 + seed, 1))
    for into, source in ((store, other), (other, store)):
        before = state(into)
        with pytest.raises(
            StoreError, match=r"copies of one store .* one has enrolled '.* merging would (lose|count twice)"
        ):
            into.merge(source.path)
        assert state(into) == before


@pytest.mark.parametrize("earlier", [0, 1, 3])
@pytest.mark.parametrize("later", [0, 1, 3])
def test_an_older_copy_of_renamed_sums_is_merged(tmp_path: Path, earlier: int, later: int) -> None:
    store = filled_store(tmp_path / "store.db", False)
    other = twin(store, tmp_path / "other.db")
    for seed in range(earlier):
        store.enroll("alef", embeddings(20 + seed, 1))
    store.rename("alef", "aleph")
    for seed in range(later):
        store.enroll("aleph", embeddings(30 + seed, 2))
    before = content(store)
    store.merge(other.path)
    other.merge(store.path)
    assert content(store) == content(other) == before


def test_a_renamed_label_that_is_forgotten_leaves_no_name(taught: Store) -> None:
    taught.rename("alef", "some new name")
    taught.forget("some new name")
    taught.close()
    assert b"some new name" not in bytes_in(taught.path.parent)
    with opened(taught.path, keep_shots=taught.keep_shots) as again:
        assert again.undo() == Undone("enroll", "bet", 3)


def test_an_archive_keeps_a_rename_for_undo(taught: Store, tmp_path: Path) -> None:
    taught.rename("alef", "aleph")
    write_archive(taught, tmp_path / "all.npz")
    read_archive(tmp_path / "all.npz", tmp_path / "again.db", taught.encoder_id, taught.dim)
    with opened(tmp_path / "again.db", keep_shots=taught.keep_shots) as again:
        assert state(again) == state(taught)
        assert again.undo() == Undone("rename", "alef", 2)


def test_a_rename_to_a_name_that_is_none_is_damage(filled: Store, tmp_path: Path) -> None:
    filled.rename("alef", "aleph")
    filled.close()
    with closing(sqlite3.connect(filled.path)) as connection, connection:
        connection.execute("UPDATE log_renames SET label = ' '")
    with opened(tmp_path / "merged.db") as merged, pytest.raises(StoreError, match="a rename"):
        merged.merge(filled.path)
