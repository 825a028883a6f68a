"""Judge tensors and input ranges of another maker's model by episodes on calibration data, run in its own interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.calibration.embedding_normalization import EmbeddingNormalization
from converters.external.agreement import LEAST_VARIATION, variation
from converters.external.input_range import IMAGENET, SIGNED, Range
from converters.external.input_spec import in_range
from converters.external.source_input import SourceInput
from converters.external.source_model import TfliteModel
from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import ExportError
from edge_meta.evaluation.accuracy import accuracies
from edge_meta.types import Array, Array64

RANDOM_SEED = 17
EPISODES = 200
CLASSES, EXAMPLES = 20, 20  # of each, of the calibration data: they tell candidates apart
# A candidate is clearly worse if its accuracy on the same episodes is lower by two standard errors, and half a point.
ERRORS, LEAST = 2.0, 0.005


@dataclass(frozen=True)
class Judgement:
    """The winner, and the accuracy of each candidate by episodes, as fractions.

    Attributes:
        range: the input range that was taken.
        tensor: the tensor that was taken.
        tensors: accuracy by tensor, in that range.
        ranges: accuracy by the range's name, each with its best tensor.
        protocol: way and shot.
    """

    range: Range
    tensor: int
    tensors: dict[int, float]
    ranges: dict[str, float]
    protocol: tuple[int, int]


def few_of_each(data: Dataset) -> Dataset:
    """At most 20 examples of at most 20 classes of a dataset, spread over it."""
    classes = np.unique(np.linspace(0, len(data.class_names) - 1, min(CLASSES, len(data.class_names))).astype(int))
    rows = []
    for label in classes:
        own = np.flatnonzero(data.labels == label)
        rows.append(own[np.unique(np.linspace(0, len(own) - 1, min(EXAMPLES, len(own))).astype(int))])
    chosen = np.concatenate(rows)
    return replace(
        data,
        examples=data.examples[chosen],
        labels=np.searchsorted(classes, data.labels[chosen]).astype(np.int32),
        class_names=tuple(data.class_names[label] for label in classes),
        groups=tuple(data.groups[label] for label in classes),
        authors=None,
    )


def judge(
    model: TfliteModel, given: SourceInput, ranges: Sequence[Range], data: Dataset, name: str, batch: int = 1
) -> Judgement:
    """Run a model on calibration data in each range, and compare its tensors.

    Args:
        model: with the candidates as its tensors, the likeliest first.
        given: its input; its range need not be known.
        ranges: candidates, the most usual first.
        data: see `few_of_each`.
        name: of the model, for messages.

    Raises:
        ExportError: no range is clearly best.
        DatasetError: the data is too small for episodes.
    """
    way, shot, query = data.protocol(shot=1)
    sampler = EpisodeSampler(data, way, shot, query, RANDOM_SEED)
    scored: dict[Range, list[Array64]] = {}
    for each in ranges:
        values = in_range(given, each).values(data.examples)
        scored[each] = [_accuracies(embeddings, sampler) for embeddings in model.read(values)]
    tops = {each: max(rows, key=lambda row: row.mean()) for each, rows in scored.items()}
    taken = _clearly_best_range(tops, name, data.name) if len(ranges) > 1 else ranges[0]
    rows = scored[taken]
    best = max(rows, key=lambda row: row.mean())
    first = next(place for place, row in enumerate(rows) if not _clearly_worse(row, best))
    return Judgement(
        taken,
        model.tensors[first],
        {tensor: _rounded(row) for tensor, row in zip(model.tensors, rows, strict=True)},
        {each.name: _rounded(row) for each, row in tops.items()},
        (way, shot),
    )


def _accuracies(embeddings: Array, sampler: EpisodeSampler) -> Array64:
    """Of centred embeddings of unit length, as they are compared when they are normalized (Wang et al. 2019)."""
    if not np.isfinite(embeddings).all() or variation(embeddings) < LEAST_VARIATION:
        return np.zeros(EPISODES)
    normalized = EmbeddingNormalization(embeddings.mean(axis=0), 1.0).apply(embeddings)
    return accuracies(normalized, sampler, EPISODES)


def _clearly_best_range(tops: dict[Range, Array64], name: str, dataset: str) -> Range:
    best = max(tops, key=lambda each: tops[each].mean())
    rivals = [each for each in tops if each == best or not _clearly_worse(tops[each], tops[best])]
    # These two differ little, and networks that were trained in one work in the other.
    if rivals == [best] or set(rivals) == {SIGNED, IMAGENET}:
        return best
    scores = ", ".join(f"{each.name} {100 * row.mean():.1f} %" for each, row in tops.items())
    raise ExportError(
        f"{name} does not say in which range it wants its values, and {dataset} does not tell ({scores}).",
        f"Say it with --mean and --scale; for {best.name}: {best.options()}.",
    )


def _clearly_worse(row: Array64, best: Array64) -> bool:
    lost = best - row
    error = float(lost.std(ddof=1)) / len(lost) ** 0.5
    return bool(lost.mean() > max(ERRORS * error, LEAST))


def _rounded(row: Array64) -> float:
    return round(float(row.mean()), 4)


def as_report(judgement: Judgement, names: dict[int, str], dataset: str) -> dict[str, Any]:
    """The judgement for the manifest.

    Args:
        names: of the tensors.
    """
    way, shot = judgement.protocol
    tensors = {names[tensor]: accuracy for tensor, accuracy in judgement.tensors.items()}
    return {"dataset": dataset, "way": way, "shot": shot, "tensors": tensors, "ranges": judgement.ranges}
