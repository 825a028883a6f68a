"""Limits corrected by a store's own shots, against plain loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edge_meta.heads.rejection import Rejection
from edge_meta.heads.store_evidence import MOST_LABELS, correction, spread_over
from edge_meta.types import Array, Array64, Integers

REJECTION = Rejection(0.1, (1, 4), (0.01, 0.1), (1, 5), (((16.0, 32.0), (4.0, 8.0)),) * 2, spread=3.0, prior_labels=2.0)


def crowd(labels: int, shots: int, apart: float = 3.0, seed: int = 0) -> tuple[Array, Integers, Array]:
    """Shots (M, D), their labels, and prototypes (N, D)."""
    rng = np.random.default_rng(seed)
    centres = apart * rng.normal(size=(labels, 1, 6))
    support = (centres + rng.normal(size=(labels, shots, 6))).astype(np.float32)
    return support.reshape(-1, 6), np.repeat(np.arange(labels), shots), support.mean(axis=1)


def shift(shots: Array, owners: Integers, prototypes: Array, limits: Array64, rate: float) -> float:
    """The logarithm of the quantile of the distances to the nearest other label, as shares of its limit."""
    ratios = []
    for shot, owner in zip(shots.astype(float), owners, strict=True):
        others = [(((shot - c) ** 2).sum(), label) for label, c in enumerate(prototypes.astype(float)) if label != owner]
        distance, label = min(others)
        ratios.append(distance / limits[label])
    places = (np.arange(len(ratios)) + 0.5) / len(ratios)
    return float(np.interp(rate, places, np.log(np.sort(ratios))))


@pytest.mark.parametrize("limit", [1e3, 0.1])  # too wide, and too narrow
@pytest.mark.parametrize("labels", [2, 4, 12])
def test_the_factor_is_that_of_a_plain_loop(labels: int, limit: float) -> None:
    shots, owners, prototypes = crowd(labels, 4)
    limits = limit * np.linspace(1, 2, labels)
    moved = shift(shots, owners, prototypes, limits, 0.1)
    others = labels - 1
    evidence = others if moved < 0 else others * min(1, others / 8)
    expected = math.exp(moved * evidence / (evidence + 2.0))
    assert correction(shots, owners, prototypes, limits, 0.1, 2.0) == pytest.approx(expected, rel=1e-5)


def test_many_labels_outweigh_the_calibration() -> None:
    """The limit is then where the asked share of the labels' own shots lies."""
    shots, owners, prototypes = crowd(60, 5)
    limits = REJECTION.corrected(np.full(60, 500.0), shots, owners, prototypes)
    distances = ((shots[:, None] - prototypes) ** 2).sum(axis=2)
    distances[np.arange(300), owners] = np.inf
    accepted = (distances.min(axis=1) <= limits[distances.argmin(axis=1)]).mean()
    assert accepted == pytest.approx(0.1, abs=0.03)


def test_a_lower_rate_gives_narrower_limits() -> None:
    support = crowd(10, 5)
    rates = [REJECTION.corrected(np.full(10, 20.0), *support, rate)[0] for rate in (0.01, 0.05, 0.1)]
    assert rates == sorted(rates)
    assert rates[0] < rates[2]


@pytest.mark.parametrize("rejection", [replace(REJECTION, prior_labels=None), REJECTION])
def test_a_sole_label_keeps_the_calibrated_limit(rejection: Rejection) -> None:
    assert rejection.corrected(np.array([7.0]), *crowd(1, 5)) == pytest.approx([7.0])


def test_a_calibration_that_holds_alone_is_not_corrected() -> None:
    limits = np.linspace(1, 2, 10)
    np.testing.assert_array_equal(replace(REJECTION, prior_labels=None).corrected(limits, *crowd(10, 5)), limits)


def test_equal_prototypes_give_finite_limits() -> None:
    shots = np.zeros((4, 3), np.float32)
    limits = REJECTION.corrected(np.ones(2), shots, np.array([0, 0, 1, 1]), np.zeros((2, 3), np.float32))
    assert np.isfinite(limits).all()


@pytest.mark.parametrize(("labels", "chosen"), [(1, 1), (5, 5), (MOST_LABELS, MOST_LABELS), (10_000, MOST_LABELS)])
def test_strangers_are_spread_over_the_labels(labels: int, chosen: int) -> None:
    indices = spread_over(labels)
    assert len(indices) == chosen
    assert (indices[0], indices[-1]) == (0, labels - 1)


def test_the_prior_is_kept_in_the_manifest() -> None:
    assert Rejection.from_manifest(REJECTION.to_manifest()) == REJECTION
    alone = replace(REJECTION, prior_labels=None)
    assert "prior_labels" not in alone.to_manifest()
    assert Rejection.from_manifest(alone.to_manifest()) == alone
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="prior"):
            Rejection.from_manifest(REJECTION.to_manifest() | {"prior_labels": wrong})
