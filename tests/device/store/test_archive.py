"""A store as one .npz file: nothing is lost on the way there and back, and hostile files are refused."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.device import adapt, cli, complaint, embeddings, opened, said, state

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.archive import TABLES, read_archive, write_archive
from edge_meta.store.store import Store

Arrays = dict[str, NDArray[Any]]

pytestmark = pytest.mark.usefixtures("hasty")
ENCODER, DIM = "0123456789abcdef" * 2, 16
LABELS = ["a", "👩🏽‍🔬", "שלום", "e\u0301", "é", "two\nlines", " padded ", "\0", "end\0\0", "x" * 1000]
KINDS = pytest.mark.parametrize("keep_shots", [True, False], ids=["shots", "no shots"])


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the one that says which store this is."""
    with store.everything() as inside:
        return {table: sorted(inside.query(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def lived(folder: Path, keep_shots: bool) -> Store:
    """Make an open store at lived.db with a bit of everything in it."""
    other = opened(folder / "other.db", keep_shots=keep_shots)
    store = opened(folder / "lived.db", keep_shots=keep_shots)
    for seed, label in enumerate(LABELS):
        store.enroll(label, embeddings(seed, 1 + seed % 3))
    other.enroll("a", embeddings(40, 2))
    store.merge(other.path)
    store.enroll("gone", embeddings(50, 2))
    store.forget("gone")
    store.enroll("undone", embeddings(51, 1))
    store.undo()
    if keep_shots:
        adapt(store, 1)
        store.enroll("é", embeddings(52, 2))
        adapt(store, 2)
    other.close()
    return store


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of a store with shots."""
    with lived(tmp_path, True) as store:
        write_archive(store, tmp_path / "lived.npz")
    return tmp_path / "lived.npz"


# There and back


@KINDS
def test_a_store_comes_back_with_all_that_it_had(keep_shots: bool, tmp_path: Path) -> None:
    store = lived(tmp_path, keep_shots)
    written = write_archive(store, tmp_path / "lived.npz")
    counts = store.snapshot().counts
    assert written == {"classes": len(counts), "shots": counts.sum(), "none_shots": 0}
    path = tmp_path / "deep" / "back.db"
    assert read_archive(tmp_path / "lived.npz", path, ENCODER, DIM) == written
    assert [file.name for file in path.parent.iterdir()] == ["back.db"]
    with opened(path, keep_shots=keep_shots) as back:
        assert state(back) == state(store)
        assert rows(back) == rows(store)
        if keep_shots:
            assert back.shots() == store.shots()
        again = write_archive(back, tmp_path / "again.npz")
        assert again == written
        with np.load(tmp_path / "lived.npz") as first, np.load(tmp_path / "again.npz") as second:
            assert all(np.array_equal(first[name], second[name]) for name in first)
            assert first.files == second.files
        undone = [back.undo() for _ in range(3)]
        assert undone == [store.undo() for _ in range(3)]
        assert state(back) == state(store)


def test_an_archive_of_format_2_is_still_read(archive: Path, tmp_path: Path) -> None:
    with np.load(archive) as loaded:
        arrays = dict(loaded)
    assert arrays["format"].tolist() == [3]
    np.savez(tmp_path / "older.npz", **{**arrays, "format": np.array([2], "<i8")})
    assert read_archive(tmp_path / "older.npz", tmp_path / "older.db", ENCODER, DIM) == read_archive(
        archive, tmp_path / "back.db", ENCODER, DIM
    )
    with opened(tmp_path / "older.db") as older, opened(tmp_path / "back.db") as back:
        assert state(older) == state(back)


def test_an_imported_store_has_an_origin_of_its_own(archive: Path, tmp_path: Path) -> None:
    origins = []
    for name in ("one.db", "two.db"):
        read_archive(archive, tmp_path / name, ENCODER, DIM)
        with opened(tmp_path / name) as store:
            before = {origin for _, _, origin in store.shots()}
            store.enroll("a", embeddings(60, 1))
            origins.append({origin for _, _, origin in store.shots()} - before)
    assert len(origins[0]) == len(origins[1]) == 1
    assert origins[0] != origins[1]


def test_the_arrays_are_plain(archive: Path) -> None:
    with np.load(archive, allow_pickle=False) as arrays:
        lengths = arrays["labels.label.bytes"]
        text = arrays["labels.label"].tobytes()
        assert arrays["shots.embedding"].dtype == np.float32
        assert arrays["shots.embedding"].shape == (len(arrays["shots.id"]), DIM)
        np.testing.assert_array_equal(arrays["sums.count"].sum(), len(arrays["shots.id"]))
    assert [text[end - length : end].decode() for end, length in zip(lengths.cumsum(), lengths, strict=True)] == LABELS


def test_an_archive_replaces_a_file_whole_or_not_at_all(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = archive.read_bytes()
    with opened(tmp_path / "lived.db") as store:
        with monkeypatch.context() as broken:
            broken.setattr(np, "savez", lambda file, **arrays: file.write(b"half") and 1 / 0)
            with pytest.raises(ZeroDivisionError):
                write_archive(store, archive)
        assert archive.read_bytes() == before
        store.enroll("more", embeddings(1, 1))
        write_archive(store, archive)
        assert archive.read_bytes() != before
        assert [path.name for path in tmp_path.glob("*.npz*")] == ["lived.npz"]
        for place, said in ((store.path, "the store itself"), (tmp_path / "no" / "x.npz", "cannot be written")):
            with pytest.raises(StoreError, match=said):
                write_archive(store, place)


def test_nothing_enrolled_is_nothing_to_export(store: Store, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="Nothing is enrolled"):
        write_archive(store, tmp_path / "nothing.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_there_is_never_touched(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lived.db"
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"a store at .*lived\.db already.*edge-meta merge"):
        read_archive(archive, path, ENCODER, DIM)
    # Nor is one that appears while the new one is made.
    late = tmp_path / "late.db"
    restore = Store.restore
    monkeypatch.setattr(Store, "restore", lambda *given: (late.write_bytes(b"theirs"), restore(*given))[1])
    with pytest.raises(StoreError, match="already"):
        read_archive(archive, late, ENCODER, DIM)
    assert (path.read_bytes(), late.read_bytes()) == (before, b"theirs")


# Hostile files


def refused(source: Path, path: Path, said: str = ".") -> None:
    with pytest.raises(StoreError, match=said) as error:
        read_archive(source, path, ENCODER, DIM)
    assert str(source) in error.value.cause
    assert not path.exists()


def put(name: str, at: Any, value: Any) -> Callable[[Arrays], object]:
    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name][at] = value

    return change


def swap(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: change(arrays[name])})


HOSTILE: dict[str, tuple[Callable[[Arrays], object], str]] = {
    "objects": (swap("labels.label", lambda old: np.array([{}], object)), "not an array"),
    "another type": (swap("shots.embedding", lambda old: old.astype("<f8")), "shots.embedding is <f8"),
    "big-endian": (swap("sums.sum", lambda old: old.astype(">i8")), "sums.sum is >i8"),
    "columns first": (swap("shots.embedding", np.asfortranarray), "not an array"),
    "another dimension": (swap("sums.sum", lambda old: old[:, :-1]), "sums.sum is <i8"),
    "too few dimensions": (swap("sums.sum", np.ravel), "sums.sum is <i8"),
    "too few rows": (swap("sums.count", lambda old: old[:-1]), "damaged"),
    "too many lengths": (swap("labels.label.bytes", lambda old: np.append(old, 1)), "does not fit"),
    "a negative length": (put("labels.label.bytes", slice(0, 2), [-1, 20]), "does not fit"),
    "lengths that overflow": (put("labels.label.bytes", slice(0, 2), [2**63 - 1, 2**63 - 1]), "does not fit"),
    "a letter cut in two": (put("labels.label.bytes", slice(0, 2), [2, 14]), "damaged"),
    "the same label twice": (put("labels.id", 1, 1), "UNIQUE"),
    "NaN": (put("shots.embedding", (0, 0), np.nan), "not finite"),
    "infinite weights": (put("columns.weights", (0, 0), np.inf), "not finite"),
    "a NaN in the past": (put("log_columns.bias", 0, np.nan), "bias|NOT NULL"),
    "an embedding out of range": (put("shots.embedding", (0, 0), 1e6), "out of range"),
    "another count": (put("sums.count", 0, 7), "a sum is not that of its shots"),
    "another sum": (put("sums.sum", (0, 3), 5), "a sum is not that of its shots|do not fit"),
    "other squares": (put("sums.squares", (0, 0), 5), "a sum is not that of its shots|do not fit"),
    "a huge sum": (put("sums.sum", (0, 0), 2**62), "out of range"),
    "no count": (put("sums.count", 0, 0), "out of range"),
    "a label that is not there": (put("sums.label_id", 0, 77), "belongs to"),
    "a step that is not there": (put("shots.log_id", 0, 77), "belongs to"),
    "a step of another kind": (swap("log.action", lambda old: np.frombuffer(b"x" * len(old), np.uint8)), "CHECK"),
    "no revision": (put("sums.revision", 0, 0), "revision"),
    "the same shot twice": (swap("shots.id", lambda old: np.repeat(old[:1], len(old), axis=0)), "UNIQUE"),
    "sums alone": (put("keeps_shots", 0, 0), "of the other kind"),
    "neither kind": (put("keeps_shots", 0, 5), "keeps shots"),
    "another format": (put("format", 0, 9), "format"),
    "another encoder": (put("encoder_id", 0, 102), "another encoder"),
    "another size": (put("dim", 0, 17), "another encoder"),
    "a missing array": (lambda arrays: arrays.pop("removed.id"), "removed.id"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_arrays_that_are_not_a_stores_are_refused(archive: Path, tmp_path: Path, kind: str) -> None:
    change, said = HOSTILE[kind]
    with np.load(archive) as loaded:
        arrays = dict(loaded)
    change(arrays)
    source = tmp_path / "hostile.npz"
    np.savez(source, **arrays)
    refused(source, tmp_path / "new.db", said)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"text" * 100, b"PK\x03\x04" + bytes(200)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source.npz"
    source.write_bytes(content)
    refused(source, tmp_path / "new.db", "not a store's archive")
    refused(tmp_path / "nosuch.npz", tmp_path / "new.db", "cannot be read")
    refused(tmp_path, tmp_path / "new.db", "cannot be read")


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize("bomb", ["compressed", "huge shape", "huge member", "overlapping", "negative shape", "long number"])
def test_bombs_are_refused_before_memory_is_spent(archive: Path, tmp_path: Path, bomb: str) -> None:
    name, source = "shots.embedding.npy", tmp_path / "bomb.npz"
    with zipfile.ZipFile(archive) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    shape = {"huge shape": f"({10**12}, 16)", "negative shape": "(-1, 16)", "long number": f"({'9' * 60}, 16)"}
    content = header(shape.get(bomb, "(3, 16)")) + bytes(200)
    if bomb == "compressed":
        content = header(f"({2**24}, 16)") + bytes(2**27)
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED if bomb == "compressed" else zipfile.ZIP_STORED) as new:
        for member, old_content in members.items():
            new.writestr(member, content if member == name else old_content)
    raw = bytearray(source.read_bytes())
    if bomb == "huge member":
        at = raw.rindex(name.encode()) - 46
        raw[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    elif bomb == "overlapping":  # each member is all that follows
        at = raw.index(b"PK\x01\x02")
        end = at
        while raw[at : at + 4] == b"PK\x01\x02":
            raw[at + 20 : at + 28] = struct.pack("<II", end - 100, end - 100)
            at += 46 + sum(struct.unpack("<HHH", raw[at + 28 : at + 34]))
    source.write_bytes(raw)
    del content, members
    tracemalloc.start()
    try:
        refused(source, tmp_path / "new.db")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000 + 5 * archive.stat().st_size
    finally:
        tracemalloc.stop()


@settings(max_examples=100)
@given(at=st.integers(0, 10**6), damage=st.binary(min_size=1, max_size=4))
def test_a_damaged_archive_is_read_or_refused(tmp_path: Path, archive: Path, at: int, damage: bytes) -> None:
    content = bytearray(archive.read_bytes())
    at %= len(content)
    content[at : at + len(damage)] = damage
    damaged, new = tmp_path / "damaged.npz", tmp_path / "new.db"
    damaged.write_bytes(content)
    new.unlink(missing_ok=True)
    with suppress(StoreError):
        read_archive(damaged, new, ENCODER, DIM)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_pickles_are_never_opened(archive: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    with np.load(archive) as loaded:
        arrays = dict(loaded)
    packed = io.BytesIO()
    np.savez(packed, **{**arrays, "labels.label": np.array([Trap()], object)})
    source = tmp_path / "trap.npz"
    source.write_bytes(packed.getvalue())
    refused(source, tmp_path / "new.db")
    assert not (tmp_path / "sprung").exists()


# On the command line


def test_the_commands_move_a_store(tmp_path: Path, bundle: Any) -> None:
    path, out, back = (tmp_path / name for name in ("a.db", "a.npz", "b.db"))
    with Store(path, bundle.manifest.encoder_id, bundle.manifest.dim) as store:
        store.enroll("дед 👴", embeddings(0, 3, bundle.manifest.dim))
    done = said(cli("export-store", "omniglot", out, "--store", path, "--json"))
    assert done == {"file": str(out), "classes": 1, "shots": 3, "none_shots": 0}
    done = said(cli("import-store", "omniglot", out, "--store", back, "--json"))
    assert done == {"store": str(back), "classes": 1, "shots": 3, "none_shots": 0}
    assert said(cli("inspect", "omniglot", "--store", back, "--json"))["classes"] == [{"label": "дед 👴", "shots": 3}]
    assert "edge-meta merge" in complaint(cli("import-store", "omniglot", out, "--store", back, code=1))
    assert "Nothing is enrolled" in complaint(cli("export-store", "omniglot", out, "--store", tmp_path / "no.db", code=1))
    assert cli("import-store", "omniglot", out).stdout.endswith("3 shots of 1 classes\n")
    assert said(cli("inspect", "omniglot", "--json"))["classes"] == [{"label": "дед 👴", "shots": 3}]
