"""Check a classifier on its user's own examples: a labelled folder of them, or the enrolled shots, each left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import StoreError
from edge_meta.evaluation.expected import Expected
from edge_meta.evaluation.interval import Share
from edge_meta.evaluation.left_out import (
    Answers,
    label_sums,
    leave_labels_out,
    leave_none_out,
    leave_shots_out,
    left_out_distances,
)
from edge_meta.heads.none_points import NonePoints
from edge_meta.runtime.classifier import Classifier
from edge_meta.runtime.limits import none_points
from edge_meta.store.messages import nothing_enrolled
from edge_meta.store.reader import NONE
from edge_meta.types import Array, Integers

Named = tuple[str, Array]
"""An example's name, such as its file, and its embedding (D,)."""


class Outcome(NamedTuple):
    """The answer to one example.

    Attributes:
        name: the file, or the id of a shot.
        label: its own; for a stranger, the name of its folder.
        stranger: whether that label is not enrolled.
        taken_for: None if it is called unknown.
        nearest: the nearest label, known or not.
        distance: the squared distance to that label's prototype.
        of_limit: the distance divided by the label's limit; above 1 is unknown, None without limits.
    """

    name: str
    label: str
    stranger: bool
    taken_for: str | None
    nearest: str
    distance: float
    of_limit: float | None


class Pair(NamedTuple):
    """Two labels that are hard to tell apart.

    Attributes:
        mistaken: how many examples of one were taken for the other.
        nearer: how many enrolled shots of one are nearer to the other than to their own label without them.
    """

    a: str
    b: str
    mistaken: int
    nearer: int


@dataclass(frozen=True)
class Judged:
    """Answers to examples, with the names of what they are.

    Attributes:
        names: of the examples (M,).
        kinds: their labels, or their folders' names; `answers.truth` counts these.
        labels: that are enrolled; `answers.nearest` counts these.
    """

    names: Sequence[str]
    kinds: Sequence[str]
    labels: Sequence[str]
    answers: Answers

    def __len__(self) -> int:
        return len(self.names)

    def share(self, which: str, kind: int | None = None) -> Share:
        """The share of all examples, or of one kind, that are `right`, `mistaken`, `known` or `unknown`."""
        answers = self.answers
        chosen = ~answers.known if which == "unknown" else getattr(answers, which)
        of_kind = np.ones(len(chosen), bool) if kind is None else answers.truth == kind
        return Share(int((chosen & of_kind).sum()), int(of_kind.sum()))

    def outcomes(self) -> list[Outcome]:
        """One for each example, in their order."""
        answers, enrolled = self.answers, set(self.labels)
        rows = zip(self.names, answers.truth, answers.nearest, answers.known, answers.distances, answers.limits, strict=True)
        outcomes = []
        for name, truth, nearest, known, distance, limit in rows:
            kind, label = self.kinds[truth], self.labels[nearest]
            of_limit = float(distance / limit) if 0 < limit < np.inf else None
            taken_for = label if known else None
            outcomes.append(Outcome(name, kind, kind not in enrolled, taken_for, label, float(distance), of_limit))
        return outcomes


