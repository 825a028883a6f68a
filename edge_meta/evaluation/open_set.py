"""Unknown examples: over episodes, how many strangers are accepted and how many known queries are rejected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_meta.datasets.episodes import Episode, EpisodeSampler
from edge_meta.errors import DatasetError
from edge_meta.evaluation.episode_heads import EpisodeHead
from edge_meta.evaluation.interval import Interval
from edge_meta.heads.none_points import NonePoints
from edge_meta.heads.prototypes import class_scatters
from edge_meta.heads.rejection import Rejection
from edge_meta.heads.store_evidence import MOST_SHOTS, Evidence, spread_over
from edge_meta.types import Array, Array64


@dataclass(frozen=True)
class OpenSet:
    """Fractions, with 95 % intervals over episodes.

    Attributes:
        asked: the false-accept rate that was asked for.
        auroc: the probability that a known query's distance, divided by its limit, is below a stranger's, over the pairs
            of all episodes.
        false_accept: strangers that count as known.
        rejected_known: queries of enrolled classes that count as unknown.
    """

    asked: float
    auroc: Interval
    false_accept: Interval
    rejected_known: Interval


def judge_strangers(
    embeddings: Array,
    sampler: EpisodeSampler,
    episodes: int,
    head: EpisodeHead,
    rejection: Rejection,
    false_accept: float | None = None,
    elsewhere: Array | None = None,
    enrolled: Array | None = None,
    none: int = 0,
) -> OpenSet:
    """Enroll each episode's support, then count which of its queries, and of as many strangers, are known.

    The limits come from the rejection's calibration and the support alone.

    Args:
        embeddings: (examples, D), in the order of the sampler's dataset.
        head: chooses the label whose distance and limit count.
        elsewhere: (n, D), embeddings of strangers. Unless given, strangers are from the sampler's dataset, of groups that
            the episode does not use, or of its other classes where there is no such group.
        enrolled: as `embeddings`, for examples that are enrolled, if they were embedded in another way.
        none: how many examples of none each episode is shown. They are of other classes than its strangers: the classes left
            are dealt out in halves. Not with `elsewhere`.

    Raises:
        DatasetError: the episodes use all classes, so that no strangers are left.
    """
    enrolled = embeddings if enrolled is None else enrolled
    known: list[Array64] = []
    strange: list[Array64] = []
    counts = np.full(sampler.way, sampler.shot)
    chosen = spread_over(sampler.way)
    owners = np.repeat(chosen, min(sampler.shot, MOST_SHOTS))
    for episode, strangers, shown in _with_strangers(sampler, episodes, embeddings, elsewhere, none):
        support = enrolled[episode.support]
        prototypes = support.mean(axis=1)
        scatters = class_scatters(support, prototypes)
        shots = support[chosen, :MOST_SHOTS].reshape(-1, support.shape[2])
        evidence = Evidence(shots, owners, prototypes, counts, scatters)
        limits = rejection.corrected(rejection.limits(counts, scatters, false_accept), evidence, false_accept)
        points = NonePoints(shown)
        for found, examples in ((known, embeddings[episode.query].reshape(-1, prototypes.shape[1])), (strange, strangers)):
            nearest = head(support, examples[None]).argmax(axis=1)
            distances = ((examples - prototypes[nearest]) ** 2).sum(axis=1)
            known_up_to = limits[nearest]
            if none:
                of_none = [points.limit(example, sampler.shot) for example in examples]
                known_up_to = np.maximum(np.minimum(known_up_to, of_none), np.finfo(np.float64).tiny)
            found.append(distances / known_up_to)  # above 1 is unknown
    return OpenSet(
        asked=rejection.false_accept if false_accept is None else false_accept,
        auroc=auroc(np.array(known), np.array(strange)),
        false_accept=Interval.of((np.array(strange) <= 1.0).mean(axis=1)),
        rejected_known=Interval.of((np.array(known) > 1.0).mean(axis=1)),
    )


def auroc(low: Array64, high: Array64) -> Interval:
    """Area under the ROC curve: P(a value of `low` < one of `high`), ties half, over the pairs of all rows.

    The interval takes rows, not values, as independent: the variance of a U-statistic of clusters (Obuchowski 1997).

    Args:
        low, high: (episodes, n) and (episodes, m).
    """
    below = _share_below(low.ravel(), high.ravel()).reshape(high.shape).mean(axis=1)  # of low, for each of high
    above = 1.0 - _share_below(high.ravel(), low.ravel()).reshape(low.shape).mean(axis=1)
    interval = Interval.of(below + above)
    return Interval(float(below.mean()), interval.ci95)


def _share_below(values: Array64, at: Array64) -> Array64:
    """For each of `at`, the share of `values` below it plus half the share equal to it."""
    ordered = np.sort(values)
    both = np.searchsorted(ordered, at, "left") + np.searchsorted(ordered, at, "right")
    share: Array64 = both / (2.0 * len(values))
    return share


def _with_strangers(
    sampler: EpisodeSampler, episodes: int, embeddings: Array, elsewhere: Array | None, none: int
) -> Iterator[tuple[Episode, Array, Array]]:
    """Yields each episode, as many strangers' embeddings as it has queries, with replacement, and those of none."""
    data = sampler.dataset
    groups = np.array(data.groups)
    for index, episode in enumerate(sampler.episodes(episodes)):
        rng = np.random.default_rng((sampler.seed, index, 1))
        pool, shown = elsewhere, embeddings[:0]
        if pool is None:
            foreign = ~np.isin(groups, groups[episode.classes])
            if not foreign.any():
                foreign = ~np.isin(np.arange(len(groups)), episode.classes)
            if none:
                aside = rng.permutation(np.flatnonzero(foreign))[: max(1, int(foreign.sum()) // 2)]
                shown = rng.permutation(embeddings[np.isin(data.labels, aside)])[:none]
                foreign[aside] = False
            pool = embeddings[foreign[data.labels]]
        if not len(pool):
            raise DatasetError("The episodes use all classes, so that no strangers are left.", "Use a smaller way.")
        yield episode, pool[rng.integers(len(pool), size=sampler.way * sampler.query)], shown
