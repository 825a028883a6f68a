"""For tests/chaos.py: what a store must hold by the journals of the processes that change it.

Each process owns the labels that begin with its name, and writes a journal: an operation before it begins, and afterwards
whether it is done. So its labels must hold what its journal says, with or without an operation that a kill interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_meta.store.exact_sums import FRACTION, Sums
from edge_meta.store.store import Store
from edge_meta.types import Array

ENCODER_ID, DIM = "ab" * 16, 16
Operation = dict[str, Any]
Shots = dict[str, tuple[tuple[int, int], ...]]
"""Of each label, the shots: the seed of the enroll, and the number in it."""
Held = dict[str, tuple[int, bytes]]
"""Of each label, the number of its shots and the bits of its prototype."""


def opened(path: Path, keep_shots: bool) -> Store:
    return Store(path, ENCODER_ID, DIM, keep_shots=keep_shots)


def draw(seed: int, count: int) -> Array:
    """Embeddings of an enroll, or columns of a head, (count, DIM); the first are the same whatever the count."""
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype("f4")


def embeddings(shots: Iterable[tuple[int, int]]) -> Array:
    return np.stack([draw(seed, number + 1)[number] for seed, number in shots])


def shots_of(operation: Operation) -> tuple[tuple[int, int], ...]:
    """The shots that an operation adds."""
    return tuple((operation["seed"], number) for number in range(operation["count"]))


def after(shots: Shots, operation: Operation) -> Shots:
    """The shots after an operation."""
    verb, label, changed = operation["verb"], operation.get("label", ""), dict(shots)
    if verb in ("enroll", "merge"):
        changed[label] = (*changed.get(label, ()), *shots_of(operation))
    elif verb in ("forget", "merge a removal"):
        del changed[label]
    elif verb == "forget a shot":
        changed[label] = tuple(shot for shot in changed[label] if shot != tuple(operation["shot"]))
    elif verb == "rename":
        changed[operation["new"]] = changed.pop(label)
    elif verb == "undo":
        return _before(changed, operation["of"])
    return {label: some for label, some in changed.items() if some}


def _before(shots: Shots, operation: Operation) -> Shots:
    """The shots after an operation is taken back."""
    label = operation.get("label", "")
    if operation["verb"] == "enroll":
        shots[label] = tuple(shot for shot in shots[label] if shot not in shots_of(operation))
    elif operation["verb"] == "rename":
        shots[label] = shots.pop(operation["new"])
    return {label: some for label, some in shots.items() if some}


def wanted(shots: Shots) -> Held:
    sums = {label: Sums.of(embeddings(some)) for label, some in shots.items()}
    return {label: (of.count, (of.total / (of.count * FRACTION)).astype("f4").tobytes()) for label, of in sums.items()}


def held(store: Store, worker: str) -> Held:
    """Read a worker's labels in a store."""
    now = store.snapshot()
    rows = zip(now.labels, now.counts.tolist(), now.prototypes, strict=True)
    return {label: (count, prototype.tobytes()) for label, count, prototype in rows if label.startswith(f"{worker} ")}


def journal(path: Path) -> Iterator[tuple[str, Operation]]:
    """The entries of a journal: `begin`, `done` or `not done`, and the operation."""
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            state, operation = json.loads(line)
            yield state, operation


def acknowledged(path: Path) -> tuple[Shots, Operation | None]:
    """Read what a journal acknowledges, and the operation that it began last, if a kill interrupted that."""
    shots: Shots = {}
    pending = None
    for state, operation in journal(path):
        if state == "done":
            shots = after(shots, operation)
        pending = operation if state == "begin" else None
    return shots, pending


def allowed(path: Path) -> list[Held]:
    """The labels of a worker that a store may hold by its journal: with what a kill interrupted, or without."""
    shots, pending = acknowledged(path)
    return [wanted(shots)] + ([wanted(after(shots, pending))] if pending else [])


def traces(path: Path) -> Iterator[bytes]:
    """All that a worker's operations may have put into the store: labels, embeddings, their sums, columns of heads."""
    for state, operation in journal(path):
        if state == "begin":
            yield from (operation[name].encode() for name in ("label", "new") if name in operation)
            if operation["verb"] in ("enroll", "merge"):
                shots = embeddings(shots_of(operation))
                yield from (shot.tobytes() for shot in shots)
                yield Sums.of(shots).to_row()[1]
            elif operation["verb"] == "adapt":
                yield from (column.tobytes() for column in draw(operation["seed"], operation["way"]))


def live(store: Store) -> set[bytes]:
    """The labels, embeddings, sums and columns that are in a store, and the names that undo gives back."""
    asked = ["label FROM labels", "label FROM log_renames", "embedding FROM shots", "sum FROM sums", "sum FROM log_sums"]
    asked += ["weights FROM columns", "weights FROM log_columns"]
    with store.everything() as rows:
        values = [value for what in asked for (value,) in rows.query(f"SELECT {what}")]
    return {value.encode() if isinstance(value, str) else value for value in values}
