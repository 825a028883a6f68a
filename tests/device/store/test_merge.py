"""Merging stores: the same content in whatever order, nothing forgotten comes back, and nothing changes when it fails."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.device import adapt, cli, complaint, draw, embeddings, opened, said, state, takes

from edge_meta import Classifier
from edge_meta.errors import LabelError, StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.store.store import Store
from edge_meta.types import Array

pytestmark = pytest.mark.usefixtures("hasty")
KINDS = pytest.mark.parametrize("keep_shots", [True, False], ids=["shots", "no shots"])


def classes(store: Store) -> dict[str, tuple[int, bytes, float]]:
    """Count, prototype and scatter of each label."""
    now = store.snapshot()
    prototypes = [prototype.tobytes() for prototype in now.prototypes]
    return dict(zip(now.labels, zip(now.counts.tolist(), prototypes, now.scatters.tolist(), strict=True), strict=True))


def content(store: Store) -> tuple[object, ...]:
    """All that is enrolled and removed, to the bit, whatever the order and the row numbers."""
    rows = "SELECT sums.id, label, origin, revision, count, sum, squares FROM sums JOIN labels ON labels.id = label_id"
    with store.everything() as inside:
        removed = set(inside.query("SELECT id FROM removed"))
        parts = set() if inside.keeps_shots else set(inside.query(rows))
        shots = set(inside.query("SELECT id, embedding FROM shots"))
    return classes(store), set(store.shots()) if inside.keeps_shots else (), shots, parts, removed


def pair(folder: Path, keep_shots: bool = True) -> tuple[Store, Store]:
    """Make two open stores: alef and bet in mine.db, bet and gimel in theirs.db, 3 shots each."""
    stores = [opened(folder / name, keep_shots=keep_shots) for name in ("mine.db", "theirs.db")]
    for seed, (store, label) in enumerate(zip([0, 0, 1, 1], ["alef", "bet", "bet", "gimel"], strict=True)):
        stores[store].enroll(label, embeddings(seed, 3))
    return stores[0], stores[1]


# What a merge gives


@KINDS
def test_merging_adds_what_is_new_and_says_so(keep_shots: bool, tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path, keep_shots)
    done = mine.merge(theirs.path)
    assert (done.stores, done.added, done.removed, done.shots, done.classes) == (1, 6, 0, 12, 3)
    now = mine.snapshot()
    assert now.labels == ("alef", "bet", "gimel")
    assert now.counts.tolist() == [3, 6, 3]
    both = np.concatenate([embeddings(1, 3), embeddings(2, 3)]).astype(np.float64)
    np.testing.assert_allclose(now.prototypes[1], both.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(now.scatters[1], ((both - both.mean(axis=0)) ** 2).sum(), rtol=1e-6)


@KINDS
def test_several_stores_are_merged_at_once_or_not_at_all(keep_shots: bool, tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path, keep_shots)
    with opened(tmp_path / "third.db", keep_shots=keep_shots) as third:
        third.enroll("dalet", embeddings(9, 1))
    before = content(mine)
    with pytest.raises(StoreError, match=r"nosuch\.db"):
        mine.merge(theirs.path, tmp_path / "third.db", tmp_path / "nosuch.db")
    assert content(mine) == before
    done = mine.merge(theirs.path, tmp_path / "third.db", theirs.path)
    assert (done.stores, done.added, done.classes) == (3, 7, 4)


class Model:
    """The content that a store should have: units (a shot, or one origin's row of a label) by key, and removed ids."""

    def __init__(self, name: int, keep_shots: bool) -> None:
        self.name, self.keep_shots, self.made = name, keep_shots, 0
        self.units: dict[tuple[int, int], tuple[str, int, list[Array]]] = {}  # label, revision, embeddings
        self.removed: set[tuple[int, int]] = set()
        self.log: list[list[tuple[tuple[int, int], Array]]] = []

    def enroll(self, label: str, shots: Array) -> None:
        step = []
        for part in shots[:, None] if self.keep_shots else [shots]:
            own = [key for key, unit in self.units.items() if unit[0] == label and key[0] == self.name]
            if self.keep_shots or not own:
                self.made += 1
                own = [(self.name, self.made)]
                self.units[own[0]] = (label, 0, [])
            _, revision, held = self.units[own[0]]
            self.units[own[0]] = (label, revision + 1, [*held, part])
            step.append((own[0], part))
        self.log.append(step)

    def remove(self, keys: list[tuple[int, int]]) -> None:
        self.removed |= set(keys)
        self.units = {key: unit for key, unit in self.units.items() if key not in self.removed}
        self.log = [step for step in self.log if any(key in self.units for key, _ in step)]

    def undo(self) -> bool:
        if not self.log:
            return False
        for key, part in self.log.pop():
            if key in self.units:
                label, revision, held = self.units[key]
                self.units[key] = (label, revision + 1, [batch for batch in held if batch is not part])
                if not self.units[key][2]:
                    self.remove([key])
        return True

    def merge(self, other: Model) -> None:
        for key, unit in other.units.items():
            if key not in self.units or unit[1] > self.units[key][1]:
                self.units[key] = unit
        self.remove(list(other.removed))

    def classes(self) -> dict[str, Array]:
        labels = sorted({label for label, _, _ in self.units.values()})
        return {
            label: np.concatenate([batch for name, _, held in self.units.values() if name == label for batch in held])
            for label in labels
        }


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["enroll", "enroll", "enroll", "forget", "shot", "undo", "merge"]),
        st.sampled_from(["alef", "bet"]), st.integers(0, 2),
    ),
    min_size=4, max_size=16,
)  # fmt: skip


