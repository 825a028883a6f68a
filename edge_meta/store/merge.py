"""Merging stores: the union of their shots, without those that any of them has removed.

Shots make a two-phase set (Shapiro et al. 2011): all that were ever enrolled, without all that were ever removed. In stores
without shots, rows of sums are single-writer registers, of which the newest revision counts; they are removed in the same
way. Two copies of such a store that both went on would be two writers; divergence.py finds them. The result depends neither
on the order of merging, nor on how often it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from edge_meta.errors import StoreError
from edge_meta.store.database import Copy, Database
from edge_meta.store.divergence import require_one_history
from edge_meta.store.reader import NONE, Reader
from edge_meta.store.store_check import check_store
from edge_meta.store.writer import Writer


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        stores: how many were merged into this one.
        added, removed: shots that came and went.
        shots, classes: how many there are now, without the examples of none.
        none_shots: how many examples of none there are now.
        head_reset: whether an adapted head was dropped, since it was fitted to other shots.
        undo_dropped: the changes that undo can no longer take back, newest first: each `adapt`, and each `enroll` whose
            shots went.
        scrub_pending: whether removed bytes may still be on the disk.
    """

    stores: int
    added: int
    removed: int
    shots: int
    classes: int
    head_reset: bool
    undo_dropped: tuple[str, ...]
    none_shots: int = 0
    scrub_pending: bool = False


def merge_files(database: Database, paths: Sequence[Path]) -> Merged:
    """Take what other stores have, and have removed, into a store, in one transaction.

    A store that is yet to be made keeps single shots if the first of the others does.

    Raises:
        StoreError: a path holds no store, a damaged one, one of another encoder or of the other kind, or the store itself;
            copies of one store without shots went on apart; or together they are more than a store can hold. Nothing has
            changed.
    """
    with ExitStack() as opened:
        sources = [_open_source(path, database, opened) for path in paths]
        if sources and not database.connected():
            database.keeps_shots = sources[0].keeps_shots
        for source in sources:
            if source.keeps_shots != database.keeps_shots:
                raise StoreError(
                    f"Of {source.path} and the store to merge it into, one keeps single shots and one does not.",
                    "Merge stores of one kind; nothing was changed.",
                )
        for one, other in combinations(sources, 2):
            require_one_history(one, other)
        with database.change(create=bool(sources)):
            writer = Writer(database, database.dim)
            check_store(writer)
            for source in sources:
                require_one_history(writer, source)
            return _merge(writer, sources)


def _open_source(path: Path, database: Database, opened: ExitStack) -> Reader:
    """The rows of a store to merge into another, checked."""
    if path.exists() and database.path.exists() and path.samefile(database.path):
        raise StoreError(f"{path} is the store itself.", "Name another store to merge into it.")
    source = Copy(path, database.encoder_id, database.dim, migratable_from=database.migratable_from)
    opened.callback(source.close)
    if not source.connected():
        raise StoreError(f"There is no store at {path}.", "Check the path.")
    rows = Reader(source, database.dim)
    with source.reading():
        check_store(rows)
    return rows


def _merge(writer: Writer, sources: Sequence[Reader]) -> Merged:
    steps = dict(writer.query("SELECT id, action FROM log ORDER BY id DESC"))
    adapted, added, removed = writer.adapted(), 0, 0
    for source in sources:
        _check_agreement(writer, source)
        for removed_id in source.query("SELECT id FROM removed"):
            writer.query("INSERT OR IGNORE INTO removed VALUES (?)", removed_id)
        for origin in source.query("SELECT origin, encoder_id FROM migrated"):
            writer.query("INSERT OR IGNORE INTO migrated VALUES (?, ?)", origin)
        gone = "id IN (SELECT id FROM removed)"
        if writer.keeps_shots:
            removed += writer.remove_shots(gone)
            added += _add_shots(writer, source)
        else:
            removed += writer.remove_sums(gone)
            came, went = _add_sums(writer, source)
            added, removed = added + came, removed + went
    changed = bool(added or removed)
    if changed:
        writer.drop_heads()
    left = {log_id for (log_id,) in writer.query("SELECT id FROM log")}
    now = writer.snapshot()
    return Merged(
        stores=len(sources),
        added=added,
        removed=removed,
        shots=int(now.counts.sum()),
        classes=len(now.labels),
        head_reset=changed and adapted,
        undo_dropped=tuple(action for log_id, action in steps.items() if log_id not in left),
        none_shots=writer.shots_of(NONE),
    )


