"""The store: enrolled labels, their shots, the adapted head, and what undo needs; one transaction a change.

Nothing here knows about images or interpreters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.database import Copy, Database, nothing_enrolled
from edge_meta.store.exact_sums import LIMIT
from edge_meta.store.reader import Reader, Snapshot
from edge_meta.store.writer import Writer, packed
from edge_meta.types import Array

if TYPE_CHECKING:
    from edge_meta.store.merge import Merged


@dataclass(frozen=True)
class Undone:
    """What an undo took back: `enroll` or `adapt`, its label (None for adapt), and how many shots went."""

    action: str
    label: str | None
    shots: int


class Store:
    """A store file, bound to one encoder. Not safe to share between threads; processes may share the file.

    The file is made by the first enroll, so that asking never leaves an empty one behind.

    Args:
        path: the .db file.
        encoder_id, dim: of the bundle that it is used with.
        seed: content of a store to start from when there is no file yet.
        keep_shots: whether single shots are kept. Without them there are sums and counts alone, and nothing that needs
            single shots: adapting, forgetting one shot. Chosen for good when the file is made; enrolling holds on to it.
        upgradable: ids of the older encoders whose stores can be migrated to this one.

    Raises:
        StoreError: not a store, of a newer format, of another encoder, or not readable.
    """

    def __init__(
        self,
        path: str | Path,
        encoder_id: str,
        dim: int,
        seed: bytes | None = None,
        keep_shots: bool = True,
        upgradable: Collection[str] = (),
    ) -> None:
        self.path, self.encoder_id, self.dim, self.keep_shots = Path(path), encoder_id, dim, keep_shots
        self._upgradable = upgradable
        self._database = Database(self.path, encoder_id, dim, seed, keep_shots, upgradable)
        self._rows = Writer(self._database, dim)
        self._query = self._database.query

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def version(self) -> int:
        """A number that changes when another process has changed the file."""
        if not self._database.connected():
            return 0
        with self._database.translate_errors():
            return int(self._query("PRAGMA data_version").fetchone()[0])

    def snapshot(self, label: str | None = None) -> Snapshot:
        """All that classifying needs, read at once; or what it needs of one label, which may not be there."""
        if not self._database.connected():
            return Snapshot.empty(self.dim)
        with self._database.reading():
            return self._rows.snapshot(label)

    def shots(self) -> list[tuple[str, str, str]]:
        """(label, shot id, origin) of every shot, ids in hexadecimal.

        Raises:
            StoreError: the store keeps no shots.
        """
        if not self._database.connected():
            return []
        self._require_shots("list")
        with self._database.reading():
            rows = self._query(
                "SELECT label, lower(hex(shots.id)), lower(hex(origin)) FROM shots JOIN sums ON sums.id = sum_id "
                "JOIN labels ON labels.id = label_id ORDER BY labels.id, shots.rowid"
            ).fetchall()
        return [(str(label), str(shot), str(origin)) for label, shot, origin in rows]

    def migrated(self) -> dict[str, str]:
        """Origin (hexadecimal) → id of the older encoder that embedded its shots, of those that came by `migrate`."""
        if not self._database.connected():
            return {}
        with self._database.reading():
            rows = self._query("SELECT lower(hex(origin)), encoder_id FROM migrated").fetchall()
        return {str(origin): str(encoder_id) for origin, encoder_id in rows}

    def enroll(self, label: str, embeddings: Array) -> None:
        """Add shots (n, D) to a label, which is created if it is new. Its column goes back to its prototype.

        Raises:
            StoreError: the change could not be written, or the store keeps shots where it should not, or the reverse;
                nothing has changed.
            LabelError: the label is empty or is not text that can be stored.
            ValueError: the embeddings are not (n, D) with n at least 1.
        """
        _check_label(label)
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dim or not len(embeddings):
            raise ValueError(f"embeddings of shape {embeddings.shape} are not (n, {self.dim})")
        if not np.all(np.abs(embeddings) < LIMIT):
            raise StoreError(
                f"An embedding has values that are not finite, or beyond ±{LIMIT:.0f}.",
                "The encoder is not usable as it is: scale its output down, or export it again.",
            )
        with self._database.change(create=True):
            self._require_what_was_asked_for()
            label_id = self._rows.new_label(label)
            (origin,) = self._rows.row("SELECT origin FROM store")
            log_id = self._rows.log("enroll", "WHERE label_id = ?", (label_id,))
            self._query("DELETE FROM columns WHERE label_id = ?", (label_id,))
            self._rows.add(label_id, origin, embeddings, log_id)

    def forget(self, label: str, shot: str | None = None) -> int:
        """Remove a label for good, or one shot of it by its id (hexadecimal); returns how many shots went.

        Undo cannot bring them back: the undo log and the write-ahead log lose them too, and SQLite overwrites their bytes.
        Only their random ids stay, so that merging an older copy does not bring them back either.

        Raises:
            LabelError: no such label, or the label has no such shot.
            StoreError: the store keeps no shots that could be forgotten one by one.
        """
        _check_label(label)
        with self._database.change():
            label_id = self._rows.label_id(label)
            of_label = "sum_id IN (SELECT id FROM sums WHERE label_id = ?)"
            if shot is not None:
                self._require_shots("forget")
                removed = self._rows.remove_shots(f"{of_label} AND lower(hex(id)) = ?", (label_id, shot.lower()))
                if not removed:
                    raise LabelError(
                        f"{label!r} has no shot {shot!r}.", "List the shots with: edge-meta inspect BUNDLE --shots"
                    )
                self._query("DELETE FROM columns WHERE label_id = ?", (label_id,))
                self._query("DELETE FROM log_columns WHERE label_id = ?", (label_id,))
            elif self._database.keeps_shots:
                removed = self._rows.remove_shots(of_label, (label_id,))
            else:
                removed = self._rows.remove_sums("label_id = ?", (label_id,))
        self._database.overwrite_removed()
        return removed

    @contextmanager
    def adapting(self) -> Iterator[Adapting]:
        """A change of the head: read the shots, set new columns, all in one transaction.

        Raises:
            StoreError: the store keeps no shots.
        """
        with self._database.change():
            self._require_shots("adapt to")
            yield Adapting(self._rows)

    def undo(self) -> Undone:
        """Take back the last enroll or adapt; what goes is removed as `forget` removes it.

        Raises:
            LabelError: there is nothing to take back.
        """
        with self._database.change():
            last = self._query("SELECT id, action FROM log ORDER BY id DESC LIMIT 1").fetchone()
            if last is None:
                raise LabelError(f"There is nothing to undo in {self.path}.", "Only enroll and adapt can be undone.")
            log_id, action = last
            owner = self._query(
                "SELECT label FROM labels JOIN sums ON label_id = labels.id WHERE sums.id IN "
                "(SELECT sum_id FROM shots WHERE log_id = ?1 UNION SELECT sum_id FROM log_sums WHERE log_id = ?1)",
                (log_id,),
            ).fetchone()
            if action == "adapt":
                self._query("DELETE FROM columns")
            self._query("INSERT INTO columns SELECT label_id, weights, bias FROM log_columns WHERE log_id = ?", (log_id,))
            removed = self._rows.remove_shots("log_id = ?", (log_id,))
            for sum_id, count, total, squares in self._query(
                "SELECT sum_id, count, sum, squares FROM log_sums WHERE log_id = ?", (log_id,)
            ).fetchall():
                sums = self._rows.sums((count, total, squares))
                self._rows.subtract(sum_id, sums)
                removed += sums.count
            self._query("DELETE FROM log WHERE id = ?", (log_id,))
        self._database.overwrite_removed()
        return Undone(action, owner[0] if owner else None, removed)

    def merge(self, *paths: str | Path) -> Merged:
        """Take in what other stores of the encoder have and have removed, in one transaction; they are only read.

        Shots meet by their ids. In stores without shots it is the rows of sums, of which the newer revision counts. What any
        of the stores has removed is gone. Merging again, or in another order, gives the same.

        Raises:
            StoreError: no store, damaged, of another encoder, this very file, or one keeps shots and the other does not;
                nothing has changed.
        """
        from edge_meta.store.merge import merge  # not before it is asked for

        with ExitStack() as opened:
            sources = [self._source(Path(path), opened) for path in paths]
            if sources and not self._database.connected():
                self._database.keeps_shots = sources[0].keeps_shots
            for source in sources:
                if source.keeps_shots != self._database.keeps_shots:
                    raise StoreError(
                        f"Of {source.path} and the store to merge it into, one keeps single shots and one does not.",
                        "Merge stores of one kind; nothing was changed.",
                    )
            with self._database.change(create=bool(sources)):
                merged = merge(self._rows, sources)
        if merged.removed or merged.head_reset:
            self._database.overwrite_removed()
        return merged

    @contextmanager
    def everything(self) -> Iterator[Reader]:
        """All rows, to read at one moment.

        Raises:
            LabelError: nothing is enrolled.
        """
        if not self._database.connected():
            raise nothing_enrolled(self.path)
        with self._database.reading():
            yield self._rows

    def restore(self, tables: Mapping[str, list[tuple[object, ...]]], source: Path) -> Snapshot:
        """Fill a new store with the rows of its tables, all of which are checked, in one transaction.

        Raises:
            StoreError: the rows do not fit each other; the error names `source`.
        """
        with self._database.change(create=True):
            rows = Writer(self._database, self.dim, source)
            rows.insert(tables)
            rows.check()
            return rows.snapshot()

    def _source(self, path: Path, opened: ExitStack) -> Reader:
        """The rows of another store, checked."""
        if path.exists() and self.path.exists() and path.samefile(self.path):
            raise StoreError(f"{path} is the store itself.", "Name another store to merge into it.")
        source = Copy(path, self.encoder_id, self.dim, upgradable=self._upgradable)
        opened.callback(source.close)
        if not source.connected():
            raise StoreError(f"There is no store at {path}.", "Check the path.")
        rows = Reader(source, self.dim)
        with source.reading():
            rows.check()
        return rows

    def _require_what_was_asked_for(self) -> None:
        if self._database.keeps_shots and not self.keep_shots:
            raise StoreError(f"{self.path} keeps single shots.", "Enroll without --no-shots, or into another --store.")
        if self.keep_shots and not self._database.keeps_shots:
            raise StoreError(f"{self.path} keeps no single shots.", "Enroll with --no-shots, or into another --store.")

    def _require_shots(self, purpose: str) -> None:
        if not self._database.keeps_shots:
            raise StoreError(
                f"{self.path} keeps no single shots to {purpose}.",
                "Enroll into another --store, without --no-shots, if you need that.",
            )


class Adapting:
    """What a change of the head may do inside its transaction; see `Store.adapting`.

    Attributes:
        snapshot: the store as it is.
        embeddings: float32 (M, D), all shots.
        labels: (M,), the index of each shot's label in the snapshot.
    """

    def __init__(self, rows: Writer) -> None:
        self._rows = rows
        self.snapshot = rows.snapshot()
        self.embeddings, self.labels, self._label_ids = rows.shots()

    def replace_head(self, weights: Array, bias: Array) -> None:
        """Set all columns: weights (D, N) and bias (N,), labels in the order of the snapshot."""
        self._rows.log("adapt", "")
        self._rows.query("DELETE FROM columns")
        for label_id, column, value in zip(self._label_ids, weights.T, bias, strict=True):
            self._rows.query("INSERT INTO columns VALUES (?, ?, ?)", (label_id, packed(column), float(value)))

    def keep_head(self) -> None:
        """Leave the columns as they are; undo takes this back all the same, and not the change before it."""
        self._rows.log("adapt", "")


def _check_label(label: str) -> None:
    if not isinstance(label, str) or not label.strip():
        raise LabelError(f"{label!r} is not a label.", "Give a label that is not empty.")
    try:
        label.encode()
    except UnicodeEncodeError:
        raise LabelError(f"{label!r} is not valid Unicode text.", "Give a label without lone surrogates.") from None
