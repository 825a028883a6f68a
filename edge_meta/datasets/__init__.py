"""Datasets by name: `omniglot`, `glyphs`, `folder:PATH` (a folder of files per class), `npz:PATH` (arrays `x`, `y`)."""

from __future__ import annotations

from pathlib import Path

from edge_meta.datasets.base import SPLITS, Dataset
from edge_meta.errors import DatasetError
from edge_meta.inputs import ImageInput, Input

__all__ = ["SPLITS", "Dataset", "load_dataset"]


def load_dataset(name: str, split: str, image_input: Input | None = None) -> Dataset:
    """Load a split of a dataset, its examples read as the encoder takes them.

    Args:
        name: `omniglot`, `glyphs`, `folder:PATH` or `npz:PATH`.
        split: `train`, `val` or `test`, which share no class; or `all`.
        image_input: what the encoder takes; 28×28 grayscale images unless given.

    Raises:
        DatasetError: no such dataset or split, or its data is missing or damaged.
    """
    image_input = image_input or ImageInput()
    if split not in (*SPLITS, "all"):
        raise DatasetError(f"There is no split {split!r}.", "Use train, val, test or all.")
    kind, _, path = name.partition(":")
    if kind == "folder" and path:
        from edge_meta.datasets.files import load_folder

        return load_folder(Path(path), split, image_input)
    if kind == "npz" and path:
        from edge_meta.datasets.files import load_npz

        return load_npz(Path(path), split, image_input)
    if name not in ("omniglot", "glyphs"):
        raise DatasetError(f"There is no dataset {name!r}.", "Use omniglot, glyphs, folder:PATH or npz:PATH.")
    if not isinstance(image_input, ImageInput):
        raise DatasetError(f"{name} holds images; this encoder takes {image_input.noun}s.", "Use folder:PATH or npz:PATH.")
    if name == "omniglot":
        from edge_meta.datasets import omniglot

        return omniglot.load(split, image_input)
    from edge_meta.datasets import glyphs

    return glyphs.load(split, image_input)
