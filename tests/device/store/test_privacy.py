"""Removed data is in no file any more: labels, embeddings and sums, byte by byte, whatever removed them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.device import adapt, bytes_in, cli, embeddings, opened, said

from edge_meta.runtime.bundle import Bundle
from edge_meta.store.archive import write_archive
from edge_meta.store.exact_sums import Sums
from edge_meta.store.messages import SCRUB_PENDING
from edge_meta.store.store import Store
from edge_meta.types import Array

pytestmark = pytest.mark.usefixtures("hasty")
KINDS = pytest.mark.parametrize("keep_shots", [True, False], ids=["shots", "no shots"])
SECRETS = ["Größe 👴 geheim", "סוד שלי", "se\u0301cret", "👴" * 1000, "sec\0ret"]


def traces(label: str, shots: Array, keep_shots: bool) -> list[bytes]:
    """The traces that a file would hold of a label and its shots: its text (a long one goes over pages), each embedding or
    their sum."""
    parts = [shot.tobytes() for shot in shots] if keep_shots else [Sums.of(shots).to_row()[1]]
    return [label.encode()[:200], *parts]


def found(folder: Path, wanted: list[bytes]) -> list[bool]:
    content = bytes_in(folder)
    return [trace in content for trace in wanted]


def crowd(path: Path, keep_shots: bool) -> Store:
    """Make an open store with enough rows to fill and split pages."""
    store = opened(path, keep_shots=keep_shots)
    for seed in range(60):
        store.enroll(f"other {seed}", embeddings(100 + seed, 1 + seed % 3))
    return store


@KINDS
@pytest.mark.parametrize("label", SECRETS)
def test_nothing_of_a_forgotten_label_is_left(keep_shots: bool, label: str, path: Path) -> None:
    with crowd(path, keep_shots) as store:
        store.enroll(label, embeddings(0, 3))
        wanted = traces(label, embeddings(0, 3), keep_shots)
        assert all(found(path.parent, wanted))
        store.enroll("after", embeddings(1, 3))
        store.forget(label)
        assert not any(found(path.parent, wanted))
        assert all(found(path.parent, traces("after", embeddings(1, 3), keep_shots)))
    assert not any(found(path.parent, wanted))


@KINDS
@pytest.mark.parametrize("label", SECRETS)
def test_nothing_of_an_undone_enroll_is_left(keep_shots: bool, label: str, path: Path) -> None:
    with crowd(path, keep_shots) as store:
        store.enroll(label, embeddings(0, 3))
        wanted = traces(label, embeddings(0, 3), keep_shots)
        assert all(found(path.parent, wanted))
        store.undo()
        assert not any(found(path.parent, wanted))


@KINDS
def test_undo_leaves_a_labels_other_shots_alone(keep_shots: bool, path: Path) -> None:
    with crowd(path, keep_shots) as store:
        store.enroll("kept", embeddings(0, 2))
        before = store.snapshot("kept")
        store.enroll("kept", embeddings(1, 2))
        _, *wanted = traces("kept", embeddings(1, 2), keep_shots)
        wanted += traces("", np.concatenate([embeddings(0, 2), embeddings(1, 2)]), keep_shots)[-1:]
        assert all(found(path.parent, wanted))
        store.undo()
        assert not any(found(path.parent, wanted))
        assert all(found(path.parent, traces("kept", embeddings(0, 2), keep_shots)))
        assert store.snapshot("kept").prototypes.tobytes() == before.prototypes.tobytes()


@KINDS
def test_nothing_of_what_a_merge_removes_is_left(keep_shots: bool, path: Path, tmp_path: Path) -> None:
    with crowd(path, keep_shots) as store:
        store.enroll(SECRETS[0], embeddings(0, 3))
        store.close()
    shutil.copy(path, tmp_path / "other.db")
    with opened(tmp_path / "other.db") as other:
        other.forget(SECRETS[0])
    with opened(path) as store:
        store.merge(tmp_path / "other.db")
        assert not any(found(path.parent, traces(SECRETS[0], embeddings(0, 3), keep_shots)))


def test_a_store_without_shots_never_holds_one(path: Path) -> None:
    with crowd(path, False) as store:
        store.enroll("alef", embeddings(0, 4))
        assert not any(found(path.parent, traces("", embeddings(0, 4), True)[1:]))


@KINDS
def test_what_is_known_of_the_removed_is_random_ids_alone(keep_shots: bool, path: Path, tmp_path: Path) -> None:
    with crowd(path, keep_shots) as store:
        store.enroll(SECRETS[0], embeddings(0, 3))
        if keep_shots:
            adapt(store)
        store.forget(SECRETS[0])
        with store.everything() as rows:
            removed = [identity for (identity,) in rows.query("SELECT id FROM removed")]
        assert [len(identity) for identity in removed] == [16] * (3 if keep_shots else 1)
        write_archive(store, tmp_path / "out.npz")
    content = (tmp_path / "out.npz").read_bytes()
    assert not any(trace in content for trace in traces(SECRETS[0], embeddings(0, 3), keep_shots))


def test_no_head_is_left_that_was_fitted_to_a_removed_shot(filled: Store) -> None:
    adapt(filled, 1)
    filled.enroll("dalet", embeddings(9, 1))
    adapt(filled, 2)
    assert filled.forget("alef", filled.shots()[0][1]).head_reset
    with filled.everything() as rows:
        assert rows.query("SELECT COUNT(*) FROM columns").fetchone() == (0,)
        assert rows.query("SELECT COUNT(*) FROM log_columns").fetchone() == (0,)
    assert [filled.undo().action for _ in range(4)] == ["enroll"] * 4


@pytest.mark.parametrize("removal", ["forget", "undo"])
@pytest.mark.parametrize("then", ["change", "open"])
def test_bytes_that_a_reader_holds_go_at_the_next_opening(path: Path, removal: str, then: str) -> None:
    crowd(path, True).close()
    with opened(path, busy_seconds=0.05) as store:
        store.enroll("secret", embeddings(0, 3))
        wanted = traces("secret", embeddings(0, 3), True)
        with opened(path) as reader, reader.everything() as rows:
            rows.snapshot()
            assert (store.forget("secret") if removal == "forget" else store.undo()).scrub_pending
            with opened(path) as other:
                assert other.database.scrub_pending
                assert other.snapshot().labels == store.snapshot().labels
            assert any(found(path.parent, wanted))
        if then == "change":
            store.enroll("more", embeddings(1, 1))
            assert not store.database.scrub_pending
        else:
            with opened(path) as other:
                assert not other.database.scrub_pending
        assert not any(found(path.parent, wanted))


def test_a_removal_does_not_forget_the_scrub_of_an_earlier_one(path: Path) -> None:
    crowd(path, True).close()
    wanted = traces("other 7", embeddings(107, 2), True) + traces("other 9", embeddings(109, 1), True)
    with opened(path, busy_seconds=0.05) as store:
        with opened(path) as reader, reader.everything() as rows:
            rows.snapshot()
            assert store.forget("other 7").scrub_pending
            assert store.forget("other 9").scrub_pending
        assert not opened(path).database.scrub_pending
        assert not any(found(path.parent, wanted))


def test_the_command_says_that_a_scrub_is_pending(path: Path, bundle: Bundle) -> None:
    dim = bundle.manifest.dim
    with Store(path, bundle.manifest.encoder_id, dim, busy_seconds=0.05) as store:
        for seed, label in enumerate(["alef", "bet", "gimel"]):
            store.enroll(label, embeddings(seed, 2, dim))
        with bundle.open_store(path) as reader, reader.everything() as rows:
            rows.snapshot()
            assert store.forget("gimel").scrub_pending
            for arguments in ([], ["--json"]):
                adapt(store)
                done = cli("undo", "omniglot", "--store", path, *arguments).stdout
                assert (SCRUB_PENDING in done) != ('"scrub_pending": true' in done)
        adapt(store)
        assert said(cli("undo", "omniglot", "--store", path, "--json"))["scrub_pending"] is False
