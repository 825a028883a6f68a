"""Telling copies of a store without shots that went on apart from a copy and its older state.

A row of sums has one writer, so the newer revision holds all that the older one does. If the file was copied and both copies
enroll, each is a writer of the same row, and taking the newer revision would lose what the other has enrolled.

The undo log says which sums each of the last enrolls added, and so what the row was before. Each revision is an enroll or
an undo. Say the older row is `apart` enrolls away from a state that both have been in, and the newer one `since`. If
the newer row goes back to the older one, each of the `apart` enrolls was undone, which is one revision each, and each of the
`since` is one more. So if there are fewer revisions between the two rows, they went on apart.
"""

from __future__ import annotations

from edge_meta.errors import StoreError
from edge_meta.store.reader import Reader

Sums = tuple[int, bytes, bytes]  # count, sum, squares
Row = tuple[int, int, bytes, bytes]  # with the revision before them


def require_one_history(one: Reader, other: Reader) -> None:
    """Check that no row of sums of two stores was enrolled into by both since one was copied from the other.

    Raises:
        StoreError: one was; nothing has changed.
    """
    if one.keeps_shots:
        return
    gone = {removed for store in (one, other) for (removed,) in store.query("SELECT id FROM removed")}
    # Nobody enrolls into a migrated row; its copies may differ in the last bit of what different machines computed.
    migrated = {origin for store in (one, other) for (origin,) in store.query("SELECT origin FROM migrated")}
    rows = "SELECT sums.id, label, origin, revision, count, sum, squares FROM sums JOIN labels ON labels.id = label_id"
    known = {sum_id: tuple(row) for sum_id, _, _, *row in one.query(rows)}
    for sum_id, label, origin, *row in other.query(rows).fetchall():
        if sum_id not in known or sum_id in gone or origin in migrated:
            continue
        if _diverged(one, other, sum_id, known[sum_id], tuple(row)):
            what = repr(label) if label else "examples of none"
            raise StoreError(
                f"{one.path} and {other.path} are copies of one store without single shots, and both have enrolled "
                f"{what} since they were copied: merging would lose what one of them enrolled. Nothing was changed.",
                "Enroll the examples of one of them again, into a new --store, and merge that one.",
            )


def _diverged(one: Reader, other: Reader, sum_id: bytes, row_of_one: Row, row_of_other: Row) -> bool:
    """Whether it is certain that two copies of a row of sums went on apart.

    Not all that did can be told from an undo: not if the newer one has undone something since, nor beyond the undo log.

    Args:
        one, other: the stores.
        sum_id: the row's id.
        row_of_one, row_of_other: revision, count, sum and squares of each.
    """
    if row_of_one == row_of_other:
        return False
    if row_of_one[0] == row_of_other[0]:
        return True
    stores = sorted(((row_of_one, one), (row_of_other, other)), key=lambda entry: entry[0][0])
    older, newer = (_states(store, sum_id, row[1:]) for row, store in stores)
    revisions = abs(row_of_one[0] - row_of_other[0])
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


def _states(store: Reader, sum_id: bytes, row: Sums) -> list[Sums]:
    """A row's count, sum and squares, and what they were before each of the enrolls that undo can take back."""
    now, states = store.sums(row), [row]
    for added in store.query(
        "SELECT count, sum, squares FROM log_sums WHERE sum_id = ? ORDER BY log_id DESC", (sum_id,)
    ).fetchall():
        now -= store.sums(added)
        if now.count < 1 or now.squares < 0:
            break
        states.append(now.to_row())
    return states
