"""A store migrates to a new encoder with all its shots, and nothing is overwritten."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import adapt, altered, cli, complaint, embeddings, said, state

from edge_meta import Classifier
from edge_meta.errors import BundleError, MigrationWarning, StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding_map import EmbeddingMap
from edge_meta.runtime.embedding_map_record import EmbeddingMapRecord, MigrationAccuracy
from edge_meta.runtime.migrated_thresholds import threshold_scales
from edge_meta.runtime.store_migration import migrate, open_users_store
from edge_meta.store.exact_sums import Sums
from edge_meta.store.store import Store
from edge_meta.types import Array

pytestmark = pytest.mark.usefixtures("hasty")
KINDS = pytest.mark.parametrize("keep_shots", [True, False], ids=["shots", "no shots"])
OLD, OLD_DIM = "0123456789abcdef" * 2, 16
KEPT = MigrationAccuracy(20, 5, 15, 1000, 0.9906, 0.9801, 0.0105, 0.0007)


def random_map(old_dim: int, dim: int, seed: int = 0) -> EmbeddingMap:
    rng = np.random.default_rng(seed)
    return EmbeddingMap(rng.normal(0, 0.2, (old_dim, dim)).astype("f4"), rng.normal(size=dim).astype("f4"))


def with_map(bundle: Bundle, encoder_id: str = OLD, dim: int = OLD_DIM, along: EmbeddingMap | None = None) -> Bundle:
    """The bundle with a map from an older encoder."""
    record = EmbeddingMapRecord(encoder_id, dim, 0.01, 1.5, (0.5, 0.8), KEPT)
    along = along or random_map(dim, bundle.manifest.dim)
    return replace(bundle, manifest=replace(bundle.manifest, embedding_maps=(record,)), maps={encoder_id: along})


@pytest.fixture
def better(bundle: Bundle) -> Bundle:
    return with_map(bundle)


def old_store(folder: Path, keep_shots: bool = True) -> Path:
    """Make a closed store of the old encoder: merged, forgotten from, and (with shots) adapted."""
    path = folder / "old.db"
    with (
        Store(path, OLD, OLD_DIM, keep_shots=keep_shots) as store,
        Store(folder / "other.db", OLD, OLD_DIM, keep_shots=keep_shots) as other,
    ):
        for seed, label in enumerate(["alef", "👴", "gone"]):
            store.enroll(label, embeddings(seed, 2 + seed))
        other.enroll("👴", embeddings(7, 3))
        store.merge(other.path)
        store.forget("gone")
        store.enroll("alef", embeddings(8, 1))
        if keep_shots:
            adapt(store)
    return path


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


# A newer bundle follows the user's own store


def left_behind(bundle: Bundle, folder: Path, encoder_id: str = OLD) -> Path:
    """A store of the old encoder, where a user's is by default."""
    path = bundle.default_store_path(encoder_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(old_store(folder), path)
    return path


def test_a_newer_bundle_takes_over_the_users_classes(better: Bundle, tmp_path: Path, data_folder: Path) -> None:
    old = left_behind(better, tmp_path)
    before = old.read_bytes()
    with pytest.warns(MigrationWarning, match=r"new encoder\. Your 2 classes came along"), open_users_store(better) as store:
        assert store.snapshot().labels == ("alef", "👴")
    assert old.read_bytes() == before
    with open_users_store(better) as store:  # once; a second warning would be an error here
        store.forget("alef")
    with open_users_store(better) as store:
        assert store.snapshot().labels == ("👴",)


def test_a_store_that_was_named_takes_over_nothing(better: Bundle, tmp_path: Path, data_folder: Path) -> None:
    left_behind(better, tmp_path)
    with open_users_store(better, tmp_path / "mine.db") as store:
        assert store.snapshot().labels == ()


def test_a_damaged_predecessor_is_an_error_that_names_it(better: Bundle, tmp_path: Path, data_folder: Path) -> None:
    old = left_behind(better, tmp_path)
    old.write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=old.name):
        open_users_store(better)
    assert not better.store_path().exists()


def test_the_command_line_says_in_a_note_that_it_moved(tmp_path: Path, data_folder: Path, bundle: Bundle) -> None:
    along = random_map(OLD_DIM, bundle.manifest.dim)
    record = with_map(bundle).manifest.embedding_maps[0]
    path = altered(tmp_path, lambda fields: fields.update(upgrades=[record.to_manifest()]), {record.file: along.to_bytes()})
    left_behind(Bundle.open(path), tmp_path)
    done = cli("inspect", path, "--json")
    assert done.stderr.startswith("Note: altered has a new encoder.")
    assert done.stderr.count("\n") == 1  # not Python's two lines, with a place in the code
    assert [entry["label"] for entry in said(cli("inspect", path, "--json"))["classes"]] == ["alef", "👴"]


