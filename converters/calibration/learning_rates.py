"""Choose the learning rates of the linear head's steps on embeddings of validation classes by the quantized encoder."""

from __future__ import annotations

import numpy as np

from converters.quantization.checks import check_embeddings
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.evaluation.episode_heads import linear_head, prototype_head
from edge_meta.types import Array

RANDOM_SEED = 7
STEPS = 10
EPISODES = 100
# Learning rates tried, as multiples of 1 / mean ‖f(x)‖², which makes them independent of the embedding's scale.
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
HARM = 0.01  # of accuracy, that a rate may cost with fewer labels than it is chosen for


def choose_learning_rates(embeddings: Array, data: Dataset) -> tuple[float, ...]:
    """Choose the rate with which 10 steps of the linear head classify 5-shot episodes best, and repeat it for each step.

    A step goes further the fewer shots share it, so a rate must also do no harm with 2 and with 5 labels.

    Args:
        embeddings: (n, D) of the data's examples.

    Raises:
        ExportError: the embeddings are not finite, or all the same.
    """
    check_embeddings(embeddings)
    way, shot, query = data.protocol(shot=5)
    scale = 1.0 / float(np.mean(np.einsum("nd,nd->n", embeddings, embeddings)))

    def accuracy(labels: int, multiple: float) -> float:
        sampler = EpisodeSampler(data, labels, shot, query, seed=RANDOM_SEED)
        head = linear_head([multiple * scale] * STEPS) if multiple else prototype_head
        return float(accuracies(embeddings, sampler, EPISODES, head).mean())

    fewer = [labels for labels in (2, 5) if labels < way]
    floors = {labels: accuracy(labels, 0.0) - HARM for labels in fewer}
    harmless = [rate for rate in RATES if all(accuracy(labels, rate) >= floors[labels] for labels in fewer)]
    best = max(harmless or RATES[:1], key=lambda rate: accuracy(way, rate))  # the smallest of equals
    # The measurement is worth three digits, and they keep the manifest readable.
    return (float(f"{best * scale:.3g}"),) * STEPS


def fallback_learning_rates(squared_norm: float) -> tuple[float, ...]:
    """Rates for an encoder without calibration data: 1 / mean ‖f(x)‖², in the middle of those tried.

    Args:
        squared_norm: mean ‖f(x)‖².
    """
    return (float(f"{1.0 / squared_norm:.3g}"),) * STEPS
