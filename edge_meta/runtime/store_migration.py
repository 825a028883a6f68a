"""Migrating a store to a new encoder, along the map that the new encoder's bundle has from the old one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_meta.errors import StoreError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.embedding_map import AffineMap, EmbeddingMapRecord
from edge_meta.store.database import Copy
from edge_meta.store.exact_sums import Sums
from edge_meta.store.placement import create_atomically
from edge_meta.store.reader import Reader
from edge_meta.store.store import Store
from edge_meta.store.writer import to_blob


@dataclass(frozen=True)
class Migrated:
    """What a migration did.

    Attributes:
        store: the new file.
        upgrade: from which encoder, and what was measured to be kept of the accuracy.
        classes, shots: how many came along; all there were.
        head_reset: whether the old store had an adapted head; the new one starts at the prototypes.
        undo_dropped: the steps that undo could take back in the old store, newest first, and cannot in the new one.
    """

    store: Path
    upgrade: EmbeddingMapRecord
    classes: int
    shots: int
    head_reset: bool
    undo_dropped: tuple[str, ...]


def migrate(bundle: Bundle, source: str | Path, store: str | Path | None = None) -> Migrated:
    """Make a new store of a bundle's encoder from one of an older encoder, whole or not at all; the old one is only read.

    Labels, ids, origins and what was removed stay as they are, so that copies of one store that are migrated on several
    devices still merge as one. What is enrolled into the new store afterwards has an origin of its own.

    Args:
        source: the older encoder's store.
        store: the new file; by default the bundle's, in the user's data folder.

    Raises:
        StoreError: there is a store already; or `source` is none, damaged, or of an encoder that the bundle has no map from.
    """
    source, path, manifest = Path(source), bundle.store_path(store), bundle.manifest
    taken = StoreError(f"There is a store at {path} already.", "Migrate into another --store, then: edge-meta merge.")
    if path.exists() and (path.is_dir() or path.stat().st_size):
        raise taken
    old = _Old(source, bundle)
    try:
        if not old.connected():
            raise StoreError(f"There is no store at {source}.", "Check the path.")
        rows = Reader(old, old.upgrade.dim)
        with old.reading():
            rows.check()
            now = rows.snapshot()
            tables = _mapped(rows, bundle.maps[old.upgrade.encoder_id], old.upgrade)
            steps = tuple(str(action) for (action,) in rows.query("SELECT action FROM log ORDER BY id DESC"))
    finally:
        old.close()

    def fill(new: Path) -> None:
        with Store(new, manifest.encoder_id, manifest.dim, keep_shots=old.keeps_shots) as made:
            made.restore(tables, source)

    if not create_atomically(path, fill):
        raise taken
    return Migrated(path, old.upgrade, len(now.labels), int(now.counts.sum()), bool(now.columns), steps)


class _Old(Copy):
    """The content of a store of any of the encoders that a bundle has a map from.

    Attributes:
        upgrade: from that encoder.
    """

    upgrade: EmbeddingMapRecord

    def __init__(self, path: Path, bundle: Bundle) -> None:
        self._upgrades: Mapping[tuple[object, object], EmbeddingMapRecord] = {
            (upgrade.encoder_id, upgrade.dim): upgrade for upgrade in bundle.manifest.upgrades
        }
        super().__init__(path, bundle.manifest.encoder_id, bundle.manifest.dim)

    def require_encoder(self, encoder_id: object, dim: object) -> None:
        if (encoder_id, dim) == (self.encoder_id, self.dim):
            raise StoreError(f"{self.path} is of this bundle's encoder already.", "Use it as it is, with --store.")
        if (encoder_id, dim) not in self._upgrades:
            super().require_encoder(encoder_id, dim)
        self.upgrade = self._upgrades[encoder_id, dim]


def _mapped(rows: Reader, along: AffineMap, upgrade: EmbeddingMapRecord) -> Mapping[str, list[tuple[Any, ...]]]:
    """The rows of the new store, by table."""
    shots = rows.query("SELECT id, sum_id, embedding FROM shots ORDER BY rowid").fetchall()
    sums = rows.query("SELECT id, label_id, origin, revision, count, sum, squares FROM sums ORDER BY rowid").fetchall()
    members: dict[bytes, list[int]] = {}
    for index, (_, sum_id, _) in enumerate(shots):
        members.setdefault(sum_id, []).append(index)
    try:
        embeddings = along.embeddings(rows.embeddings([embedding for *_, embedding in shots]))
        mapped = [
            Sums.of(embeddings[members[sum_id]]) if rows.keeps_shots else along.sums(rows.sums(of_old), upgrade.spread)
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
        "migrated": [(origin, upgrade.encoder_id) for origin in sorted(origins)],
    }
