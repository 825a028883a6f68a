"""What a bundle's settings are chosen from: embeddings of validation classes, made by the quantized encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import ExportError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import linear_head, prototype_head
from edge_meta.types import Array

SEED = 7
STEPS = 10
EXAMPLES = 300
# Learning rates tried, as multiples of 1 / mean ‖f(x)‖², which makes them independent of the embedding's scale.
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
HARM = 0.01  # of accuracy, that a rate may cost with fewer labels than it is chosen for


def some_examples(data: Dataset) -> NDArray[Any]:
    """At most 300 examples, (n, ...), that ranges are measured on."""
    rng = np.random.default_rng(SEED)
    chosen: NDArray[Any] = data.examples[rng.choice(len(data.examples), min(EXAMPLES, len(data.examples)), replace=False)]
    return chosen


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
