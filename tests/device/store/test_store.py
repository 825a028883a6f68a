"""The store: exact prototypes, undo step by step, and forgetting for good."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.device import adapt, bytes_in, embeddings, opened, state

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.archive import read_archive, write_archive
from edge_meta.store.store import Store
from edge_meta.store.undo import Undone
from edge_meta.store.writer import UNDO_STEPS

DIM = 16


# Keeping


def test_what_is_enrolled_is_there_again_after_reopening(filled: Store, path: Path) -> None:
    adapt(filled)
    before, shots = state(filled), filled.shots()
    filled.close()
    with opened(path) as again:
        assert state(again) == before
        assert again.shots() == shots
        assert again.snapshot().labels == ("alef", "bet", "gimel")
        assert again.snapshot().counts.tolist() == [2, 3, 1]


def test_each_shot_has_an_id_and_the_stores_origin(filled: Store) -> None:
    filled.enroll("aardvark", embeddings(3, 1))
    filled.enroll("alef", embeddings(4, 1))
    labels, ids, origins = zip(*filled.shots(), strict=True)
    assert labels == ("alef", "alef", "alef", "bet", "bet", "bet", "gimel", "aardvark")
    assert len(set(ids)) == 8
    assert all(len(bytes.fromhex(identity)) == 16 for identity in ids)
    assert len(set(origins)) == 1


def test_a_closed_store_is_one_file_and_its_copy_is_complete(filled: Store, path: Path, tmp_path: Path) -> None:
    adapt(filled)
    before = state(filled)
    filled.close()
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]
    with opened(Path(shutil.copy(path, tmp_path / "copy.db"))) as copy:
        assert state(copy) == before


def test_reading_never_creates_a_file(store: Store, path: Path) -> None:
    assert store.snapshot().labels == ()
    assert store.snapshot().prototypes.shape == (0, DIM)
    assert store.shots() == []
    assert store.version() == 0
    assert not path.parent.exists()


@pytest.mark.parametrize("change", [lambda store: store.forget("alef"), Store.undo])
def test_a_change_of_nothing_creates_no_file(store: Store, path: Path, change: Callable[[Store], object]) -> None:
    with pytest.raises(LabelError):
        change(store)
    store.close()
    assert not path.exists()


def test_the_file_is_documented_by_its_header(filled: Store, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert connection.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"EMST", "big"),)
        blob = connection.execute("SELECT embedding FROM shots ORDER BY rowid LIMIT 1").fetchone()[0]
    np.testing.assert_array_equal(np.frombuffer(blob, "<f4"), embeddings(0, 2)[0])


# Labels and embeddings


@pytest.mark.parametrize(
    "label",
    ["a", "👩🏽‍🔬", "שלום", "e\u0301", "é", "two\nlines", "'q\"; DROP TABLE shots --", "%_*?", " padded ", "\0", "x" * 1000],
)
def test_a_label_is_any_text_and_comes_back_as_given(store: Store, path: Path, label: str) -> None:
    store.enroll(label, embeddings(0, 1))
    store.enroll("other", embeddings(1, 1))
    store.enroll(label, embeddings(2, 1))
    store.close()
    with opened(path) as again:
        assert again.snapshot().labels == (label, "other")
        assert again.snapshot().counts.tolist() == [2, 1]
        assert again.forget(label).shots == 2
        assert again.snapshot().labels == ("other",)


@pytest.mark.parametrize("label", ["", " ", "\n\t", "\u2003", "\ud800", "a\udfff", None, 7])
def test_what_is_no_label_is_refused(filled: Store, label: Any) -> None:
    before = state(filled)
    with pytest.raises(LabelError):
        filled.enroll(label, embeddings(9, 1))
    with pytest.raises(LabelError):
        filled.forget(label)
    assert state(filled) == before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**15, -1e30])
def test_embeddings_that_cannot_be_summed_are_refused(filled: Store, value: float) -> None:
    before, bad = state(filled), embeddings(9, 3)
    bad[2, 5] = value
    with pytest.raises(StoreError):
        filled.enroll("bad", bad)
    assert state(filled) == before


@pytest.mark.parametrize("shape", [(0, DIM), (2, DIM - 1), (DIM,)])
def test_embeddings_of_another_shape_are_refused(filled: Store, shape: tuple[int, ...]) -> None:
    before = state(filled)
    with pytest.raises((StoreError, LabelError, ValueError)):
        filled.enroll("bad", np.ones(shape, np.float32))
    assert state(filled) == before


def test_what_is_not_enrolled_is_named_with_what_is(filled: Store) -> None:
    with pytest.raises(LabelError, match=r"'dalet' is not enrolled.*alef, bet, gimel"):
        filled.forget("dalet")
    with pytest.raises(LabelError, match=r"'alef' has no shot '00ff'"):
        filled.forget("alef", "00ff")
    of_bet = filled.shots()[2][1]
    with pytest.raises(LabelError):
        filled.forget("alef", of_bet)


# Exact prototypes


def test_a_prototype_is_the_exact_mean_rounded_once(store: Store) -> None:
    # Multiples of 2^-20 below 2^4 are exact in float32; their sums in float32 would not be.
    values = np.random.default_rng(0).integers(-(2**24) + 1, 2**24, (7, DIM))
    store.enroll("alef", (values / 2.0**20).astype(np.float32))
    wanted = [float(Fraction(int(total), 7 * 2**20)) for total in values.sum(axis=0)]
    np.testing.assert_array_equal(store.snapshot().prototypes[0], np.array(wanted, np.float32))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_prototype_is_the_mean_of_its_shots(store: Store, scale: float) -> None:
    shots = (scale * embeddings(1, 5)).astype(np.float32)
    store.enroll("alef", shots)
    wanted = shots.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(store.snapshot().prototypes[0], wanted, rtol=2**-23, atol=2**-24)


def test_shots_of_any_magnitude_give_the_same_bits_in_any_order(tmp_path: Path) -> None:
    # In float64, what is left of the small ones depends on whether the large ones meet first.
    shots = np.array([[2.0**14], [-(2.0**14)], [2.0**-39], [2.0**-41]], np.float32)
    with opened(tmp_path / "orders.db", dim=1) as store:
        for order in permutations(range(4)):
            store.enroll(f"{order}", shots[list(order)])
        assert len({prototype.tobytes() for prototype in store.snapshot().prototypes}) == 1


VALUES = st.lists(st.floats(-32767, 32767, width=32, allow_subnormal=False), min_size=3, max_size=3)
SHOTS = st.lists(st.tuples(st.integers(0, 2), VALUES), min_size=1, max_size=9)


@pytest.mark.usefixtures("hasty")
@settings(max_examples=25)
@given(shots=SHOTS, rng=st.randoms(use_true_random=False))
def test_the_same_shots_give_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, shots: list[tuple[int, list[float]]], rng: Any
) -> None:
    folder = tmp_path_factory.mktemp("exact")
    rows = [(f"label {k}", np.array([values], np.float32)) for k, values in shots]
    with opened(folder / "plain.db", dim=3) as plain, opened(folder / "detours.db", dim=3) as detours:
        for label in sorted({label for label, _ in rows}):
            plain.enroll(label, np.concatenate([row for owner, row in rows if owner == label]))

        rng.shuffle(rows)
        for label, row in rows:
            detour = rng.choice(["none", "forget shot", "forget label", "undo"])
            before = set(detours.shots())
            if detour != "none":
                detours.enroll("passing" if detour == "forget label" else label, np.concatenate([-row, row / 3]))
            if detour == "undo":
                detours.undo()
            passing = set(detours.shots()) - before
            detours.enroll(label, row)
            if detour == "forget label":
                detours.forget("passing")
            elif detour == "forget shot":
                for _, shot, _ in passing:
                    detours.forget(label, shot)

        first, second = plain.snapshot(), detours.snapshot()
        prototypes = {label: second.prototypes[k].tobytes() for k, label in enumerate(second.labels)}
        counts = dict(zip(second.labels, second.counts.tolist(), strict=True))
        assert prototypes == {label: first.prototypes[k].tobytes() for k, label in enumerate(first.labels)}
        assert counts == dict(zip(first.labels, first.counts.tolist(), strict=True))


# Undo


@pytest.mark.usefixtures("hasty")
@settings(max_examples=25)
@given(steps=st.lists(st.sampled_from(["alef", "bet", "gimel", "adapt", "undo"]), max_size=25))
def test_undo_goes_back_step_by_step(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    with opened(tmp_path_factory.mktemp("undo") / "store.db") as store:
        store.enroll("first", embeddings(0, 2))
        store.forget("first", store.shots()[0][1])
        past = [state(store)]
        for seed, step in enumerate(steps, 1):
            if step == "undo" and len(past) > 1:
                store.undo()
                past.pop()
            elif step != "undo":
                adapt(store, seed) if step == "adapt" else store.enroll(step, embeddings(seed, 1 + seed % 3))
                past.append(state(store))
            assert state(store) == past[-1]


def test_undo_says_what_it_took_back(filled: Store) -> None:
    filled.enroll("alef", embeddings(7, 4))
    adapt(filled)
    undone = [filled.undo() for _ in range(3)]
    assert [(u.action, u.label, u.shots) for u in undone] == [
        ("adapt", None, 0),
        ("enroll", "alef", 4),
        ("enroll", "gimel", 1),
    ]
    assert filled.snapshot().labels == ("alef", "bet")


def test_undo_with_nothing_left_is_an_error(store: Store) -> None:
    store.enroll("alef", embeddings(0, 1))
    store.undo()
    with pytest.raises(LabelError, match="nothing to undo"):
        store.undo()
    assert store.snapshot().labels == ()


@pytest.mark.usefixtures("hasty")
def test_adapting_again_and_again_does_not_grow_the_file(filled: Store, path: Path) -> None:
    for seed in range(UNDO_STEPS):
        adapt(filled, seed)
    (pages,) = filled.database.query("PRAGMA page_count").fetchone()
    for seed in range(10 * UNDO_STEPS):
        adapt(filled, seed)
    (later,) = filled.database.query("PRAGMA page_count").fetchone()
    assert later <= 1.2 * pages
    assert [filled.undo().action for _ in range(UNDO_STEPS)] == ["adapt"] * UNDO_STEPS
    with pytest.raises(LabelError):
        filled.undo()


def test_adapting_again_to_the_same_head_is_no_step(filled: Store) -> None:
    def logged() -> tuple[int, int]:
        with filled.everything() as rows:
            return rows.row("SELECT (SELECT COUNT(*) FROM log), (SELECT COUNT(*) FROM log_columns)")

    before = state(filled)
    for steps, columns in ((4, 0), (5, 3)):
        for _ in range(3):
            adapt(filled, steps)
            assert logged() == (steps, columns)
    assert filled.undo().action == "adapt"
    filled.rename("alef", "dalet")
    adapt(filled, 4)
    assert logged() == (6, 3), "undo of the rename comes after undo of this adapt"
    assert [filled.undo().action for _ in range(3)] == ["adapt", "rename", "adapt"]
    assert state(filled) == before


def test_undo_works_after_reopening(filled: Store, path: Path) -> None:
    before = state(filled)
    adapt(filled)
    filled.enroll("bet", embeddings(5, 1))
    filled.close()
    with opened(path) as again:
        again.undo()
        again.undo()
        assert state(again) == before


def test_enroll_resets_its_labels_column_until_undo(filled: Store) -> None:
    adapt(filled)
    adapted = state(filled)
    filled.enroll("bet", embeddings(5, 1))
    assert set(filled.snapshot().columns) == {0, 2}
    filled.enroll("dalet", embeddings(6, 1))
    assert set(filled.snapshot().columns) == {0, 2}
    filled.undo()
    filled.undo()
    assert state(filled) == adapted


# Several labels at once


def test_several_labels_are_enrolled_and_undone_as_one(filled: Store) -> None:
    before = state(filled)
    filled.enroll_many({"dalet": embeddings(7, 2), "alef": embeddings(8, 3)})
    now = filled.snapshot()
    assert dict(zip(now.labels, now.counts.tolist(), strict=True)) == {"alef": 5, "bet": 3, "gimel": 1, "dalet": 2}
    assert filled.undo() == Undone("enroll", None, 5)
    assert state(filled) == before


def test_undo_of_several_labels_brings_their_columns_back(filled: Store) -> None:
    adapt(filled)
    before = state(filled)
    filled.enroll_many({"alef": embeddings(7, 2), "bet": embeddings(8, 3)})
    assert set(filled.snapshot().columns) == {2}
    filled.undo()
    assert state(filled) == before


def test_a_step_of_several_labels_is_no_damage_elsewhere(filled: Store, tmp_path: Path) -> None:
    filled.enroll_many({"dalet": embeddings(7, 2), "alef": embeddings(8, 3)})
    write_archive(filled, tmp_path / "all.npz")
    read_archive(tmp_path / "all.npz", tmp_path / "again.db", filled.encoder_id, filled.dim)
    with opened(tmp_path / "again.db") as again, opened(tmp_path / "merged.db") as merged:
        merged.merge(filled.path)
        assert state(again)[:3] == state(merged)[:3] == state(filled)[:3]
        assert again.undo() == Undone("enroll", None, 5)


def test_one_bad_label_of_several_changes_nothing(filled: Store) -> None:
    before = state(filled)
    with pytest.raises(LabelError):
        filled.enroll_many({"dalet": embeddings(7, 2), " ": embeddings(8, 3)})
    with pytest.raises(StoreError):
        filled.enroll_many({"dalet": embeddings(7, 2), "he": embeddings(8, 3) * np.nan})
    assert state(filled) == before


# Forgetting


def test_forget_takes_a_label_the_heads_and_its_past(filled: Store) -> None:
    adapt(filled, 1)
    adapt(filled, 2)
    assert filled.forget("bet") == (3, True, False)
    now = filled.snapshot()
    assert now.labels == ("alef", "gimel")
    assert now.columns == {}
    assert [filled.undo() for _ in range(2)] == [Undone("enroll", "gimel", 1), Undone("enroll", "alef", 2)]
    with pytest.raises(LabelError):
        filled.undo()


def test_forgetting_one_shot_leaves_the_others(filled: Store) -> None:
    adapt(filled, 1)
    adapt(filled, 2)
    shot = filled.shots()[3][1]
    assert filled.forget("bet", shot.upper()).shots == 1
    now = filled.snapshot()
    assert now.counts.tolist() == [2, 2, 1]
    assert now.columns == {}
    np.testing.assert_allclose(now.prototypes[1], embeddings(1, 3)[[0, 2]].mean(axis=0), atol=1e-6)
    assert [filled.undo().shots for _ in range(3)] == [1, 2, 2]


def test_a_label_whose_last_shot_is_forgotten_is_gone(filled: Store) -> None:
    filled.forget("gimel", filled.shots()[-1][1])
    assert filled.snapshot().labels == ("alef", "bet")
    assert filled.undo().label == "bet"


def test_a_forgotten_label_can_be_enrolled_anew(filled: Store) -> None:
    adapt(filled)
    filled.forget("alef")
    filled.enroll("alef", embeddings(8, 1))
    now = filled.snapshot()
    assert now.labels == ("bet", "gimel", "alef")
    assert now.counts.tolist() == [3, 1, 1]
    assert now.columns == {}
    filled.undo()
    assert filled.snapshot().labels == ("bet", "gimel")


def test_forgetting_without_a_head_resets_none(filled: Store) -> None:
    assert filled.forget("bet") == (3, False, False)


@pytest.mark.usefixtures("hasty")
def test_forgotten_bytes_are_in_no_file(store: Store, path: Path) -> None:
    # Enough rows to fill and split pages, in an order that is not that of any index.
    labels = [f"Größe 👴 {np.random.default_rng(k).bytes(20).hex()}" for k in range(40)]
    shots = {label: embeddings(k, 5) for k, label in enumerate(labels)}
    for label in labels:
        store.enroll(label, shots[label][:2])
    adapt(store, 1)
    for label in reversed(labels):
        store.enroll(label, shots[label][2:])
    adapt(store, 2)
    snapshot = store.snapshot()
    columns = [weights.tobytes() for weights, _ in snapshot.columns.values()]
    secrets = {label: [label.encode(), *(shot.tobytes() for shot in shots[label])] for label in labels}
    assert all(secret in bytes_in(path.parent) for found in (*secrets.values(), columns) for secret in found)

    for count, label in enumerate(np.random.default_rng(0).permutation(labels).tolist()):
        if count % 4:
            store.forget(label)
        else:
            for owner, shot, _ in store.shots():
                if owner == label:
                    store.forget(label, shot)
        left = bytes_in(path.parent)
        assert not [secret for secret in (*secrets.pop(label), *columns) if secret in left]
        assert all(secret in left for others in secrets.values() for secret in others)
    store.close()
    assert b"Gr\xc3\xb6\xc3\x9fe" not in bytes_in(path.parent)


def test_one_forgotten_shots_bytes_are_in_no_file(filled: Store, path: Path) -> None:
    filled.forget("bet", filled.shots()[3][1])
    present = [shot.tobytes() in bytes_in(path.parent) for shot in embeddings(1, 3)]
    assert present == [True, False, True]


def test_a_second_store_keeps_no_forgotten_bytes(filled: Store, path: Path) -> None:
    with opened(path) as other:
        assert len(other.snapshot().labels) == 3
        filled.forget("bet")
        assert b"bet" not in bytes_in(path.parent)
        assert other.snapshot().labels == ("alef", "gimel")


# Seeds


@pytest.fixture
def seed(filled: Store, path: Path) -> bytes:
    adapt(filled)
    filled.close()
    return path.read_bytes()


def test_a_new_store_starts_from_the_seed(seed: bytes, path: Path, tmp_path: Path) -> None:
    with opened(path) as source, opened(tmp_path / "new" / "mine.db", seed=seed) as mine:
        assert state(mine) == state(source)
        mine.enroll("dalet", embeddings(4, 1))
        mine.forget("alef")
    with opened(tmp_path / "new" / "mine.db", seed=seed) as mine:
        assert mine.snapshot().labels == ("bet", "gimel", "dalet")


def test_a_seed_does_not_replace_a_store_just_made(seed: bytes, tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def enroll(path: Path, label: str) -> None:
        together.wait(timeout=30)
        with opened(path, seed=seed) as mine:
            mine.enroll(label, embeddings(0, 1))

    with ThreadPoolExecutor(4) as pool:
        for turn in range(5):
            path = tmp_path / f"{turn}.db"
            list(pool.map(enroll, [path] * 4, "abcd"))
            with opened(path) as everything:
                assert sorted(everything.snapshot().labels) == ["a", "alef", "b", "bet", "c", "d", "gimel"]


@pytest.mark.parametrize("kind", ["other encoder", "text"])
def test_a_seed_of_another_encoder_leaves_no_store(tmp_path: Path, seed: bytes, kind: str) -> None:
    options = {"encoder_id": "f" * 32} if kind == "other encoder" else {}
    with pytest.raises(StoreError, match=r"mine\.db"):
        opened(tmp_path / "mine.db", seed=b"text" if kind == "text" else seed, **options)
    assert not (tmp_path / "mine.db").exists()
