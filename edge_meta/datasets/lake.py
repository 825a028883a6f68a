"""Lake's one-shot runs: 20 fixed tasks, each of 20 characters of one alphabet (Lake et al. 2015, MIT licence).

A run shows one drawing of each character, all by one drawer, and asks for another drawer's drawing of each. On these runs
people err in 4.5 % of the answers, and Bayesian Program Learning in 3.3 %. The characters are of Omniglot's evaluation
alphabets. They are for the final figure: choose nothing by them. Drawings are black (0) on white (255).
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import archive, cache
from edge_meta.datasets.base import Dataset
from edge_meta.datasets.episodes import Episode, FixedEpisodes
from edge_meta.errors import DatasetError
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_files import read_image

RUNS = WAY = 20

# The first is a name that re-zipped copies have, the second the one at its source.
LOCAL_NAMES = ("omniglot/lake_20_runs.zip", "omniglot/all_runs.zip")
URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/one-shot-classification/all_runs.zip"
DIGEST = "18d06ef5d1648b71efbb1ce4a1f6ef4f66893f9fe4db5a15b03332a95fddb47b"

DRAWING = re.compile(r"run\d+/(training|test)/[^/]+\.png")


def load(split: str, input_spec: ImageInput, digest: str = DIGEST) -> Dataset:
    """Load all runs at the encoder's size, 800 examples; classes are `runNN/classNN`, groups runs.

    A class has two examples: the drawing that is learned from, then the one that is asked for.

    Args:
        split: `test`; there is no other.
        digest: of the archive's content, see `read_runs`.

    Raises:
        DatasetError: another split, or the archive cannot be had or does not hold the runs.
    """
    if split != "test":
        raise DatasetError(
            f"lake has no {split} split: it is for the final figure, so choose nothing by it.",
            "Train and calibrate on omniglot, and give lake to edge-meta evaluate alone.",
        )
    drawings = read_runs(_archive(), digest)
    gray = drawings.reshape(-1, *drawings.shape[3:])
    examples = [input_spec.read(np.repeat(drawing[:, :, None], input_spec.channels, axis=2)) for drawing in gray]
    labels = np.repeat(np.arange(RUNS * WAY, dtype=np.int32), 2)
    names = tuple(f"run{run:02}/class{number:02}" for run in range(1, RUNS + 1) for number in range(1, WAY + 1))
    groups = tuple(name.split("/")[0] for name in names)
    return Dataset("lake", split, np.stack(examples), labels, names, groups)


def fetch() -> list[Path]:
    """Make sure that the archive is here and sound; returns its path."""
    path = _archive()
    read_runs(path)
    return [path]


def runs(data: Dataset) -> FixedEpisodes:
    """The 20 runs as episodes over what `load` gives: 20-way, one shot and one query of each class."""
    classes = np.arange(len(data.class_names)).reshape(-1, WAY)
    examples = 2 * classes[:, :, None]
    return FixedEpisodes([Episode(*run) for run in zip(classes, examples, examples + 1, strict=True)])


def read_runs(path: Path, digest: str = DIGEST) -> NDArray[np.uint8]:
    """Read and check an archive: `runNN/training/classNN.png`, `runNN/test/itemNN.png`, `runNN/class_labels.txt`.

    Args:
        digest: SHA-256 over the pixels, one bit each, in the order of the result.

    Returns:
        uint8 (run, class, 2, H, W): of each class the drawing to learn from, and the test item that is of this class.

    Raises:
        DatasetError: the archive is damaged or holds something else.
    """
    with archive.opened(path, "Lake's 20 runs", "lake", "all_runs.zip") as file:
        drawings = np.stack([_read_run(file, f"run{run:02}") for run in range(1, RUNS + 1)])
        if sum(bool(DRAWING.fullmatch(member)) for member in file.namelist()) != 2 * RUNS * WAY:
            raise ValueError("it holds more drawings than those")
        if hashlib.sha256(np.packbits(drawings > 127).tobytes()).hexdigest() != digest:
            raise ValueError("the pixels or the labels differ")
    return drawings


def _read_run(file: zipfile.ZipFile, run: str) -> NDArray[np.uint8]:
    """uint8 (class, 2, H, W)."""
    training = [f"{run}/training/class{number:02}.png" for number in range(1, WAY + 1)]
    items = {f"{run}/test/item{number:02}.png" for number in range(1, WAY + 1)}
    words = file.read(f"{run}/class_labels.txt").decode().split()
    item_of = dict(zip(words[1::2], words[::2], strict=True))
    if len(words) != 2 * WAY or item_of.keys() != set(training) or set(item_of.values()) != items:
        raise ValueError(f"{run}/class_labels.txt does not give each item a class of its own")
    return np.stack([[_drawing(file, member)[:, :, 0] for member in (shown, item_of[shown])] for shown in training])


def _drawing(file: zipfile.ZipFile, member: str) -> NDArray[np.uint8]:
    return read_image(file.read(member), 1, member, archive.MOST_DRAWING_PIXELS)


def _archive() -> Path:
    for name in LOCAL_NAMES:
        if (cache.folder() / name).exists():
            return cache.folder() / name
    return cache.fetch("lake", LOCAL_NAMES[-1], URL)
