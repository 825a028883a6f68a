"""Removing a label, the examples of none, or one shot of them, for good; see `Store.forget`."""

from __future__ import annotations

from typing import NamedTuple

from edge_meta.errors import LabelError
from edge_meta.store.reader import NONE
from edge_meta.store.store_check import check_store
from edge_meta.store.writer import Writer


class Forgotten(NamedTuple):
    """The result of `forget`.

    Attributes:
        shots: how many were removed.
        head_reset: whether an adapted head went with them, so that adapting starts anew.
        scrub_pending: whether their bytes may still be on the disk; see `Store.scrub_pending`.
    """

    shots: int
    head_reset: bool
    scrub_pending: bool = False


def forget(writer: Writer, label: str, shot: str | None) -> Forgotten:
    """Remove a label, or one shot of it by its id, and all adapted heads.

    Raises:
        LabelError: no such label, or the label has no such shot.
        StoreError: the store keeps no shots that could be forgotten one by one, or is damaged.
    """
    check_store(writer)
    label_id, head_reset = writer.label_id(label), writer.adapted()
    writer.drop_heads()
    return Forgotten(_remove(writer, label_id, repr(label), shot), head_reset)


def forget_none(writer: Writer, shot: str | None) -> Forgotten:
    """Remove the examples of none, or one of them by its id. Adapted heads stay, since none was fitted to them.

    Raises:
        LabelError: there are none, or no such one.
        StoreError: see `forget`.
    """
    check_store(writer)
    if not writer.shots_of(NONE):
        raise LabelError("There are no examples of none.", "Show some with: edge-meta enroll BUNDLE --none FILE...")
    return Forgotten(_remove(writer, writer.label_id(NONE), "None", shot), head_reset=False)


def _remove(writer: Writer, label_id: int, name: str, shot: str | None) -> int:
    """Remove the shots of a label, or one of them; returns how many went."""
    of_label = "sum_id IN (SELECT id FROM sums WHERE label_id = ?)"
    if shot is None and not writer.keeps_shots:
        return writer.remove_sums("label_id = ?", (label_id,))
    if shot is None:
        return writer.remove_shots(of_label, (label_id,))
    writer.require_shots("forget")
    removed = writer.remove_shots(f"{of_label} AND lower(hex(id)) = ?", (label_id, shot.lower()))
    if not removed:
        raise LabelError(f"{name} has no shot {shot!r}.", "List the shots with: edge-meta inspect BUNDLE --shots")
    return removed
