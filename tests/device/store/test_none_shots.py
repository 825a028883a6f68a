"""Examples of none in a store: kept like shots, never a label, and part of every copy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.device import adapt, bytes_in, embeddings, opened, state

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.archive import read_archive, write_archive
from edge_meta.store.reader import NONE
from edge_meta.store.store import Store
from edge_meta.store.undo import Undone

pytestmark = pytest.mark.usefixtures("hasty")


def of_none(store: Store) -> tuple[list[int], bytes, list[float]]:
    """The examples of none of a store, as one pseudo-label."""
    now = store.snapshot(NONE)
    return now.counts.tolist(), now.prototypes.tobytes(), now.scatters.tolist()


@pytest.fixture(params=[True, False], ids=["shots", "sums"])
def taught(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """Two labels, with four examples of none between them."""
    with opened(tmp_path / "store.db", keep_shots=request.param) as store:
        store.enroll("alef", embeddings(0, 2))
        store.enroll_none(embeddings(1, 4))
        store.enroll("bet", embeddings(2, 3))
        yield store


@pytest.fixture
def without(tmp_path: Path, taught: Store) -> Iterator[Store]:
    """The same labels alone."""
    with opened(tmp_path / "without.db", keep_shots=taught.keeps_shots) as store:
        store.enroll("alef", embeddings(0, 2))
        store.enroll("bet", embeddings(2, 3))
        yield store


def test_examples_of_none_are_no_label(taught: Store, without: Store) -> None:
    assert state(taught) == state(without)
    assert of_none(taught)[0] == [4]
    assert of_none(without) == ([], b"", [])


def test_examples_of_none_are_read_as_they_were_shown(tmp_path: Path) -> None:
    with opened(tmp_path / "new.db") as store:
        assert store.none_shots().shape == (0, 16)
        store.enroll_none(embeddings(1, 4))
        np.testing.assert_array_equal(store.none_shots(), embeddings(1, 4))
        assert [label for label, *_ in store.shots()] == [NONE] * 4


def test_undo_takes_examples_of_none_back(taught: Store) -> None:
    before = of_none(taught)
    taught.enroll_none(embeddings(5, 2))
    assert of_none(taught)[0] == [6]
    assert taught.undo() == Undone("enroll", NONE, 2)
    assert of_none(taught) == before


def test_forgetting_none_leaves_the_labels(taught: Store, without: Store) -> None:
    assert taught.forget_none()[:2] == (4, False)
    assert of_none(taught) == ([], b"", [])
    assert state(taught) == state(without)
    with pytest.raises(LabelError, match="no examples of none"):
        taught.forget_none()


def test_one_example_of_none_is_forgotten_by_its_id(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        store.enroll_none(embeddings(1, 3))
        store.enroll("alef", embeddings(0, 2))
        shots = store.shots()
        assert store.forget_none(shots[1][1]).shots == 1
        np.testing.assert_array_equal(store.none_shots(), embeddings(1, 3)[[0, 2]])
        with pytest.raises(LabelError, match="None has no shot"):
            store.forget_none(shots[3][1])


def test_bytes_of_forgotten_examples_of_none_are_gone(tmp_path: Path) -> None:
    marked = np.full((1, 16), 1234.5, np.float32)
    with opened(tmp_path / "store.db") as store:
        store.enroll("alef", embeddings(0, 2))
        store.enroll_none(marked)
        assert marked.tobytes() in bytes_in(tmp_path)
        store.forget_none()
        assert marked.tobytes() not in bytes_in(tmp_path)


def test_an_adapted_head_outlives_changes_of_none(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        store.enroll_many({"alef": embeddings(0, 2), "bet": embeddings(2, 3)})
        store.enroll_none(embeddings(1, 4))
        adapt(store)
        before = state(store)
        store.enroll_none(embeddings(3, 1))
        store.forget_none()
        assert state(store) == before


def test_adapting_sees_no_examples_of_none(tmp_path: Path) -> None:
    with opened(tmp_path / "store.db") as store:
        store.enroll_none(embeddings(1, 4))
        store.enroll("alef", embeddings(0, 2))
        with store.adapting() as change:
            np.testing.assert_array_equal(change.embeddings, embeddings(0, 2))
            assert change.labels.tolist() == [0, 0]


def test_none_is_neither_renamed_nor_forgotten_as_a_label(taught: Store) -> None:
    for refused in (lambda: taught.rename(NONE, "x"), lambda: taught.rename("alef", NONE), lambda: taught.forget(NONE)):
        with pytest.raises(LabelError, match="is not a label"):
            refused()
    with pytest.raises(LabelError, match="is not a label"):
        taught.enroll(NONE, embeddings(0, 1))


def test_an_error_lists_labels_without_none(taught: Store) -> None:
    with pytest.raises(LabelError) as error:
        taught.forget("dalet")
    assert error.value.remedy == "Enrolled are: alef, bet."


def test_merging_takes_examples_of_none_and_removals(tmp_path: Path, taught: Store) -> None:
    path, kept = tmp_path / "other.db", taught.keeps_shots
    with opened(path, keep_shots=kept) as other:
        other.enroll_none(embeddings(9, 2))
        merged = taught.merge(path)
        assert (merged.added, merged.shots, merged.classes, merged.none_shots) == (2, 5, 2, 6)
        assert taught.merge(path).none_shots == 6
        other.forget_none()
        assert taught.merge(path).none_shots == 4


def test_an_archive_brings_examples_of_none_back(tmp_path: Path, taught: Store) -> None:
    counts = {"classes": 2, "shots": 5, "none_shots": 4}
    assert write_archive(taught, tmp_path / "out.npz") == counts
    copy = tmp_path / "copy.db"
    assert read_archive(tmp_path / "out.npz", copy, taught.encoder_id, taught.dim) == counts
    with opened(copy, keep_shots=taught.keeps_shots) as made:
        assert (of_none(made), state(made)) == (of_none(taught), state(taught))


def test_a_bundles_store_brings_examples_of_none(tmp_path: Path, taught: Store) -> None:
    before = of_none(taught)
    taught.close()
    with opened(tmp_path / "new.db", keep_shots=taught.keep_shots, seed=taught.path.read_bytes()) as made:
        assert of_none(made) == before


@pytest.mark.parametrize("table", ["columns", "log_columns", "log_renames"])
def test_a_store_whose_none_has_a_column_is_damaged(tmp_path: Path, table: str) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        store.enroll_none(embeddings(1, 4))
    values = {"columns": "id, zeroblob(64), 0.0", "log_columns": "1, id, zeroblob(64), 0.0", "log_renames": "1, id, 'x'"}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"INSERT INTO {table} SELECT {values[table]} FROM labels")
        connection.commit()
    with opened(tmp_path / "mine.db") as mine, pytest.raises(StoreError, match="examples of none have a column"):
        mine.merge(path)


def test_copies_that_both_saw_more_of_none_are_refused(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with opened(path, keep_shots=False) as store:
        store.enroll_none(embeddings(1, 4))
    copy.write_bytes(path.read_bytes())
    with opened(path, keep_shots=False) as one, opened(copy, keep_shots=False) as other:
        one.enroll_none(embeddings(2, 1))
        other.enroll_none(embeddings(3, 1))
        with pytest.raises(StoreError, match="both have enrolled examples of none"):
            one.merge(copy)
