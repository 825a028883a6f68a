"""The two parts of a dataset that a run needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.workstation import save_npz, synthetic

from edge_meta.datasets.training_splits import load_training
from edge_meta.errors import DatasetError


def test_all_trains_on_every_class_and_holds_examples_back(tmp_path: Path) -> None:
    training, validation = load_training(save_npz(tmp_path / "own.npz", 4, 10), "all")
    assert training.class_names == validation.class_names == ("0", "1", "2", "3")
    assert np.bincount(training.labels).tolist() == [8] * 4
    assert np.bincount(validation.labels).tolist() == [2] * 4
    both = np.concatenate([training.examples, validation.examples])
    assert len({image.tobytes() for image in both}) == 40
    assert (training.split, validation.split) == ("train", "val")


def test_classes_of_different_sizes_keep_two_of_each() -> None:
    data = synthetic(2, 10)
    kept = np.r_[0:4, 10:20]
    small = type(data)("small", "all", data.examples[kept], data.labels[kept], data.class_names, data.groups)
    training, validation = small.hold_back(0.2)
    assert (np.bincount(training.labels).tolist(), np.bincount(validation.labels).tolist()) == ([2, 8], [2, 2])


def test_a_class_too_small_to_hold_back_is_named() -> None:
    with pytest.raises(DatasetError, match="Class class 0 of synthetic has 3 examples; two to train on"):
        synthetic(2, 3).hold_back(0.2)


def test_few_classes_are_told_how_many_are_needed(tmp_path: Path) -> None:
    own = save_npz(tmp_path / "own.npz", 5, 4)
    with pytest.raises(DatasetError, match=r"3 classes to train on and 1 to validate on.*at least 8 classes.*--split all"):
        load_training(own)
    assert [len(part.class_names) for part in load_training(save_npz(tmp_path / "more.npz", 8, 4))] == [4, 2]
