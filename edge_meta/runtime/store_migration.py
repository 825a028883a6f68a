"""Migrate a store to a new encoder by the embedding map that the new encoder's bundle has from the old one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_meta.errors import MigrationWarning, StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding_map import EmbeddingMap
from edge_meta.runtime.embedding_map_record import EmbeddingMapRecord
from edge_meta.store.database import Copy
from edge_meta.store.exact_sums import Sums
from edge_meta.store.placement import create_atomically
from edge_meta.store.reader import NONE, Reader
from edge_meta.store.store import Store
from edge_meta.store.store_check import check_store
from edge_meta.store.writer import to_blob


@dataclass(frozen=True)
class Migrated:
    """The result of a migration.

    Attributes:
        store: the new file.
        embedding_map: the record of the map: from which encoder, and what it keeps of the accuracy.
        classes, shots, none_shots: numbers migrated, which are all that there were; the last, examples of none.
        head_reset: whether the old store had an adapted head; the new one starts at the prototypes.
        undo_dropped: the actions that undo can take back in the old store but not in the new one, newest first.
    """

    store: Path
    embedding_map: EmbeddingMapRecord
    classes: int
    shots: int
    none_shots: int
    head_reset: bool
    undo_dropped: tuple[str, ...]


def migrate(bundle: Bundle, source: str | Path, store: str | Path | None = None) -> Migrated:
    """Make a new store for a bundle's encoder from the store of an older encoder, whole or not at all.

    The old store is only read. Labels, ids, origins and tombstones stay the same, so that copies of one store that are
    migrated on several devices still merge as one. Shots enrolled into the new store afterwards get a new origin.

    Args:
        bundle: of the new encoder.
        source: the older encoder's store.
        store: the new file; by default the bundle's, in the user's data folder.

    Raises:
        StoreError: there is a store already; or `source` is missing or damaged, or the bundle has no map from its encoder.
        OutputError: see `files.writable`.
    """
    source, path, manifest = Path(source), bundle.store_path(store), bundle.manifest
    taken = StoreError(f"There is a store at {path} already.", "Migrate into another --store, then: edge-meta merge.")
    if path.exists() and (path.is_dir() or path.stat().st_size):
        raise taken
    old = _OldStore(source, bundle)
    try:
        if not old.connected():
            raise StoreError(f"There is no store at {source}.", "Check the path.")
        rows = Reader(old, old.record.dim)
        with old.reading():
            check_store(rows)
            now, none_shots = rows.snapshot(), rows.shots_of(NONE)
            tables = _mapped(rows, bundle.maps[old.record.encoder_id], old.record)
            steps = tuple(str(action) for (action,) in rows.query("SELECT action FROM log ORDER BY id DESC"))
    finally:
        old.close()

    def fill(new: Path) -> None:
        with Store(new, manifest.encoder_id, manifest.dim, keep_shots=old.keeps_shots) as made:
            made.restore(tables, source)

    if not create_atomically(path, fill):
        raise taken
    shots = int(now.counts.sum())
    return Migrated(path, old.record, len(now.labels), shots, none_shots, bool(now.columns), steps)


def open_users_store(bundle: Bundle, path: str | Path | None = None, keep_shots: bool = True) -> Store:
    """Open the store at a path; by default the one in the user's data folder.

    Where that one does not exist yet, and the user has taught a predecessor that the bundle has an embedding map from, its
    store is migrated. Of several, that is the one that changed last. It is only read.

    Args:
        bundle: of the store's encoder.
        path: of the .db file.
        keep_shots: whether to keep each enrolled shot; see `Store`.

    Warns:
        MigrationWarning: a store was migrated.

    Raises:
        StoreError: see `Store` and `migrate`.
    """
    if path is None and not bundle.store_path().exists():
        _follow_predecessor(bundle)
    return bundle.open_store(bundle.store_path(path), keep_shots)


def _follow_predecessor(bundle: Bundle) -> None:
    paths = [bundle.default_store_path(encoder_id) for encoder_id in bundle.maps]
    left = [path for path in paths if path.is_file() and path.stat().st_size]
    if not left:
        return
    old = max(left, key=lambda path: path.stat().st_mtime)
    try:
        done = migrate(bundle, old)
    except StoreError:
        if bundle.store_path().exists():  # another process was faster
            return
        raise
    warnings.warn(
        f"{bundle.name} has a new encoder. Your {done.classes} class{'es' * (done.classes != 1)} came along "
        f"({done.embedding_map.accuracy}); enroll anew what it confuses. "
        f"{old} is as it was: remove it when you no longer need it.",
        MigrationWarning,
        stacklevel=4,
    )


class _OldStore(Copy):
    """The store of any encoder that a bundle has an embedding map from.

    Attributes:
        record: of the map from that encoder.
    """

    record: EmbeddingMapRecord

    def __init__(self, path: Path, bundle: Bundle) -> None:
        self._records: Mapping[tuple[object, object], EmbeddingMapRecord] = {
            (record.encoder_id, record.dim): record for record in bundle.manifest.embedding_maps
        }
        super().__init__(path, bundle.manifest.encoder_id, bundle.manifest.dim)

    def require_encoder(self, encoder_id: object, dim: object) -> None:
        if (encoder_id, dim) == (self.encoder_id, self.dim):
            raise StoreError(f"{self.path} is of this bundle's encoder already.", "Use it as it is, with --store.")
        if (encoder_id, dim) not in self._records:
            super().require_encoder(encoder_id, dim)
        self.record = self._records[encoder_id, dim]


def _mapped(rows: Reader, mapping: EmbeddingMap, record: EmbeddingMapRecord) -> Mapping[str, list[tuple[Any, ...]]]:
    """Make the rows of the new store, by table."""
    shots = rows.query("SELECT id, sum_id, embedding FROM shots ORDER BY rowid").fetchall()
    sums = rows.query("SELECT id, label_id, origin, revision, count, sum, squares FROM sums ORDER BY rowid").fetchall()
    members: dict[bytes, list[int]] = {}
    for index, (_, sum_id, _) in enumerate(shots):
        members.setdefault(sum_id, []).append(index)
    try:
        embeddings = mapping.embeddings(rows.embeddings([embedding for *_, embedding in shots]))
        mapped = [
            Sums.of(embeddings[members[sum_id]]) if rows.keeps_shots else mapping.sums(rows.sums(of_old), record.spread)
            for sum_id, _, _, _, *of_old in sums
        ]
    except ValueError as error:
        raise StoreError(f"{rows.path} cannot be migrated: {error}.", "Export the bundle again.") from error
    origins = {*(origin for _, _, origin, *_ in sums), *(origin for (origin,) in rows.query("SELECT origin FROM migrated"))}
    return {
        "labels": rows.query("SELECT id, label FROM labels ORDER BY id").fetchall(),
        "sums": [(*row[:4], *of_new.to_row()) for row, of_new in zip(sums, mapped, strict=True)],
        "shots": [(*row[:2], None, to_blob(vector)) for row, vector in zip(shots, embeddings, strict=True)],
        "removed": rows.query("SELECT id FROM removed ORDER BY id").fetchall(),
        "migrated": [(origin, record.encoder_id) for origin in sorted(origins)],
    }
