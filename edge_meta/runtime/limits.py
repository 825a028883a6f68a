"""Up to which distance each label is known: as calibrated, for a migrated store, and corrected by the store's own shots."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from edge_meta.heads.none_points import NonePoints
from edge_meta.heads.scoring import Scored, ScoringHead
from edge_meta.heads.store_evidence import MOST_SHOTS, Evidence, spread_over
from edge_meta.runtime.manifest import Manifest
from edge_meta.runtime.migrated_thresholds import threshold_scales
from edge_meta.store.reader import NONE
from edge_meta.store.store import Store
from edge_meta.types import Array, Array64


class Limits:
    """Up to which distance queries are known; each part is read from the store when it is first asked for.

    Args:
        store, head: the head is of the store.
        false_accept: the bundle's unless given.
    """

    def __init__(self, store: Store, head: ScoringHead, manifest: Manifest, false_accept: float | None = None) -> None:
        self._store, self._head, self._manifest, self._false_accept = store, head, manifest, false_accept

    def anew(self, head: ScoringHead) -> Limits:
        """The same after the store has changed, with its head."""
        return Limits(self._store, head, self._manifest, self._false_accept)

    @cached_property
    def of_labels(self) -> Array64:
        """The squared distance (N,) to a label's prototype up to which it is known; infinite without a calibration."""
        return known_up_to(self._store, self._head, self._manifest, self._false_accept)

    @cached_property
    def of_none(self) -> NonePoints:
        """See `none_points`."""
        return none_points(self._store)

    def known(self, nearest: Scored, embedding: Array) -> bool:
        """Whether a query (D,) is known as the label that is nearest."""
        of_none = self.of_none.limit(embedding, int(self._head.counts[nearest.label]))
        return nearest.distance <= min(float(self.of_labels[nearest.label]), of_none)


def none_points(store: Store) -> NonePoints:
    """The examples of none of a store; of one without single shots, their mean."""
    if store.keeps_shots:
        return NonePoints(store.none_shots())
    return NonePoints(store.snapshot(NONE).prototypes, single=False)


def known_up_to(store: Store, head: ScoringHead, manifest: Manifest, false_accept: float | None) -> Array64:
    """The squared distance (N,) up to which each label of a head is known; infinite without a calibration.

    Args:
        store: that the head is of.
        false_accept: the bundle's unless given.
    """
    rejection = manifest.rejection
    if rejection is None:
        return np.full(len(head.labels), math.inf)
    limits = calibrated(head, manifest, false_accept)
    if rejection.prior_labels is None or not head.labels:
        return limits
    return rejection.corrected(limits, evidence_of(store, head), false_accept)


def calibrated(head: ScoringHead, manifest: Manifest, false_accept: float | None) -> Array64:
    """As `known_up_to`, without the store's correction; the bundle must have a calibration."""
    rejection = manifest.rejection
    assert rejection is not None
    limits = rejection.limits(head.counts, head.scatters, false_accept)
    limits *= threshold_scales(head.labels, head.counts, head.migrated, manifest.embedding_maps, rejection.shots)
    return limits


def evidence_of(store: Store, head: ScoringHead) -> Evidence:
    """Some shots of some labels of a head; in a store without single shots, these labels' prototypes."""
    chosen = spread_over(len(head.labels))
    shots, owners = head.prototypes[chosen], chosen
    if store.keeps_shots:
        shots, owners = store.first_shots([head.labels[index] for index in chosen], MOST_SHOTS)
        owners = chosen[owners]
    return Evidence(shots, owners, head.prototypes, head.counts, head.scatters, store.keeps_shots)
