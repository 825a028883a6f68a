"""The shipped bundle for gestures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.motions import motion

from edge_meta import Classifier

LARGEST = 40_000  # bytes of encoder.tflite
LABELS = ("circle", "push", "zigzag")


@pytest.fixture
def gestures(tmp_path: Path) -> Iterator[Classifier]:
    with Classifier.load("gestures", tmp_path / "store.db") as classifier:
        for kind, label in enumerate(LABELS):
            classifier.enroll(label, [motion(kind, take) for take in range(3)])
        yield classifier


def answers(gestures: Classifier, columns: int = 6, steps: int = 145) -> list[str | None]:
    asked = [motion(kind, take, steps)[:, :columns] for kind in range(3) for take in range(3, 7)]
    return [gestures.classify(each).top[0].label for each in asked]


def test_gestures_are_told_apart(gestures: Classifier) -> None:
    assert answers(gestures) == [label for label in LABELS for _ in range(4)]


def test_other_lengths_and_rates_are_taken(gestures: Classifier) -> None:
    assert answers(gestures, steps=60) == [label for label in LABELS for _ in range(4)]


def test_an_accelerometer_alone_is_enough(tmp_path: Path) -> None:
    with Classifier.load("gestures", tmp_path / "three.db") as classifier:
        for kind, label in enumerate(LABELS):
            classifier.enroll(label, [motion(kind, take)[:, :3] for take in range(3)])
        assert answers(classifier, columns=3) == [label for label in LABELS for _ in range(4)]


def test_a_table_with_named_columns_is_taken(gestures: Classifier, tmp_path: Path) -> None:
    table, values = tmp_path / "one.csv", motion(2, 9)
    np.savetxt(table, values[:, ::-1], delimiter=",", header="gz,gy,gx,az,ay,ax", comments="")
    np.testing.assert_allclose(gestures.embed(table), gestures.embed(values), atol=1e-4)


def test_it_is_small_and_says_what_it_was_made_of(gestures: Classifier) -> None:
    assert len(gestures.bundle.model) <= LARGEST
    assert gestures.bundle.manifest.rejection is not None
    card = (Path(gestures.bundle.path) / "README.md").read_text("utf-8")
    assert "no phone recorded any" in card
