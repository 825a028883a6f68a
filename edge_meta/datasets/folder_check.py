"""Check a folder of labelled files before it is trained on: what is in it, and what should be mended."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.choices import SPLITS
from edge_meta.datasets.class_list import ClassList, class_list
from edge_meta.errors import DatasetError, InputError
from edge_meta.inputs import ArrayInput, AudioInput, ImageInput
from edge_meta.inputs.array_files import read_npy
from edge_meta.inputs.audio_files import read_audio
from edge_meta.inputs.folders import did_you_mean, list_folder
from edge_meta.inputs.image_files import read_image

TINY = 6  # examples that a class should have: five shots and a query


@dataclass(frozen=True)
class FolderCheck:
    """The content of a folder with one subfolder per class.

    Attributes:
        folder: the folder.
        noun: of its examples: image, recording or array.
        classes: class → how many of its files can be read.
        unreadable: (path, cause) of what is left out.
        duplicates: groups of paths whose files hold the same, to the bit, once they are decoded.
        listed: names and splits of its classes, of its `classes.csv`.
    """

    folder: Path
    noun: str
    classes: dict[str, int]
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, ...], ...]
    listed: ClassList

    @property
    def tiny(self) -> dict[str, int]:
        """The classes of fewer than `TINY` examples."""
        return {name: count for name, count in self.classes.items() if count < TINY}

    @property
    def splits(self) -> dict[str, int]:
        """Split → the number of classes that it gets."""
        names = [name for name, count in self.classes.items() if count]
        return {split: len(self.listed.chosen(names, split)) for split in SPLITS}

    def in_two_classes(self, group: tuple[str, ...]) -> bool:
        """Whether a group of duplicates belongs to more than one class."""
        return len({Path(path).parent for path in group}) > 1


def check_folder(folder: Path, on_progress: Callable[[int, int], None] | None = None) -> FolderCheck:
    """Read every file of a folder, one at a time.

    The kind of its examples is that of most files.

    Args:
        on_progress: called with the number of files read, and of all.

    Raises:
        DatasetError: no folder, or no subfolder with images, recordings or arrays; or its `classes.csv` cannot be read.
        InputError: a folder in it cannot be listed.
        BackendError: a package for such files is not installed.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder.", "Give a folder with one subfolder per class.")
    kind, listed = _kind(folder), class_list(folder)
    listings = {child.name: list_folder(child, kind.suffixes) for child in list_folder(folder, kind.suffixes).folders}
    total, done = sum(len(listing.examples) for listing in listings.values()), 0
    classes, same = dict.fromkeys(listings, 0), dict[bytes, list[str]]()
    unreadable: list[tuple[str, str]] = []
    for name, listing in listings.items():
        unreadable += [(str(path), f"{path} is no {kind.noun} file by its name.") for path in listing.others]
        unreadable += [
            (str(path), f"{path} is a folder in the folder of a class; it is not read.") for path in listing.folders
        ]
        for path in listing.examples:
            try:
                content = _decoded(path, kind)
            except InputError as error:
                unreadable.append((str(path), error.cause))
            else:
                classes[name] += 1
                same.setdefault(_digest(content), []).append(str(path))
            done += 1
            if on_progress:
                on_progress(done, total)
    duplicates = tuple(tuple(paths) for paths in same.values() if len(paths) > 1)
    return FolderCheck(folder, kind.noun, classes, tuple(unreadable), duplicates, listed)


Kind = type[ImageInput] | type[AudioInput] | type[ArrayInput]


def _kind(folder: Path) -> Kind:
    """The kind of input that most files in subfolders are of."""
    kinds: tuple[Kind, ...] = (ImageInput, AudioInput, ArrayInput)
    subfolders = list_folder(folder, ()).folders
    counts = [sum(len(list_folder(child, kind.suffixes).examples) for child in subfolders) for kind in kinds]
    if not any(counts):
        suffixes = set[str]().union(*(kind.suffixes for kind in kinds))
        raise DatasetError(
            f"{folder} has no subfolders with images, recordings or arrays.",
            f"{did_you_mean(folder, suffixes)}Put one subfolder per class into it, each with its files.",
        )
    return kinds[int(np.argmax(counts))]


def _decoded(path: Path, kind: Kind) -> NDArray[Any]:
    """The content of a file, at its own size.

    Raises:
        InputError: it cannot be read.
    """
    if kind is ImageInput:
        return read_image(path, channels=3)
    if kind is AudioInput:
        return read_audio(path)[0]
    try:
        with path.open("rb") as file:
            return read_npy(file, os.fstat(file.fileno()).st_size)
    # A damaged file fails in whichever parser trips over it.
    except Exception as error:
        raise InputError(f"{path} is not a readable .npy file ({error}).", "Save it with numpy.save.") from None


def _digest(content: NDArray[Any]) -> bytes:
    sha = hashlib.sha256(f"{content.dtype} {content.shape}".encode())
    sha.update(np.ascontiguousarray(content).data)
    return sha.digest()
