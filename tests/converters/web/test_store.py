"""The page's store against the runtime's: the same changes give the same bits, and archives go both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.device import embeddings, opened, state
from support.web import in_node, needs_node, packed, unpacked

from edge_meta.errors import EdgeMetaError
from edge_meta.store.archive import read_archive, write_archive
from edge_meta.store.store import Store

pytestmark = needs_node
ENCODER_ID, DIM = "0123456789abcdef" * 2, 16

CHANGE = """
import {readArchive, writeArchive} from './archive.js';
import {merge} from './merge.js';
import {emptyStore, enroll, enrollNone, forget, forgetNone, rename, replaceHead, snapshot, undo} from './store.js';

let store = asked.start
  ? readArchive(unpacked(asked.start), asked.encoder_id, asked.dim) : emptyStore(asked.encoder_id, asked.dim);
const states = [];
for (const [name, ...given] of asked.changes) {
  const trial = structuredClone(store);
  try {
    if (name === 'enroll') enroll(trial, given[0].map(([label, shots]) => [label, shots.map(floats)]));
    else if (name === 'enroll_none') enrollNone(trial, given[0].map(floats));
    else if (name === 'forget_none') forgetNone(trial);
    else if (name === 'adapt') replaceHead(trial, given[0].map(([weights, bias]) => ({weights: floats(weights), bias})));
    else if (name === 'merge') merge(trial, readArchive(unpacked(given[0]), asked.encoder_id, asked.dim));
    else ({forget, rename, undo})[name](trial, ...given);
    store = trial;
  } catch (error) {
    if (error.name !== 'Problem') throw error;
    states.push(error.key);
    continue;
  }
  const now = snapshot(store);
  const columns = [...now.columns].map(([index, {weights, bias}]) => [now.labels[index], packed(weights), bias]);
  states.push({...now, prototypes: now.prototypes.map(packed), columns});
}
console.log(JSON.stringify({states, archive: packed(writeArchive(store))}));
"""


def on_the_page(folder: Path, changes: list[Any], start: bytes = b"") -> tuple[list[Any], Path]:
    """Apply changes on the page; returns the state after each, or the key of its error, and the store's archive."""
    asked = {"encoder_id": ENCODER_ID, "dim": DIM, "changes": changes, "start": packed(start)}
    found = in_node(folder / "page", CHANGE, **asked)
    archive = folder / "page.npz"
    archive.write_bytes(unpacked(found["archive"]))
    return found["states"], archive


def changed(store: Store, change: list[Any]) -> None:
    name, *given = change
    if name == "enroll":
        store.enroll_many({label: np.stack([read(shot) for shot in shots]) for label, shots in given[0]})
    elif name == "enroll_none":
        store.enroll_none(np.stack([read(shot) for shot in given[0]]))
    elif name == "adapt":
        with store.adapting() as change_of_head:
            weights = np.stack([read(column) for column, _ in given[0]], axis=1)
            change_of_head.replace_head(weights, np.array([bias for _, bias in given[0]]))
    else:
        getattr(store, name)(*given)


def read(text: str) -> np.ndarray:
    return np.frombuffer(unpacked(text), np.float32)


def equal(found: dict[str, Any], store: Store) -> bool:
    """Whether a state of the page is that of a store: prototypes and columns to the bit."""
    now = store.snapshot()
    columns = {now.labels[index]: (packed(weights), bias) for index, (weights, bias) in now.columns.items()}
    return (
        found["labels"] == list(now.labels)
        and found["counts"] == now.counts.tolist()
        and found["prototypes"] == [packed(row) for row in now.prototypes]
        and np.allclose(found["scatters"], now.scatters, rtol=1e-12)
        and {label: (weights, bias) for label, weights, bias in found["columns"]} == columns
    )


