"""Shots that were perhaps enrolled by mistake: nearer to another label than to their own, or there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edge_meta.evaluation.left_out import left_out_distances
from edge_meta.evaluation.own_examples import Named
from edge_meta.store.reader import NONE, Snapshot
from edge_meta.store.store import Store


class Doubt(NamedTuple):
    """A shot in doubt.

    Attributes:
        kind: `nearer_to_another` label than to the other shots of its own, or `there_already`: its embedding is that of a
            shot enrolled before, to the bit.
        other: the label that is nearer, or that has the same shot.
        cause: the doubt as a sentence.
    """

    path: str
    label: str
    kind: str
    other: str
    cause: str


def enrolled_shots(store: Store) -> dict[bytes, str]:
    """The bytes of each stored embedding → its label, "" for none; empty for a store without single shots.

    Raises:
        StoreError: the store is damaged.
    """
    if not store.database.connected():
        return {}
    with store.everything() as reader:
        labels = reader.snapshot().labels
        embeddings, owners, _ = reader.shots()
        none = dict.fromkeys((shot.tobytes() for shot in reader.none_shots().values()), NONE)
    return none | {shot.tobytes(): labels[owner] for shot, owner in zip(embeddings, owners, strict=True)}


def doubtful_shots(named: Mapping[str, Sequence[Named]], stored: Mapping[bytes, str], now: Snapshot) -> list[Doubt]:
    """Find those of newly enrolled shots that are in doubt.

    Args:
        named: label → its new shots.
        stored: the shots from before; see `enrolled_shots`.
        now: the store with the new shots.
    """
    return [*_repeated(named, stored), *_nearer(named, now)]


def _repeated(named: Mapping[str, Sequence[Named]], stored: Mapping[bytes, str]) -> Iterator[Doubt]:
    seen = dict(stored)
    for label, shots in named.items():
        for path, embedding in shots:
            other = seen.get(embedding.tobytes())
            if other is None:
                seen[embedding.tobytes()] = label
            else:
                cause = f"{path} is the same as a shot of {other or 'none'} that is there already."
                yield Doubt(path, label, "there_already", other, cause)


def _nearer(named: Mapping[str, Sequence[Named]], now: Snapshot) -> Iterator[Doubt]:
    index = {label: at for at, label in enumerate(now.labels)}  # another program may have removed a new label
    shots = [(path, label, embedding) for label in named if label in index for path, embedding in named[label]]
    if not shots:
        return
    owners = np.array([index[label] for _, label, _ in shots])
    sums = now.prototypes.astype(np.float64) * now.counts[:, None]
    distances = left_out_distances(np.stack([embedding for *_, embedding in shots]), owners, sums, now.counts)
    for (path, label, _), nearest in zip(shots, distances.argmin(axis=1), strict=True):
        other = now.labels[nearest]
        if other != label and now.counts[index[label]] > 1:
            cause = f"{path} is nearer to {other} than to the other shots of {label}."
            yield Doubt(path, label, "nearer_to_another", other, cause)
