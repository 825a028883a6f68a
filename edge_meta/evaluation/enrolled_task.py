"""One task on a `Classifier`: enroll classes from a few shots, classify queries and strangers, adapt, classify again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import Dataset
from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.runtime.classifier import Classifier

TASK_WAY, TASK_SHOT, TASK_QUERY = 20, 5, 10


@dataclass(frozen=True)
class EnrolledTask:
    """Results of one 20-way task.

    Attributes:
        examples: (way, shot + query) indices into the test split; the first `TASK_SHOT` of each were enrolled.
        answers: (way, query) the nearest label of each query, as an index of the task's classes.
        closed_set, adapted: accuracy of the nearest label before and after adapting the last layer, as fractions.
        rejected_known, rejected_strangers: fractions of queries, and of examples of other classes, called unknown.
        loss_before, loss_after: see `Adapted`.
    """

    examples: NDArray[np.int64]
    answers: NDArray[np.int64]
    closed_set: float
    adapted: float
    rejected_known: float
    rejected_strangers: float
    loss_before: float
    loss_after: float

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(way, way): the number of queries of a row's class whose nearest label is the column's."""
        way = len(self.answers)
        return np.stack([np.bincount(row, minlength=way) for row in self.answers])

    def summary(self) -> dict[str, Any]:
        fields = {key: value for key, value in vars(self).items() if isinstance(value, float)}
        return {"way": len(self.answers), "shot": TASK_SHOT, "query": TASK_QUERY, **fields}


def enroll_and_classify(classifier: Classifier, data: Dataset) -> EnrolledTask:
    """Enroll 20 classes, classify their other examples and those of strangers, adapt, classify again."""
    way = min(TASK_WAY, len(data.class_names) // 2)
    episode = EpisodeSampler(data, way, TASK_SHOT, TASK_QUERY, seed=3).episode(0)
    labels = [data.class_names[index] for index in episode.classes]
    for label, support in zip(labels, episode.support, strict=True):
        classifier.enroll(label, data.examples[support])

    def classify_queries() -> tuple[NDArray[np.int64], float]:
        results = [[classifier.classify(data.examples[query]) for query in queries] for queries in episode.query]
        answers = np.array([[labels.index(str(result.top[0].label)) for result in row] for row in results])
        return answers, float(np.mean([[not result.known for result in row] for row in results]))

    truth = np.arange(way)[:, None]
    answers, rejected_known = classify_queries()
    foreign = np.flatnonzero(~np.isin(data.labels, episode.classes))
    strangers = np.random.default_rng(3).choice(foreign, episode.query.size)
    rejected = [not classifier.classify(data.examples[stranger]).known for stranger in strangers]
    adapted = classifier.adapt()
    after, _ = classify_queries()
    return EnrolledTask(
        examples=np.concatenate([episode.support, episode.query], axis=1),
        answers=answers,
        closed_set=float(np.mean(answers == truth)),
        adapted=float(np.mean(after == truth)),
        rejected_known=rejected_known,
        rejected_strangers=float(np.mean(rejected)),
        loss_before=adapted.loss_before,
        loss_after=adapted.loss_after,
    )
