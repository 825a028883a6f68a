"""Limits corrected by a store's own shots, against plain loops."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from edge_meta.heads.prototypes import class_scatters
from edge_meta.heads.rejection import Rejection
from edge_meta.heads.store_evidence import MOST_LABELS, Evidence, correction, normal_quantile, spread_over
from edge_meta.types import Array64

REJECTION = Rejection(0.1, (1, 4), (0.01, 0.1), (1, 5), (((16.0, 32.0), (4.0, 8.0)),) * 2, spread=3.0, prior_labels=2.0)


def crowd(labels: int, shots: int, apart: float = 3.0, seed: int = 0) -> Evidence:
    """The shots of labels of the same spread, some way apart."""
    rng = np.random.default_rng(seed)
    centres = apart * rng.normal(size=(labels, 1, 6))
    support = (centres + rng.normal(size=(labels, shots, 6))).astype(np.float32)
    prototypes = support.mean(axis=1)
    scatters, counts = class_scatters(support, prototypes), np.full(labels, shots)
    return Evidence(support.reshape(-1, 6), np.repeat(np.arange(labels), shots), prototypes, counts, scatters)


def as_sums(evidence: Evidence) -> Evidence:
    """The same labels without single shots."""
    labels = np.arange(len(evidence.prototypes))
    return evidence._replace(shots=evidence.prototypes, owners=labels, single=False)


def strangers(evidence: Evidence, limits: Array64, rate: float) -> float:
    """The logarithm of the quantile of the distances to the nearest other label, as shares of its limit."""
    logarithms = []
    for shot, owner in zip(evidence.shots.astype(float), evidence.owners, strict=True):
        others = [
            (((shot - c) ** 2).sum(), label) for label, c in enumerate(evidence.prototypes.astype(float)) if label != owner
        ]
        distance, label = min(others)
        within = 0.0 if evidence.single else evidence.scatters[owner] / evidence.counts[owner]
        logarithms.append(math.log((distance + within) / limits[label]))
    variance = np.var(logarithms) + (0.0 if evidence.single else 0.04)
    return float(np.mean(logarithms) + NormalDist().inv_cdf(rate) * math.sqrt(variance))


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("limit", [1e3, 0.1])  # too wide, and too narrow
@pytest.mark.parametrize("labels", [1, 2, 4, 12])
def test_the_factor_is_that_of_a_plain_loop(labels: int, limit: float, single: bool) -> None:
    evidence = crowd(labels, 4) if single else as_sums(crowd(labels, 4))
    limits = limit * np.linspace(1, 2, labels)
    moved, weight = 0.0, 0.0
    if labels > 1:
        moved = strangers(evidence, limits, 0.1)
        weight = labels - 1 if moved < 0 else (labels - 1) * min(1, (labels - 1) / 8)
    own = math.log(1.5 * np.mean([scatter / 3 * 1.25 / of for scatter, of in zip(evidence.scatters, limits, strict=True)]))
    of_own = 0.2 * labels
    expected = math.exp((weight * moved + of_own * own) / (weight + of_own + 2.0))
    assert correction(evidence, limits, 0.1, 2.0, spread=3.0) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("start", [500.0, 0.5])
def test_many_labels_outweigh_the_calibration(start: float) -> None:
    """The limit is then near where the asked share of the labels' own shots lies."""
    evidence = crowd(60, 5)
    limits = REJECTION.corrected(np.full(60, start), evidence)
    distances = ((evidence.shots[:, None] - evidence.prototypes) ** 2).sum(axis=2)
    distances[np.arange(300), evidence.owners] = np.inf
    accepted = (distances.min(axis=1) <= limits[distances.argmin(axis=1)]).mean()
    assert accepted == pytest.approx(0.1, abs=0.05)


def test_a_lower_rate_gives_narrower_limits() -> None:
    evidence = crowd(10, 5)
    rates = [REJECTION.corrected(np.full(10, 20.0), evidence, rate)[0] for rate in (0.01, 0.05, 0.1)]
    assert rates == sorted(rates)
    assert rates[0] < rates[2]


@pytest.mark.parametrize("labels", [1, 3])
def test_labels_of_one_shot_say_nothing_of_their_spread(labels: int) -> None:
    evidence = crowd(labels, 1)
    moved = strangers(evidence, np.full(labels, 7.0), 0.1) if labels > 1 else 0.0
    weight = labels - 1 if moved < 0 else (labels - 1) ** 2 / 8
    expected = 7.0 * math.exp(weight * moved / (weight + 2.0))
    assert REJECTION.corrected(np.full(labels, 7.0), evidence) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("spread", "wider"), [(0.3, False), (3.0, True)])
def test_a_sole_label_moves_its_limit_by_its_own_shots(spread: float, wider: bool) -> None:
    evidence = crowd(1, 5)
    evidence = evidence._replace(scatters=evidence.scatters * spread)
    assert (REJECTION.corrected(np.array([7.0]), evidence)[0] > 7.0) == wider


def test_a_calibration_that_holds_alone_is_not_corrected() -> None:
    limits = np.linspace(1, 2, 10)
    np.testing.assert_array_equal(replace(REJECTION, prior_labels=None).corrected(limits, crowd(10, 5)), limits)


def test_equal_shots_narrow_a_limit_only_so_far() -> None:
    """A photo that was enrolled under two labels must not make all else unknown."""
    shots, owners = np.zeros((4, 3), np.float32), np.array([0, 0, 1, 1])
    evidence = Evidence(shots, owners, np.zeros((2, 3), np.float32), np.array([2, 2]), np.zeros(2))
    assert (REJECTION.corrected(np.ones(2), evidence) > 0.5).all()


@pytest.mark.parametrize("share", [0.001, 0.005, 0.05, 0.2, 0.5, 0.9])
def test_the_normal_quantile_is_that_of_the_standard_library(share: float) -> None:
    assert normal_quantile(share) == pytest.approx(NormalDist().inv_cdf(share), abs=5e-4)


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
