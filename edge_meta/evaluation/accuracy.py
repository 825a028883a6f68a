"""Accuracy over episodes, from embeddings: every example is embedded once, then episodes index the embeddings.

Validation while training, the parity report of an export, and `edge-meta evaluate` all use it.
"""

from __future__ import annotations

import numpy as np

from edge_meta.datasets.episodes import EpisodeSource
from edge_meta.evaluation.episode_heads import EpisodeHead, prototype_head
from edge_meta.types import Array, Array64


def accuracies(
    embeddings: Array,
    source: EpisodeSource,
    episodes: int,
    head: EpisodeHead = prototype_head,
    support: Array | None = None,
) -> Array64:
    """Closed-set accuracy of each of the source's first `episodes` episodes, as fractions (episodes,).

    Args:
        embeddings: (examples, D), in the order of the dataset that the episodes index.
        support: the same for examples that are learned from, if they were embedded in another way.
    """
    support = embeddings if support is None else support
    values = []
    for episode in source.episodes(episodes):
        logits = head(support[episode.support], embeddings[episode.query])
        truth = np.repeat(np.arange(len(episode.classes)), episode.query.shape[1])
        values.append(np.mean(logits.argmax(axis=1) == truth))
    return np.array(values)