@dataclass(frozen=True)
class LeftOut:
    """The enrolled shots, each left out and judged by the others.

    Attributes:
        shots: answers of the store without that shot.
        strangers: answers of the store without the shot's label.
        none: answers to the examples of none, by the store without that example.
        single: labels with one shot, which cannot be judged.
    """

    shots: Judged
    strangers: Judged
    none: Judged
    single: tuple[str, ...]

    @property
    def expected(self) -> Expected:
        """The shares to be expected."""
        return Expected(self.strangers.share("known"), self.shots.share("unknown"), self.none.share("known"))


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        examples: of enrolled labels: those of the folder, or the shots left out.
        strangers: the folder's examples of no enrolled label; None without a folder.
        left_out: None if the store keeps no single shots.
        says_unknown: whether the bundle is calibrated for unknown.
        can_promise: whether the bundle's calibration and the store are enough to promise a share of false accepts.
        adapted: whether the head is adapted; only the folder's examples are judged by it, shots by prototypes.
    """

    examples: Judged
    strangers: Judged | None
    left_out: LeftOut | None
    says_unknown: bool
    can_promise: bool
    adapted: bool

    @property
    def mistakes(self) -> list[Outcome]:
        """Examples taken for a label not theirs, the nearest first; then those called unknown, the farthest first."""
        wrong = [each for each in self.examples.outcomes() if each.taken_for != each.label]
        wrong += [each for each in (self.strangers.outcomes() if self.strangers else []) if each.taken_for is not None]
        taken = [each for each in wrong if each.taken_for is not None]
        unknown = [each for each in wrong if each.taken_for is None]
        return sorted(taken, key=_farness) + sorted(unknown, key=_farness, reverse=True)

    @property
    def pairs(self) -> list[Pair]:
        """Labels that look alike, those that are most often mistaken first."""
        labels = self.examples.labels
        mistaken = _confusions(self.examples, self.examples.answers.mistaken)
        nearer = np.zeros_like(mistaken)
        if self.left_out is not None:
            nearer = _confusions(self.left_out.shots, np.ones(len(self.left_out.shots), bool))
        mistaken, nearer = mistaken + mistaken.T, nearer + nearer.T
        both = [
            Pair(labels[a], labels[b], int(mistaken[a, b]), int(nearer[a, b]))
            for a, b in np.argwhere(np.triu(mistaken + nearer))
        ]
        return sorted(both, key=lambda pair: (-pair.mistaken, -pair.nearer))


def check_examples(classifier: Classifier, examples: Mapping[str, Sequence[Named]]) -> Check:
    """Classify labelled examples. Those whose label is not enrolled are strangers.

    Args:
        examples: label → its examples.

    Raises:
        LabelError: nothing is enrolled.
        StoreError: the store is damaged, or another program changed it meanwhile.
    """
    labels = classifier.labels
    if not labels:
        raise nothing_enrolled(classifier.store.path)
    limits = dict(zip(labels, classifier.limits(), strict=False))
    none = none_points(classifier.store)
    strange = [label for label in examples if label not in limits]

    def judged(kinds: Sequence[str]) -> Judged:
        truth, nearest, distances, known_up_to, names = [], [], [], [], []
        for kind, label in enumerate(kinds):
            for name, embedding in examples.get(label, ()):
                best = classifier.classify_embedding(embedding, 1).top[0]
                if best.label not in limits:
                    raise _changed(classifier)
                truth.append(kind)
                nearest.append(labels.index(best.label))
                distances.append(best.distance)
                known_up_to.append(min(limits[best.label], none.limit(embedding, classifier.shots(best.label))))
                names.append(name)
        indices = np.array(truth, np.int64), np.array(nearest, np.int64)
        numbers = np.array(distances, np.float64), np.array(known_up_to, np.float64)
        return Judged(names, kinds, labels, Answers(*indices, *numbers))

    left_out = leave_out(classifier) if classifier.store.database.keeps_shots else None
    return _check(classifier, judged(labels), judged(strange), left_out)


def check_shots(classifier: Classifier) -> Check:
    """Judge each enrolled shot by the others.

    Raises:
        LabelError: nothing is enrolled.
        StoreError: the store keeps no single shots, is damaged, or another program changed it meanwhile.
    """
    left_out = leave_out(classifier)
    return _check(classifier, left_out.shots, None, left_out)


def leave_out(classifier: Classifier) -> LeftOut:
    """Leave each shot, and each label, out in turn, by the prototypes; an adapted head plays no part.

    Raises:
        LabelError, StoreError: see `check_shots`.
    """
    if not classifier.labels:
        raise nothing_enrolled(classifier.store.path)
    if not classifier.store.database.keeps_shots:
        raise StoreError(
            f"{classifier.store.path} keeps no single shots to leave out.",
            "Give a folder of examples, one subfolder per label.",
        )
    limits, ids = classifier.limits(), [shot for label, shot, _ in classifier.store.shots() if label != NONE]
    with classifier.store.everything() as reader:
        now, none_shots = reader.snapshot(), reader.none_shots()
        embeddings, owners, _ = reader.shots()
    labels = now.labels
    if (len(labels), len(embeddings)) != (len(limits), len(ids)):
        raise _changed(classifier)
    sums, counts = label_sums(embeddings, owners, len(labels))
    distances = left_out_distances(embeddings, owners, sums, counts)
    of_none = np.array(list(none_shots.values()), np.float32).reshape(-1, embeddings.shape[1])
    to_none = np.array([NonePoints(of_none).nearest(embedding) for embedding in embeddings])
    shots = leave_shots_out(distances, owners, counts, limits, to_none)
    strangers = leave_labels_out(distances, owners, counts, limits, to_none)
    none = leave_none_out(of_none, now.prototypes, counts, limits)
    judged = [shot for shot, owner in zip(ids, owners, strict=True) if counts[owner] > 1]
    return LeftOut(
        Judged(judged, labels, labels, shots),
        Judged(ids[: len(strangers.truth)], labels, labels, strangers),
        Judged([shot.hex() for shot in none_shots], (*labels, NONE), labels, none),
        tuple(label for label, count in zip(labels, counts, strict=True) if count == 1),
    )


def _check(classifier: Classifier, examples: Judged, strangers: Judged | None, left_out: LeftOut | None) -> Check:
    rejection = classifier.bundle.manifest.rejection
    can_promise = rejection is not None and rejection.can_promise(len(examples.labels))
    adapted = bool(classifier.store.snapshot().columns)
    return Check(examples, strangers, left_out, rejection is not None, can_promise, adapted)


def _confusions(judged: Judged, chosen: NDArray[np.bool_]) -> Integers:
    """(N, N): how many of the chosen examples of a row's label are nearest to a column's; zero on the diagonal."""
    counts = np.zeros((len(judged.labels),) * 2, np.int64)
    np.add.at(counts, (judged.answers.truth[chosen], judged.answers.nearest[chosen]), 1)
    np.fill_diagonal(counts, 0)
    return counts


def _farness(outcome: Outcome) -> float:
    return outcome.distance if outcome.of_limit is None else outcome.of_limit


def _changed(classifier: Classifier) -> StoreError:
    return StoreError(f"Another program changed {classifier.store.path} meanwhile.", "Try again.")
