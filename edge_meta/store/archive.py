"""A store as one .npz, for programs that have NumPy and no SQLite, and back without loss.

Each array is a column of a table of schema.sql, named `table.column`. Integers and reals are int64 and float64, vectors
(rows, D), ids uint8 (rows, 16). A column of texts is two arrays: all texts in UTF-8, one after the other, and the length of
each as `table.column.bytes`. A missing reference (NULL) is 0. The table `store` is the arrays `format`, `encoder_id`, `dim`
and `keeps_shots`, without its origin: shots enrolled into a copy do not come from the store that was copied. The table
`scrubs` is left out: it is about the bytes of one file. An archive of format 2, which has no `log_renames`, is read, too.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edge_meta import files
from edge_meta.errors import StoreError
from edge_meta.store.placement import create_atomically
from edge_meta.store.reader import NONE, Snapshot
from edge_meta.store.schema import FORMAT
from edge_meta.store.store import Store
from edge_meta.store.store_check import check_store

READ_FORMATS = ([2], [FORMAT])
TEXT, WHOLE, REAL = "text", "<i8", "<f8"
ID, VECTOR, SUM, LINK = "id", "<f4", "sum", "link"
TABLES = {
    "labels": {"id": WHOLE, "label": TEXT},
    "sums": {"id": ID, "label_id": WHOLE, "origin": ID, "revision": WHOLE, "count": WHOLE, "sum": SUM, "squares": ID},
    "migrated": {"origin": ID, "encoder_id": TEXT},
    "log": {"id": WHOLE, "action": TEXT},
    "shots": {"id": ID, "sum_id": ID, "log_id": LINK, "embedding": VECTOR},
    "log_sums": {"log_id": WHOLE, "sum_id": ID, "count": WHOLE, "sum": SUM, "squares": ID},
    "columns": {"label_id": WHOLE, "weights": VECTOR, "bias": REAL},
    "log_columns": {"log_id": WHOLE, "label_id": WHOLE, "weights": VECTOR, "bias": REAL},
    "log_renames": {"log_id": WHOLE, "label_id": WHOLE, "label": TEXT},
    "removed": {"id": ID},
}
HEADER = {"format": WHOLE, "encoder_id": TEXT, "dim": WHOLE, "keeps_shots": WHOLE}
# The header that NumPy writes before an array in C order; any other is refused.
ARRAY_START = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(.{3})', 'fortran_order': False, 'shape': \((\d+),(?: (\d+))?\), \} *\n", re.S
)
AGAIN = "Export the store again with: edge-meta export-store BUNDLE OUT.npz"


def write_archive(store: Store, path: str | Path) -> dict[str, int]:
    """Write all of a store into one .npz, whole or not at all; replace a file that is there.

    Returns:
        How many `classes`, their `shots`, and `none_shots` (examples of none) there are.

    Raises:
        LabelError: nothing is enrolled.
        StoreError: the store is damaged, or the file cannot be written.
        OutputError: see `files.writable`.
    """
    path = Path(path)
    arrays: dict[str, Any] = {}
    with store.everything() as rows:
        check_store(rows)
        header = zip(HEADER, (FORMAT, store.encoder_id, store.dim, rows.keeps_shots), strict=True)
        for name, value in header:
            arrays |= _column(name, HEADER[name], [value], store.dim)
        for table, columns in TABLES.items():
            order = {"removed": "id", "migrated": "origin"}.get(table, "rowid")
            found = rows.query(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}").fetchall()
            for index, (column, kind) in enumerate(columns.items()):
                arrays |= _column(f"{table}.{column}", kind, [row[index] for row in found], store.dim)
        counts = _counts(rows.snapshot(), rows.snapshot(NONE))
    content = io.BytesIO()  # NumPy's writer would write on when the disk is full
    np.savez(content, **arrays)
    try:
        if path.exists() and path.samefile(store.path):
            raise StoreError(f"{path} is the store itself.", "Write to another file.")
        with files.replacing(path, private=True) as file:
            file.write(content.getbuffer())
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error}).", "Choose another file.") from error
    return counts


def read_archive(source: str | Path, path: Path, encoder_id: str, dim: int) -> dict[str, int]:
    """Make a new store at `path` from a file that `write_archive` wrote, whole or not at all.

    Returns:
        How many `classes`, their `shots`, and `none_shots` (examples of none) there are.

    Raises:
        StoreError: there is a store already; or the file is no such archive, damaged, or of another encoder.
        OutputError: see `files.writable`.
    """
    source = Path(source)
    taken = StoreError(f"There is a store at {path} already.", "Import into another --store, then: edge-meta merge.")
    if path.exists() and (path.is_dir() or path.stat().st_size):
        raise taken
    try:
        with source.open("rb") as file:
            arrays = _Arrays(file, dim)
            header = {name: arrays.column(name, kind) for name, kind in HEADER.items()}
            if header["format"] not in READ_FORMATS:
                raise ValueError(f"its format is not 2 or {FORMAT}")
            if (header["encoder_id"], header["dim"]) != ([encoder_id], [dim]):
                raise StoreError(
                    f"{source} belongs to another encoder, or another size of embeddings, than the bundle.",
                    "Use the bundle that the store was made with.",
                )
            if header["keeps_shots"] not in ([0], [1]):
                raise ValueError("it does not say whether it keeps shots")
            without = ["log_renames"] * (header["format"] == [2])
            tables = {table: arrays.table(table) for table in TABLES if table not in without}
            if header["format"] == [2] and any(not label for _, label in tables["labels"]):
                raise ValueError("it has an empty label")
    except OSError as error:
        raise StoreError(f"{source} cannot be read ({error}).", "Check the path.") from error
    except (ValueError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise StoreError(f"{source} is not a store's archive, or is damaged ({error}).", AGAIN) from error
    made: dict[str, int] = {}

    def fill(new: Path) -> None:
        with Store(new, encoder_id, dim, keep_shots=header["keeps_shots"] == [1]) as store:
            made.update(_counts(store.restore(tables, source), store.snapshot(NONE)))

    if not create_atomically(path, fill):
        raise taken
    return made


def _counts(labels: Snapshot, none: Snapshot) -> dict[str, int]:
    return {"classes": len(labels.labels), "shots": int(labels.counts.sum()), "none_shots": int(none.counts.sum())}


def _column(name: str, kind: str, values: list[Any], dim: int) -> dict[str, NDArray[Any]]:
    """The arrays of one column."""
    if kind == TEXT:
        encoded = [value.encode() for value in values]
        lengths = np.array([len(text) for text in encoded], WHOLE)
        return {name: np.frombuffer(b"".join(encoded), np.uint8), f"{name}.bytes": lengths}
    dtype, inner = _layout(kind, dim)
    if inner:
        return {name: np.frombuffer(b"".join(values), dtype).reshape(-1, *inner)}
    return {name: np.array([value or 0 for value in values], dtype)}


def _layout(kind: str, dim: int) -> tuple[str, tuple[int, ...]]:
    """The dtype of a column's array, and the shape of one row of it."""
    return {
        ID: ("|u1", (16,)), VECTOR: (VECTOR, (dim,)), SUM: (WHOLE, (dim,)), LINK: (WHOLE, ()),
    }.get(kind, (kind, ()))  # fmt: skip


