"""Telling copies of a store without shots that went on apart from a copy and its older state.

A row of sums has one writer, so the newer revision holds all that the older one does. If the file was copied and both copies
enroll, each is a writer of the same row, and taking the newer revision would lose what the other has enrolled.

The undo log says which sums each of the last enrolls added, and so what the row was before. Each revision is an enroll or
an undo. Say the older row is `apart` enrolls away from a state that both have been in, and the newer one `since`. If
the newer row goes back to the older one, each of the `apart` enrolls was undone, which is one revision each, and each of the
`since` is one more. So if there are fewer revisions between the two rows, they went on apart.

A rename moves a row to another id, without a revision. The log names the label from before; and the new id, which is derived
from the old one, tells whether another store's row is the one that was moved.
"""

from __future__ import annotations

from typing import NamedTuple

from edge_meta.errors import StoreError
from edge_meta.store.reader import Reader
from edge_meta.store.rename import moved_id

Sums = tuple[int, bytes, bytes]  # count, sum, squares


class Row(NamedTuple):
    """A row of sums of a store; see schema.sql."""

    store: Reader
    id: bytes
    label: str
    origin: bytes
    revision: int
    sums: Sums


class _Rows:
    """The rows of sums of a store, as far as copies of them can tell anything.

    Attributes:
        rows: by their ids.
        removed: the ids of those that were removed.
        renamed: rows that a rename has moved, and the label from before, as far as the undo log knows.
    """

    def __init__(self, store: Reader) -> None:
        asked = "SELECT sums.id, label, origin, revision, count, sum, squares FROM sums JOIN labels ON labels.id = label_id"
        # Nobody enrolls into a migrated row; its copies may differ in the last bit of what different machines computed.
        asked += " WHERE origin NOT IN (SELECT origin FROM migrated)"
        self.rows = {
            row_id: Row(store, row_id, label, origin, revision, (count, total, squares))
            for row_id, label, origin, revision, count, total, squares in store.query(asked)
        }
        self.removed = {removed for (removed,) in store.query("SELECT id FROM removed")}
        steps = "SELECT sums.id, log_renames.label FROM log_renames JOIN sums ON sums.label_id = log_renames.label_id"
        self.renamed = [(self.rows[row_id], label) for row_id, label in store.query(steps) if row_id in self.rows]


def require_one_history(one: Reader, other: Reader) -> None:
    """Check that no row of sums of two stores was enrolled into by both since one was copied from the other.

    Nor by one of them, where the other has renamed the label.

    Raises:
        StoreError: one was; nothing has changed.
    """
    if one.keeps_shots:
        return
    mine, theirs = _Rows(one), _Rows(other)
    gone = mine.removed | theirs.removed
    for row in theirs.rows.values():
        if row.id in mine.rows and row.id not in gone and _diverged(mine.rows[row.id], row):
            what = repr(row.label) if row.label else "examples of none"
            raise _apart(one, other, f"both have enrolled {what} since they were copied", "lose what one of them")
    for renaming, enrolling in ((mine, theirs), (theirs, mine)):
        for row, label in renaming.renamed:
            for old in enrolling.rows.values():
                if old.label == label and _moved(renaming.removed & {old.id}, row) and not _before(old, row):
                    how = f"one has enrolled {label!r} since they were copied, which the other has renamed"
                    raise _apart(one, other, how, "lose what it")
    common = mine.removed & theirs.removed
    for row, _ in mine.renamed:
        for like, _ in theirs.renamed:
            if like.label == row.label and like.id != row.id and _moved(common, row) & _moved(common, like):
                how = f"one has enrolled {row.label!r} before both renamed it to that"
                raise _apart(one, other, how, "count twice what both")


def _apart(one: Reader, other: Reader, how: str, then: str) -> StoreError:
    return StoreError(
        f"{one.path} and {other.path} are copies of one store without single shots, and {how}: merging would {then} "
        "enrolled. Nothing was changed.",
        "Enroll the examples of one of them again, into a new --store, and merge that one.",
    )


def _moved(ids: set[bytes], row: Row) -> set[bytes]:
    """Return those of the ids from which a rename has moved a row to where it is."""
    totals = [total for _, total, _ in _states(row)] if ids else []
    return {old_id for old_id in ids if any(moved_id(old_id, row.label, total) == row.id for total in totals)}


def _before(old: Row, row: Row) -> bool:
    """Whether a row is an older state of another, which a rename has moved since."""
    return old.revision <= row.revision and not _diverged(old, row)


def _diverged(one: Row, other: Row) -> bool:
    """Whether it is certain that two copies of a row of sums went on apart.

    Not all that did can be told from an undo: not if the newer one has undone something since, nor beyond the undo log.
    """
    if one.revision == other.revision:
        return one.sums != other.sums
    older, newer = (_states(row) for row in sorted((one, other), key=lambda row: row.revision))
    revisions = abs(one.revision - other.revision)
    for apart, state in enumerate(older):
        if state in newer:
            return apart > 0 and apart + newer.index(state) > revisions
    return revisions < len(newer) and not _explained(older, newer, revisions)


def _explained(older: list[Sums], newer: list[Sums], revisions: int) -> bool:
    """Whether the newer row can go back to the older one, of which they know no common state.

    Then enrolls that the older row's undo log does not hold were undone since.
    """
    for since, state in enumerate(newer[:revisions]):
        apart = len(older) + (revisions - since - len(older)) % 2  # the fewest of them; undone and enrolled make `revisions`
        if apart <= revisions - since and older[0][0] - state[0] >= apart:
            return True
    return False


def _states(row: Row) -> list[Sums]:
    """A row's count, sum and squares, and what they were before each of the enrolls that undo can take back."""
    now, states = row.store.sums(row.sums), [row.sums]
    for added in row.store.query(
        "SELECT count, sum, squares FROM log_sums WHERE sum_id = ? ORDER BY log_id DESC", (row.id,)
    ).fetchall():
        now -= row.store.sums(added)
        if now.count < 1 or now.squares < 0:
            break
        states.append(now.to_row())
    return states
