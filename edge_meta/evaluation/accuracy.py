"""Accuracy over episodes, from embeddings: every example is embedded once, then episodes are drawn over the embeddings.

One piece for validation while training, for the parity report of an export, and for `edge-meta evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.heads import linear
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.types import Array, Array64

EpisodeHead = Callable[[Array, Array], Array]
"""A head of one episode: support (way, shot, D), query (way, query, D) → logits (way * query, way)."""


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its 95 % confidence interval."""

    mean: float
    ci95: float

    @classmethod
    def of(cls, values: Array64) -> Interval:
        """Of independent values, by the normal approximation: 1.96 · s / √n."""
        spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        return cls(float(values.mean()), 1.96 * spread / len(values) ** 0.5)

    def __str__(self) -> str:
        return f"{100 * self.mean:.2f} ± {100 * self.ci95:.2f} %"


def prototype_head(support: Array, query: Array) -> Array:
    """Logits −‖f(x) − c_k‖² (Snell et al. 2017), up to a constant for each query, which no arg max or softmax sees."""
    return linear.linear_from_prototypes(support.mean(axis=1)).logits(query.reshape(-1, query.shape[-1]))


def adapted_head(config: AdaptationConfig) -> EpisodeHead:
    """The head that `Classifier.adapt` leaves after enrolling the support set."""

    def head(support: Array, query: Array) -> Array:
        way, shot, dim = support.shape
        labels = np.repeat(np.arange(way), shot)
        fit = config.fit(support.reshape(-1, dim), labels, support.mean(axis=1))
        return fit.head.logits(query.reshape(-1, dim))

    return head


def linear_head(learning_rates: Sequence[float]) -> EpisodeHead:
    """The linear head: from prototypes, one gradient step on the support set for each learning rate, none of them judged."""

    def head(support: Array, query: Array) -> Array:
        way, shot, dim = support.shape
        labels = np.repeat(np.arange(way), shot)
        prototypes = support.mean(axis=1)
        weights, bias, _ = linear.adapt(support.reshape(-1, dim), labels, prototypes, learning_rates)
        return linear.LinearHead(weights, bias).logits(query.reshape(-1, dim))

    return head


def accuracies(
    embeddings: Array,
    sampler: EpisodeSampler,
    episodes: int,
    head: EpisodeHead = prototype_head,
    support: Array | None = None,
) -> Array64:
    """Closed-set accuracy of each of the sampler's first `episodes` episodes, as fractions (episodes,).

    Args:
        embeddings: (examples, D), in the order of the sampler's dataset.
        support: the same for examples that are learned from, if they were embedded in another way.
    """
    support = embeddings if support is None else support
    truth = np.repeat(np.arange(sampler.way), sampler.query)
    values = np.empty(episodes)
    for index, episode in enumerate(sampler.episodes(episodes)):
        logits = head(support[episode.support], embeddings[episode.query])
        values[index] = np.mean(logits.argmax(axis=1) == truth)
    return values
