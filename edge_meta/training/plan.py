"""A plan for training on the user's own data: the settings that its sense, number, size and colours ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_meta.datasets.base import FEWEST_CLASSES, split_of_classes
from edge_meta.datasets.survey import IMAGE, SERIES, Survey
from edge_meta.errors import DatasetError
from edge_meta.training.shipped_start import DIM, ENCODER, OBJECTS

SMALLEST_PHOTO = 64  # pixels; smaller images in colour are trained from scratch
PHOTO_SIZE, DRAWING_SIZE, FINE_DRAWING_SIZE = 128, 28, 56
FINE_DRAWING = 56  # pixels a side from which on a drawing has fine strokes
MOST_SHOT, MOST_QUERY = 5, 5
# Classes and examples in an episode.
OF_PHOTOS, OF_SMALL_IMAGES, OF_SENSORS = (20, 80), (100, 300), (20, 100)

# From the weights of `objects`: a small rate, and few episodes, since more of them learn photos of few classes by heart.
STARTED = {"learning_rate": 1e-4, "episodes": 150, "augment": True}
FROM_SCRATCH = {"episodes": 2000}
SENSORS = {"learning_rate": 2e-3, "episodes": 1500, "augment": True}  # of recordings and series


def plan(found: Survey, given: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the settings of a run that its user left open; names are those of `TrainingConfig`.

    Recordings train a dscnn, and series a tcn. Photos start from the shipped encoder `objects`, at 128 pixels. Way, shot and
    query follow from the number of training classes and the smallest of them.

    Args:
        given: what the user asked for, which is left as it is, and what follows from it.

    Returns:
        Settings, none of them in `given`.

    Raises:
        DatasetError: there are too few classes or examples to train and to validate.
    """
    chosen = dict(given)
    limits = OF_SENSORS if found.sense != IMAGE else _choose_for_images(chosen, found)
    if found.sense != IMAGE:
        _choose_for_sensors(chosen, found)
    classes, fewest = _training_classes(found, chosen.get("split", "train"))
    _choose_episode(chosen, classes, fewest, *limits)
    return {name: value for name, value in chosen.items() if name not in given}


def _choose_for_sensors(chosen: dict[str, Any], found: Survey) -> None:
    chosen.setdefault("encoder", "tcn" if found.sense == SERIES else "dscnn")
    if found.channels:
        chosen.setdefault("channels", found.channels)
    for name, value in SENSORS.items():
        chosen.setdefault(name, value)


def _choose_for_images(chosen: dict[str, Any], found: Survey) -> tuple[int, int]:
    """Choose size, colours, encoder and length of training; returns the limits of an episode."""
    rgb = bool(chosen.setdefault("rgb", found.colour))
    is_photo = rgb and chosen.get("image_size", found.side) >= SMALLEST_PHOTO
    chosen.setdefault("image_size", _size(found, is_photo))
    fine = not rgb and chosen["image_size"] >= FINE_DRAWING_SIZE
    chosen.setdefault("encoder", ENCODER if is_photo else "resnet8" if fine else "conv4")
    can_start = chosen["encoder"] == ENCODER and rgb and chosen.get("dim", DIM) == DIM and not chosen.get("teachers")
    if can_start:
        chosen.setdefault("start", OBJECTS)
    for name, value in (STARTED if chosen.get("start") == OBJECTS else FROM_SCRATCH).items():
        chosen.setdefault(name, value)
    return OF_PHOTOS if is_photo else OF_SMALL_IMAGES


def _size(found: Survey, is_photo: bool) -> int:
    """The height and width of the encoder's input."""
    if is_photo:
        return PHOTO_SIZE
    return FINE_DRAWING_SIZE if found.side >= FINE_DRAWING and not found.colour else DRAWING_SIZE


def _training_classes(found: Survey, split: str) -> tuple[int, int]:
    """The number of classes that train, and the examples of the smallest."""
    names = list(found.classes)
    if split == "all":
        fewest = min(found.classes.values())
        return len(names), fewest - max(2, round(0.2 * fewest))
    if found.training is not None:
        return len(found.training), min(found.training.values(), default=0)
    if len(names) < FEWEST_CLASSES:
        raise DatasetError(
            f"There are {len(names)} classes; {FEWEST_CLASSES} are needed for two in each of train, val and test.",
            "Add classes; or train on all of them with --split all, which validates on other examples of the same classes.",
        )
    training = [found.classes[names[index]] for index in split_of_classes(names, "train")]
    return len(training), min(training)


def _choose_episode(chosen: dict[str, Any], classes: int, fewest: int, most_way: int, most_examples: int) -> None:
    """Choose shot and query by the smallest class, then as many ways as an episode has room for."""
    left = fewest - chosen["query"] if "query" in chosen else fewest // 2
    shot = chosen.setdefault("shot", max(1, min(MOST_SHOT, left)))
    query = chosen.setdefault("query", max(1, min(MOST_QUERY, fewest - shot)))
    chosen.setdefault("way", max(2, min(most_way, classes, most_examples // (shot + query))))
