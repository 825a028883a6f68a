"""Episodes: small tasks over a dataset, drawn at random (Vinyals et al. 2016) or listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

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


class EpisodeSource(Protocol):
    """Episodes in an order that never changes."""

    def episodes(self, count: int) -> Iterator[Episode]:
        """The first `count` episodes."""


@dataclass(frozen=True)
class FixedEpisodes:
    """Episodes that a protocol lists, in its order."""

    listed: Sequence[Episode]

    def episodes(self, count: int) -> Iterator[Episode]:
        """The first `count` episodes, of those that there are."""
        return iter(self.listed[:count])


@dataclass(frozen=True)
class PartOfEpisodes:
    """A run of another source's episodes, one of several of equal length, but for one episode.

    Args:
        source: of all episodes.
        part: which one, from 1.
        parts: how many there are.
    """

    source: EpisodeSource
    part: int
    parts: int

    def episodes(self, count: int) -> Iterator[Episode]:
        """Those of the source's first `count` episodes that are of this part."""
        first, end = (count * place // self.parts for place in (self.part - 1, self.part))
        return islice(self.source.episodes(count), first, end)


def examples_of(source: EpisodeSource, count: int) -> NDArray[np.int64]:
    """The examples that a source's first `count` episodes use, in their order, each once."""
    used = [rows.ravel() for episode in source.episodes(count) for rows in (episode.support, episode.query)]
    return np.unique(np.concatenate(used))


class EpisodeSampler:
    """Draws episodes: classes uniformly without replacement, then examples of each without replacement.

    `episode(i)` depends only on the seed and on i, so that a run can be resumed, or an evaluation repeated on the same
    episodes, without drawing those before.

    Args:
        dataset: to draw from.
        way, shot, query: classes in an episode, and support and query examples of each.
        seed: non-negative integer.
        within_group: draw all classes of an episode from one group, itself drawn among those with enough classes. Where
            the authors are known, some authors give the support and others the queries, the same for every class. With
            one shot and one query this is the one-shot task of Lake et al. 2015.
        whole_groups: the share of episodes whose classes are whole groups, drawn one after the other until the way is full
            (the last in part), because classes of one group are harder to tell apart; other episodes draw from all classes.

    Raises:
        DatasetError: the dataset cannot give such an episode; the message names a class that is too small.
    """

    def __init__(
        self,
        dataset: Dataset,
        way: int,
        shot: int,
        query: int,
        seed: int = 0,
        within_group: bool = False,
        whole_groups: float = 0.0,
    ) -> None:
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
        names = np.array(dataset.groups)
        self._groups = [np.flatnonzero(names == group) for group in sorted(set(dataset.groups))]
        if within_group:
            largest = max(self._groups, key=len)
            if len(largest) < way:
                raise DatasetError(
                    f"Way {way} within one group needs a group of {way} classes; the largest in {where}, "
                    f"{dataset.groups[largest[0]]!r}, has {len(largest)}.",
                    "Use a smaller way.",
                )
            self._groups = [members for members in self._groups if len(members) >= way]
        self.dataset, self.way, self.shot, self.query, self.seed = dataset, way, shot, query, seed
        self._within_group, self._whole_groups = within_group, whole_groups
        self._authors = dataset.authors if within_group else None
        self._counts = counts
        self._starts = np.concatenate(([0], np.cumsum(counts)[:-1]))

    def __repr__(self) -> str:
        return f"<EpisodeSampler {self.way}-way {self.shot}-shot, {self.query} queries of {self.dataset!r}>"

    def episode(self, index: int) -> Episode:
        """The episode of that number."""
        rng = np.random.default_rng((self.seed, index))
        classes = self._draw_classes(rng)
        counts = self._counts[classes]
        # Sorting random keys shuffles every class at once; keys past a class's last example sort behind all others.
        keys = rng.random((self.way, int(counts.max())))
        if self._authors is not None:
            order = rng.random(int(self._authors.max()) + 1)
            places = self._starts[classes, None] + np.arange(keys.shape[1])
            keys = order[self._authors[np.minimum(places, len(self._authors) - 1)]]
        keys[np.arange(keys.shape[1]) >= counts[:, None]] = 2.0
        examples = np.argsort(keys, axis=1)[:, : self.shot + self.query] + self._starts[classes, None]
        return Episode(classes, examples[:, : self.shot], examples[:, self.shot :])

    def episodes(self, count: int) -> Iterator[Episode]:
        """The episodes 0 to count − 1."""
        return (self.episode(index) for index in range(count))

    def _draw_classes(self, rng: np.random.Generator) -> NDArray[np.int64]:
        if self._within_group:
            return rng.permutation(self._groups[rng.integers(len(self._groups))])[: self.way]
        if self._whole_groups and rng.random() < self._whole_groups:
            in_order = [rng.permutation(self._groups[group]) for group in rng.permutation(len(self._groups))]
            return np.concatenate(in_order)[: self.way]
        return rng.permutation(len(self._counts))[: self.way]
