"""Collect the photos that the `objects` encoder is trained on, into one .npz for `edge-meta train --dataset npz:PATH`.

    python benchmarks/objects/collect.py --output objects.npz

Of the archives in EDGE_META_DATA: Tiny-ImageNet (120 photos of each class), one photo of each of ImageNet's classes,
Caltech-101 and the Grocery Store Dataset. The classes of the last two are dealt to train, val and test by the SHA-256 of
their names (60, 20 and 20 %); no photo of a test class is written. The file stays here: ImageNet's photos are for research.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_meta.datasets import cache
from edge_meta.datasets.base import split_of_classes
from edge_meta.inputs import ImageInput

SIZE = 128  # pixels
TINY_PER_CLASS = 120
SAMPLES_PER_CLASS = 25  # ImageNet's samples are one of each class; neighbours in the list are written as one class


class Source(NamedTuple):
    """An archive of photos, `.../CLASS/NAME.jpg`.

    Attributes:
        archive: below EDGE_META_DATA.
        per_class: photos taken of each class, at most.
        times: that each training class is written, since an episode draws every class alike.
        held_back: some of its classes are for validation and test.
        left_out: classes that are not objects, or are there twice.
    """

    archive: str
    per_class: int
    times: int
    held_back: bool
    left_out: frozenset[str] = frozenset()


SOURCES = {
    "tiny": Source("tiny_imagenet/tiny_imagenet_64px.zip", TINY_PER_CLASS, times=1, held_back=False),
    "samples": Source("imagenet_samples/imagenet_samples_160px.zip", SAMPLES_PER_CLASS, times=1, held_back=False),
    "caltech": Source(
        "caltech101/caltech101_96px.zip", 1000, 2, held_back=True, left_out=frozenset({"Faces_easy", "BACKGROUND_Google"})
    ),
    "groceries": Source("groceries/groceries_128px.zip", 1000, times=3, held_back=True),
}


def photos_of(source: Source, split: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Class and pixels, uint8 (height, width, 3) as they are in the archive, of a split's photos."""
    with zipfile.ZipFile(cache.folder() / source.archive) as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png")))
        classes: dict[str, list[str]] = {}
        for number, name in enumerate(names):
            label = Path(name).parent.name or f"{number // source.per_class:02}"
            if label not in source.left_out:
                classes.setdefault(label, []).append(name)
        listed = sorted(classes)
        if source.held_back:
            listed = [listed[index] for index in split_of_classes(listed, split)]
        elif split != "train":
            listed = []
        for label in listed:
            for name in classes[label][: source.per_class]:
                yield label, np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))


@click.command()
@click.option("--output", required=True, metavar="NPZ")
def collect(output: str) -> None:
    """Write the training and validation photos to NPZ: x, y and split."""
    spec = ImageInput.for_shape((SIZE, SIZE, 3))
    x: list[NDArray[np.uint8]] = []
    y: list[str] = []
    splits: list[str] = []
    for split in ("train", "val"):
        for name, source in SOURCES.items():
            before = len(x)
            for label, pixels in photos_of(source, split):
                for time in range(source.times if split == "train" else 1):
                    x.append(spec.read(pixels))
                    y.append(f"{name}/{label} {time}")
                    splits.append(split)
            print(f"{split:5} {name:10} {len(x) - before:6} photos", flush=True)
    np.savez(output, x=np.stack(x), y=np.array(y), split=np.array(splits))


if __name__ == "__main__":
    collect()
