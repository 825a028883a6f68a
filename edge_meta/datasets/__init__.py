"""Datasets by name, see `names`: each is loaded a split at a time, as arrays in memory."""

from __future__ import annotations

from pathlib import Path

from edge_meta.choices import SPLITS, SPLITS_AND_ALL
from edge_meta.datasets import names
from edge_meta.datasets.base import Dataset
from edge_meta.errors import DatasetError
from edge_meta.inputs import ImageInput, InputSpec

__all__ = ["SPLITS", "Dataset", "load_dataset"]


def load_dataset(name: str, split: str, input_spec: InputSpec | None = None) -> Dataset:
    """Load a split of a dataset, its examples read as the encoder takes them.

    Args:
        name: one of `names.NAMES`.
        split: `train`, `val` or `test`, which share no class; or `all`.
        input_spec: the encoder's input; 28×28 grayscale images unless given.

    Raises:
        DatasetError: no such dataset or split, or its data is missing or damaged.
    """
    input_spec = input_spec or ImageInput()
    if split not in SPLITS_AND_ALL:
        raise DatasetError(f"There is no split {split!r}.", "Use train, val, test or all.")
    kind, _, path = name.partition(":")
    if kind == "folder" and path:
        from edge_meta.datasets.user_data import load_folder

        return load_folder(Path(path), split, input_spec)
    if kind == "npz" and path:
        from edge_meta.datasets.user_data import load_npz

        return load_npz(Path(path), split, input_spec)
    if kind == "csv" and path:
        from edge_meta.datasets.csv_file import load_csv

        return load_csv(Path(path), split, input_spec)
    if kind == "shards" and path and isinstance(input_spec, ImageInput):
        from edge_meta.datasets.shards import load_shards

        return load_shards(Path(path), split, input_spec)
    if kind == "huggingface" and path and isinstance(input_spec, ImageInput):
        from edge_meta.datasets.hugging_face import load_hugging_face

        return load_hugging_face(Path(path), split, input_spec)
    if name not in ("omniglot", "lake", "glyphs") and not (kind in ("shards", "huggingface") and path):
        raise DatasetError(f"There is no dataset {name!r}.", f"Use {names.NAMES}.")
    if not isinstance(input_spec, ImageInput):
        raise DatasetError(
            f"{name} holds images; this encoder takes {input_spec.noun}s.", "Use folder:PATH, npz:PATH or csv:PATH."
        )
    if name == "omniglot":
        from edge_meta.datasets import omniglot

        return omniglot.load(split, input_spec)
    if name == "lake":
        from edge_meta.datasets import lake

        return lake.load(split, input_spec)
    from edge_meta.datasets import glyphs

    return glyphs.load(split, input_spec)
