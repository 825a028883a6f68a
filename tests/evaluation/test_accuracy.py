"""Accuracy over embeddings: the same numbers as slow and plain arithmetic in float64 gives."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from support.workstation import synthetic

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import Interval, accuracies, adapted_head, linear_head, prototype_head
from edge_meta.heads.adaptation import AdaptationConfig


@pytest.fixture
def sampler() -> EpisodeSampler:
    return EpisodeSampler(synthetic(12, 10), way=5, shot=3, query=4, seed=3)


def scattered(sampler: EpisodeSampler, spread: float, dim: int = 6) -> np.ndarray:
    """Embeddings around a centre for each class, so that some are nearer to another class's."""
    rng = np.random.default_rng(0)
    labels = sampler.dataset.labels
    centres = rng.normal(size=(labels.max() + 1, dim))
    return (centres[labels] + spread * rng.normal(size=(len(labels), dim))).astype(np.float32)


def test_interval_is_the_mean_and_its_95_percent_half_width() -> None:
    values = [0.5, 0.75, 1.0, 0.25, 0.9]
    interval = Interval.of(np.array(values))
    assert interval.mean == pytest.approx(statistics.mean(values))
    assert interval.ci95 == pytest.approx(1.96 * statistics.stdev(values) / math.sqrt(5))
    assert str(Interval(0.97612, 0.00123)) == "97.61 ± 0.12 %"


def test_interval_covers_the_true_mean_95_times_in_a_hundred() -> None:
    samples = np.random.default_rng(0).uniform(size=(2000, 100))
    covered = [abs(interval.mean - 0.5) <= interval.ci95 for interval in map(Interval.of, samples)]
    assert 0.93 < np.mean(covered) < 0.965


def test_one_value_has_no_interval() -> None:
    assert math.isnan(Interval.of(np.array([0.5])).ci95)


def test_accuracies_are_those_of_a_plain_loop_over_squared_distances(sampler: EpisodeSampler) -> None:
    embeddings = scattered(sampler, 1.0)
    expected = []
    for episode in sampler.episodes(40):
        hits = []
        for own in range(5):
            for example in episode.query[own]:
                distances = []
                for row in episode.support:
                    prototype = sum(embeddings[shot].astype(np.float64) for shot in row) / len(row)
                    difference = [float(a) - float(b) for a, b in zip(embeddings[example], prototype, strict=True)]
                    distances.append(sum(side**2 for side in difference))
                hits.append(distances.index(min(distances)) == own)
        expected.append(sum(hits) / len(hits))
    assert 0.3 < np.mean(expected) < 0.9, "the data is too hard or too easy to tell a wrong answer"
    assert accuracies(embeddings, sampler, 40) == pytest.approx(expected)


def test_prototype_head_gives_negative_squared_distances_up_to_a_constant_of_each_query(sampler: EpisodeSampler) -> None:
    embeddings, episode = scattered(sampler, 1.0).astype(np.float64), sampler.episode(0)
    logits = prototype_head(embeddings[episode.support], embeddings[episode.query])
    queries = embeddings[episode.query.ravel()]
    distances = ((queries[:, None] - embeddings[episode.support].mean(axis=1)) ** 2).sum(axis=2)
    offset = logits + distances
    assert np.allclose(offset, offset[:, :1])


def test_linear_head_is_gradient_descent_on_the_mean_cross_entropy_from_the_prototypes(sampler: EpisodeSampler) -> None:
    embeddings, rates = 0.3 * scattered(sampler, 1.5), [0.5, 0.4, 0.3, 0.2, 1.0]
    for episode in sampler.episodes(3):
        support, query = embeddings[episode.support], embeddings[episode.query]
        x = support.reshape(-1, 6).astype(np.float64)
        truth = np.kron(np.eye(5), np.ones((3, 1)))
        prototypes = support.astype(np.float64).mean(axis=1)
        weights, bias = 2 * prototypes.T, -(prototypes**2).sum(axis=1)
        for rate in rates:
            exponentials = np.exp(x @ weights + bias)
            error = exponentials / exponentials.sum(axis=1, keepdims=True) - truth
            weights, bias = weights - rate * x.T @ error / len(x), bias - rate * error.mean(axis=0)
        expected = query.reshape(-1, 6).astype(np.float64) @ weights + bias
        assert np.allclose(linear_head(rates)(support, query), expected, atol=1e-4)
        assert not np.allclose(prototype_head(support, query), expected, atol=0.1), "the steps moved nothing"


def test_linear_head_without_steps_classifies_as_prototypes_do(sampler: EpisodeSampler) -> None:
    embeddings = scattered(sampler, 1.0)
    assert np.array_equal(accuracies(embeddings, sampler, 30, linear_head([])), accuracies(embeddings, sampler, 30))


@pytest.mark.parametrize(
    "plan", [AdaptationConfig("lda"), AdaptationConfig("ridge"), AdaptationConfig("gradient", (0.3,) * 10)]
)
def test_adapted_head_is_that_of_a_fit_to_the_support_set(sampler: EpisodeSampler, plan: AdaptationConfig) -> None:
    embeddings, moved = scattered(sampler, 0.7), 0
    for episode in sampler.episodes(5):
        support, query = embeddings[episode.support], embeddings[episode.query]
        fit = plan.fit(support.reshape(15, 6), np.repeat(np.arange(5), 3), support.mean(axis=1))
        assert np.allclose(adapted_head(plan)(support, query), fit.head.logits(query.reshape(20, 6)))
        moved += fit.chosen > 0
    assert moved, "no fit left the prototypes"


@pytest.mark.parametrize("head", [prototype_head, linear_head([0.01] * 5)])
def test_embeddings_that_are_the_class_give_1(sampler: EpisodeSampler, head: Callable) -> None:
    perfect = np.eye(12, dtype=np.float32)[sampler.dataset.labels]
    assert np.all(accuracies(perfect, sampler, 50, head) == 1.0)


@pytest.mark.parametrize("head", [prototype_head, linear_head([0.01] * 5)])
def test_embeddings_that_know_nothing_give_one_in_way(head: Callable) -> None:
    sampler = EpisodeSampler(synthetic(12, 200), way=5, shot=3, query=15)
    blind = np.random.default_rng(0).normal(size=(2400, 6)).astype(np.float32)
    interval = Interval.of(accuracies(blind, sampler, 400, head))
    assert abs(interval.mean - 0.2) < 0.015
