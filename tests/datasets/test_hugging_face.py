"""Datasets that Hugging Face's package saved."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from edge_meta.datasets import load_dataset
from edge_meta.datasets.survey import survey
from edge_meta.errors import DatasetError
from edge_meta.inputs import ImageInput

pytest.importorskip("datasets.load")  # the tests of this folder are a namespace of the name datasets, too
datasets = import_module("datasets")
SPEC = ImageInput.for_shape((16, 16, 3))


def saved(path: Path, count: int = 20) -> str:
    """Ten classes; an image's value tells its number."""
    names = [f"kind {number}" for number in range(10)]
    features = datasets.Features({"label": datasets.ClassLabel(names=names), "image": datasets.Image()})
    rows = {
        "label": [number % 10 for number in range(count)],
        "image": [np.full((20, 20, 3), number, np.uint8) for number in range(count)],
    }
    whole = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": whole.select(range(10)), "test": whole.select(range(10, count))}).save_to_disk(path)
    return f"huggingface:{path}"


def test_splits_are_joined_and_classes_dealt(tmp_path: Path) -> None:
    name = saved(tmp_path / "own")
    parts = [load_dataset(name, split, SPEC) for split in ("train", "val", "test")]
    assert [len(part.class_names) for part in parts] == [6, 2, 2]
    data = load_dataset(name, "all", SPEC)
    assert data.class_names[:2] == ("kind 0", "kind 1")
    assert data.examples[:4, 0, 0, 0].tolist() == [0, 10, 1, 11]


def test_a_plan_looks_at_its_images_and_classes(tmp_path: Path) -> None:
    found = survey(saved(tmp_path / "own", count=30))
    assert found is not None
    assert (found.classes, found.side) == ({f"kind {number}": 3 for number in range(10)}, 20)
    lines = ["class,split", *(f"kind {number},{'train' if number < 7 else 'val'}" for number in range(10))]
    (tmp_path / "own" / "classes.csv").write_text("\n".join(lines))
    found = survey(f"huggingface:{tmp_path / 'own'}")
    assert found is not None
    assert found.training == {f"kind {number}": 3 for number in range(7)}


def test_other_folders_and_columns_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a saved dataset"):
        load_dataset(f"huggingface:{tmp_path}", "all", SPEC)
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "text")
    with pytest.raises(DatasetError, match=r"has no column of Image\(\)"):
        load_dataset(f"huggingface:{tmp_path / 'text'}", "all", SPEC)
