"""One run through teaching, asking, undoing and forgetting, on drawn letters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.device import takes

from edge_meta import Classifier
from edge_meta.evaluation.own_examples import Named
from edge_meta.evaluation.taught_things import Asked, TaughtThings, teach_things

KINDS = {"alef": 0, "bet": 1, "gimel": 2, "star": 7, "moon": 8}


@pytest.fixture
def classifier(tmp_path: Path) -> Iterator[Classifier]:
    with Classifier.load("omniglot", tmp_path / "store.db") as classifier:
        yield classifier


def embedded(classifier: Classifier, label: str, count: int, first: int) -> list[Named]:
    found = enumerate(takes(KINDS[label], count, first), first)
    return [(f"{label} {take}", classifier.embed(pixels)) for take, pixels in found]


def taught(classifier: Classifier) -> TaughtThings:
    shown = {label: embedded(classifier, label, 4, 0) for label in ("alef", "bet", "gimel")}
    new = {label: embedded(classifier, label, 3, 10) for label in KINDS}
    mistaken = ("alef", "bet", embedded(classifier, "alef", 1, 20)[0])
    return teach_things(classifier, shown, new, mistaken, ("star", embedded(classifier, "star", 4, 0)))


def test_new_examples_and_strangers_are_judged(classifier: Classifier) -> None:
    task = taught(classifier)
    assert task.check.examples.share("right").out_of == 9
    assert task.check.examples.share("right").count >= 8
    assert task.check.strangers is not None
    assert task.check.strangers.kinds == ["star", "moon"]
    assert task.left_out.shots.share("right").out_of == 12


def test_a_mistake_is_noted_and_undone(classifier: Classifier) -> None:
    mistake = taught(classifier).mistake
    assert mistake.cause == "alef 20 is nearer to alef than to the other shots of bet."
    assert (mistake.shots, mistake.shots_after) == (5, 4)


def test_a_newcomer_is_right_while_it_is_taught(classifier: Classifier) -> None:
    newcomer = taught(classifier).newcomer
    assert newcomer.before.right == newcomer.forgotten.right == 0
    assert newcomer.taught == Asked(right=3, mistaken=0, unknown=0)


def test_the_store_ends_as_it_was_taught(classifier: Classifier) -> None:
    taught(classifier)
    assert {label: classifier.shots(label) for label in classifier.labels} == dict.fromkeys(("alef", "bet", "gimel"), 4)
