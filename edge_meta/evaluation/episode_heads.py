"""Heads over one episode: learned from its support embeddings, they give logits for its queries.

Shapes: D is the embedding's dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edge_meta.heads import linear
from edge_meta.heads.adaptation import AdaptationConfig
from edge_meta.types import Array, Integers

EpisodeHead = Callable[[Array, Array], Array]
"""From support (way, shot, D) and query (way, query, D) to logits (way · query, way)."""


def prototype_head(support: Array, query: Array) -> Array:
    """Logits −‖f(x) − c_k‖² (Snell et al. 2017), up to a constant for each query, which no arg max or softmax sees."""
    return linear.linear_from_prototypes(support.mean(axis=1)).logits(_flat(query))


def adapted_head(config: AdaptationConfig) -> EpisodeHead:
    """The head that `Classifier.adapt` leaves after enrolling the support set."""

    def head(support: Array, query: Array) -> Array:
        return config.fit(*_shots(support)).head.logits(_flat(query))

    return head


def linear_head(learning_rates: Sequence[float]) -> EpisodeHead:
    """The linear head after one gradient step on the support set for each learning rate, whether it gets better or not."""

    def head(support: Array, query: Array) -> Array:
        weights, bias, _ = linear.adapt(*_shots(support), learning_rates)
        return linear.LinearHead(weights, bias).logits(_flat(query))

    return head


def _shots(support: Array) -> tuple[Array, Integers, Array]:
    """Embeddings (way · shot, D), their labels (way · shot,), and the prototypes (way, D)."""
    way, shot, _ = support.shape
    return _flat(support), np.repeat(np.arange(way), shot), support.mean(axis=1)


def _flat(embeddings: Array) -> Array:
    """(way, examples, D) as (way · examples, D)."""
    return embeddings.reshape(-1, embeddings.shape[-1])
