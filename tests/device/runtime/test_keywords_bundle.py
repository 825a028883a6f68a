"""The shipped bundle for words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_meta import Classifier

LARGEST = 400_000  # bytes of encoder.tflite
RATE = 16000


def call(kind: int, take: int, at: float = 0.2, loudness: float = 0.3) -> NDArray[np.int16]:
    """A call of a made-up bird: rising, falling, or two short tones; each take of another pitch, length and noise."""
    rng = np.random.default_rng((kind, take))
    length = rng.uniform(0.35, 0.45)
    time = np.arange(int(length * RATE)) / RATE
    part, base = time / length, rng.uniform(0.9, 1.1)
    pitch = base * np.array([500 + 1500 * part, 2000 - 1500 * part, np.where(part < 0.5, 600, 1500)][kind])
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + 0.4 * np.sin(4 * np.pi * np.cumsum(pitch) / RATE)
    sound = rng.normal(0, 0.003, RATE)
    start = int(at * RATE)
    sound[start : start + len(tone)] += tone * np.sin(np.pi * part)
    return (sound * loudness * 16000).astype(np.int16)


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
