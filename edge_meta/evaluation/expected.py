"""Shares to be expected of a store, by its own shots: of strangers accepted, and of known examples lost."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edge_meta.evaluation.interval import Share
from edge_meta.evaluation.left_out import leave_labels_out, leave_none_out, leave_shots_out, left_out_distances
from edge_meta.heads.none_points import NonePoints
from edge_meta.heads.scoring import ScoringHead
from edge_meta.heads.store_evidence import MOST_LABELS, MOST_SHOTS, spread_over
from edge_meta.store.store import Store
from edge_meta.types import Array64


class Expected(NamedTuple):
    """Shares with their intervals.

    Attributes:
        accepted: shots that count as known where their label is left out.
        lost: shots that count as unknown where they are left out.
        none: examples of none that count as known where they are left out.
    """

    accepted: Share
    lost: Share
    none: Share

    def facts(self) -> dict[str, Any]:
        """Return the fields that `--json` prints."""
        named = {"false_accept": self.accepted, "rejected_known": self.lost, "none_accepted": self.none}
        shares = {name: share.share for name, share in named.items()}
        return shares | {f"{name}_ci95": share.ci95 for name, share in named.items()}

    def sentences(self) -> list[str]:
        """Return what to expect."""
        strangers, known = f"strangers accepted {self.accepted}", f"known examples called unknown {self.lost}"
        of_labels = f"To expect, by the enrolled shots: {strangers}; {known}"
        return [of_labels, *[f"Examples of none, each left out, accepted {self.none}"] * bool(self.none.out_of)]


def expected_shares(store: Store, head: ScoringHead, limits: Array64) -> Expected | None:
    """The shares of a store, by at most `MOST_SHOTS` shots of each of `MOST_LABELS` labels, and as many of none.

    Args:
        store, head: the head is of the store; adaptation plays no part.
        limits: (N,), squared distances up to which each label is known.

    Returns:
        None if nothing is enrolled, or no single shots are kept.
    """
    if not head.labels or not store.keeps_shots:
        return None
    chosen = spread_over(len(head.labels))
    shots, of_chosen = store.first_shots([head.labels[index] for index in chosen], MOST_SHOTS)
    owners = chosen[of_chosen]
    sums = head.prototypes.astype(np.float64) * head.counts[:, None]
    distances = left_out_distances(shots, owners, sums, head.counts)
    of_none = store.none_shots()[: MOST_LABELS * MOST_SHOTS]
    to_none = np.array([NonePoints(of_none).nearest(shot) for shot in shots])
    strangers = leave_labels_out(distances, owners, head.counts, limits, to_none)
    left_out = leave_shots_out(distances, owners, head.counts, limits, to_none)
    none = leave_none_out(of_none, head.prototypes, head.counts, limits)
    return Expected(_share(strangers.known), _share(~left_out.known), _share(none.known))


def _share(chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> Share:
    return Share(int(chosen.sum()), len(chosen))
