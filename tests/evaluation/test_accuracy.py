"""Accuracy over embeddings: the same as a slow and plain loop over examples gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.workstation import scattered, synthetic

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import linear_head, prototype_head
from edge_meta.evaluation.interval import Interval


def test_accuracies_are_those_of_a_plain_loop_over_distances(sampler: EpisodeSampler) -> None:
    embeddings = scattered(sampler.dataset.labels, 1.0)
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