class _Arrays:
    """The arrays of an archive. Each is checked for the format's name, dtype and shape before it is used.

    Compressed members are refused, so that no array is larger than the file itself.
    """

    def __init__(self, file: IO[bytes], dim: int) -> None:
        self._archive, self._dim = zipfile.ZipFile(file), dim
        members = self._archive.infolist()
        self._members = {member.filename.removesuffix(".npy"): member for member in members}
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed")
        if len(members) != len(self._members) or sum(member.file_size for member in members) > file.seek(0, 2):
            raise ValueError("its arrays overlap")

    def table(self, table: str) -> list[tuple[Any, ...]]:
        """The rows of a table, as SQLite takes them."""
        columns = [self.column(f"{table}.{column}", kind) for column, kind in TABLES[table].items()]
        return list(zip(*columns, strict=True))

    def column(self, name: str, kind: str) -> list[Any]:
        """The values of one column."""
        if kind == TEXT:
            text, ends = self._read(name, "|u1", ()).tobytes(), [0]
            for length in self._read(f"{name}.bytes", WHOLE, ()).tolist():
                ends.append(ends[-1] + length)
            if ends[-1] != len(text) or ends != sorted(ends):
                raise ValueError(f"{name}.bytes does not fit {name}")
            return [text[start:end].decode() for start, end in pairwise(ends)]
        dtype, inner = _layout(kind, self._dim)
        values = self._read(name, dtype, inner)
        if inner:
            return [row.tobytes() for row in values]
        return [value or None for value in values.tolist()] if kind == LINK else values.tolist()

    def _read(self, name: str, dtype: str, inner: tuple[int, ...]) -> NDArray[Any]:
        member = self._members[name]
        content = self._archive.read(member)  # checks the member's CRC-32, too
        start = ARRAY_START.match(content)
        if start is None:
            raise ValueError(f"{name} is not an array as they are exported")
        found, *sides = start.groups()
        shape = tuple(int(side) for side in sides if side is not None)
        if found.decode() != dtype or len(shape) != 1 + len(inner) or shape[1:] != inner:
            raise ValueError(f"{name} is {found.decode()} {shape}")
        if math.prod(shape) * np.dtype(dtype).itemsize != len(content) - start.end():
            raise ValueError(f"{name} is not as large as it says")
        return np.frombuffer(content, dtype, offset=start.end()).reshape(shape)
