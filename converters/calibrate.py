"""What a bundle's settings are chosen from: embeddings of validation classes, made by the quantized encoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import Dataset
from edge_meta.episodes import Episode, EpisodeSampler
from edge_meta.errors import ExportError
from edge_meta.evaluation import accuracies, linear_head, prototype_head
from edge_meta.runtime.manifest import Rejection

Array = NDArray[np.float32]

SEED = 7
STEPS = 10
# Learning rates tried, as multiples of 1 / mean ‖f(x)‖², which makes them independent of the embedding's scale.
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
HARM = 0.01  # of accuracy, that a rate may cost with fewer labels than it is chosen for


def check_embeddings(embeddings: Array) -> None:
    """Raises ExportError when the embeddings (n, D) tell nothing apart."""
    if not np.isfinite(embeddings).all() or not embeddings.std(axis=0).any():
        raise ExportError(
            "The encoder gives values that are not finite, or the same ones for every image.",
            "Train again with a smaller learning rate, or for longer.",
        )


def learning_rates(embeddings: Array, data: Dataset, episodes: int = 100) -> tuple[float, ...]:
    """The rate with which 10 steps of the linear head classify 5-shot episodes best, once for each step.

    A step goes further the fewer shots share it, so a rate must also do no harm with 2 and with 5 labels.
    """
    check_embeddings(embeddings)
    way, shot, query = data.protocol(shot=5)
    scale = 1.0 / float(np.mean(np.einsum("nd,nd->n", embeddings, embeddings)))

    def accuracy(labels: int, multiple: float) -> float:
        sampler = EpisodeSampler(data, labels, shot, query, seed=SEED)
        head = linear_head([multiple * scale] * STEPS) if multiple else prototype_head
        return float(accuracies(embeddings, sampler, episodes, head).mean())

    fewer = [labels for labels in (2, 5) if labels < way]
    floors = {labels: accuracy(labels, 0.0) - HARM for labels in fewer}
    harmless = [rate for rate in RATES if all(accuracy(labels, rate) >= floors[labels] for labels in fewer)]
    best = max(harmless or RATES[:1], key=lambda rate: accuracy(way, rate))  # the smallest of equals
    # Three digits are all that the choice is worth, and keep the manifest readable.
    return (float(f"{best * scale:.3g}"),) * STEPS


def fallback_rates(squared_norm: float) -> tuple[float, ...]:
    """Rates for an encoder without calibration data: 1 / mean ‖f(x)‖², the middle of what `learning_rates` tries."""
    return (float(f"{1.0 / squared_norm:.3g}"),) * STEPS


def rejection(embeddings: Array, data: Dataset, false_accept: float = 0.05, episodes: int = 200) -> Rejection | None:
    """Thresholds at which that fraction of strangers is accepted, from 1-shot and 5-shot episodes.

    Strangers come from classes that an episode does not use, of other groups where there are any. None if the data has too
    few classes or examples.
    """
    way = min(20, len(data.class_names) // 2)
    if way < 2 or int(np.bincount(data.labels).min()) < 6:
        return None
    one, five = (
        float(np.quantile(_stranger_distances(embeddings, data, way, shot, episodes), false_accept)) for shot in (1, 5)
    )
    one_shot = (one - five) / (1.0 - 1.0 / 5.0)
    return Rejection(far=float(f"{one - one_shot:.6g}"), one_shot=float(f"{one_shot:.6g}"), false_accept=false_accept)


def _stranger_distances(embeddings: Array, data: Dataset, way: int, shot: int, episodes: int) -> Array:
    """Squared distances of strangers to their nearest prototype, 15 strangers of each episode."""
    sampler = EpisodeSampler(data, way, shot, query=1, seed=SEED)
    rng = np.random.default_rng(SEED)
    found = []
    for episode in sampler.episodes(episodes):
        prototypes = embeddings[episode.support].mean(axis=1)
        strangers = embeddings[rng.choice(_strangers(episode, data), 15)]
        distances = ((strangers[:, None] - prototypes) ** 2).sum(axis=2)
        found.append(distances.min(axis=1))
    return np.concatenate(found)


def _strangers(episode: Episode, data: Dataset) -> NDArray[np.int64]:
    groups = np.array(data.groups)
    foreign = ~np.isin(groups, groups[episode.classes])
    if not foreign.any():
        foreign = ~np.isin(np.arange(len(groups)), episode.classes)
    return np.flatnonzero(foreign[data.labels])
