"""Notice that a bundle is used on things of another kind than it was calibrated on.

An encoder tells little of things that it was not made for: they all lie close together, so that strangers are taken for
known. Where more than half of the enrolled shots lie nearer to another label than the strictest limit of the calibration,
they look alike. On letters and photos of the bundles' own kinds this never came up in 300 draws of 8 labels; of photos in
letters' bundle, of inverted letters, and of letters in the bundle for photos, 3 in 4 draws show it, or more.

Queries of another kind than the labels lie far away, if the encoder can tell them at all. A stranger of the same kind does,
too, so only a run that lies farther than `FAR` times the median stranger counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_meta.heads.scoring import ScoringHead
from edge_meta.heads.store_evidence import to_nearest_other
from edge_meta.runtime.limits import calibrated, evidence_of
from edge_meta.runtime.manifest import Manifest
from edge_meta.store.store import Store

FEWEST_LABELS, MOST_ALIKE = 8, 0.5
FEWEST_QUERIES, MOST_FAR, FAR = 10, 0.9, 1.8


class DomainCheck:
    """The enrolled shots of a store, and queries, against a bundle's calibration."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self._manifest, self._head = store, manifest, ScoringHead(store.snapshot())

    def of_store(self) -> str | None:
        """A sentence where the enrolled shots look alike to the encoder; else None."""
        rejection = self._manifest.rejection
        if rejection is None or len(self._head.labels) < FEWEST_LABELS:
            return None
        limits = calibrated(self._head, self._manifest, rejection.rates[0])
        if (to_nearest_other(evidence_of(self._store, self._head), limits) <= 1.0).mean() <= MOST_ALIKE:
            return None
        return (
            "To this encoder, most of what is enrolled looks alike: it lies closer together than nearly all strangers that "
            f"the bundle was calibrated on. Expect strangers to be taken for known, or use a bundle for such {self._noun}s."
        )

    def of_queries(self, nearest: Sequence[tuple[str, float]]) -> str | None:
        """A sentence where most queries lie farther than strangers do; else None.

        Args:
            nearest: the nearest label of each query, and its squared distance.
        """
        rejection, labels = self._manifest.rejection, self._head.labels
        if rejection is None or len(nearest) < FEWEST_QUERIES or len(labels) < 2:
            return None
        limits = dict(zip(labels, FAR * calibrated(self._head, self._manifest, rejection.rates[-1]), strict=True))
        if np.mean([distance > limits.get(label, np.inf) for label, distance in nearest]) < MOST_FAR:
            return None
        return (
            f"These {self._noun}s lie far outside of what the bundle was calibrated on: it is perhaps not made for such "
            f"{self._noun}s."
        )

    @property
    def _noun(self) -> str:
        return self._manifest.input_spec.noun