# What comes along


def test_shots_are_mapped_and_nothing_else_of_them_changes(better: Bundle, tmp_path: Path) -> None:
    old, new = old_store(tmp_path), tmp_path / "new.db"
    done = migrate(better, old, new)
    assert (done.store, done.embedding_map.encoder_id, done.classes, done.shots) == (new, OLD, 2, 9)
    same = (
        "SELECT label, shots.id, origin FROM shots JOIN sums ON sums.id = sum_id JOIN labels ON labels.id = label_id "
        "ORDER BY shots.rowid"
    )
    assert rows(new, same) == rows(old, same)
    assert rows(new, "SELECT id FROM removed ORDER BY id") == rows(old, "SELECT id FROM removed ORDER BY id") != []
    for table in ("log", "columns", "log_columns", "log_sums"):
        assert rows(new, f"SELECT * FROM {table}") == []

    along = better.maps[OLD]
    vectors = "SELECT embedding FROM shots ORDER BY id"
    for (before,), (after,) in zip(rows(old, vectors), rows(new, vectors), strict=True):
        wanted = np.frombuffer(before, "<f4").astype(np.float64) @ along.weights.astype(np.float64) + along.offset
        np.testing.assert_allclose(np.frombuffer(after, "<f4"), wanted, rtol=1e-6, atol=1e-6)


@KINDS
def test_prototypes_are_the_maps_of_the_old_ones_and_counts_stay(better: Bundle, tmp_path: Path, keep_shots: bool) -> None:
    old, new = old_store(tmp_path, keep_shots), tmp_path / "new.db"
    migrate(better, old, new)
    with Store(old, OLD, OLD_DIM) as store:
        before = store.snapshot()
    with better.open_store(new) as store:
        after = store.snapshot()
    assert (after.labels, after.counts.tolist()) == (before.labels, before.counts.tolist()) == (("alef", "👴"), [3, 6])
    along = better.maps[OLD]
    wanted = before.prototypes.astype(np.float64) @ along.weights.astype(np.float64) + along.offset
    np.testing.assert_allclose(after.prototypes, wanted, atol=1e-6)
    assert after.columns == {}
    # Without shots, how those of one origin scatter is an estimate: 1.5 times as much as before, as the map's record says.
    assert (after.scatters[0] == pytest.approx(1.5 * before.scatters[0], rel=1e-3)) is not keep_shots


@KINDS
def test_examples_of_none_are_mapped_as_shots_are(better: Bundle, tmp_path: Path, keep_shots: bool) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with Store(old, OLD, OLD_DIM, keep_shots=keep_shots) as store:
        store.enroll("alef", embeddings(0, 2))
        store.enroll_none(embeddings(1, 4))
        before = store.snapshot("")
    done = migrate(better, old, new)
    assert (done.classes, done.shots, done.none_shots) == (1, 2, 4)
    with better.open_store(new) as store:
        after = store.snapshot("")
    along = better.maps[OLD]
    wanted = before.prototypes.astype(np.float64) @ along.weights.astype(np.float64) + along.offset
    np.testing.assert_allclose(after.prototypes, wanted, atol=1e-6)
    assert after.counts.tolist() == [4]


def test_sums_of_shots_map_to_the_sums_of_mapped_shots() -> None:
    along = random_map(16, 24)
    shots = embeddings(3, 50)
    mapped, one = along.sums(Sums.of(shots), 1.0), along.sums(Sums.of(shots[:1]), 7.0)
    np.testing.assert_allclose(mapped.total / 2**24, along.embeddings(shots).astype(np.float64).sum(axis=0), atol=1e-4)
    assert mapped.count == 50
    assert one.squares == sum(int(value) ** 2 for value in one.total)


def test_the_head_and_the_undo_log_stay_behind_and_are_told_of(better: Bundle, tmp_path: Path) -> None:
    done = migrate(better, old_store(tmp_path), tmp_path / "new.db")
    assert done.head_reset
    assert done.undo_dropped == ("adapt", "enroll", "enroll", "enroll")


