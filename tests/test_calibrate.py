"""What a bundle is calibrated with: thresholds that do what they promise on fresh data, and a learning rate that helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from converters import calibrate
from edge_meta.datasets import Dataset
from edge_meta.episodes import EpisodeSampler
from edge_meta.errors import EdgeMetaError
from edge_meta.evaluation import Interval, accuracies, linear_head

Make = Callable[..., Dataset]
DIM = 16


def embedded(data: Dataset, seed: int = 0, spread: float = 0.5, groups: float = 0.0) -> np.ndarray:
    """Embeddings (n, 16): a normal cloud around each class's centre; with `groups`, classes of a group lie together."""
    rng = np.random.default_rng(seed)
    names = sorted(set(data.groups))
    centres = rng.normal(size=(len(data.class_names), DIM))
    centres += groups * rng.normal(size=(len(names), DIM))[[names.index(group) for group in data.groups]]
    return (centres[data.labels] + spread * rng.normal(size=(len(data.labels), DIM))).astype(np.float32)


def in_groups(data: Dataset, groups: int) -> Dataset:
    return replace(data, groups=tuple(f"group {index % groups}" for index in range(len(data.class_names))))


def accepted(embeddings: np.ndarray, data: Dataset, rejection: calibrate.Rejection, way: int, shot: int) -> float:
    """The fraction of strangers, of other groups than the episode's where there are any, that count as known."""
    rng = np.random.default_rng(99)
    groups = np.array(data.groups)
    known = []
    for episode in EpisodeSampler(data, way, shot, 1, seed=12345).episodes(150):
        prototypes = embeddings[episode.support].astype(np.float64).mean(axis=1)
        foreign = [label for label in range(len(groups)) if groups[label] not in groups[episode.classes]]
        foreign = foreign or [label for label in range(len(groups)) if label not in episode.classes]
        for stranger in rng.choice(np.flatnonzero(np.isin(data.labels, foreign)), 15):
            distance = ((prototypes - embeddings[stranger]) ** 2).sum(axis=1).min()
            known.append(rejection.knows(distance, shot))
    return float(np.mean(known))


# --- rejection --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shot", [1, 2, 5, 10])
def test_the_asked_fraction_of_strangers_is_accepted_on_fresh_classes_whatever_the_shots(synthetic: Make, shot: int) -> None:
    data = synthetic(200, 12)
    rejection = calibrate.rejection(embedded(data, spread=1.5), data)
    assert rejection.false_accept == 0.05
    assert 0.035 < accepted(embedded(data, seed=1, spread=1.5), data, rejection, 20, shot) < 0.063


@pytest.mark.parametrize("wanted", [0.01, 0.2])
def test_another_fraction_can_be_asked_for(synthetic: Make, wanted: float) -> None:
    data = synthetic(200, 12)
    rejection = calibrate.rejection(embedded(data), data, false_accept=wanted)
    assert wanted / 2 < accepted(embedded(data, seed=1), data, rejection, 20, 1) < 1.7 * wanted


def test_strangers_come_from_groups_that_the_episode_does_not_use(synthetic: Make) -> None:
    """Classes of a group lie together, and strangers of the same group would be much nearer than those of others."""
    data = in_groups(synthetic(120, 12), 60)
    embeddings = embedded(data, groups=3.0)
    rejection = calibrate.rejection(embeddings, data)
    assert 0.03 < accepted(embeddings, data, rejection, 20, 1) < 0.07
    ungrouped = calibrate.rejection(embeddings, replace(data, groups=("",) * 120))
    assert ungrouped.far < 0.5 * rejection.far


def test_where_an_episode_uses_every_group_strangers_are_its_other_classes(synthetic: Make) -> None:
    data = in_groups(synthetic(60, 12), 2)
    assert calibrate.rejection(embedded(data), data) == calibrate.rejection(embedded(data), replace(data, groups=("",) * 60))


def test_more_shots_need_a_smaller_threshold(synthetic: Make) -> None:
    data = synthetic(100, 12)
    rejection = calibrate.rejection(embedded(data, spread=1.0), data)
    # A prototype of n shots is off by σ²/n in each dimension, so strangers seem nearer to it with more shots.
    assert rejection.one_shot > 0
    assert rejection.far > 0


