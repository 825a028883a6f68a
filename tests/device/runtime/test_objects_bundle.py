"""The shipped bundle for photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_meta import Classifier

LARGEST = 1_300_000  # bytes of encoder.tflite


def pattern(kind: int, take: int) -> NDArray[np.uint8]:
    """A photo of stripes, rings or a chequered cloth, in colours, each take shifted and lit anew."""
    rng = np.random.default_rng((kind, take))
    y, x = np.mgrid[:160, :200] + rng.integers(0, 20, (2, 1, 1))
    shape = (np.sin(x / 6), np.sin(np.hypot(x - 90, y - 80) / 5), np.sign(np.sin(x / 12) * np.sin(y / 12)))[kind]
    colours = np.array([[200, 60, 40], [40, 90, 200], [230, 220, 90]])[[kind, (kind + 1) % 3]]
    pixels = np.where(shape[..., None] > 0, *colours) * rng.uniform(0.8, 1.1) + rng.normal(0, 6, (160, 200, 3))
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Classifier]:
    with Classifier.load("objects", tmp_path / "store.db") as classifier:
        yield classifier


def test_photos_of_patterns_are_told_apart(objects: Classifier) -> None:
    for kind, label in enumerate(("stripes", "rings", "chequers")):
        objects.enroll(label, [pattern(kind, take) for take in range(3)])
    answers = [objects.classify(pattern(kind, take)).top[0].label for kind in range(3) for take in range(3, 7)]
    assert answers == ["stripes"] * 4 + ["rings"] * 4 + ["chequers"] * 4


def test_embeddings_have_one_length(objects: Classifier) -> None:
    lengths = [np.linalg.norm(objects.embed(pattern(kind, 0))) for kind in range(3)]
    np.testing.assert_allclose(lengths, np.mean(lengths), rtol=0.05)  # int8 rounds each value


def test_the_stores_shots_correct_its_limits(objects: Classifier) -> None:
    rejection = objects.bundle.manifest.rejection
    assert rejection is not None
    assert rejection.prior_labels is not None


def test_it_is_small_and_says_what_it_was_made_of(objects: Classifier) -> None:
    assert len(objects.bundle.model) <= LARGEST
    card = (Path(objects.bundle.path) / "README.md").read_text("utf-8")
    for notice in ("CC BY 4.0", "Apache-2.0", "research"):
        assert notice in card
