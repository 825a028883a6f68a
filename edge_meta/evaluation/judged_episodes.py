"""Episodes judged one answer at a time, for reports: accuracy of each episode, and what is taken for what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSource
from edge_meta.evaluation.episode_heads import EpisodeHead, prototype_head
from edge_meta.evaluation.interval import Share
from edge_meta.types import Array, Array64


@dataclass(frozen=True)
class Mistake:
    """An example that was taken for another class than its own, in that many of its queries."""

    example: int
    taken_for: int
    times: int


@dataclass(frozen=True)
class JudgedEpisodes:
    """Answers over episodes of one dataset.

    Attributes:
        data: the dataset.
        embeddings: of its examples, (n, D).
        accuracies: of each episode, as fractions.
        queries: class → its queries over all episodes, and how many were right.
        mistakes: the most frequent first.
    """

    data: Dataset
    embeddings: Array
    accuracies: Array64
    queries: dict[int, Share]
    mistakes: tuple[Mistake, ...]


def judge_episodes(
    embeddings: Array, data: Dataset, source: EpisodeSource, episodes: int, head: EpisodeHead = prototype_head
) -> JudgedEpisodes:
    """Classify the queries of the source's first episodes, closed-set.

    Args:
        embeddings: (n, D), in the order of the dataset.
    """
    values, asked, right = [], Counter[int](), Counter[int]()
    taken = Counter[tuple[int, int]]()
    for episode in source.episodes(episodes):
        logits = head(embeddings[episode.support], embeddings[episode.query])
        nearest = episode.classes[logits.argmax(axis=1)].reshape(episode.query.shape)
        is_right = nearest == episode.classes[:, None]
        values.append(is_right.mean())
        for kind, row in zip(episode.classes.tolist(), is_right, strict=True):
            asked[kind] += row.size
            right[kind] += int(row.sum())
        taken.update(zip(episode.query[~is_right].tolist(), nearest[~is_right].tolist(), strict=True))
    queries = {kind: Share(right[kind], count) for kind, count in sorted(asked.items())}
    mistakes = tuple(Mistake(*pair, times) for pair, times in taken.most_common())
    return JudgedEpisodes(data, embeddings, np.array(values), queries, mistakes)
