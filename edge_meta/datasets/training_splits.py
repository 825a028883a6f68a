"""The two parts of a dataset that a run needs: what it trains on, and what it is judged on."""

from __future__ import annotations

from dataclasses import replace

from edge_meta.datasets import Dataset, load_dataset
from edge_meta.datasets.base import FEWEST_CLASSES
from edge_meta.errors import DatasetError
from edge_meta.inputs import InputSpec

HELD_BACK = 0.2  # of the examples of each class


def load_training(name: str, split: str = "train", input_spec: InputSpec | None = None) -> tuple[Dataset, Dataset]:
    """Load what to train on, and what to validate on.

    Args:
        name: one of `names.TRAINABLE_NAMES`.
        split: `train` for the splits `train` and `val`, which share no class. `all` for data of few classes: train on all of
            them, but for a fifth of the examples of each, and validate on these, which are of classes that were trained.
        input_spec: the encoder's input; see `load_dataset`.

    Raises:
        DatasetError: see `load_dataset`; or too few classes or examples for both.
    """
    if split == "all":
        training, validation = load_dataset(name, "all", input_spec).hold_back(HELD_BACK)
        return replace(training, split="train"), replace(validation, split="val")
    training, validation = (load_dataset(name, each, input_spec) for each in ("train", "val"))
    counts = [len(part.class_names) for part in (training, validation)]
    if min(counts) < 2:
        raise DatasetError(
            f"{name} has {counts[0]} classes to train on and {counts[1]} to validate on; both need two.",
            f"Give at least {FEWEST_CLASSES} classes, which leaves two to test as well; or train on all with --split all.",
        )
    return training, validation


def load_validation(name: str, split: str = "train", input_spec: InputSpec | None = None) -> Dataset:
    """Load the part that a run is judged on, alone; see `load_training`."""
    return load_training(name, split, input_spec)[1] if split == "all" else load_dataset(name, "val", input_spec)
