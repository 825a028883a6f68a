"""A dataset in memory: examples, the class of each, and the group (an alphabet, a script) of each class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import DatasetError

FEWEST_CLASSES = 8
"""From which on `split_of_classes` deals two classes at least to each split."""


@dataclass(frozen=True)
class Dataset:
    """One split of a dataset, at the size the encoder takes.

    Attributes:
        name: as `load_dataset` takes it.
        split: `train`, `val`, `test`, or `all`.
        examples: images, uint8 (n, height, width, channels); or recordings or arrays (n, ...), as `InputSpec.read` gives
            them.
        labels: int32 (examples,), indices into `class_names`, in ascending order.
        class_names: one name a class.
        groups: one group name a class, such as its alphabet or script; "" where there are no groups.
        authors: int32 (examples,), the maker of each example, numbered from 0 within the group, each at most once in a
            class; None where they are not known.

    Raises:
        ValueError: the lengths differ, or the labels are not in ascending order.
    """

    name: str
    split: str
    examples: NDArray[Any]
    labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    groups: tuple[str, ...]
    authors: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if self.examples.ndim < 2 or len(self.examples) != len(self.labels) or len(self.groups) != len(self.class_names):
            raise ValueError("examples, labels, class_names and groups do not belong together")
        if self.authors is not None and self.authors.shape != self.labels.shape:
            raise ValueError("authors and examples do not belong together")
        if np.any(np.diff(self.labels) < 0):
            raise ValueError("labels are not in ascending order")

    def __repr__(self) -> str:
        classes, sizes = len(self.class_names), "×".join(map(str, self.examples.shape[1:]))
        held = f"{len(self.examples):,} examples of {sizes} {self.examples.dtype}"
        return f"<Dataset {self.name}, {self.split}: {classes:,} classes, {held}>"

    def hold_back(self, share: float) -> tuple[Dataset, Dataset]:
        """Hold back a share of the examples of each class, two at least; returns the dataset without them, and them alone.

        Raises:
            DatasetError: a class has fewer than four examples, so that fewer than two are left of it.
        """
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        if counts.min() < 4:
            raise DatasetError(
                f"Class {self.class_names[int(counts.argmin())]} of {self.name} has {counts.min()} examples; two to train "
                "on and two to validate on make four.",
                "Add examples to that class, or leave it out.",
            )
        held = np.maximum(2, np.round(share * counts)).astype(int)[self.labels]
        places = np.arange(len(self.labels)) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = (places + 1) * held // counts[self.labels] > places * held // counts[self.labels]  # evenly spread

        def part(rows: NDArray[np.bool_]) -> Dataset:
            authors = None if self.authors is None else self.authors[rows]
            return replace(self, examples=self.examples[rows], labels=self.labels[rows], authors=authors)

        return part(~chosen), part(chosen)

    def with_rotations(self) -> Dataset:
        """Add each class turned by 90, 180 and 270 degrees as three more classes (Santoro et al. 2016; Snell et al. 2017).

        Raises:
            ValueError: the images are not square.
        """
        return self._with_more({str(90 * turns): np.rot90(self.examples, turns, axes=(1, 2)) for turns in (1, 2, 3)})

    def with_reflections(self) -> Dataset:
        """Add each class mirrored, left to right, as one more class."""
        return self._with_more({"mirror": self.examples[:, :, ::-1]})

    def _with_more(self, copies: dict[str, NDArray[Any]]) -> Dataset:
        """Add changed copies of all examples; a copy of a class is a new class, and a copy of a group a new group."""
        classes, times = len(self.class_names), 1 + len(copies)
        labels = [self.labels + copy * classes for copy in range(times)]
        return replace(
            self,
            examples=np.concatenate([self.examples, *copies.values()]),
            labels=np.concatenate(labels).astype(np.int32),
            class_names=self.class_names + tuple(f"{name} @{how}" for how in copies for name in self.class_names),
            groups=self.groups + tuple(f"{group} @{how}" for how in copies for group in self.groups),
            authors=None if self.authors is None else np.tile(self.authors, times),
        )

    def protocol(self, shot: int) -> tuple[int, int, int]:
        """Choose (way, shot, query) for measuring accuracy: 20-way with 15 queries, or as near to it as the data allows.

        Raises:
            DatasetError: fewer than two classes, or a class with a single example.
        """
        fewest = int(np.bincount(self.labels).min())
        if len(self.class_names) < 2 or fewest < 2:
            raise DatasetError(
                f"The {self.split} split of {self.name} has {len(self.class_names)} classes, the smallest with {fewest} "
                "examples; measuring accuracy takes at least two of each.",
                "Add classes and examples.",
            )
        shot = max(1, min(shot, fewest - 1))
        return min(20, len(self.class_names)), shot, max(1, min(15, fewest - shot))

    @property
    def digest(self) -> str:
        """SHA-256 over class names, labels and examples: the same digest, the same data."""
        sha = hashlib.sha256("\0".join((*self.class_names, str(self.examples.shape))).encode())
        sha.update(self.labels.tobytes())
        sha.update(np.ascontiguousarray(self.examples).data)  # no copy, since examples may be gigabytes
        return sha.hexdigest()


def split_of_classes(names: Sequence[str], split: str) -> list[int]:
    """Deal classes to splits where the data has none: 60 % train, 20 % val, 20 % test; returns the split's class indices.

    Classes are dealt in the order of the SHA-256 of their names, so that a split depends neither on the order of files
    nor on a seed. `all` is every class, for data that the encoder was not trained on.
    """
    if split == "all":
        return list(range(len(names)))
    order = sorted(range(len(names)), key=lambda index: hashlib.sha256(names[index].encode()).digest())
    held_back = max(1, round(0.2 * len(names))) if len(names) >= 3 else 0
    parts = {
        "test": order[:held_back],
        "val": order[held_back : 2 * held_back],
        "train": order[2 * held_back :],
    }
    return sorted(parts[split])


def require_classes(name: str, split: str, count: int) -> None:
    """Raises DatasetError when a split has no classes."""
    if count == 0:
        raise DatasetError(
            f"The {split} split of {name} has no classes.",
            f"Give at least three classes ({FEWEST_CLASSES} for two in each split), or use --split all: to evaluate, if the "
            "encoder was not trained on them; to train, on all classes.",
        )
