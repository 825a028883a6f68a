"""Renaming a label, such that merges with stores that know it by its old name stay exact.

A merge knows a shot by its id alone. So the shots move: their old ids are marked as removed, and they get new ones, under
which other stores take them over with the new name. What another store enrolls to the old name meanwhile stays there.

A new id is derived from the old one, the new name and the embedding. So devices that rename alike give the same ids, and
each shot counts once when they merge. Who has no longer the embedding cannot try names against an id.
"""

from __future__ import annotations

import hashlib

from edge_meta.errors import LabelError
from edge_meta.store.writer import Writer


def rename(writer: Writer, old: str, new: str) -> int:
    """Rename a label, and log it for undo; returns how many shots it has. Its column of an adapted head stays.

    Raises:
        LabelError: the old one is not enrolled, or the new one is.
    """
    label_id = writer.label_id(old)
    shots = _move(writer, label_id, new)
    log_id = writer.log("enroll", "WHERE 0")
    writer.query("INSERT INTO log_renames VALUES (?, ?, ?)", (log_id, label_id, old))
    return shots


def undo_rename(writer: Writer, log_id: int) -> tuple[str, int] | None:
    """Give a label its name from before a step of the log; returns that and how many shots it has.

    Returns None if the step is no rename.

    Raises:
        LabelError: the name is enrolled again, by a merge.
    """
    step = writer.query("SELECT label_id, label FROM log_renames WHERE log_id = ?", (log_id,)).fetchone()
    if step is None:
        return None
    label_id, old = step
    shots = _move(writer, label_id, old)
    writer.query("DELETE FROM log WHERE id = ?", (log_id,))
    return old, shots


def _move(writer: Writer, label_id: int, new: str) -> int:
    """Set a label's name, and give its shots, and its rows of sums, new ids; returns how many shots it has."""
    if writer.query("SELECT 1 FROM labels WHERE label = ?", (new,)).fetchone():
        raise LabelError(f"{new!r} is enrolled already.", "Choose another name, or forget that label first.")
    writer.query("PRAGMA defer_foreign_keys = ON")
    writer.require_scrub()  # of the old name, where it is no longer in the log
    writer.query("UPDATE labels SET label = ? WHERE id = ?", (new, label_id))
    rows = writer.query("SELECT id, sum, count FROM sums WHERE label_id = ?", (label_id,)).fetchall()
    for sum_id, total, _ in rows:
        if writer.keeps_shots:
            _move_shots(writer, sum_id, new)
        else:
            writer.query("INSERT OR IGNORE INTO removed VALUES (?)", (sum_id,))
        moved = moved_id(sum_id, new, total)
        writer.query("UPDATE sums SET id = ? WHERE id = ?", (moved, sum_id))
        for table in ("shots", "log_sums"):
            writer.query(f"UPDATE {table} SET sum_id = ? WHERE sum_id = ?", (moved, sum_id))
    return sum(count for *_, count in rows)


def _move_shots(writer: Writer, sum_id: bytes, new: str) -> None:
    for shot_id, embedding in writer.query("SELECT id, embedding FROM shots WHERE sum_id = ?", (sum_id,)).fetchall():
        writer.query("INSERT OR IGNORE INTO removed VALUES (?)", (shot_id,))
        writer.query("UPDATE shots SET id = ? WHERE id = ?", (moved_id(shot_id, new, embedding), shot_id))


def moved_id(old_id: bytes, label: str, values: bytes) -> bytes:
    """The id that a shot, or a row of sums, gets under a new label; `values` is its embedding, or its sum."""
    return hashlib.sha256(old_id + values + label.encode()).digest()[:16]
