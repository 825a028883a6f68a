"""Limits of a classifier whose bundle lets the store's own shots correct them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.device import altered, takes

from edge_meta import Classifier
from edge_meta.heads.prototypes import class_scatters
from edge_meta.heads.store_evidence import Evidence


def corrected(folder: Path) -> Path:
    """The shipped bundle, with a calibration that weighs as two labels."""
    return altered(folder, lambda fields: fields["rejection"].update(prior_labels=2.0))


def taught(bundle: Path | str, store: Path, labels: int = 5, **options: bool) -> Classifier:
    classifier = Classifier.load(bundle, store, **options)
    for label in range(labels):
        classifier.enroll(f"label {label}", takes(label, 3))
    return classifier


def test_limits_are_the_rejections_corrected_by_all_shots(tmp_path: Path) -> None:
    with taught(corrected(tmp_path), tmp_path / "store.db") as classifier:
        shots = np.stack([[classifier.embed(take) for take in takes(label, 3)] for label in range(5)])
        prototypes, rejection = shots.mean(axis=1), classifier.bundle.manifest.rejection
        assert rejection is not None
        counts, scatters = np.full(5, 3), class_scatters(shots, prototypes)
        limits = rejection.limits(counts, scatters)
        evidence = Evidence(shots.reshape(15, -1), np.repeat(np.arange(5), 3), prototypes, counts, scatters)
        expected = rejection.corrected(limits, evidence)
        np.testing.assert_allclose(classifier.limits(), expected, rtol=1e-5)
        assert not np.allclose(limits, expected)


def test_a_new_label_moves_the_limits_of_the_others(tmp_path: Path) -> None:
    with taught(corrected(tmp_path), tmp_path / "store.db") as classifier:
        before = classifier.limits()
        classifier.enroll("label 0 again", takes(0, 3, first=3))
        assert (classifier.limits()[:5] < before).all()


def test_without_single_shots_prototypes_stand_for_them(tmp_path: Path) -> None:
    bundle = corrected(tmp_path)
    with (
        taught(bundle, tmp_path / "shots.db") as single,
        taught(bundle, tmp_path / "sums.db", keep_shots=False) as sums,
    ):
        plain = single.bundle.manifest.rejection
        assert plain is not None
        assert sums.limits() == pytest.approx(single.limits(), rel=0.5)
        assert not np.allclose(sums.limits(), plain.limits(np.full(5, 3), np.zeros(5)))


def test_one_label_and_none_have_limits(tmp_path: Path) -> None:
    bundle = corrected(tmp_path)
    with taught(bundle, tmp_path / "store.db", labels=0) as classifier:
        assert len(classifier.limits()) == 0
        classifier.enroll("one", takes(0, 2))
        assert np.isfinite(classifier.limits()).all()
