"""One run through what a store can do: teach, ask, meet strangers, undo a mistake, teach one more thing, forget it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edge_meta.evaluation.doubtful_shots import doubtful_shots, enrolled_shots
from edge_meta.evaluation.own_examples import Check, LeftOut, Named, check_examples, leave_out
from edge_meta.runtime.classifier import Classifier
from edge_meta.types import Array


class Asked(NamedTuple):
    """Answers to examples of one label: counts."""

    right: int
    mistaken: int
    unknown: int


@dataclass(frozen=True)
class Mistake:
    """An example that was enrolled under another label than its own, and the undo of that.

    Attributes:
        cause: what was noted of it; None if nothing was.
        shots, shots_after: of that label, with the example and after the undo.
    """

    name: str
    label: str
    enrolled_as: str
    cause: str | None
    shots: int
    shots_after: int


@dataclass(frozen=True)
class Newcomer:
    """A stranger that becomes a label and is forgotten: answers to its examples at each stage."""

    label: str
    before: Asked
    taught: Asked
    forgotten: Asked


@dataclass(frozen=True)
class TaughtThings:
    """The results.

    Attributes:
        left_out: the judgement by the enrolled examples alone, each left out.
        check: the answers to new examples, those of strangers among them.
    """

    left_out: LeftOut
    check: Check
    mistake: Mistake
    newcomer: Newcomer


def teach_things(
    classifier: Classifier,
    shown: Mapping[str, Sequence[Named]],
    new: Mapping[str, Sequence[Named]],
    mistaken: tuple[str, str, Named],
    later: tuple[str, Sequence[Named]],
) -> TaughtThings:
    """Run through it all. In the end, the store holds the labels of `shown`, as they were taught.

    Args:
        classifier: with an empty store.
        shown: label → examples to enroll.
        new: label → examples to classify; those of other labels are strangers.
        mistaken: the label of an example, another that it is enrolled as, and the example.
        later: a label of `new` that is a stranger, and examples to teach it by.
    """
    classifier.enroll_embeddings({label: _stack(examples) for label, examples in shown.items()})
    left_out, check = leave_out(classifier), check_examples(classifier, new)
    mistake = _enroll_by_mistake(classifier, *mistaken)
    label, examples = later
    before = _ask(classifier, label, new[label])
    classifier.enroll_embeddings({label: _stack(examples)})
    taught = _ask(classifier, label, new[label])
    classifier.forget(label)
    return TaughtThings(left_out, check, mistake, Newcomer(label, before, taught, _ask(classifier, label, new[label])))


def _enroll_by_mistake(classifier: Classifier, label: str, enrolled_as: str, example: Named) -> Mistake:
    stored = enrolled_shots(classifier.store)
    (enrolled,) = classifier.enroll_embeddings({enrolled_as: _stack([example])})
    doubts = doubtful_shots({enrolled_as: [example]}, stored, classifier.store.snapshot())
    classifier.undo()
    cause = doubts[0].cause if doubts else None
    return Mistake(example[0], label, enrolled_as, cause, enrolled.shots, classifier.shots(enrolled_as))


def _ask(classifier: Classifier, label: str, examples: Sequence[Named]) -> Asked:
    """Answers to a label's examples. While it is a stranger, none can be right."""
    answers = [classifier.classify_embedding(embedding, 1).best.label for _, embedding in examples]
    right, unknown = answers.count(label), answers.count(None)
    return Asked(right, len(answers) - right - unknown, unknown)


def _stack(examples: Sequence[Named]) -> Array:
    return np.stack([embedding for _, embedding in examples])
