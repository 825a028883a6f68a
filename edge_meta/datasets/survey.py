"""Look at the user's own data before it is trained on: its sense and class sizes; of images, colours and size, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.choices import MOTION
from edge_meta.datasets.class_list import class_list
from edge_meta.datasets.csv_file import read_rows
from edge_meta.datasets.hugging_face import read_saved
from edge_meta.datasets.user_data import class_files, read_npz
from edge_meta.errors import DatasetError
from edge_meta.inputs import AudioInput, ImageInput, InputSpec, SeriesInput
from edge_meta.inputs.array import load_array
from edge_meta.inputs.image_files import COLOURFUL, read_image
from edge_meta.inputs.tables import read_table

SAMPLE = 60  # images that are looked at
COLOURFUL_SHARE = 0.25  # of them, from which on colours count

IMAGE, RECORDING, SERIES = "image", "recording", "series"
SPECS: dict[str, InputSpec] = {  # that say which files are of a sense
    IMAGE: ImageInput(),
    RECORDING: AudioInput(1),
    SERIES: SeriesInput((2, 1), channels=("x1",)),
}


@dataclass(frozen=True)
class Survey:
    """The user's own data.

    Attributes:
        classes: class → how many examples it has.
        training: the same of the classes that the data itself gives to the split `train`; None if it names no splits.
        colour: of images, whether a quarter of the images looked at are in colour; drawings on warm paper are not.
        side: of images, pixels on the shorter side, the median of the images looked at.
        sense: image, recording or series.
        channels: of series, the columns of the first one; those without names are the first of a motion sensor's six where
            they are not more than these, else x1, x2 and so on.
    """

    classes: Mapping[str, int]
    training: Mapping[str, int] | None
    colour: bool = False
    side: int = 0
    sense: str = "image"
    channels: tuple[str, ...] = ()


def survey(name: str) -> Survey | None:
    """Look at a dataset `folder:PATH`, `npz:PATH`, `csv:PATH` or `huggingface:PATH`.

    Returns:
        None for a dataset of a name of its own, and for what is to be refused when it is loaded.

    Raises:
        DatasetError: it cannot be read.
        InputError: an example that is looked at cannot be read.
        BackendError: see `load_hugging_face`.
    """
    found = _examples(name)
    if found is None:
        return None
    sense, labels, examples, splits = found
    classes, training = dict(Counter(labels)), None
    listed = class_list(Path(name.partition(":")[2]))
    if splits is not None:
        training = dict(Counter(label for label, split in zip(labels, splits, strict=True) if split == "train"))
    elif listed.splits is not None:
        training = {list(classes)[index]: list(classes.values())[index] for index in listed.chosen(list(classes), "train")}
    if sense != IMAGE:
        return Survey(classes, training, sense=sense, channels=_channels(examples[0]) if sense == SERIES else ())
    chosen = np.linspace(0, len(examples) - 1, min(SAMPLE, len(examples))).astype(int)
    images = [_pixels(examples[at]) for at in chosen]
    colourful = [image.shape[2] == 3 and float(np.ptp(image, axis=2).mean()) > COLOURFUL for image in images]
    side = int(np.median([min(image.shape[:2]) for image in images]))
    return Survey(classes, training, float(np.mean(colourful)) >= COLOURFUL_SHARE, side)


def _examples(name: str) -> tuple[str, list[str], Sequence[Any], list[str] | None] | None:
    """The sense, the label of each example, its path or array, and its split if that is told; None for another dataset."""
    kind, _, given = name.partition(":")
    path = Path(given)
    if kind == "folder" and given:
        for sense, spec in SPECS.items():
            try:
                classes = class_files(path, spec)
            except DatasetError:
                continue  # of other files
            files = [file for each in classes.values() for file in each]
            return sense, [label for label, each in classes.items() for _ in each], files, None
        return None
    if kind == "csv" and given:
        rows = read_rows(path)
        suffix = Path(rows[0]["path"]).suffix.lower()
        found = next((sense for sense, spec in SPECS.items() if suffix in spec.suffixes), None)
        if found is None:
            return None
        splits = [row["split"] for row in rows] if "split" in rows[0] else None
        return found, [row["label"].strip() for row in rows], [path.parent / row["path"] for row in rows], splits
    if kind == "huggingface" and given:
        images, labels = read_saved(path)
        return IMAGE, labels.tolist(), images, None
    if kind == "npz" and given:
        x, y, splits = read_npz(path)
        is_images = x.dtype == np.uint8 and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3)))
        kind_of = IMAGE if is_images else {(2, "i"): RECORDING, (3, "f"): SERIES}.get((x.ndim, x.dtype.kind))
        if kind_of is None or len(x) == 0 or y.shape != x.shape[:1] or (splits is not None and splits.shape != y.shape):
            return None  # to be reported when it is loaded
        return kind_of, [str(label) for label in y], x, None if splits is None else [str(split) for split in splits]
    return None


def _channels(example: Any) -> tuple[str, ...]:
    """The names of a series' columns."""
    if isinstance(example, Path) and example.suffix.lower() == ".csv":
        return read_table(example).names
    columns = load_array(example)[1].shape[-1]
    return MOTION if columns <= len(MOTION) else tuple(f"x{number}" for number in range(1, columns + 1))


def _pixels(example: Any) -> NDArray[np.uint8]:
    if not isinstance(example, np.ndarray):
        return read_image(example, channels=3)
    return example if example.ndim == 3 else example[:, :, None]
