"""Undo of the last enroll, adapt or rename, from the undo log."""

from __future__ import annotations

from dataclasses import dataclass

from edge_meta.store.rename import undo_rename
from edge_meta.store.writer import Writer


@dataclass(frozen=True)
class Undone:
    """A change that was taken back.

    Attributes:
        action: `enroll`, `adapt` or `rename`.
        label: None for `adapt`, and for an enroll of several labels; "" for an enroll of examples of none. Of a rename, the
            name that the label has again.
        shots: how many went; of a rename, those that the label has.
        scrub_pending: whether removed bytes may still be on the disk.
    """

    action: str
    label: str | None
    shots: int
    scrub_pending: bool = False


def undo(writer: Writer) -> Undone | None:
    """Take back the last change of the log; None if the log is empty."""
    last = writer.query("SELECT id, action FROM log ORDER BY id DESC LIMIT 1").fetchone()
    if last is None:
        return None
    log_id, action = last
    if (renamed := undo_rename(writer, log_id)) is not None:
        return Undone("rename", *renamed)
    owners = writer.query(
        "SELECT DISTINCT label FROM labels JOIN sums ON label_id = labels.id WHERE sums.id IN "
        "(SELECT sum_id FROM shots WHERE log_id = ?1 UNION SELECT sum_id FROM log_sums WHERE log_id = ?1)",
        (log_id,),
    ).fetchmany(2)
    if action == "adapt":
        writer.query("DELETE FROM columns")
    writer.query("INSERT INTO columns SELECT label_id, weights, bias FROM log_columns WHERE log_id = ?", (log_id,))
    removed = writer.remove_shots("log_id = ?", (log_id,))
    for sum_id, count, total, squares in writer.query(
        "SELECT sum_id, count, sum, squares FROM log_sums WHERE log_id = ?", (log_id,)
    ).fetchall():
        sums = writer.sums((count, total, squares))
        writer.subtract(sum_id, sums)
        removed += sums.count
    writer.query("DELETE FROM log WHERE id = ?", (log_id,))
    return Undone(action, owners[0][0] if len(owners) == 1 else None, removed)