@pytest.mark.parametrize(("classes", "examples"), [(3, 20), (2, 20), (20, 5), (1, 3)])
def test_too_few_classes_or_examples_give_no_rejection(synthetic: Make, classes: int, examples: int) -> None:
    data = synthetic(classes, examples)
    assert calibrate.rejection(embedded(data), data) is None


def test_the_fewest_classes_and_examples_that_do_give_one(synthetic: Make) -> None:
    data = synthetic(4, 6)
    assert calibrate.rejection(embedded(data), data) is not None


# --- learning rates ---------------------------------------------------------------------------------------------------


def gain(embeddings: np.ndarray, data: Dataset, rates: tuple[float, ...], way: int | None = None) -> Interval:
    """Accuracy of the adapted head over that of prototypes, on episodes of its own."""
    usual, shot, query = data.protocol(5)
    sampler = EpisodeSampler(data, way or usual, shot, query, seed=4242)
    return Interval.of(accuracies(embeddings, sampler, 100, linear_head(rates)) - accuracies(embeddings, sampler, 100))


@pytest.fixture
def misleading(synthetic: Make) -> tuple[np.ndarray, Dataset]:
    """Embeddings with one dimension of noise alone, which misleads prototypes and which steps learn to leave out."""
    data = synthetic(30, 20)
    embeddings = embedded(data, spread=0.4)
    embeddings[:, 0] = np.random.default_rng(5).normal(0, 4, len(embeddings))
    return 0.3 * embeddings, data


def test_the_rate_is_the_best_of_those_tried_and_adapting_with_it_helps(misleading: tuple[np.ndarray, Dataset]) -> None:
    embeddings, data = misleading
    scale = 1 / np.mean(np.sum(embeddings.astype(np.float64) ** 2, axis=1))
    rates = calibrate.learning_rates(embeddings, data)
    assert len(rates) == calibrate.STEPS
    assert len(set(rates)) == 1
    gains = {multiple: gain(embeddings, data, (multiple * scale,) * calibrate.STEPS).mean for multiple in calibrate.RATES}
    chosen = min(calibrate.RATES, key=lambda multiple: abs(multiple * scale - rates[0]))
    assert rates[0] == pytest.approx(chosen * scale, rel=0.006)  # three digits of it
    assert gains[chosen] > max(gains.values()) - 0.005
    assert gains[chosen] > min(gains.values()) + 0.1, "all rates do as well as each other on this data"
    improvement = gain(embeddings, data, rates)
    assert improvement.mean - improvement.ci95 > 0


def test_where_steps_do_not_help_the_rate_is_the_smallest(synthetic: Make) -> None:
    data = synthetic(30, 20)
    embeddings = 100 * np.eye(30, dtype=np.float32)[data.labels]
    assert calibrate.learning_rates(embeddings, data)[0] == pytest.approx(min(calibrate.RATES) / 100**2, rel=0.006)


@pytest.mark.parametrize("way", [2, 4, 6])
def test_the_rate_does_no_harm_whatever_the_number_of_labels(synthetic: Make, way: int) -> None:
    """Embeddings as a Conv4's last ReLU gives them: all of them share a large mean."""
    data = synthetic(6, 20)
    embeddings = 1.0 + 0.25 * embedded(data, spread=0.4)[:, :8]
    assert gain(embeddings, data, calibrate.learning_rates(embeddings, data), way).mean > -0.02


@pytest.mark.parametrize("factor", [7.0, 1 / 7])
def test_rates_are_in_a_unit_that_follows_the_scale_of_the_embeddings(
    misleading: tuple[np.ndarray, Dataset], factor: float
) -> None:
    embeddings, data = misleading
    scaled = (factor * embeddings).astype(np.float32)
    multiples = calibrate.learning_rates(scaled, data)[0] * np.mean(np.sum(scaled.astype(np.float64) ** 2, axis=1))
    assert np.min(np.abs(multiples / np.array(calibrate.RATES) - 1)) < 0.006


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_embeddings_of_a_dead_encoder_are_a_clear_error_or_give_finite_rates(synthetic: Make, value: float) -> None:
    data = synthetic(10, 10)
    try:
        rates = calibrate.learning_rates(np.full((100, DIM), value, np.float32), data)
    except EdgeMetaError:
        return
    assert np.all(np.isfinite(rates))