def test_what_is_enrolled_afterwards_has_an_origin_of_its_own(better: Bundle, tmp_path: Path) -> None:
    migrate(better, old_store(tmp_path), tmp_path / "new.db")
    with better.open_store(tmp_path / "new.db") as store:
        migrated = store.migrated()
        assert set(migrated) == {origin for _, _, origin in store.shots()}
        assert set(migrated.values()) == {OLD}
        store.enroll("alef", embeddings(9, 2, better.manifest.dim))
        new = [origin for label, _, origin in store.shots() if origin not in migrated]
        assert len(new) == 2
        assert store.snapshot().migrated == {"alef": {OLD: 3}, "👴": {OLD: 6}}
        assert store.snapshot("alef").migrated == {"alef": {OLD: 3}}


# Several devices


@KINDS
def test_copies_that_are_migrated_on_two_devices_merge_as_one(better: Bundle, tmp_path: Path, keep_shots: bool) -> None:
    old = old_store(tmp_path, keep_shots)
    copy = Path(shutil.copy(old, tmp_path / "copy.db"))
    migrate(better, old, tmp_path / "one.db")
    migrate(better, copy, tmp_path / "two.db")
    with better.open_store(tmp_path / "one.db") as one, better.open_store(tmp_path / "two.db") as two:
        before = state(one)
        assert state(two) == before
        done = one.merge(tmp_path / "two.db")
        assert (done.added, done.removed, state(one)) == (0, 0, before)


def test_an_old_device_follows_by_migrating_and_merging(better: Bundle, tmp_path: Path) -> None:
    old = old_store(tmp_path)
    migrate(better, old, tmp_path / "one.db")
    with Store(old, OLD, OLD_DIM) as store:
        store.forget("alef")
        store.enroll("new", embeddings(30, 2))
    migrate(better, old, tmp_path / "two.db")
    with better.open_store(tmp_path / "one.db") as one:
        done = one.merge(tmp_path / "two.db")
        assert (done.added, done.removed) == (2, 3)
        assert one.snapshot().labels == ("👴", "new")
        assert one.snapshot().migrated["new"] == {OLD: 2}


@KINDS
def test_a_chain_of_migrations_is_the_chain_of_their_maps(bundle: Bundle, tmp_path: Path, keep_shots: bool) -> None:
    middle_id, first, second = "middle", random_map(OLD_DIM, 24, 1), random_map(24, bundle.manifest.dim, 2)
    middle = with_map(replace(bundle, manifest=replace(bundle.manifest, encoder_id=middle_id, dim=24)), along=first)
    newest = with_map(bundle, middle_id, 24, second)
    old = old_store(tmp_path, keep_shots)
    migrate(middle, old, tmp_path / "middle.db")
    with pytest.raises(StoreError, match="no map"):
        migrate(newest, old, tmp_path / "new.db")
    done = migrate(newest, tmp_path / "middle.db", tmp_path / "new.db")
    assert (done.shots, done.embedding_map.encoder_id) == (9, middle_id)
    with Store(old, OLD, OLD_DIM) as store:
        before = store.snapshot()
    with newest.open_store(tmp_path / "new.db") as store:
        after = store.snapshot()
        assert set(store.migrated().values()) == {middle_id}
    hidden = before.prototypes.astype(np.float64) @ first.weights.astype(np.float64) + first.offset
    wanted = hidden @ second.weights.astype(np.float64) + second.offset
    np.testing.assert_allclose(after.prototypes, wanted, atol=1e-5)


# What is refused, and that nothing is touched


def test_neither_the_old_store_nor_another_is_overwritten(better: Bundle, tmp_path: Path) -> None:
    old = old_store(tmp_path)
    before = old.read_bytes()
    migrate(better, old, tmp_path / "new.db")
    made = (tmp_path / "new.db").read_bytes()
    for taken in (tmp_path / "new.db", old):
        with pytest.raises(StoreError, match="There is a store at"):
            migrate(better, old, taken)
    assert old.read_bytes() == before
    assert (tmp_path / "new.db").read_bytes() == made
    assert sorted(path.name for path in tmp_path.iterdir() if "new" in path.name) == ["new.db"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE sums SET count = 7", "a sum is not that of its shots|do not fit"),
        ("UPDATE shots SET embedding = CAST(zeroblob(60) || x'0000c07f' AS BLOB) WHERE rowid = 3", "not finite"),
        ("UPDATE store SET encoder_id = 'third'", "no map from that encoder"),
        ("UPDATE store SET dim = 17", "no map from that encoder|has a map from that encoder"),
        ("PRAGMA user_version = 9", "upgrade edge-meta"),
        ("INSERT INTO migrated VALUES (zeroblob(16), 'a b')", "an encoder id is none"),
    ],
)
def test_a_store_that_cannot_be_migrated_leaves_no_new_one(better: Bundle, tmp_path: Path, damage: str, said: str) -> None:
    old = old_store(tmp_path)
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute(damage)
    with pytest.raises(StoreError, match=said):
        migrate(better, old, tmp_path / "new.db")
    assert not list(tmp_path.glob("*new*"))


