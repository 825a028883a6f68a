"""Adaptation: held-out shots judge honestly, and a head is only changed for a better one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.heads import Task, misled

from edge_meta.choices import SOLVERS
from edge_meta.errors import InputError
from edge_meta.heads import linear
from edge_meta.heads.adaptation import PATIENCE, AdaptationConfig, Fit
from edge_meta.heads.held_out import FOLDS
from edge_meta.heads.prototypes import class_means
from edge_meta.types import Integers

Floats = NDArray[Any]

STEPS = AdaptationConfig("gradient", (0.3,) * 20)


def meaningless() -> Task:
    """Shots whose labels are no matter of what they look like."""
    shots, labels = np.random.default_rng(0).normal(size=(40, 80)).astype(np.float32), np.tile(np.arange(4), 10)
    return shots, labels, class_means(shots, labels, 4)


def losses(logits: Floats, labels: Integers) -> Floats:
    wide = logits.astype(np.float64)
    return np.asarray(np.logaddexp.reduce(wide, axis=1) - wide[np.arange(len(labels)), labels])


def score(weights: Floats, bias: Floats, shots: Floats, labels: Integers) -> float:
    return float(np.mean((shots @ weights + bias).argmax(axis=1) == labels))


# Holding out


def by_leaving_one_out(shots: Floats, labels: Integers, rates: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Losses and hits (steps + 1, J) of each shot after each step of heads that know nothing of it, in float64."""
    classes, found = labels.max() + 1, []
    for out in np.flatnonzero(np.bincount(labels)[labels] > 1):
        x, y = np.delete(shots.astype(np.float64), out, axis=0), np.delete(labels, out)
        truth = np.eye(classes)[y]
        prototypes = np.stack([x[y == k].mean(axis=0) for k in range(classes)])
        weights, bias = 2 * prototypes.T, -(prototypes**2).sum(axis=1)
        row = []
        for rate in (*rates, 0.0):
            row.append(shots[out] @ weights + bias)
            excess = np.exp(x @ weights + bias - np.logaddexp.reduce(x @ weights + bias, axis=1, keepdims=True)) - truth
            weights, bias = weights - rate * x.T @ excess / len(x), bias - rate * excess.mean(axis=0)
        logits, own = np.array(row), np.full(len(row), labels[out])
        found.append((losses(logits, own), logits.argmax(axis=1) == own))
    return tuple(np.array(part).T for part in zip(*found, strict=True))  # type: ignore[return-value]


