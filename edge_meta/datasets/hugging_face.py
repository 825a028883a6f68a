"""Datasets of Hugging Face's `datasets`, from a folder that its `save_to_disk` wrote. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import archive
from edge_meta.datasets.base import Dataset
from edge_meta.datasets.class_list import class_list
from edge_meta.datasets.user_data import labelled
from edge_meta.errors import BackendError, DatasetError
from edge_meta.inputs import ImageInput

REMEDY = "Write it with dataset.save_to_disk(PATH); it has a column of Image() and one of ClassLabel()."


def load_hugging_face(path: Path, split: str, input_spec: ImageInput, most_bytes: int = archive.MOST_BYTES) -> Dataset:
    """Load `huggingface:PATH`: the first column of images, and the first of class labels.

    Its own splits usually share their classes. They are joined, and the classes are dealt to `train`, `val` and `test`,
    or go where `classes.csv` in the folder gives them; see `class_list`.

    Args:
        most_bytes: as for `load_folder`.

    Raises:
        DatasetError: no such folder, no such columns, or examples of more than `most_bytes`.
        InputError: an image cannot be read.
        BackendError: the package `datasets` is not installed.
    """
    images, labels = read_saved(path)
    return labelled(f"huggingface:{path}", split, images, labels, None, class_list(path), input_spec, most_bytes)


def read_saved(path: Path) -> tuple[Sequence[Any], NDArray[np.str_]]:
    """Open what `load_hugging_face` loads.

    Returns:
        The images (n,), each decoded when it is asked for, and their classes' names (n,).

    Raises:
        DatasetError, BackendError: as there.
    """
    try:
        import datasets
    except ImportError:
        raise BackendError(
            f"Reading {path} needs the package datasets, which is not installed.",
            'Run: pip install "edge-meta[huggingface]"',
        ) from None
    try:
        loaded = datasets.load_from_disk(str(path))
    # A damaged folder fails in whichever of datasets and pyarrow trips over it.
    except Exception as error:
        raise DatasetError(f"{path} is not a saved dataset ({str(error).splitlines()[0]}).", REMEDY) from None
    if isinstance(loaded, datasets.DatasetDict):
        loaded = datasets.concatenate_datasets(list(loaded.values()))
    images = _column(path, loaded, datasets.Image)
    labels = _column(path, loaded, datasets.ClassLabel)
    names = np.array(loaded.features[labels].names)
    of_examples = np.array(loaded.select_columns(labels)[labels][:])
    if len(of_examples) == 0 or of_examples.min() < 0:
        raise DatasetError(f"{path} has no examples, or some without a label.", "Leave those out.")
    return _Column(loaded.select_columns(images), images), names[of_examples]


def _column(path: Path, loaded: Any, kind: type) -> str:
    """The name of the first column of a kind."""
    for name, feature in loaded.features.items():
        if isinstance(feature, kind):
            return str(name)
    raise DatasetError(f"{path} has no column of {kind.__name__}().", REMEDY)


class _Column(Sequence[Any]):
    """A column's images, each decoded when it is asked for."""

    def __init__(self, table: Any, name: str) -> None:
        self._table, self._name = table, name

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, row: Any) -> Any:
        return self._table[row][self._name]
