"""A store's own shots as strangers to its other labels."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from edge_meta.heads.scoring import ScoringHead
from edge_meta.heads.store_evidence import MOST_SHOTS, spread_over
from edge_meta.store.store import Store
from edge_meta.types import Array, Array64, Integers


class Strangers(TypedDict):
    """The arguments of `Rejection.corrected` that come from a store."""

    shots: Array
    owners: Integers
    prototypes: Array
    within: Array64 | None


def strangers_of(store: Store, head: ScoringHead) -> Strangers:
    """Some shots of some labels of a head; in a store without single shots, these labels' prototypes.

    From a label's prototype, the mean squared distance of its shots to any other point differs by their scatter alone.
    """
    chosen = spread_over(len(head.labels))
    if store.keeps_shots:
        shots, owners = store.first_shots([head.labels[index] for index in chosen], MOST_SHOTS)
        return Strangers(shots=shots, owners=chosen[owners], prototypes=head.prototypes, within=None)
    within = head.scatters[chosen] / np.maximum(head.counts[chosen], 1)
    return Strangers(shots=head.prototypes[chosen], owners=chosen, prototypes=head.prototypes, within=within)
