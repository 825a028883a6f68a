"""Episodes: small tasks drawn from a dataset (Vinyals et al. 2016). NumPy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.base import Dataset
from edge_meta.errors import DatasetError


@dataclass(frozen=True)
class Episode:
    """A task of `way` classes: indices into a dataset.

    Attributes:
        classes: (way,) class indices, all different.
        support: (way, shot) example indices that the task is learned from.
        query: (way, query) example indices that it is judged on; none is in `support`.
    """

    classes: NDArray[np.int64]
    support: NDArray[np.int64]
    query: NDArray[np.int64]


class EpisodeSampler:
    """Draws episodes: classes uniformly without replacement, then examples of each without replacement.

    `episode(i)` depends only on the seed and on i, so that a run can be resumed, or an evaluation repeated on the very same
    episodes, without replaying what came before.

    Args:
        dataset: where the examples are.
        way, shot, query: classes in an episode, and support and query examples of each.
        seed: non-negative integer.

    Raises:
        DatasetError: the dataset cannot give such an episode; the message names the class that is too small.
    """

    def __init__(self, dataset: Dataset, way: int, shot: int, query: int, seed: int = 0) -> None:
        if way < 2 or shot < 1 or query < 1 or seed < 0:
            raise DatasetError(
                f"An episode of way {way}, shot {shot}, query {query} (seed {seed}) is not possible.",
                "Use a way of at least 2, a shot and a query of at least 1, and a seed of at least 0.",
            )
        where = f"the {dataset.split} split of {dataset.name}"
        counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
        if len(counts) < way:
            raise DatasetError(f"Way {way} needs {way} classes; {where} has {len(counts)}.", "Use a smaller way.")
        smallest = int(np.argmin(counts))
        if counts[smallest] < shot + query:
            raise DatasetError(
                f"Class {dataset.class_names[smallest]} has {counts[smallest]} examples in {where}; "
                f"shot {shot} + query {query} need {shot + query}.",
                "Use a smaller shot or query, or add examples to that class.",
            )
        self.dataset, self.way, self.shot, self.query, self.seed = dataset, way, shot, query, seed
        self._counts = counts
        self._starts = np.concatenate(([0], np.cumsum(counts)[:-1]))

    def episode(self, index: int) -> Episode:
        """The episode of that number."""
        rng = np.random.default_rng((self.seed, index))
        classes = rng.permutation(len(self._counts))[: self.way]
        counts = self._counts[classes]
        # Sorting random keys shuffles every class at once; keys past a class's last example sort behind all others.
        keys = rng.random((self.way, int(counts.max())))
        keys[np.arange(keys.shape[1]) >= counts[:, None]] = 2.0
        examples = np.argsort(keys, axis=1)[:, : self.shot + self.query] + self._starts[classes, None]
        return Episode(classes, examples[:, : self.shot], examples[:, self.shot :])

    def episodes(self, count: int) -> Iterator[Episode]:
        """The episodes 0 to count − 1."""
        return (self.episode(index) for index in range(count))