def _check_agreement(writer: Writer, source: Reader) -> None:
    """Check that what both stores have is the same in both.

    Raises:
        StoreError: an id has another label, origin or embedding in the one than in the other.
    """
    asked = "SELECT sums.id, label, origin FROM sums JOIN labels ON labels.id = label_id"
    if writer.keeps_shots:
        asked = (
            "SELECT shots.id, label, origin, embedding FROM shots JOIN sums ON sums.id = sum_id "
            "JOIN labels ON labels.id = label_id"
        )
    mine = {row[0]: row for row in writer.query(asked)}
    for row in source.query(asked):
        if mine.get(row[0], row) != row:
            raise StoreError(
                f"{source.path} has the id {row[0].hex()} under {row[1]!r}, and {writer.path} has it "
                f"{'with another origin or embedding' if mine[row[0]][1] == row[1] else f'under {mine[row[0]][1]!r}'}.",
                "One of the two was changed by another program: merge without it. Nothing was changed.",
            )


def _add_shots(writer: Writer, source: Reader) -> int:
    """Add the shots that are new and not removed, label by label; return how many."""
    known = {shot_id for (shot_id,) in writer.query("SELECT id FROM shots UNION SELECT id FROM removed")}
    groups: dict[tuple[str, bytes], list[tuple[bytes, bytes]]] = {}
    for label, origin, shot_id, embedding in source.query(
        "SELECT label, origin, shots.id, embedding FROM shots JOIN sums ON sums.id = sum_id "
        "JOIN labels ON labels.id = label_id ORDER BY labels.id, shots.rowid"
    ):
        if shot_id not in known:
            groups.setdefault((label, origin), []).append((shot_id, embedding))
    for (label, origin), shots in groups.items():
        embeddings = source.embeddings([embedding for _, embedding in shots])
        writer.add(writer.new_label(label), origin, embeddings, None, [shot_id for shot_id, _ in shots])
    return sum(map(len, groups.values()))


def _add_sums(writer: Writer, source: Reader) -> tuple[int, int]:
    """Take the rows of sums that are new or newer and not removed; return how many shots came and went."""
    known = {row[0]: row[1:] for row in writer.query("SELECT id, revision, count, sum, squares FROM sums")}
    removed = {sum_id for (sum_id,) in writer.query("SELECT id FROM removed")}
    came = went = 0
    for sum_id, label, origin, *theirs in source.query(
        "SELECT sums.id, label, origin, revision, count, sum, squares FROM sums "
        "JOIN labels ON labels.id = label_id ORDER BY labels.id, sums.rowid"
    ):
        mine = known.get(sum_id, (0, 0))
        if sum_id in removed or tuple(theirs) <= mine:
            continue
        if sum_id in known:
            writer.require_scrub()  # the newer row may be without shots that this one has
            writer.query("DELETE FROM log_sums WHERE sum_id = ?", (sum_id,))
            writer.query("UPDATE sums SET revision = ?, count = ?, sum = ?, squares = ? WHERE id = ?", (*theirs, sum_id))
        else:
            writer.query("INSERT INTO sums VALUES (?, ?, ?, ?, ?, ?, ?)", (sum_id, writer.new_label(label), origin, *theirs))
        came, went = came + max(0, theirs[1] - mine[1]), went + max(0, mine[1] - theirs[1])
    writer.drop_empty()
    return came, went