def random_change(rng: np.random.Generator, labels: list[str]) -> list[Any]:
    kind = rng.choice([*["enroll"] * 3, "enroll_none", *["undo"] * 2, "forget", "forget_none", "rename", "adapt"])
    some = [f"class {rng.integers(6)}" for _ in range(2)]
    if kind == "enroll":
        counts = {label: int(rng.integers(1, 4)) for label in some[: rng.integers(1, 3)]}
        return [kind, [[label, [packed(x) for x in embeddings(int(rng.integers(1e9)), n)]] for label, n in counts.items()]]
    if kind == "enroll_none":
        return [kind, [packed(x) for x in embeddings(int(rng.integers(1e9)), 2)]]
    if kind == "adapt":
        return [kind, [[packed(x), 0.5 + index] for index, x in enumerate(embeddings(int(rng.integers(1e9)), len(labels)))]]
    return [kind, *some[: {"undo": 0, "forget_none": 0, "forget": 1, "rename": 2}[kind]]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("keep_shots", [True, False])
def test_random_histories_give_the_same_bits(tmp_path: Path, seed: int, keep_shots: bool) -> None:
    rng = np.random.default_rng(seed)
    changes, expected = [], []
    with opened(tmp_path / "a.db", keep_shots=keep_shots) as store:
        store.enroll("class 0", embeddings(seed, 2))
        write_archive(store, tmp_path / "start.npz")
        for _ in range(30):
            change = random_change(rng, list(store.snapshot().labels))
            if change[0] == "adapt" and not change[1]:
                continue
            changes.append(change)
            try:
                changed(store, change)
                expected.append(store.snapshot())
            except EdgeMetaError:
                expected.append(None)
        states, archive = on_the_page(tmp_path, changes, (tmp_path / "start.npz").read_bytes())
        assert [isinstance(found, str) for found in states] == [now is None for now in expected]
        for found, now in zip(states, expected, strict=True):
            if now is not None:
                assert found["labels"] == list(now.labels)
                assert found["prototypes"] == [packed(row) for row in now.prototypes]
                assert np.allclose(found["scatters"], now.scatters, rtol=1e-12)
        if store.snapshot().labels:
            assert equal([found for found in states if isinstance(found, dict)][-1], store)
            read_archive(archive, tmp_path / "b.db", ENCODER_ID, DIM)
            with opened(tmp_path / "b.db") as copy:
                assert state(copy) == state(store)


def test_the_runtime_undoes_what_the_page_did(tmp_path: Path) -> None:
    shots = [packed(x) for x in embeddings(1, 3)]
    changes = [
        ["enroll", [["a", shots[:2]], ["b", shots[2:]]]],
        ["rename", "a", "c"],
        ["adapt", [[shots[0], 1.0], [shots[1], 2.0]]],
    ]
    _, archive = on_the_page(tmp_path, changes)
    read_archive(archive, tmp_path / "b.db", ENCODER_ID, DIM)
    with opened(tmp_path / "b.db") as store:
        assert store.undo().action == "adapt"
        assert (store.undo().label, store.snapshot().labels) == ("a", ("a", "b"))
        assert (store.undo().shots, store.snapshot().labels) == (3, ())


@pytest.mark.parametrize("keep_shots", [True, False])
def test_merging_gives_what_the_runtime_merges(tmp_path: Path, keep_shots: bool) -> None:
    with opened(tmp_path / "phone.db", keep_shots=keep_shots) as phone:
        phone.enroll("kept", embeddings(1, 3))
        phone.enroll("renamed", embeddings(2, 2))
        write_archive(phone, tmp_path / "first.npz")
        read_archive(tmp_path / "first.npz", tmp_path / "board.db", ENCODER_ID, DIM)
        phone.rename("renamed", "new")
        phone.enroll("kept", embeddings(3, 1))
        write_archive(phone, tmp_path / "phone.npz")
    with opened(tmp_path / "board.db", keep_shots=keep_shots) as board:
        board.enroll("kept", embeddings(4, 2))
        board.enroll("more", embeddings(5, 1))
        write_archive(board, tmp_path / "board.npz")
        merging = ["merge", packed((tmp_path / "phone.npz").read_bytes())]
        states, _ = on_the_page(tmp_path, [merging, merging], (tmp_path / "board.npz").read_bytes())
        board.merge(tmp_path / "phone.db")
        assert equal(states[0], board)
        assert states[1] == states[0]


def test_a_damaged_archive_is_refused_at_every_byte(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as store:
        store.enroll("a", embeddings(1, 2))
        write_archive(store, tmp_path / "a.npz")
    script = """
    import {readArchive} from './archive.js';
    const whole = unpacked(asked.archive);
    let accepted = 0;
    for (let at = 0; at < whole.length; at += 7) {
      for (const damaged of [whole.slice(0, at), whole.map((byte, index) => (index === at ? byte ^ 65 : byte))]) {
        try {
          readArchive(damaged, asked.encoder_id, 16);
          accepted += damaged.length < whole.length ? 1e6 : 1; // bytes of dates or attributes mean nothing
        } catch (error) {
          if (error.name !== 'Problem') throw error;
        }
      }
    }
    console.log(accepted / Math.ceil(whole.length / 7));
    """
    archive = packed((tmp_path / "a.npz").read_bytes())
    assert in_node(tmp_path / "page", script, archive=archive, encoder_id=ENCODER_ID) < 0.5


def test_an_archive_of_another_encoder_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db", encoder_id="f" * 32) as store:
        store.enroll("a", embeddings(1, 2))
        write_archive(store, tmp_path / "a.npz")
    states, _ = on_the_page(tmp_path, [["merge", packed((tmp_path / "a.npz").read_bytes())]])
    assert states == ["archive_of_another_encoder"]


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    shot = [packed(embeddings(1, 1)[0])]
    labels = ["", "  ", "x" * 1001, "\ud800", "<b>", "א" * 1000]
    states, _ = on_the_page(tmp_path, [["enroll", [[label, shot]]] for label in labels])
    assert states[:4] == ["label_empty", "label_empty", "label_long", "label_no_text"]
    assert states[5]["labels"] == ["<b>", "א" * 1000]
