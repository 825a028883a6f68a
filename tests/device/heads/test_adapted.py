"""Adapting a store's head: the head depends on the enrolled shots alone, and the answer is true of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.device import opened, state

from edge_meta.evaluation.episode_heads import adapted_head
from edge_meta.heads import linear
from edge_meta.heads.adaptation import SOLVERS, AdaptationConfig
from edge_meta.heads.adapted import Adapted, adapt_head
from edge_meta.store.store import Store
from edge_meta.types import Array

CONFIGS = [AdaptationConfig(solver, (0.05,) * 20 if solver == "gradient" else ()) for solver in SOLVERS]
BY_EACH_SOLVER = pytest.mark.parametrize("config", CONFIGS, ids=SOLVERS)
WAY, DIM, MISLED = 4, 16, 6


def shots() -> Array:
    """Shots (4, 18, D); of the first 6 of each label, one value is noise alone, so that prototypes of them do badly."""
    rng = np.random.default_rng(7)
    made = rng.normal(size=(WAY, 1, DIM)) + rng.normal(0, 0.3, (WAY, 18, DIM))
    made[:, :MISLED, 0] = rng.normal(0, 3, (WAY, MISLED))
    return made.astype(np.float32)


def enroll(store: Store, of_labels: Array) -> None:
    for label, of_label in enumerate(of_labels):
        store.enroll(f"label {label}", of_label)


def adapt(store: Store, config: AdaptationConfig) -> Adapted:
    with store.adapting() as change:
        return adapt_head(change, config)


def probabilities(store: Store) -> Array:
    """The softmax (M, N) of the store's head for all shots."""
    now = store.snapshot()
    weights, bias = linear.linear_from_columns(now.prototypes, now.columns)
    return linear.softmax(shots().reshape(-1, DIM) @ weights + bias)


def in_parts(store: Store, config: AdaptationConfig) -> None:
    """Adapt to all shots of two labels and few of the others, then enroll the rest; the two keep their columns."""
    enroll(store, shots()[:, :MISLED])
    for label in (2, 3):
        store.enroll(f"label {label}", shots()[label, MISLED:])
    assert adapt(store, config).changed
    enroll(store, shots()[:2, MISLED:])
    assert set(store.snapshot().columns) == {2, 3}


@BY_EACH_SOLVER
def test_learning_in_parts_leaves_the_head_of_learning_at_once(tmp_path: Path, config: AdaptationConfig) -> None:
    with opened(tmp_path / "parts.db") as parts, opened(tmp_path / "once.db") as once:
        in_parts(parts, config)
        enroll(once, shots())
        assert not adapt(once, config).changed, "these shots are for the case where prototypes do best"
        adapt(parts, config)
        np.testing.assert_allclose(probabilities(parts), probabilities(once), atol=1e-5)


@BY_EACH_SOLVER
def test_the_answer_is_true_of_the_head_that_is_left(tmp_path: Path, config: AdaptationConfig) -> None:
    truth = np.repeat(np.arange(WAY), 18)
    with opened(tmp_path / "store.db") as store:
        in_parts(store, config)
        answer = adapt(store, config)
        loss = -np.log(probabilities(store)[np.arange(len(truth)), truth]).mean()
        assert answer.loss_after == pytest.approx(loss, rel=1e-3)
        assert answer.changed == bool(store.snapshot().columns)


@BY_EACH_SOLVER
@pytest.mark.parametrize("count", [MISLED, 18])
def test_evaluate_judges_the_head_that_adapt_leaves(tmp_path: Path, config: AdaptationConfig, count: int) -> None:
    with opened(tmp_path / "store.db") as store:
        enroll(store, shots()[:, :count])
        assert adapt(store, config).changed == (count == MISLED)
        judged = adapted_head(config)(shots()[:, :count], shots())
        np.testing.assert_allclose(linear.softmax(judged), probabilities(store), atol=1e-4)


@BY_EACH_SOLVER
def test_undo_brings_back_the_head_that_was_dropped(tmp_path: Path, config: AdaptationConfig) -> None:
    with opened(tmp_path / "store.db") as store:
        in_parts(store, config)
        before = state(store)
        assert not adapt(store, config).changed
        assert state(store) != before
        assert store.undo().action == "adapt"
        assert state(store) == before
