"""The calibration of unknown keeps its promise on fresh data: the asked share of strangers, whatever is enrolled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.workstation import embedded, synthetic

from converters.calibration.rejection import calibrate_rejection
from edge_meta.datasets import Dataset
from edge_meta.heads.rejection import Rejection

DIM = 16


def in_groups(data: Dataset, groups: int) -> Dataset:
    return replace(data, groups=tuple(f"group {index % groups}" for index in range(len(data.class_names))))


def accepted(
    embeddings: np.ndarray, data: Dataset, rejection: Rejection, labels: int, shot: int, rate: float | None = None
) -> float:
    """The share of strangers, of other groups than the enrolled where there are any, that count as known; in float64."""
    rng = np.random.default_rng(99)
    groups = np.array(data.groups) if len(set(data.groups)) > 1 else np.arange(len(data.groups))
    known = []
    for _ in range(200):
        kinds = rng.permutation(np.unique(groups))
        foreign = np.isin(groups, kinds[: int(0.4 * len(kinds))])
        enrolled = rng.permutation(np.flatnonzero(~foreign))[:labels]
        support = [embeddings[rng.permutation(np.flatnonzero(data.labels == label))[:shot]] for label in enrolled]
        prototypes = np.array([shots.mean(axis=0, dtype=np.float64) for shots in support])
        scatters = np.array([((shots - centre) ** 2).sum() for shots, centre in zip(support, prototypes, strict=True)])
        limits = rejection.limits(np.full(labels, shot), scatters, rate)
        for stranger in rng.choice(np.flatnonzero(foreign[data.labels]), 15):
            distances = ((prototypes - embeddings[stranger]) ** 2).sum(axis=1)
            known.append(distances.min() <= limits[distances.argmin()])
    return float(np.mean(known))


@pytest.mark.parametrize("shot", [1, 2, 5, 10])
@pytest.mark.parametrize("labels", [1, 2, 7, 20, 70])
def test_fresh_strangers_are_accepted_as_asked(labels: int, shot: int) -> None:
    data = synthetic(200, 12)
    rejection = calibrate_rejection(embedded(data, spread=0.8), data)
    assert rejection is not None
    assert rejection.labels == (1, 2, 5, 10, 20, 50, 100)
    assert rejection.false_accept == 0.05
    assert 0.03 < accepted(embedded(data, seed=1, spread=0.8), data, rejection, labels, shot) < 0.07


@pytest.mark.parametrize("rate", [0.01, 0.03, 0.2])
def test_another_share_can_be_asked_for(rate: float) -> None:
    data = synthetic(200, 12)
    rejection = calibrate_rejection(embedded(data), data)
    assert rejection is not None
    assert 0.5 * rate < accepted(embedded(data, seed=1), data, rejection, 20, 1, rate) < 1.7 * rate


def test_one_limit_for_all_would_accept_many_more() -> None:
    """The reason why the calibration depends on the number of labels."""
    data = synthetic(200, 12)
    rejection = calibrate_rejection(embedded(data), data)
    assert rejection is not None
    of_two = replace(rejection, labels=(2,), thresholds=tuple((of_shots[1],) for of_shots in rejection.thresholds))
    assert accepted(embedded(data, seed=1), data, of_two, 100, 5) > 0.25


def test_strangers_come_from_groups_that_are_not_enrolled() -> None:
    """Classes of a group lie together, and strangers of the same group would be much nearer than those of others."""
    data = in_groups(synthetic(120, 12), 30)
    embeddings = embedded(data, groups=3.0)
    rejection = calibrate_rejection(embeddings, data)
    ungrouped = calibrate_rejection(embeddings, replace(data, groups=("",) * 120))
    assert rejection is not None
    assert ungrouped is not None
    assert 0.03 < accepted(embeddings, data, rejection, 20, 1) < 0.07
    assert all(ungrouped.thresholds[0][row][3] < 0.5 * rejection.thresholds[0][row][3] for row in range(2, 6))


def test_the_spread_is_the_variance_within_classes() -> None:
    data = synthetic(150, 12)
    rejection = calibrate_rejection(embedded(data, spread=0.7), data)
    assert rejection is not None
    assert rejection.spread == pytest.approx(0.7**2 * DIM, rel=0.04)


@pytest.mark.parametrize(("classes", "examples"), [(3, 20), (2, 20), (20, 5), (1, 3)])
def test_too_few_classes_or_examples_give_no_rejection(classes: int, examples: int) -> None:
    data = synthetic(classes, examples)
    assert calibrate_rejection(embedded(data), data) is None


def test_the_fewest_classes_and_examples_that_do_give_one() -> None:
    data = synthetic(4, 6)
    rejection = calibrate_rejection(embedded(data), data)
    assert rejection is not None
    assert rejection.labels == (1, 2)


def test_two_groups_of_unlike_size_leave_labels_enough() -> None:
    data = replace(synthetic(12, 6), groups=("large",) * 10 + ("small",) * 2)
    rejection = calibrate_rejection(embedded(data), data)
    assert rejection is not None
    assert rejection.labels == (1, 2)