def test_embeddings_that_the_map_takes_out_of_range_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    huge = EmbeddingMap(np.full((OLD_DIM, bundle.manifest.dim), 1e6, np.float32), np.zeros(bundle.manifest.dim, np.float32))
    for keep_shots in (True, False):
        old = old_store(tmp_path, keep_shots)
        with pytest.raises(StoreError, match=r"old\.db cannot be migrated: .* out of range after the map"):
            migrate(with_map(bundle, along=huge), old, tmp_path / "new.db")
        for file in tmp_path.glob("o*.db*"):
            file.unlink()


def test_opening_an_old_store_says_whether_it_can_be_migrated(better: Bundle, bundle: Bundle, tmp_path: Path) -> None:
    old = old_store(tmp_path)
    with pytest.raises(StoreError, match="edge-meta migrate BUNDLE"):
        better.open_store(old)
    with pytest.raises(StoreError, match="no map from that encoder"):
        bundle.open_store(old)
    with better.open_store(tmp_path / "mine.db") as mine, pytest.raises(StoreError, match="edge-meta migrate BUNDLE"):
        mine.merge(old)
    with better.open_store(tmp_path / "own.db") as own:
        own.enroll("x", np.zeros((1, bundle.manifest.dim), np.float32))
    with pytest.raises(StoreError, match="of this bundle's encoder already"):
        migrate(better, tmp_path / "own.db", tmp_path / "new.db")
    with pytest.raises(StoreError, match="There is no store at"):
        migrate(better, tmp_path / "nosuch.db", tmp_path / "new.db")


# The thresholds of rejection


def test_threshold_scales_follow_shots_and_migrated_share() -> None:
    records = (EmbeddingMapRecord(OLD, 16, 0.01, 1.0, (0.5, 0.8), KEPT),)
    labels, counts = ["a", "b", "c", "d", "e", "f"], np.array([1, 5, 50, 2, 4, 3])
    migrated = {"a": {OLD: 1}, "b": {OLD: 5}, "c": {OLD: 50}, "d": {OLD: 2}, "e": {OLD: 2}, "f": {"third": 3}}
    between = [0.8 - 0.3 * (1 / n - 1 / 5) / (1 - 1 / 5) for n in (2, 4)]
    wanted = [0.5, 0.8, 0.8, between[0], 1 - (1 - between[1]) / 2, 1.0]
    np.testing.assert_allclose(threshold_scales(labels, counts, migrated, records, (1, 5)), wanted)
    assert threshold_scales(labels, counts, {}, records, (1, 5)).tolist() == [1.0] * 6


def at_distance(prototypes: Array, label: int, squared_distance: float) -> Array:
    """The embedding at a squared distance from a label's prototype, in the direction away from the other prototypes."""
    away = (prototypes[label] - np.delete(prototypes, label, axis=0)).sum(axis=0)
    return prototypes[label] + away * np.float32(np.sqrt(squared_distance) / np.linalg.norm(away))


def test_a_classifier_scales_thresholds_of_migrated_labels(better: Bundle, tmp_path: Path) -> None:
    new, rejection = tmp_path / "new.db", better.manifest.rejection
    assert rejection is not None
    migrate(better, old_store(tmp_path), new)
    with Classifier.load(better, new) as classifier, better.open_store(new) as store:

        def check() -> list[float]:
            """Check the threshold of each label from both sides; returns their scales."""
            now = store.snapshot()
            scales = threshold_scales(now.labels, now.counts, now.migrated, better.manifest.embedding_maps, rejection.shots)
            thresholds = rejection.limits(now.counts, now.scatters) * scales
            for index, label in enumerate(now.labels):
                inside, outside = (at_distance(now.prototypes, index, thresholds[index] * by) for by in (0.99, 1.01))
                assert classifier.classify_embedding(inside).best.label == label
                assert not classifier.classify_embedding(outside).known
            return scales.tolist()

        store.enroll("own", embeddings(9, 2, better.manifest.dim))
        alef, of_more, own = check()
        assert (alef < 1, of_more < 1, own) == (True, True, 1.0)
        store.forget("alef")
        store.enroll("alef", embeddings(8, 2, better.manifest.dim))
        assert check() == [of_more, 1.0, 1.0]


