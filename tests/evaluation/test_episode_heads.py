"""Heads over an episode: the same logits as slow and plain arithmetic in float64 gives."""

from __future__ import annotations

import numpy as np
import pytest
from support.workstation import scattered

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import adapted_head, linear_head, prototype_head
from edge_meta.heads.adaptation import AdaptationConfig


def test_prototype_head_gives_negative_squared_distances(sampler: EpisodeSampler) -> None:
    embeddings, episode = scattered(sampler.dataset.labels, 1.0).astype(np.float64), sampler.episode(0)
    logits = prototype_head(embeddings[episode.support], embeddings[episode.query])
    queries = embeddings[episode.query.ravel()]
    distances = ((queries[:, None] - embeddings[episode.support].mean(axis=1)) ** 2).sum(axis=2)
    offset = logits + distances
    assert np.allclose(offset, offset[:, :1])


def test_linear_head_is_gradient_descent_from_the_prototypes(sampler: EpisodeSampler) -> None:
    embeddings, rates = 0.3 * scattered(sampler.dataset.labels, 1.5), [0.5, 0.4, 0.3, 0.2, 1.0]
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
    embeddings = scattered(sampler.dataset.labels, 1.0)
    assert np.array_equal(accuracies(embeddings, sampler, 30, linear_head([])), accuracies(embeddings, sampler, 30))


@pytest.mark.parametrize(
    "plan", [AdaptationConfig("lda"), AdaptationConfig("ridge"), AdaptationConfig("gradient", (0.3,) * 10)]
)
def test_adapted_head_is_that_of_a_fit_to_the_support_set(sampler: EpisodeSampler, plan: AdaptationConfig) -> None:
    embeddings, moved = scattered(sampler.dataset.labels, 0.7), 0
    for episode in sampler.episodes(5):
        support, query = embeddings[episode.support], embeddings[episode.query]
        fit = plan.fit(support.reshape(15, 6), np.repeat(np.arange(5), 3), support.mean(axis=1))
        assert np.allclose(adapted_head(plan)(support, query), fit.head.logits(query.reshape(20, 6)))
        moved += fit.chosen > 0
    assert moved, "no fit left the prototypes"