@pytest.mark.parametrize("counts", [[3, 4, 3], [5, 1, 4], [2, 3], [1, 2, 1, 1]])
@pytest.mark.parametrize("seed", range(3))
def test_few_shots_are_left_out_one_by_one(counts: list[int], seed: int) -> None:
    shots, labels, prototypes = misled(counts, seed=seed)
    loss, right = by_leaving_one_out(shots, labels, STEPS.learning_rates)
    loss, right = loss.mean(axis=1), right.mean(axis=1)
    best = min(np.flatnonzero(right >= right[0]), key=lambda step: loss[step])
    fit = STEPS.fit(shots, labels, prototypes)
    assert fit.before is not None
    assert fit.after is not None
    assert (fit.chosen, fit.judged) == (best, sum(count for count in counts if count > 1))
    np.testing.assert_allclose(fit.before, (loss[0], right[0]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fit.after, (loss[best], right[best]), rtol=1e-4, atol=1e-6)
    weights, bias, _ = linear.adapt(shots, labels, prototypes, STEPS.learning_rates[:best])
    assert np.array_equal(fit.head.weights, weights)
    assert np.array_equal(fit.head.bias, bias)


@pytest.mark.parametrize("solver", SOLVERS)
def test_random_labels_give_no_better_head(solver: str) -> None:
    """With twice as many dimensions as shots, every solver gets all shots right that it has seen."""
    fit = AdaptationConfig(solver, (1.0,) * 50 if solver == "gradient" else ()).fit(*meaningless())
    assert fit.after is not None
    assert fit.after.accuracy < 0.5


# Choosing


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("counts", [[5, 5, 5], [12, 3, 8, 1, 2], [2, 2]])
def test_a_fit_is_never_worse_on_held_out_shots(solver: str, counts: list[int]) -> None:
    chosen = []
    for seed in range(10):
        shots, labels, prototypes = misled(counts, seed=seed, noise=float(seed % 4))
        fit = AdaptationConfig(solver, (5.0,) * 10 if solver == "gradient" else ()).fit(shots, labels, prototypes)
        assert fit.before is not None
        assert fit.after is not None
        assert fit.after.loss < fit.before.loss if fit.chosen else fit.after == fit.before
        assert fit.after.accuracy >= fit.before.accuracy
        assert fit.head.weights.dtype == fit.head.bias.dtype == np.float32
        if not fit.chosen:
            for part, wanted in zip(fit.head, linear.linear_from_prototypes(prototypes), strict=True):
                assert np.array_equal(part, wanted)
        chosen.append(fit.chosen)
    assert any(chosen), "nothing was ever changed"


@pytest.mark.parametrize("solver", SOLVERS)
def test_adapting_pays_where_prototypes_are_misled(solver: str) -> None:
    gains = []
    for seed in range(8):
        shots, labels, _ = misled([40] * 5, seed=seed)
        known, asked = (shots[:100], labels[:100]), (shots[100:], labels[100:])
        prototypes = class_means(*known, 5)
        fit = AdaptationConfig(solver, (0.1,) * 100 if solver == "gradient" else ()).fit(*known, prototypes)
        gains.append(score(*fit.head, *asked) - score(*linear.linear_from_prototypes(prototypes), *asked))
    assert np.mean(gains) > 0.1
    assert min(gains) > -0.02


def test_steps_end_soon_after_the_last_that_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    step = linear.linear_step
    monkeypatch.setattr(linear, "linear_step", lambda *given: taken.append(1) or step(*given))
    assert AdaptationConfig("gradient", (100.0,) * 10_000).fit(*meaningless()).chosen == 0
    assert len(taken) <= FOLDS * (PATIENCE + 1)


@pytest.mark.parametrize("rate", [1e30, 1e38, 1e300])
def test_rates_that_lead_to_infinity_leave_the_prototypes(rate: float) -> None:
    shots, labels, prototypes = misled([4, 4, 4])
    fit = AdaptationConfig("gradient", (rate,) * 5).fit(shots, labels, prototypes)
    assert fit.chosen == 0
    assert np.array_equal(fit.head.weights, 2 * prototypes.T)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("zeros", [True, False])
def test_shots_that_are_all_their_prototype_leave_finite_heads(solver: str, zeros: bool) -> None:
    shots = np.repeat(np.zeros((3, 4), np.float32) if zeros else np.eye(3, 4, dtype=np.float32), 4, axis=0)
    fit = AdaptationConfig(solver, (0.1,) * 5 if solver == "gradient" else ()).fit(
        shots, np.repeat(np.arange(3), 4), shots[::4]
    )
    assert np.isfinite(fit.head.weights).all()
    assert np.isfinite(fit.head.bias).all()


def unjudged(fit: Fit) -> bool:
    return fit.before is fit.after is None and fit.judged == 0


@pytest.mark.parametrize("config", [AdaptationConfig("lda"), AdaptationConfig("ridge"), STEPS])
def test_one_shot_a_label_cannot_be_judged_so_nothing_changes(config: AdaptationConfig) -> None:
    fit = config.fit(*misled([1, 1, 1]))
    assert unjudged(fit)
    assert fit.chosen == 0


def test_one_shot_a_label_takes_all_learned_steps() -> None:
    shots, labels, prototypes = misled([1, 1, 1])
    fit = AdaptationConfig("gradient", (0.3, 0.2), trusted=True).fit(shots, labels, prototypes)
    assert unjudged(fit)
    assert fit.chosen == 2
    assert np.array_equal(fit.head.weights, linear.adapt(shots, labels, prototypes, [0.3, 0.2])[0])


def test_learned_rates_are_judged_where_they_can_be() -> None:
    assert AdaptationConfig("gradient", (100.0,) * 5, trusted=True).fit(*meaningless()).chosen == 0


# What was asked for


@pytest.mark.parametrize(
    ("learned", "asked", "config"),
    [
        (False, {}, AdaptationConfig("lda")),
        (True, {}, AdaptationConfig("gradient", (0.3, 0.2), trusted=True)),
        (False, {"solver": "gradient"}, AdaptationConfig("gradient", (0.3, 0.2))),
        (False, {"steps": 3}, AdaptationConfig("gradient", (0.3, 0.2, 0.2))),
        (False, {"learning_rate": 0.1}, AdaptationConfig("gradient", (0.1, 0.1))),
        (True, {"steps": 1}, AdaptationConfig("gradient", (0.3,), trusted=True)),
        (True, {"steps": 3}, AdaptationConfig("gradient", (0.3, 0.2, 0.2))),
        (True, {"learning_rate": 0.1}, AdaptationConfig("gradient", (0.1, 0.1))),
        (True, {"solver": "lda"}, AdaptationConfig("lda")),
        (True, {"solver": "ridge"}, AdaptationConfig("ridge")),
    ],
)
def test_what_is_not_asked_for_is_as_the_bundle_says(learned: bool, asked: dict[str, Any], config: AdaptationConfig) -> None:
    assert AdaptationConfig.of((0.3, 0.2), learned, **asked) == config


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"solver": "newton"}, "There is no solver 'newton'"),
        ({"solver": "lda", "steps": 3}, "The solver lda takes no steps"),
        ({"solver": "ridge", "learning_rate": 0.1}, "The solver ridge takes no steps"),
        ({"steps": 0}, "0 steps are not possible"),
    ],
)
def test_what_cannot_be_is_explained(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        AdaptationConfig.of((0.3, 0.2), False, **asked)
