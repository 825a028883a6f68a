"""The store: enrolled labels, their shots, the adapted head, and the undo log; one transaction a change.

It knows nothing of images or interpreters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from edge_meta.errors import LabelError, StoreError
from edge_meta.store.database import BUSY_SECONDS, Database
from edge_meta.store.exact_sums import check_embeddings
from edge_meta.store.forget import Forgotten, forget, forget_none
from edge_meta.store.head_change import HeadChange
from edge_meta.store.messages import LONGEST_LABEL, nothing_enrolled
from edge_meta.store.reader import NONE, Reader, Snapshot
from edge_meta.store.rename import rename
from edge_meta.store.store_check import check_store
from edge_meta.store.undo import Undone, undo
from edge_meta.store.writer import Writer
from edge_meta.types import Array, Integers

if TYPE_CHECKING:
    from edge_meta.store.merge import Merged


class Store:
    """A store file, bound to one encoder. Not safe to share between threads; processes may share the file.

    The first enroll makes the file; reading never does.

    Args:
        path: the .db file.
        encoder_id, dim: of the bundle that it is used with.
        seed: the content of a store to start from when there is no file yet.
        keep_shots: whether to keep single shots. Without them the store keeps sums and counts alone, so that adapting and
            forgetting one shot are refused. The choice is made with the file; enrolling with another one is refused.
        migratable_from: ids of the older encoders whose stores can be migrated to this one.
        busy_seconds: how long a change waits for other programs that hold the file.

    Attributes:
        database: the open file.

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
        migratable_from: Collection[str] = (),
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self.path, self.encoder_id, self.dim, self.keep_shots = Path(path), encoder_id, dim, keep_shots
        self.database = Database(self.path, encoder_id, dim, keep_shots, migratable_from, busy_seconds)
        if seed is not None and not self.database.connected():
            from edge_meta.store.restore import restore_seed  # not before it is needed

            restore_seed(self.database, seed)
        self._writer = Writer(self.database, dim)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def version(self) -> int:
        """A number that changes when another process has changed the file; 0 while there is none."""
        return self.database.version()

    def snapshot(self, label: str | None = None) -> Snapshot:
        """Read all that classifying needs in one transaction; or of one label, with no rows if it is not enrolled.

        All labels are without the examples of none; those are the label `NONE` ("").
        """
        if not self.database.connected():
            return Snapshot.empty(self.dim)
        with self.database.reading():
            return self._writer.snapshot(label)

    def shots(self) -> list[tuple[str, str, str]]:
        """(label, shot id, origin) of every shot, ids in hexadecimal. The label of an example of none is "".

        Raises:
            StoreError: the store keeps no shots, or is damaged.
        """
        if not self.database.connected():
            return []
        self._writer.require_shots("list")
        with self.database.reading():
            check_store(self._writer)
            rows = self.database.query(
                "SELECT label, lower(hex(shots.id)), lower(hex(origin)) FROM shots JOIN sums ON sums.id = sum_id "
                "JOIN labels ON labels.id = label_id ORDER BY labels.id, shots.rowid"
            ).fetchall()
        return [(str(label), str(shot), str(origin)) for label, shot, origin in rows]

    @property
    def keeps_shots(self) -> bool:
        """Whether the store keeps single shots."""
        return self.database.keeps_shots

    def first_shots(self, labels: Sequence[str], most: int) -> tuple[Array, Integers]:
        """The first shots of each label, `most` at most, (M, D), and the index of each one's label, (M,).

        A label that is no longer enrolled has none.
        """
        with self.database.reading():
            return self._writer.first_shots(labels, most)

    def none_shots(self) -> Array:
        """The examples of none, (K, D), in a store that keeps single shots."""
        if not self.database.connected():
            return np.zeros((0, self.dim), np.float32)
        with self.database.reading():
            return np.array(list(self._writer.none_shots().values()), np.float32).reshape(-1, self.dim)

    def migrated(self) -> dict[str, str]:
        """The origins (hexadecimal) whose shots came by `migrate` → the id of the older encoder that embedded them."""
        if not self.database.connected():
            return {}
        with self.database.reading():
            rows = self.database.query("SELECT lower(hex(origin)), encoder_id FROM migrated").fetchall()
        return {str(origin): str(encoder_id) for origin, encoder_id in rows}

    def enroll(self, label: str, embeddings: Array) -> None:
        """Add shots (n, D) to a label; create it if it is new. Its column goes back to its prototype.

        Raises:
            StoreError, LabelError, ValueError: see `enroll_many`.
        """
        self.enroll_many({label: embeddings})

    def enroll_many(self, shots: Mapping[str, Array]) -> None:
        """Add shots (n, D) to each of several labels, all in one transaction, as `enroll` does.

        Undo takes all of them back in one step; in a store without single shots, in one step per label.

        Raises:
            StoreError: the change cannot be written, an embedding is not finite or too large, or the store keeps single
                shots and `keep_shots` says otherwise, or the reverse; nothing has changed.
            LabelError: a label is empty, longer than 1,000 characters, or is not text that can be stored.
            ValueError: the embeddings are not (n, D) with n at least 1.
        """
        for label in shots:
            _check_label(label)
        self._enroll(shots)

    def enroll_none(self, embeddings: Array) -> None:
        """Add shots (n, D) of things that are no label. An adapted head stays as it is.

        Raises:
            StoreError, ValueError: see `enroll_many`.
        """
        self._enroll({NONE: embeddings})

    def _enroll(self, shots: Mapping[str, Array]) -> None:
        """Add shots to labels, which are checked, or to `NONE`; see `enroll_many`."""
        for embeddings in shots.values():
            check_embeddings(embeddings, self.dim)
        with self.database.change(create=True):
            self._require_kind_asked_for()
            (origin,) = self._writer.row("SELECT origin FROM store")
            log_id, of_label = None, "WHERE label_id = ?"
            for label, embeddings in shots.items():
                label_id = self._writer.new_label(label)
                if log_id is None or not self.database.keeps_shots:  # a step of the log holds the sums of one label
                    log_id = self._writer.log("enroll", of_label, (label_id,))
                else:
                    self._writer.log_columns(log_id, of_label, (label_id,))
                self.database.query(f"DELETE FROM columns {of_label}", (label_id,))
                self._writer.add(label_id, origin, embeddings, log_id)

    def forget(self, label: str, shot: str | None = None) -> Forgotten:
        """Remove a label for good, or one shot of it by its id (hexadecimal).

        Neither undo nor a merge with an older copy brings them back. The undo log and the write-ahead log lose them, too,
        and their bytes are written over before this returns; only their random ids stay. Where another program reads the
        store for longer than `busy_seconds`, or the disk is full, that is left to the next change or opening, and
        `scrub_pending` says so. All adapted heads go with them, the logged ones
        included, since a shot can be solved out of a head that was fitted to it.

        Raises:
            LabelError: no such label, or the label has no such shot.
            StoreError: the store keeps no shots that could be forgotten one by one, or is damaged.
        """
        _check_label(label)
        with self.database.change(removing=True):
            forgotten = forget(self._writer, label, shot)
        return forgotten._replace(scrub_pending=self.database.scrub_pending)

    def forget_none(self, shot: str | None = None) -> Forgotten:
        """Remove the examples of none for good, or one of them by its id, as `forget` does.

        An adapted head stays: none was ever fitted to them.

        Raises:
            LabelError: there are none, or no such one.
            StoreError: see `forget`.
        """
        with self.database.change(removing=True):
            forgotten = forget_none(self._writer, shot)
        return forgotten._replace(scrub_pending=self.database.scrub_pending)

    def rename(self, old: str, new: str) -> int:
        """Rename a label, keeping its shots and its column of an adapted head; returns how many shots it has.

        Raises:
            LabelError: the old one is not enrolled, or the new one is, is empty, or is not text that can be stored.
        """
        for label in (old, new):
            _check_label(label)
        with self.database.change(removing=True):
            return rename(self._writer, old, new)

    @contextmanager
    def adapting(self) -> Iterator[HeadChange]:
        """Begin a change of the head: read the shots and set or remove columns, all in one transaction.

        Raises:
            StoreError: the store keeps no shots.
        """
        with self.database.change():
            self._writer.require_shots("adapt to")
            yield HeadChange(self._writer)

    def undo(self) -> Undone:
        """Take back the last enroll, adapt or rename; remove the shots of an enroll as `forget` does.

        Raises:
            LabelError: there is nothing to take back.
            StoreError: the store is damaged, or cannot be written.
        """
        with self.database.change(removing=True):
            check_store(self._writer)
            undone = undo(self._writer)
            if undone is None:
                raise LabelError(f"There is nothing to undo in {self.path}.", "Only enroll, adapt and rename can be undone.")
        return replace(undone, scrub_pending=self.database.scrub_pending)

    def merge(self, *paths: str | Path) -> Merged:
        """Take in what other stores of the encoder have, and have removed, in one transaction; they are only read.

        Merge shots by their ids; in stores without shots, merge rows of sums by their ids, of which the newer revision
        counts. Remove what any of the stores has removed. Merging again, or in another order, gives the same.

        Raises:
            StoreError: no store, damaged, of another encoder, this very file, or one keeps shots and the other does not;
                nothing has changed.
        """
        from edge_meta.store.merge import merge_files  # not before it is asked for

        merged = merge_files(self.database, [Path(path) for path in paths])
        return replace(merged, scrub_pending=self.database.scrub_pending)

    @contextmanager
    def everything(self) -> Iterator[Reader]:
        """Read any rows in one transaction.

        Raises:
            LabelError: nothing is enrolled.
        """
        if not self.database.connected():
            raise nothing_enrolled(self.path)
        with self.database.reading():
            yield self._writer

    def restore(self, tables: Mapping[str, list[tuple[object, ...]]], source: Path) -> Snapshot:
        """Fill a new store with the rows of its tables in one transaction, and check all of them.

        Raises:
            StoreError: the rows do not fit each other; the error names `source`.
        """
        from edge_meta.store.restore import restore

        return restore(self.database, tables, source)

    def _require_kind_asked_for(self) -> None:
        if self.database.keeps_shots and not self.keep_shots:
            raise StoreError(f"{self.path} keeps single shots.", "Enroll without --no-shots, or into another --store.")
        if self.keep_shots and not self.database.keeps_shots:
            raise StoreError(f"{self.path} keeps no single shots.", "Enroll with --no-shots, or into another --store.")


def _check_label(label: str) -> None:
    if not isinstance(label, str) or not label.strip():
        raise LabelError(f"{label!r} is not a label.", "Give a label that is not empty.")
    if len(label) > LONGEST_LABEL:
        raise LabelError(
            f"A label of {len(label):,} characters is too long: {label[:20]!r}...",
            f"Give {LONGEST_LABEL:,} characters at most.",
        )
    try:
        label.encode()
    except UnicodeEncodeError:
        raise LabelError(f"{label!r} is not valid Unicode text.", "Give a label without lone surrogates.") from None
