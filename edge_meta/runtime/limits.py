"""Up to which distance each label is known: as calibrated, for a migrated store, and corrected by the store's own shots."""

from __future__ import annotations

import math

import numpy as np

from edge_meta.heads.scoring import ScoringHead
from edge_meta.heads.store_evidence import MOST_SHOTS, Evidence, spread_over
from edge_meta.runtime.manifest import Manifest
from edge_meta.runtime.migrated_thresholds import threshold_scales
from edge_meta.store.store import Store
from edge_meta.types import Array64


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
    if rejection.prior_labels is None or not head.labels:
        return limits
    return rejection.corrected(limits, _evidence(store, head), false_accept)


def _evidence(store: Store, head: ScoringHead) -> Evidence:
    """Some shots of some labels of a head; in a store without single shots, these labels' prototypes."""
    chosen = spread_over(len(head.labels))
    shots, owners = head.prototypes[chosen], chosen
    if store.keeps_shots:
        shots, owners = store.first_shots([head.labels[index] for index in chosen], MOST_SHOTS)
        owners = chosen[owners]
    return Evidence(shots, owners, head.prototypes, head.counts, head.scatters, store.keeps_shots)
