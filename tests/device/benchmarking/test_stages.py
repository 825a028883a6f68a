"""Stages that are timed, and stores that are filled for them."""

from __future__ import annotations

import math
from pathlib import Path

from support.device import altered, embeddings, opened, state

from edge_meta.benchmarking import stages
from edge_meta.runtime.backends import DEFAULT
from edge_meta.runtime.bundle import Bundle


def test_what_a_bundle_ships_with_is_not_scored(bundle: Bundle, tmp_path: Path) -> None:
    with bundle.open_store(tmp_path / "seed.db") as store:
        store.enroll("shipped", embeddings(0, 1, bundle.manifest.dim))
    seeded = Bundle.open(altered(tmp_path, files={"prototypes.db": (tmp_path / "seed.db").read_bytes()}))
    assert seeded.seed is not None
    subject = stages.Subject.load(seeded, tmp_path / "timed.db", DEFAULT, shots=1)
    with subject.classifier:
        subject.enroll()
        assert len(subject.classifier.labels) == stages.CLASSES


def test_filling_a_store_enrolls_what_it_is_given(tmp_path: Path) -> None:
    vectors = embeddings(0, 6).reshape(3, 2, 16)
    with opened(tmp_path / "filled.db") as filled, opened(tmp_path / "enrolled.db") as enrolled:
        stages.fill(filled, vectors)
        for label, shots in enumerate(vectors):
            enrolled.enroll(f"class {label}", shots)
        assert state(filled) == state(enrolled)


def test_adapting_leaves_the_store_as_it_was(bundle: Bundle, tmp_path: Path) -> None:
    subject = stages.Subject.load(bundle, tmp_path / "timed.db", DEFAULT, shots=2)
    with subject.classifier as classifier:
        subject.enroll()
        before = state(classifier.store)
        subject.adapt(3, math.inf)
        assert state(classifier.store) == before
        assert [len(round_) for round_ in subject.timed["adapt"]] == [3]
        subject.adapt(3, 1e-9)
        assert [len(round_) for round_ in subject.timed["adapt"]] == [1]
