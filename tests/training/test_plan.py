"""The plan of a run on the user's own images."""

from __future__ import annotations

from typing import Any

import pytest

from edge_meta.datasets.survey import Survey
from edge_meta.errors import DatasetError
from edge_meta.training.config import TrainingConfig
from edge_meta.training.plan import plan


def found(classes: int = 20, examples: int = 12, colour: bool = True, side: int = 200) -> Survey:
    return Survey({f"class {index}": examples for index in range(classes)}, None, colour, side)


def test_photos_start_from_the_shipped_encoder() -> None:
    chosen = plan(found(), {})
    expected = {"rgb": True, "image_size": 128, "encoder": "photo12", "start": "objects", "augment": True}
    assert expected.items() <= chosen.items()
    assert (chosen["way"], chosen["shot"], chosen["query"]) == (8, 5, 5)
    TrainingConfig(**chosen)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"colour": False, "side": 28}, {"rgb": False, "image_size": 28, "encoder": "conv4"}),
        ({"colour": False, "side": 105}, {"rgb": False, "image_size": 56, "encoder": "resnet8"}),
        ({"colour": True, "side": 32}, {"rgb": True, "image_size": 28, "encoder": "conv4"}),
    ],
)
def test_other_images_are_trained_from_scratch(data: dict[str, Any], expected: dict[str, Any]) -> None:
    chosen = plan(found(**data), {})
    assert expected.items() <= chosen.items()
    assert "start" not in chosen


@pytest.mark.parametrize(
    "given",
    [
        {"image_size": 48},
        {"encoder": "conv4"},
        {"dim": 64},
        {"rgb": False},
        {"start": "imagenet", "encoder": "mobilenet_v2"},
    ],
)
def test_options_win_and_rule_out_the_start(given: dict[str, Any]) -> None:
    chosen = plan(found(), given)
    assert chosen.keys().isdisjoint(given)
    assert "start" not in chosen


@pytest.mark.parametrize(("examples", "shot", "query"), [(2, 1, 1), (3, 1, 2), (6, 3, 3), (100, 5, 5)])
def test_shot_and_query_fit_the_smallest_class(examples: int, shot: int, query: int) -> None:
    chosen = plan(found(examples=examples), {})
    assert (chosen["shot"], chosen["query"]) == (shot, query)


def test_a_query_that_is_given_leaves_shots() -> None:
    assert plan(found(examples=4), {"query": 3})["shot"] == 1


def test_ways_are_as_many_as_classes_train() -> None:
    assert plan(found(classes=8, colour=False, side=28), {})["way"] == 4


def test_splits_of_the_data_itself_count() -> None:
    of_train = {"a": 9, "b": 4, "c": 9}
    chosen = plan(Survey(of_train | {"d": 1}, of_train, False, 28), {})
    assert (chosen["way"], chosen["shot"], chosen["query"]) == (3, 2, 2)


def test_few_classes_are_told_how_many_are_needed() -> None:
    with pytest.raises(DatasetError, match=r"7 classes; 8 are needed for two in each.*--split all"):
        plan(found(classes=7), {})
    assert plan(found(classes=3), {"split": "all"})["way"] == 3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"sense": "recording"}, {"encoder": "dscnn"}),
        ({"sense": "series", "channels": ("x", "y")}, {"encoder": "tcn", "channels": ("x", "y")}),
    ],
)
def test_recordings_and_series_have_encoders(data: dict[str, Any], expected: dict[str, Any]) -> None:
    chosen = plan(Survey({f"class {index}": 10 for index in range(20)}, None, **data), {})
    assert {**expected, "augment": True, "way": 10, "shot": 5, "query": 5}.items() <= chosen.items()
    assert chosen.keys().isdisjoint({"rgb", "image_size", "start"})
    assert TrainingConfig(**chosen).input.shape == ((16000,) if data["sense"] == "recording" else (128, 2))
