"""Look at the user's own images before they are trained on: class sizes, colours and size, from a few of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets.csv_file import read_rows
from edge_meta.datasets.user_data import class_files, read_npz
from edge_meta.errors import DatasetError
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_files import COLOURFUL, SUFFIXES, read_image

SAMPLE = 60  # images that are looked at
COLOURFUL_SHARE = 0.25  # of them, from which on colours count


@dataclass(frozen=True)
class Survey:
    """The user's own images.

    Attributes:
        classes: class → how many examples it has.
        training: the same of the classes that the data itself gives to the split `train`; None if it names no splits.
        colour: whether a quarter of the images looked at are in colour; drawings on warm paper are not.
        side: pixels on the shorter side, the median of the images looked at.
    """

    classes: Mapping[str, int]
    training: Mapping[str, int] | None
    colour: bool
    side: int


def survey(name: str) -> Survey | None:
    """Look at a dataset `folder:PATH`, `npz:PATH` or `csv:PATH`.

    Returns:
        None for a dataset of a name of its own, and for recordings and arrays.

    Raises:
        DatasetError: it cannot be read.
        InputError: an image that is looked at cannot be read.
    """
    found = _examples(name)
    if found is None:
        return None
    labels, examples, splits = found
    chosen = np.linspace(0, len(examples) - 1, min(SAMPLE, len(examples))).astype(int)
    images = [_pixels(examples[at]) for at in chosen]
    colourful = [image.shape[2] == 3 and float(np.ptp(image, axis=2).mean()) > COLOURFUL for image in images]
    side = int(np.median([min(image.shape[:2]) for image in images]))
    training = None
    if splits is not None:
        training = dict(Counter(label for label, split in zip(labels, splits, strict=True) if split == "train"))
    return Survey(dict(Counter(labels)), training, float(np.mean(colourful)) >= COLOURFUL_SHARE, side)


def _examples(name: str) -> tuple[list[str], Sequence[Any], list[str] | None] | None:
    """The label of each example, its path or array, and its split if that is told; None if they are not images."""
    kind, _, given = name.partition(":")
    path = Path(given)
    if kind == "folder" and given:
        try:
            classes = class_files(path, ImageInput())
        except DatasetError:
            return None  # of other files, or to be reported when it is loaded
        files = [file for each in classes.values() for file in each]
        return [label for label, each in classes.items() for _ in each], files, None
    if kind == "csv" and given:
        rows = read_rows(path)
        if Path(rows[0]["path"]).suffix.lower() not in SUFFIXES:
            return None
        splits = [row["split"] for row in rows] if "split" in rows[0] else None
        return [row["label"].strip() for row in rows], [path.parent / row["path"] for row in rows], splits
    if kind == "npz" and given:
        x, y, splits = read_npz(path)
        is_images = x.dtype == np.uint8 and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3)))
        if not is_images or len(x) == 0 or y.shape != x.shape[:1] or (splits is not None and splits.shape != y.shape):
            return None  # to be reported when it is loaded
        return [str(label) for label in y], x, None if splits is None else [str(split) for split in splits]
    return None


def _pixels(example: Any) -> NDArray[np.uint8]:
    if isinstance(example, Path):
        return read_image(example, channels=3)
    pixels: NDArray[np.uint8] = example if example.ndim == 3 else example[:, :, None]
    return pixels
