"""Holding out: each shot that can be spared, once; and the scale of logits that held-out shots call for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_meta.heads import linear
from edge_meta.heads.held_out import FOLDS, HeldOutScore, folds, temperature
from edge_meta.types import Integers

Floats = NDArray[Any]


@given(st.lists(st.integers(1, 25), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_each_shot_that_can_be_spared_is_held_out_once(counts: list[int], random: Any) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    random.shuffle(labels)
    held = folds(labels)
    spare = np.flatnonzero(np.bincount(labels)[labels] > 1)
    assert sorted(np.concatenate(held)) == spare.tolist() if len(spare) else held == []
    assert len(held) == min(FOLDS, len(spare))
    for fold in held:
        assert len(np.unique(np.delete(labels, fold))) == len(counts), "a label has no shot left"


def smoothed(logits: Floats, labels: Integers) -> float:
    """Mean cross-entropy with labels of which 1 / (J + 2) is spread over all."""
    truth = np.eye(logits.shape[1])[labels]
    truth += (1.0 / logits.shape[1] - truth) / (len(labels) + 2)
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - (truth * logits).sum(axis=1)))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0])
def test_temperature_has_the_least_cross_entropy(scale: float, noise: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 60)
    logits = (scale * (np.eye(5)[labels] + rng.normal(0, noise, (60, 5)))).astype(np.float32)
    found = temperature(logits, labels)
    nearby = [smoothed(found * ratio * logits.astype(np.float64), labels) for ratio in (0.6, 1.0, 1 / 0.6)]
    assert min(nearby) == nearby[1]


def test_few_right_shots_give_no_certainty() -> None:
    labels = np.arange(4)
    logits = 100 * np.eye(4, dtype=np.float32)
    assert 0.8 < linear.softmax(temperature(logits, labels) * logits).max() < 0.98


def test_logits_that_are_mostly_wrong_keep_their_scale() -> None:
    assert temperature(-np.eye(4, dtype=np.float32), np.arange(4)) == 1.0
    assert HeldOutScore.of(-np.eye(4, dtype=np.float32), np.arange(4)).accuracy == 0.0