# The bundle


def saved(
    bundle: Bundle,
    folder: Path,
    change: Callable[[dict[str, Any]], object] = lambda fields: None,
    content: bytes | None = None,
) -> Path:
    """Write the shipped bundle with the map of `bundle` into a folder, its manifest changed, or with other content."""
    (record,) = bundle.manifest.embedding_maps

    def both(fields: dict[str, Any]) -> None:
        fields["upgrades"] = [record.to_manifest()]
        change(fields)

    return altered(folder, both, {record.file: bundle.maps[OLD].to_bytes() if content is None else content})


def test_a_bundles_map_is_read_back_as_written(better: Bundle, tmp_path: Path) -> None:
    opened = Bundle.open(saved(better, tmp_path))
    assert opened.manifest.embedding_maps == better.manifest.embedding_maps
    assert opened.maps[OLD].weights.tobytes() == better.maps[OLD].weights.tobytes()
    assert opened.maps[OLD].offset.tobytes() == better.maps[OLD].offset.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["upgrades"].append(fields["upgrades"][0]),
        lambda fields: fields["upgrades"][0].update(encoder_id=fields["encoder_id"]),
        lambda fields: fields["upgrades"][0].update(encoder_id="../x"),
        lambda fields: fields["upgrades"][0].update(encoder_id="third"),
        lambda fields: fields["upgrades"][0].update(dim=0),
        lambda fields: fields["upgrades"][0].update(dim=17),
        lambda fields: fields["upgrades"][0].update(spread=-1.0),
        lambda fields: fields["upgrades"][0].update(reach=[1.0, 0.0]),
        lambda fields: fields["upgrades"][0].update(reach=[1.0]),
        lambda fields: fields["upgrades"][0].update(ridge=1e999),
        lambda fields: fields["upgrades"][0]["kept"].pop("own"),
        lambda fields: fields["upgrades"][0]["kept"].update(lost="much"),
        lambda fields: fields.update(upgrades=[7]),
        lambda fields: fields.update(upgrades=7),
    ],
)
def test_an_impossible_embedding_map_is_refused(
    better: Bundle, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(BundleError, match="is damaged"):
        Bundle.open(saved(better, tmp_path, change))


@pytest.mark.parametrize("content", [b"", b"\0" * 4, b"\0\0\xc0\x7f" * (OLD_DIM + 1) * 112])
def test_a_map_of_another_size_or_not_finite_is_refused(better: Bundle, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BundleError, match=r"upgrade-.*\.f32 in .* is damaged"):
        Bundle.open(saved(better, tmp_path, content=content))


# On the command line


def test_the_command_migrates_and_inspect_shows_it(better: Bundle, tmp_path: Path) -> None:
    old, new, folder = old_store(tmp_path), tmp_path / "new.db", saved(better, tmp_path)
    assert "edge-meta migrate BUNDLE" in complaint(cli("inspect", folder, "--store", old, code=1))
    done = said(cli("migrate", folder, old, "--store", new, "--json"))
    assert done.keys() == {"store", "upgrade", "classes", "shots", "none_shots", "head_reset", "undo_dropped"}
    assert done["store"] == str(new)
    assert (done["classes"], done["shots"], done["head_reset"]) == (2, 9, True)
    assert done["upgrade"]["encoder_id"] == OLD
    assert done["upgrade"]["kept"]["lost"] == KEPT.lost
    assert "There is a store at" in complaint(cli("migrate", folder, old, "--store", new, code=1))

    facts = said(cli("inspect", folder, "--shots", "--store", new, "--json"))
    assert facts["migrated_from"] == [OLD]
    assert [record["encoder_id"] for record in facts["upgrades"]] == [OLD]
    assert {shot["migrated_from"] for entry in facts["classes"] for shot in entry["ids"]} == {OLD}
    text = cli("inspect", folder, "--shots", "--store", new).stdout
    assert text.count(f", migrated from encoder {OLD[:12]}\n") == 9
    assert (
        f"takes stores of encoder {OLD[:12]} by edge-meta migrate: 20-way 5-shot 98.01 %, 1.05 ± 0.07 points below" in text
    )

    text = cli("migrate", folder, old).stdout
    assert "20-way 5-shot 98.01 %" in text
    assert "back at the prototypes" in text
    assert "Undo no longer takes back: adapt, enroll, enroll, enroll\n" in text
    assert said(cli("inspect", folder, "--json"))["classes"] == [{"label": "alef", "shots": 3}, {"label": "👴", "shots": 6}]
