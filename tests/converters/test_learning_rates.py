"""The learning rate that a bundle is calibrated with: one that helps, or at least does no harm."""

from __future__ import annotations

import numpy as np
import pytest
from support.workstation import embedded, synthetic

from converters.calibration.learning_rates import RATES, STEPS, choose_learning_rates
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import EdgeMetaError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import linear_head
from edge_meta.evaluation.interval import Interval

DIM = 16


def gain(embeddings: np.ndarray, data: Dataset, rates: tuple[float, ...], way: int | None = None) -> Interval:
    """Accuracy of the adapted head over that of prototypes, on episodes of its own."""
    usual, shot, query = data.protocol(5)
    sampler = EpisodeSampler(data, way or usual, shot, query, seed=4242)
    return Interval.of(accuracies(embeddings, sampler, 100, linear_head(rates)) - accuracies(embeddings, sampler, 100))


@pytest.fixture
def misleading() -> tuple[np.ndarray, Dataset]:
    """Embeddings with one dimension of noise alone, which misleads prototypes and which steps learn to leave out."""
    data = synthetic(30, 20)
    embeddings = embedded(data, spread=0.4)
    embeddings[:, 0] = np.random.default_rng(5).normal(0, 4, len(embeddings))
    return 0.3 * embeddings, data


def test_the_rate_is_the_best_tried_and_it_helps(misleading: tuple[np.ndarray, Dataset]) -> None:
    embeddings, data = misleading
    scale = 1 / np.mean(np.sum(embeddings.astype(np.float64) ** 2, axis=1))
    rates = choose_learning_rates(embeddings, data)
    assert len(rates) == STEPS
    assert len(set(rates)) == 1
    gains = {multiple: gain(embeddings, data, (multiple * scale,) * STEPS).mean for multiple in RATES}
    chosen = min(RATES, key=lambda multiple: abs(multiple * scale - rates[0]))
    assert rates[0] == pytest.approx(chosen * scale, rel=0.006)  # three digits of it
    assert gains[chosen] > max(gains.values()) - 0.005
    assert gains[chosen] > min(gains.values()) + 0.1, "all rates do as well as each other on this data"
    improvement = gain(embeddings, data, rates)
    assert improvement.mean - improvement.ci95 > 0


def test_where_steps_do_not_help_the_rate_is_the_smallest() -> None:
    data = synthetic(30, 20)
    embeddings = 100 * np.eye(30, dtype=np.float32)[data.labels]
    assert choose_learning_rates(embeddings, data)[0] == pytest.approx(min(RATES) / 100**2, rel=0.006)


@pytest.mark.parametrize("way", [2, 4, 6])
def test_the_rate_does_no_harm_whatever_the_number_of_labels(way: int) -> None:
    """Embeddings as a Conv4's last ReLU gives them: all of them share a large mean."""
    data = synthetic(6, 20)
    embeddings = 1.0 + 0.25 * embedded(data, spread=0.4)[:, :8]
    assert gain(embeddings, data, choose_learning_rates(embeddings, data), way).mean > -0.02


@pytest.mark.parametrize("factor", [7.0, 1 / 7])
def test_rates_follow_the_scale_of_the_embeddings(misleading: tuple[np.ndarray, Dataset], factor: float) -> None:
    embeddings, data = misleading
    scaled = (factor * embeddings).astype(np.float32)
    multiples = choose_learning_rates(scaled, data)[0] * np.mean(np.sum(scaled.astype(np.float64) ** 2, axis=1))
    assert np.min(np.abs(multiples / np.array(RATES) - 1)) < 0.006


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_dead_encoder_is_refused_or_its_rates_are_finite(value: float) -> None:
    data = synthetic(10, 10)
    try:
        rates = choose_learning_rates(np.full((100, DIM), value, np.float32), data)
    except EdgeMetaError:
        return
    assert np.all(np.isfinite(rates))
