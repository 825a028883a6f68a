"""Examples of none at a classifier: what lies near them is unknown, and they are never answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.device import draw, takes

from edge_meta import Classifier
from edge_meta.errors import InputError, LabelError

STRANGER = 9


@pytest.fixture(params=[True, False], ids=["shots", "sums"])
def taught(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Classifier]:
    """Two labels, with limits so wide that a stranger is known."""
    with Classifier.load("omniglot", tmp_path / "store.db", false_accept=0.5, keep_shots=request.param) as classifier:
        for kind, label in enumerate(("alef", "bet")):
            classifier.enroll(label, takes(kind, 3))
        yield classifier


def test_what_was_shown_as_none_is_unknown(taught: Classifier) -> None:
    assert taught.classify(draw(STRANGER, 8)).known
    enrolled = taught.enroll_none(takes(STRANGER, 3))
    assert enrolled == ("", 3, 3, 2)
    assert not taught.classify(draw(STRANGER, 8)).known
    assert all(taught.classify(draw(kind, 8)).best.label == label for kind, label in enumerate(taught.labels))


def test_none_is_never_answered(taught: Classifier) -> None:
    taught.enroll_none(takes(STRANGER, 3))
    assert taught.labels == ["alef", "bet"]
    assert taught.none_shots == 3
    result = taught.classify(draw(STRANGER, 1), top_k=5)
    assert {near.label for near in result.top} == {"alef", "bet"}


def test_undo_and_forget_make_it_known_again(taught: Classifier) -> None:
    before = taught.classify(draw(STRANGER, 8))
    for back in (taught.undo, taught.forget_none):
        taught.enroll_none(takes(STRANGER, 3))
        assert not taught.classify(draw(STRANGER, 8)).known
        back()
        assert taught.classify(draw(STRANGER, 8)) == before
    assert taught.none_shots == 0


def test_none_alone_is_nothing_to_classify_by(tmp_path: Path) -> None:
    with Classifier.load("omniglot", tmp_path / "store.db") as classifier:
        assert classifier.enroll_none(takes(0, 2)) == ("", 2, 2, 0)
        with pytest.raises(LabelError, match="Nothing is enrolled"):
            classifier.classify(draw(0))
        classifier.enroll("alef", takes(1, 2))
        assert classifier.classify(draw(1, 5)).known


def test_no_examples_of_none_are_refused(taught: Classifier) -> None:
    with pytest.raises(InputError, match="given for none"):
        taught.enroll_none([])


def test_another_classifiers_examples_of_none_are_seen(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with Classifier.load("omniglot", store, false_accept=0.5) as one, Classifier.load("omniglot", store) as other:
        one.enroll("alef", takes(0, 3))
        assert one.classify(draw(STRANGER, 8)).known
        other.enroll_none(takes(STRANGER, 3))
        assert not one.classify(draw(STRANGER, 8)).known


def test_an_adapted_head_heeds_examples_of_none(tmp_path: Path) -> None:
    with Classifier.load("omniglot", tmp_path / "store.db", false_accept=0.5) as classifier:
        for kind in range(2):
            classifier.enroll(str(kind), takes(kind, 3))
        classifier.enroll_none(takes(STRANGER, 3))
        assert classifier.adapt(steps=2).classes == 2
        assert not classifier.classify(draw(STRANGER, 8)).known
