"""Images in WebDataset shards: .tar files that are streamed, for sets that outgrow memory.

A shard holds, one after the other, the files of each sample: KEY.jpg (or another image) and KEY.cls, the class as text, a
name or a number. Beside the shards, `classes.txt` may name the classes of numbers, a line each from 0 on. Shards whose names
begin with train, val or test belong to that split; without such names, classes are dealt to the splits.

Memory holds one sample at a time, and the label of each. The images, at the encoder's size, go to a temporary file that is
mapped into memory, which the system pages in and out; it is gone with the dataset.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_meta.choices import SPLITS
from edge_meta.datasets import cache
from edge_meta.datasets.base import Dataset, require_classes, split_of_classes
from edge_meta.errors import DatasetError
from edge_meta.inputs import ImageInput
from edge_meta.inputs.image_files import SUFFIXES, read_image
from edge_meta.inputs.resizing import resize

MOST_FILE_BYTES = 1 << 26  # of one member
CLASS = "cls"
REMEDY = "Write each sample as KEY.jpg and KEY.cls, one after the other; the webdataset package does so."


def load_shards(path: Path, split: str, input_spec: ImageInput) -> Dataset:
    """Load `shards:PATH`: a folder of .tar files, or one of them.

    Raises:
        DatasetError: there are no shards, one is damaged, a sample has no image or class, or a class is in two splits.
        InputError: an image cannot be read.
    """
    name = f"shards:{path}"
    shards = _of_split(path, split)
    names = _class_names(path)
    counts = Counter(label for shard in shards for label, _ in _samples(shard, names, images=False))
    every = sorted(counts)
    deals = split == "all" or _is_split_by_name(shards)
    chosen = every if deals else [every[index] for index in split_of_classes(every, split)]
    require_classes(name, split, len(chosen))
    sizes = [counts[label] for label in chosen]
    free = {label: int(start) for label, start in zip(chosen, np.cumsum([0, *sizes]), strict=False)}
    examples = _mapped((sum(sizes), *input_spec.shape))
    for shard in shards:
        for label, image in _samples(shard, names):
            if label in free:
                pixels = read_image(image, input_spec.channels, f"an image of {shard}")
                examples[free[label]] = resize(pixels, input_spec.height, input_spec.width)
                free[label] += 1
    labels = np.repeat(np.arange(len(chosen), dtype=np.int32), sizes)
    return Dataset(name, split, examples, labels, tuple(chosen), ("",) * len(chosen))


def _of_split(path: Path, split: str) -> list[Path]:
    """The shards to read for a split, in name order."""
    shards = sorted(path.glob("*.tar")) if path.is_dir() else [path] if path.is_file() else []
    if not shards:
        raise DatasetError(f"{path} holds no .tar files.", "Give a folder of WebDataset shards.")
    if split == "all" or not _is_split_by_name(shards):
        return shards
    found = [shard for shard in shards if shard.name.startswith(split)]
    if not found:
        raise DatasetError(f"{path} has no shards for {split}.", f"Name them {split}-000.tar and so on.")
    return found


def _is_split_by_name(shards: list[Path]) -> bool:
    return all(shard.name.startswith(SPLITS) for shard in shards)


def _class_names(path: Path) -> list[str]:
    """The lines of classes.txt; none if there is no such file."""
    file = (path if path.is_dir() else path.parent) / "classes.txt"
    try:
        return file.read_text("utf-8").splitlines() if file.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} cannot be read ({error}).", "Save it as UTF-8 text, a class a line.") from None


def _samples(shard: Path, names: list[str], images: bool = True) -> Iterator[tuple[str, bytes]]:
    """The class and the image file of each sample; without `images`, these are empty."""
    key, found = None, dict[str, bytes]()
    try:
        with tarfile.open(shard, "r|*") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # or it keeps a record of each
                stem, _, suffix = member.name.rpartition(".")
                kind = "image" if f".{suffix.lower()}" in SUFFIXES else suffix
                if not member.isfile() or kind not in ("image", CLASS):
                    continue
                if member.size > MOST_FILE_BYTES:
                    raise ValueError(f"{member.name} has {member.size:,} bytes; at most {MOST_FILE_BYTES:,} are read")
                if key is not None and stem != key:
                    yield _sample(key, found, names)
                    found = {}
                key = stem
                file = tar.extractfile(member) if images or kind == CLASS else None
                found[kind] = file.read() if file else b""
        if key is not None:
            yield _sample(key, found, names)
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        raise DatasetError(f"{shard} is not a readable shard ({error}).", REMEDY) from None


def _sample(key: str, found: dict[str, bytes], names: list[str]) -> tuple[str, bytes]:
    """Raises ValueError for a sample that lacks a part."""
    if not {"image", CLASS} <= found.keys():
        raise ValueError(f"{key} has no image or no .{CLASS}")
    label = found[CLASS].decode().strip()
    if names:
        if not label.isdecimal() or int(label) >= len(names):
            raise ValueError(f"{key} is of class {label!r}, which classes.txt does not name")
        label = names[int(label)]
    return label, found["image"]


def _mapped(shape: tuple[int, ...]) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    """An array in a temporary file of the data folder."""
    folder = cache.folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            return np.memmap(file, np.uint8, "w+", shape=shape)
    except OSError as error:
        raise DatasetError(
            f"A file of {int(np.prod(shape)):,} bytes cannot be made in {folder} ({error}).",
            "Free some space, or set EDGE_META_DATA to a folder on a larger disk.",
        ) from None
