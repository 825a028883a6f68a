"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawers each (Lake et al. 2015, MIT licence).

Split as in Lake et al.: the 20 evaluation alphabets are `test`; of the 30 background alphabets, five are held back as
`val` and 25 are `train`. Drawings are black (0) on white (255).
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edge_meta.datasets import cache
from edge_meta.datasets.base import Dataset
from edge_meta.errors import DatasetError
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_files import read_image

VALIDATION_ALPHABETS = frozenset({"Bengali", "Early_Aramaic", "Hebrew", "Korean", "Tagalog"})

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"


class _Archive:
    """One of the two archives, known by its content: re-zipped copies differ in bytes, never in pixels."""

    def __init__(self, name: str, classes: int, examples: int, digest: str) -> None:
        self.name, self.classes, self.examples, self.digest = name, classes, examples, digest


BACKGROUND = _Archive("images_background", 964, 19280, "29e34e8ab0ed3e27b2d99a8c1b67b8b1a18fdf331e7ecaed76ddf5827eb4b8de")
EVALUATION = _Archive("images_evaluation", 659, 13180, "2f1754f47a00741dfb7496fb74fce910b8deea9523d249c1579f6ef8ed3c93e2")


def load(split: str, input_spec: ImageInput) -> Dataset:
    """A split of Omniglot at the encoder's size; classes are `Alphabet/characterNN`, groups alphabets, authors its drawers.

    Raises:
        DatasetError: the archive cannot be had, or its content is not Omniglot's.
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    drawers: list[int] = []
    names: list[str] = []
    for archive in _archives(split):
        for name, drawings in _characters(_fetch(archive), archive):
            if split in ("train", "val") and (name.split("/")[0] in VALIDATION_ALPHABETS) != (split == "val"):
                continue
            images += [input_spec.read(drawing) for drawing in drawings]
            labels += [len(names)] * len(drawings)
            drawers += range(len(drawings))
            names.append(name)
    groups = tuple(name.split("/")[0] for name in names)
    authors = np.array(drawers, np.int32)
    return Dataset("omniglot", split, np.stack(images), np.array(labels, np.int32), tuple(names), groups, authors)


def fetch() -> list[Path]:
    """Make sure both archives are here and sound; returns their paths."""
    paths = []
    for archive in (BACKGROUND, EVALUATION):
        path = _fetch(archive)
        for _ in _characters(path, archive):
            pass
        paths.append(path)
    return paths


def _archives(split: str) -> list[_Archive]:
    return {"test": [EVALUATION], "all": [BACKGROUND, EVALUATION]}.get(split, [BACKGROUND])


def _fetch(archive: _Archive) -> Path:
    return cache.fetch("omniglot", f"{archive.name}.zip", URL + f"{archive.name}.zip")


def _characters(path: Path, archive: _Archive) -> Iterator[tuple[str, list[NDArray[np.uint8]]]]:
    """Yields (name, drawings) for each character in name order, and checks the whole archive's content at the end.

    Drawings come in the order of their alphabet's drawers, of whom each drew every character once.
    """
    damaged = DatasetError(
        f"{path} does not hold Omniglot's {archive.name}, or is damaged.",
        f"Delete it and run: edge-meta data fetch omniglot; or replace it with a sound copy of {archive.name}.zip.",
    )
    sha = hashlib.sha256()
    classes = examples = 0
    try:
        with zipfile.ZipFile(path) as file:
            members: dict[str, list[str]] = {}
            for member in sorted(file.namelist()):
                parts = PurePosixPath(member).parts
                if len(parts) == 4 and parts[0] == archive.name and parts[3].endswith(".png"):
                    members.setdefault(f"{parts[1]}/{parts[2]}", []).append(member)
            for name in sorted(members):
                drawings = [read_image(file.read(member), 1, f"{path}:{member}") for member in members[name]]
                sha.update(name.encode())
                sha.update(np.packbits(np.stack(drawings) > 127).tobytes())
                classes += 1
                examples += len(drawings)
                yield name, drawings
    # A damaged archive fails in whichever of zipfile, zlib and the image decoder trips over it.
    except Exception as error:
        raise damaged from error
    if (classes, examples, sha.hexdigest()) != (archive.classes, archive.examples, archive.digest):
        raise damaged
