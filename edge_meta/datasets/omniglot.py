"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawers each (Lake et al. 2015, MIT licence).

Split as in Lake et al.: the 20 evaluation alphabets are `test`; of the 30 background alphabets, five are held back as
`val` and 25 are `train`. Drawings are black (0) on white (255).
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import archive, cache
from edge_meta.datasets.base import Dataset
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_files import read_image

VALIDATION_ALPHABETS = frozenset({"Bengali", "Early_Aramaic", "Hebrew", "Korean", "Tagalog"})

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"


@dataclass(frozen=True)
class Part:
    """One of the two archives, known by its content: re-zipped copies differ in bytes, never in pixels.

    Attributes:
        name: of the archive without .zip, and of the folder in it.
        classes, examples: how many it holds.
        digest: SHA-256 over each class's name and pixels, one bit each, in name order.
    """

    name: str
    classes: int
    examples: int
    digest: str


BACKGROUND = Part("images_background", 964, 19280, "29e34e8ab0ed3e27b2d99a8c1b67b8b1a18fdf331e7ecaed76ddf5827eb4b8de")
EVALUATION = Part("images_evaluation", 659, 13180, "2f1754f47a00741dfb7496fb74fce910b8deea9523d249c1579f6ef8ed3c93e2")


def load(split: str, input_spec: ImageInput, background: Part = BACKGROUND, evaluation: Part = EVALUATION) -> Dataset:
    """Load a split at the encoder's size; classes are `Alphabet/characterNN`, groups alphabets, authors its drawers.

    Args:
        split: `train`, `val`, `test`, or `all`.
        background, evaluation: what the archives hold.

    Raises:
        DatasetError: an archive cannot be had, or its content is not Omniglot's.
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    drawers: list[int] = []
    names: list[str] = []
    for part in {"test": [evaluation], "all": [background, evaluation]}.get(split, [background]):
        for name, drawings in _characters(part):
            if split in ("train", "val") and (name.split("/")[0] in VALIDATION_ALPHABETS) != (split == "val"):
                continue
            images += [input_spec.read(np.repeat(drawing, input_spec.channels, axis=2)) for drawing in drawings]
            labels += [len(names)] * len(drawings)
            drawers += range(len(drawings))
            names.append(name)
    groups = tuple(name.split("/")[0] for name in names)
    authors = np.array(drawers, np.int32)
    return Dataset("omniglot", split, np.stack(images), np.array(labels, np.int32), tuple(names), groups, authors)


def fetch() -> list[Path]:
    """Make sure that both archives are here and sound; returns their paths."""
    for part in (BACKGROUND, EVALUATION):
        for _ in _characters(part):
            pass
    return [_path(part) for part in (BACKGROUND, EVALUATION)]


def _path(part: Part) -> Path:
    return cache.fetch("omniglot", f"omniglot/{part.name}.zip", URL + f"{part.name}.zip")


def _characters(part: Part) -> Iterator[tuple[str, list[NDArray[np.uint8]]]]:
    """Yields (name, drawings) for each character in name order, and checks the whole archive's content at the end.

    Drawings are uint8 (H, W, 1), in the order of their alphabet's drawers, of whom each drew every character once.
    """
    path = _path(part)
    sha = hashlib.sha256()
    with archive.opened(path, f"Omniglot's {part.name}", "omniglot", f"{part.name}.zip") as file:
        members: dict[str, list[str]] = {}
        for member in sorted(file.namelist()):
            parts = PurePosixPath(member).parts
            if len(parts) == 4 and parts[0] == part.name and parts[3].endswith(".png"):
                members.setdefault(f"{parts[1]}/{parts[2]}", []).append(member)
        if (len(members), sum(map(len, members.values()))) != (part.classes, part.examples):
            raise ValueError("it holds other characters or drawings")
        for name in sorted(members):
            drawings = [_drawing(file, path, member) for member in members[name]]
            sha.update(name.encode())
            sha.update(np.packbits(np.stack(drawings) > 127).tobytes())
            yield name, drawings
        if sha.hexdigest() != part.digest:
            raise ValueError("the names or the pixels differ")


def _drawing(file: zipfile.ZipFile, path: Path, member: str) -> NDArray[np.uint8]:
    return read_image(file.read(member), 1, f"{path}:{member}", archive.MOST_DRAWING_PIXELS)
