"""A bundle that is used on things of another kind than it was calibrated on says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.device import cli, noise, png, takes

from edge_meta import Classifier
from edge_meta.runtime.domain_check import DomainCheck


def checked(folder: Path, labels: int, pixels: str) -> DomainCheck:
    """A check of labels of three shots: drawings, or noise, which all looks alike to letters' encoder."""
    with Classifier.load("omniglot", folder / "store.db") as classifier:
        for label in range(labels):
            shots = takes(label, 3) if pixels == "drawn" else [noise(28, 28 + 3 * label + take)[..., 0] for take in range(3)]
            classifier.enroll(str(label), shots)
    return DomainCheck(classifier.bundle.open_store(folder / "store.db"), classifier.bundle.manifest)


@pytest.mark.parametrize("keep_shots", [True, False])
def test_shots_that_look_alike_are_told(tmp_path: Path, keep_shots: bool) -> None:
    with Classifier.load("omniglot", tmp_path / "store.db", keep_shots=keep_shots) as classifier:
        for label in range(8):
            classifier.enroll(str(label), [noise(28, 28 + 3 * label + take)[..., 0] for take in range(3)])
        told = DomainCheck(classifier.store, classifier.bundle.manifest).of_store()
    assert told is not None
    assert "looks alike" in told


def test_drawings_of_letters_and_few_labels_are_not_told(tmp_path: Path) -> None:
    assert checked(tmp_path / "letters", 12, "drawn").of_store() is None
    assert checked(tmp_path / "few", 7, "noise").of_store() is None
    assert checked(tmp_path / "none", 0, "noise").of_store() is None


def test_only_a_run_of_far_queries_is_told(tmp_path: Path) -> None:
    domain = checked(tmp_path, 3, "drawn")
    far: list[tuple[str, float]] = [("1", 1e4)]
    assert "far outside" in str(domain.of_queries(9 * far + [("0", 1.0)]))
    for usual in (9 * far, 8 * far + 2 * [("0", 1.0)], 20 * [("2", 20.0)], []):
        assert domain.of_queries(usual) is None


def test_the_command_notes_it_once(tmp_path: Path) -> None:
    store: list[object] = ["--store", tmp_path / "store.db"]
    for label in range(8):
        for take in range(2):
            png(tmp_path / "noise", f"{label}/{take}.png", noise(28, 28 + 3 * label + take)[..., 0])
            png(tmp_path / "letters", f"{label}/{take}.png", np.array(takes(label, 2)[take]))
    assert cli("enroll", "omniglot", tmp_path / "noise", *store).stderr.count("looks alike") == 1
    assert cli("classify", "omniglot", tmp_path / "noise", *store).stderr.count("looks alike") == 1
    assert cli("check", "omniglot", *store).stderr.count("looks alike") == 1
    letters = ["--store", tmp_path / "letters.db"]
    assert "looks alike" not in cli("enroll", "omniglot", tmp_path / "letters", *letters).stderr
    assert cli("classify", "omniglot", tmp_path / "letters", *letters).stderr == ""