@KINDS
@settings(max_examples=25)
@given(steps=STEPS)
def test_histories_of_several_stores_meet(
    tmp_path_factory: pytest.TempPathFactory, keep_shots: bool, steps: list[tuple[int, str, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("histories")
    models = [Model(k, keep_shots) for k in range(3)]
    stores = [opened(folder / f"{k}.db", keep_shots=keep_shots) for k in range(3)]
    ids: dict[str, tuple[int, int]] = {}  # shot id -> key in the models
    for k in range(3):
        stores[k].enroll("first", embeddings(1000 + k, 1))
        models[k].enroll("first", embeddings(1000 + k, 1))
    for seed, (k, step, label, other) in enumerate(steps):
        store, model = stores[k], models[k]
        if keep_shots:
            new = [key for key in model.units if key not in ids.values()]
            ids |= dict(zip([shot for _, shot, _ in store.shots() if shot not in ids], new, strict=True))
        known = [name for name, *_ in model.units.values()]
        if step == "enroll":
            store.enroll(label, embeddings(seed, 1 + seed % 3))
            model.enroll(label, embeddings(seed, 1 + seed % 3))
        elif step == "forget" and label in known:
            store.forget(label)
            model.remove([key for key, unit in model.units.items() if unit[0] == label])
        elif step == "shot" and keep_shots and label in known:
            shot = next(shot for owner, shot, _ in store.shots() if owner == label)
            store.forget(label, shot)
            model.remove([ids[shot]])
        elif step == "undo":
            if model.undo():
                store.undo()
            else:
                with pytest.raises(LabelError):
                    store.undo()
        elif step == "merge" and other != k:
            store.merge(stores[other].path)
            model.merge(models[other])

    for store in stores:
        store.close()
    ends = []
    for turn, order in enumerate([(0, 1, 2), (2, 1, 0), (1, 0, 2)]):
        end = opened(shutil.copy(folder / f"{order[0]}.db", folder / f"end {turn}.db"))
        if turn == 2:  # 0 and 2 first
            with opened(shutil.copy(folder / "0.db", folder / "inner.db")) as inner:
                inner.merge(folder / "2.db")
            end.merge(folder / "inner.db")
        else:
            end.merge(folder / f"{order[1]}.db")
            end.merge(folder / f"{order[2]}.db", folder / f"{order[1]}.db")
        ends.append(content(end))
        again = end.merge(*(folder / f"{k}.db" for k in range(3)))
        assert (again.added, again.removed, content(end)) == (0, 0, ends[-1])
        end.close()
    assert ends[0] == ends[1] == ends[2]

    whole = models[0]
    for model in (models[1], models[2], models[0]):
        whole.merge(model)
    with opened(folder / "once.db") as once:
        for label, shots in whole.classes().items():
            once.enroll(label, shots)
        assert ends[0][0] == classes(once)


# What does not come back


@KINDS
@pytest.mark.parametrize("way", ["forget", "undo", "forget shots"])
def test_merging_an_older_copy_brings_nothing_back(keep_shots: bool, way: str, tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path, keep_shots)
    mine.close()
    older = tmp_path / "older" / "copy.db"
    older.parent.mkdir()
    shutil.copy(mine.path, older)
    with Store(mine.path, mine.encoder_id, mine.dim) as again:
        if way == "undo":
            again.undo()
        elif way == "forget" or not keep_shots:
            again.forget("bet")
        else:
            for label, shot, _ in again.shots():
                if label == "bet":
                    again.forget(label, shot)
        removed = content(again)
        assert again.merge(older).added == 0
        assert content(again) == removed
        assert b"bet" not in again.path.read_bytes()

        theirs.merge(older)
        assert theirs.snapshot().counts.tolist() == [6, 3, 3]
        done = theirs.merge(again.path)
        assert (done.added, done.removed) == (0, 3)
        assert theirs.snapshot().labels == ("bet", "gimel", "alef")
        assert theirs.snapshot().counts.tolist() == [3, 3, 3]


@KINDS
def test_a_label_enrolled_anew_after_forgetting_is_merged(keep_shots: bool, tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path, keep_shots)
    theirs.merge(mine.path)
    mine.forget("alef")
    mine.enroll("alef", embeddings(8, 2))
    done = theirs.merge(mine.path)
    assert (done.added, done.removed) == (2, 3)
    assert dict(zip(theirs.snapshot().labels, theirs.snapshot().counts.tolist(), strict=True))["alef"] == 2


@KINDS
def test_two_stores_from_one_seed_keep_what_each_adds(keep_shots: bool, tmp_path: Path) -> None:
    mine, _ = pair(tmp_path, keep_shots)
    mine.close()
    seed = mine.path.read_bytes()
    with (
        opened(tmp_path / "one.db", seed=seed, keep_shots=keep_shots) as one,
        opened(tmp_path / "two.db", seed=seed, keep_shots=keep_shots) as two,
    ):
        one.enroll("alef", embeddings(20, 2))
        two.enroll("alef", embeddings(21, 1))
        one.merge(two.path)
        two.merge(one.path)
        assert one.snapshot().counts.tolist() == two.snapshot().counts.tolist() == [6, 3]
        assert content(one) == content(two)


def undo_all(store: Store, times: int) -> None:
    for _ in range(times):
        store.undo()


@pytest.mark.parametrize("of_one", [1, 2, 7])
@pytest.mark.parametrize("of_two", [1, 2, 4])
def test_copies_that_went_on_apart_are_not_merged(tmp_path: Path, of_one: int, of_two: int) -> None:
    mine, _ = pair(tmp_path, keep_shots=False)
    mine.close()
    with (
        opened(shutil.copy(mine.path, tmp_path / "one.db"), keep_shots=False) as one,
        opened(shutil.copy(mine.path, tmp_path / "two.db"), keep_shots=False) as two,
    ):
        for seed in range(of_one):
            one.enroll("alef", embeddings(20 + seed, 2))
        for seed in range(of_two):
            two.enroll("alef", embeddings(50 + seed, 2))
        two.enroll("dalet", embeddings(22, 1))
        for into, source in ((one, two), (two, one)):
            before = content(into)
            with pytest.raises(StoreError, match=r"copies of one store.*'alef' since.*Nothing was changed.*Enroll"):
                into.merge(source.path)
            assert content(into) == before


@pytest.mark.parametrize("together", [True, False])
def test_copies_that_went_on_apart_are_found_at_a_third(tmp_path: Path, together: bool) -> None:
    mine, _ = pair(tmp_path, keep_shots=False)
    mine.close()
    with (
        opened(shutil.copy(mine.path, tmp_path / "one.db"), keep_shots=False) as one,
        opened(shutil.copy(mine.path, tmp_path / "two.db"), keep_shots=False) as two,
        opened(tmp_path / "third.db", keep_shots=False) as third,
    ):
        one.enroll("alef", embeddings(20, 1))
        for seed in range(3):
            two.enroll("alef", embeddings(50 + seed, 2))
        if together:
            with pytest.raises(StoreError, match=r"one\.db and .*two\.db are copies of one store"):
                third.merge(one.path, two.path)
            assert not third.path.exists()
        else:
            third.merge(one.path)
            with pytest.raises(StoreError, match=r"third\.db and .*two\.db are copies of one store"):
                third.merge(two.path)
            one.enroll("alef", embeddings(21, 1))
            third.merge(one.path)
            assert content(third) == content(one)


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("undone", [0, 1, 2])
@pytest.mark.parametrize("more", [0, 1, 5, 120])
def test_a_copy_and_what_became_of_it_are_merged(tmp_path: Path, steps: int, undone: int, more: int) -> None:
    mine, _ = pair(tmp_path, keep_shots=False)
    for seed in range(steps):
        mine.enroll("alef", embeddings(20 + seed, 2))
    mine.close()
    with (
        opened(shutil.copy(mine.path, tmp_path / "older.db"), keep_shots=False) as older,
        opened(mine.path, keep_shots=False) as newer,
    ):
        undo_all(newer, min(undone, steps))
        for seed in range(more):
            newer.enroll("alef", embeddings(50 + seed, 1))
        expected = content(newer)
        newer.merge(older.path)
        assert content(newer) == expected
        older.merge(newer.path)
        assert content(older) == expected


def test_copies_that_enrolled_other_labels_are_merged(tmp_path: Path) -> None:
    mine, _ = pair(tmp_path, keep_shots=False)
    mine.close()
    with (
        opened(shutil.copy(mine.path, tmp_path / "one.db"), keep_shots=False) as one,
        opened(shutil.copy(mine.path, tmp_path / "two.db"), keep_shots=False) as two,
    ):
        one.enroll("alef", embeddings(20, 2))
        two.enroll("bet", embeddings(21, 1))
        two.enroll("dalet", embeddings(22, 1))
        one.enroll("dalet", embeddings(23, 1))
        one.merge(two.path)
        two.merge(one.path)
        assert content(one) == content(two)
        assert one.snapshot().labels == ("alef", "bet", "dalet")


# The head and undo


def test_a_merge_of_classes_returns_the_head_to_prototypes(tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path)
    theirs.merge(mine.path)
    theirs.forget("bet")
    adapt(mine)
    mine.enroll("dalet", embeddings(5, 2))
    adapt(mine)
    done = mine.merge(theirs.path)
    assert done.head_reset
    assert done.undo_dropped == ("adapt", "adapt", "enroll")
    assert mine.snapshot().columns == {}
    undone = [mine.undo() for _ in range(2)]
    assert [(step.action, step.label, step.shots) for step in undone] == [("enroll", "dalet", 2), ("enroll", "alef", 3)]
    assert mine.snapshot().labels == ("gimel",)
    with pytest.raises(LabelError, match="nothing to undo"):
        mine.undo()


def test_a_merge_of_nothing_leaves_the_head_and_undo(tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path)
    mine.merge(theirs.path)
    before = state(mine)
    adapt(mine)
    adapted = state(mine)
    done = mine.merge(theirs.path)
    assert (done.added, done.removed, done.head_reset, done.undo_dropped) == (0, 0, False, ())
    assert state(mine) == adapted
    mine.undo()
    assert state(mine) == before


# What cannot be merged


def spoiled(kind: str, path: Path) -> None:
    """Put there what is no store to merge."""
    if kind == "text":
        path.write_text("label,embedding\n" * 100)
        return
    options: dict[str, Any] = {
        "other encoder": {"encoder_id": "f" * 32}, "other dimension": {"dim": 8}, "no shots": {"keep_shots": False},
    }.get(kind, {})  # fmt: skip
    with opened(path, **options) as store:
        store.enroll("x", embeddings(0, 2, store.dim))
        store.enroll("y", embeddings(1, 2, store.dim))
        store.undo()
    changes = {
        "other SQLite": "PRAGMA application_id = 1",
        "newer": "PRAGMA user_version = 4",
        "sums that are not": "UPDATE sums SET count = 3",
        "a shot of nothing": "UPDATE shots SET sum_id = randomblob(16)",
        "a short embedding": "UPDATE shots SET embedding = x'00'",
        "a NaN": "UPDATE shots SET embedding = CAST(zeroblob(60) || x'0000c07f' AS BLOB)",
        "text for numbers": "UPDATE shots SET embedding = zeroblob(60) || x'0000c07f'",
        "an id that tells": "INSERT INTO removed VALUES ('alef')",
        "an old revision": "UPDATE sums SET revision = -1",
    }
    if kind in changes:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(changes[kind])
    if kind == "cut short":
        path.write_bytes(path.read_bytes()[:20000])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nothing", "no store at"), ("empty", "no store at"), ("text", "not a store"), ("cut short", "damaged"),
        ("other SQLite", "not a store"), ("newer", "upgrade"), ("other encoder", "two encoders never mix"),
        ("other dimension", "two encoders never mix"), ("no shots", "one keeps single shots"),
        ("sums that are not", "damaged: a sum"), ("a shot of nothing", "damaged: a row belongs to nothing"),
        ("a short embedding", "damaged"), ("a NaN", "damaged: an embedding is not finite"), ("text for numbers", "Restore"),
        ("an id that tells", "damaged"), ("an old revision", "damaged: a revision"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_is_named_and_nothing_changes(filled: Store, tmp_path: Path, kind: str, said: str) -> None:
    source = tmp_path / "source.db"
    if kind == "empty":
        source.touch()
    elif kind != "nothing":
        spoiled(kind, source)
    before, given = content(filled), source.read_bytes() if source.exists() else None
    with pytest.raises(StoreError, match=rf"(?=.*source\.db).*({said})"):
        filled.merge(source)
    assert content(filled) == before
    assert (source.read_bytes() if source.exists() else None) == given


def test_a_store_is_not_merged_with_itself(filled: Store, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(filled.path)
    for path in (filled.path, link):
        with pytest.raises(StoreError, match="is the store itself"):
            filled.merge(path)


def test_shots_are_not_merged_into_a_store_without(tmp_path: Path) -> None:
    mine, _ = pair(tmp_path)
    with opened(tmp_path / "sums.db", keep_shots=False) as sums:
        sums.enroll("alef", embeddings(0, 1))
        before = content(sums)
        with pytest.raises(StoreError, match=r"mine\.db.*one keeps single shots and one does not"):
            sums.merge(mine.path)
        assert content(sums) == before


def test_more_shots_than_a_label_holds_are_refused(tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path, keep_shots=False)
    for store in (mine, theirs):
        store.close()
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.execute(f"UPDATE sums SET count = {2**24}, sum = zeroblob(128), squares = zeroblob(16)")
    with Store(mine.path, mine.encoder_id, mine.dim) as again:
        before = content(again)
        with pytest.raises(StoreError, match="too many"):
            again.merge(theirs.path)
        assert content(again) == before


def test_no_label_is_enrolled_beyond_what_it_can_hold(tmp_path: Path) -> None:
    mine, _ = pair(tmp_path, keep_shots=False)
    mine.close()
    with closing(sqlite3.connect(mine.path)) as connection, connection:
        connection.execute(f"UPDATE sums SET count = {2**24}, sum = zeroblob(128), squares = zeroblob(16)")
    with opened(tmp_path / "new.db", keep_shots=False) as new:
        new.merge(mine.path)
        before = content(new)
        with pytest.raises(StoreError, match="16777216 shots at most"):
            new.enroll("alef", embeddings(0, 1))
        assert content(new) == before


@KINDS
def test_a_new_store_takes_the_kind_of_what_is_merged_into_it(keep_shots: bool, tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path, keep_shots)
    with opened(tmp_path / "new.db") as new:
        done = new.merge(mine.path, theirs.path)
        assert (done.added, done.classes) == (12, 3)
        mine.merge(theirs.path)
        assert content(new) == content(mine)


def test_merging_into_a_locked_store_says_so_and_works_later(tmp_path: Path) -> None:
    mine, theirs = pair(tmp_path)
    with opened(mine.path) as again, closing(sqlite3.connect(mine.path, isolation_level=None)) as holder:
        again.database.query("PRAGMA busy_timeout = 50")
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"mine\.db.*Another program"):
            again.merge(theirs.path)
        holder.execute("ROLLBACK")
        assert again.merge(theirs.path).added == 6


# In Python and on the command line


def test_a_classifier_follows_a_merge(bundle: Bundle, tmp_path: Path) -> None:
    with Classifier.load(bundle, tmp_path / "a.db") as mine, Classifier.load(bundle, tmp_path / "b.db") as theirs:
        mine.enroll("alef", takes(0, 3))
        theirs.enroll("bet", takes(1, 3))
        assert mine.merge(tmp_path / "b.db").added == 3
        assert mine.labels == ["alef", "bet"]
        assert mine.classify(draw(1, 9)).top[0].label == "bet"


def test_the_command_prints_what_it_did(bundle: Bundle, tmp_path: Path) -> None:
    for kind, name in enumerate("ab"):
        with Classifier.load(bundle, tmp_path / f"{name}.db") as classifier:
            classifier.enroll(name, takes(kind, 3))
            classifier.enroll(f"{name} too", takes(kind + 2, 3))
            adapt(classifier.store)
    command = ["merge", "omniglot", tmp_path / "b.db", "--store", tmp_path / "a.db"]
    assert said(cli(*command, "--json")) == {
        "stores": 1, "added": 6, "removed": 0, "shots": 12, "classes": 4, "head_reset": True, "undo_dropped": ["adapt"],
        "none_shots": 0, "scrub_pending": False,
    }  # fmt: skip
    assert cli(*command).stdout == "0 shots added, 0 removed; 12 shots of 4 classes\n"
    back = cli("merge", "omniglot", tmp_path / "a.db", "--store", tmp_path / "b.db").stdout
    assert "back at the prototypes" in back
    assert "Undo no longer takes back: adapt" in back
    assert "is the store itself" in complaint(
        cli("merge", "omniglot", tmp_path / "a.db", "--store", tmp_path / "a.db", code=1)
    )
