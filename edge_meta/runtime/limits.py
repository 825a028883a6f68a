"""Up to which distance each label is known: as calibrated, for a migrated store, and corrected by the store's own shots."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np

from edge_meta.heads.scoring import ScoringHead
from edge_meta.heads.store_evidence import MOST_SHOTS, spread_over
from edge_meta.runtime.manifest import Manifest
from edge_meta.runtime.migrated_thresholds import threshold_scales
from edge_meta.store.store import Store
from edge_meta.types import Array, Array64, Integers


def known_up_to(store: Store, head: ScoringHead, manifest: Manifest, false_accept: float | None) -> Array64:
    """The squared distance (N,) up to which each label of a head is known; infinite without a calibration.

    Args:
        store: that the head is of.
        false_accept: the bundle's unless given.
    """
    rejection = manifest.rejection
    if rejection is None:
        return np.full(len(head.labels), math.inf)
    limits = rejection.limits(head.counts, head.scatters, false_accept)
    limits *= threshold_scales(head.labels, head.counts, head.migrated, manifest.embedding_maps, rejection.shots)
    if rejection.prior_labels is None or len(head.labels) < 2:
        return limits
    return rejection.corrected(limits, false_accept=false_accept, **_strangers(store, head))


class _Strangers(TypedDict):
    """The arguments of `Rejection.corrected` that come from a store."""

    shots: Array
    owners: Integers
    prototypes: Array
    within: Array64 | None


def _strangers(store: Store, head: ScoringHead) -> _Strangers:
    """Some shots of some labels of a head; in a store without single shots, these labels' prototypes.

    From a label's prototype, the mean squared distance of its shots to any other point differs by their scatter alone.
    """
    chosen = spread_over(len(head.labels))
    if store.keeps_shots:
        shots, owners = store.first_shots([head.labels[index] for index in chosen], MOST_SHOTS)
        return _Strangers(shots=shots, owners=chosen[owners], prototypes=head.prototypes, within=None)
    within = head.scatters[chosen] / np.maximum(head.counts[chosen], 1)
    return _Strangers(shots=head.prototypes[chosen], owners=chosen, prototypes=head.prototypes, within=within)
