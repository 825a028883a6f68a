"""Shots held out of the training of a head, to judge the head by.

Each shot is held out once: the head that judges it was neither started from it nor trained on it. A label with one shot
cannot spare it; the shot is trained on and not judged.

Shapes: D is the embedding's dimension, N the number of labels, M the number of shots, J of those that are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_meta.heads.linear import LinearHead, cross_entropy
from edge_meta.types import Array, Integers

FOLDS = 10
MARGINS = 2.0 ** np.arange(-2.0, 7.0, 0.5)  # tried by `temperature`


class HeldOutScore(NamedTuple):
    """A head's score on held-out shots: mean cross-entropy, and the fraction that is right."""

    loss: float
    accuracy: float

    @classmethod
    def of(cls, logits: Array, labels: Integers) -> HeldOutScore:
        """The score of logits (J, N) for shots with labels (J,)."""
        losses, _ = cross_entropy(logits, labels)
        return cls(float(losses.mean()), float(np.mean(logits.argmax(axis=1) == labels)))


def folds(labels: Integers) -> list[Integers]:
    """Indices of shots to hold out together: each shot whose label has another, once; alone if there are at most `FOLDS`.

    No fold holds all shots of a label.
    """
    spare = np.flatnonzero(np.bincount(labels)[labels] > 1)
    spare = spare[labels[spare].argsort(kind="stable")]
    count = min(FOLDS, len(spare))
    return [spare[first::count] for first in range(count)]


def held_out_logits(embeddings: Array, held: Sequence[Integers], heads: Sequence[LinearHead]) -> Array:
    """Logits (J, N) of the held-out shots, fold by fold, each fold's by its own head."""
    return np.concatenate([head.logits(embeddings[fold]) for fold, head in zip(held, heads, strict=True)])


def temperature(logits: Array, labels: Integers) -> float:
    """The factor on logits (J, N) with the least cross-entropy, out of a geometric row of factors.

    Spread 1 / (J + 2) of each one-hot label over all labels, as in Platt's scaling (Platt 1999): a few shots that are all
    right do not call for certainty.
    """
    margin = float(np.mean(logits[np.arange(len(labels)), labels] - logits.mean(axis=1)))
    if not margin > 0:
        return 1.0

    def loss(factor: float) -> float:
        losses, _ = cross_entropy(np.float32(factor) * logits, labels)
        return float(losses.mean()) + factor * margin / (len(labels) + 2)

    return min((float(wanted) / margin for wanted in MARGINS), key=loss)
