"""The shipped bundle for words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.calls import call

from edge_meta import Classifier

LARGEST = 400_000  # bytes of encoder.tflite


@pytest.fixture
def keywords(tmp_path: Path) -> Iterator[Classifier]:
    with Classifier.load("keywords", tmp_path / "store.db") as classifier:
        for kind, label in enumerate(("up", "down", "twice")):
            classifier.enroll(label, [call(kind, take) for take in range(3)])
        yield classifier


def answers(keywords: Classifier, **how: float) -> list[str | None]:
    return [keywords.classify(call(kind, take, **how)).top[0].label for kind in range(3) for take in range(3, 6)]


def test_calls_are_told_apart(keywords: Classifier) -> None:
    assert answers(keywords) == ["up"] * 3 + ["down"] * 3 + ["twice"] * 3


def test_a_call_is_known_anywhere_in_the_second(keywords: Classifier) -> None:
    assert answers(keywords, at=0.05) == answers(keywords, at=0.45) == ["up"] * 3 + ["down"] * 3 + ["twice"] * 3


def test_loudness_does_not_matter(keywords: Classifier) -> None:
    loud, quiet = (keywords.embed(call(0, 0, loudness=loudness)) for loudness in (0.8, 0.05))
    assert float(((loud - quiet) ** 2).sum()) < 0.1 * float((loud**2).sum())


def test_it_is_small_and_says_what_it_was_made_of(keywords: Classifier) -> None:
    assert len(keywords.bundle.model) <= LARGEST
    assert keywords.bundle.manifest.rejection is not None
    card = (Path(keywords.bundle.path) / "README.md").read_text("utf-8")
    for notice in ("CC BY 4.0", "CC BY-SA 4.0", "Apache-2.0"):
        assert notice in card
