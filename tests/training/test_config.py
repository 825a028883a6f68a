"""A configuration refuses settings that no run can have."""

from __future__ import annotations

from typing import Any

import pytest

from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"episodes": 0}, "Episodes and learning rate must be above zero"),
        ({"learning_rate": 0.0}, "Episodes and learning rate must be above zero"),
        ({"learning_rate": float("nan")}, "Episodes and learning rate must be above zero"),
        ({"learning_rate": float("inf")}, "Episodes and learning rate must be above zero"),
        ({"image_size": 15}, "Images of 15 pixels are too small"),
        ({"seed": -1}, "-1"),
        ({"seed": 2**32}, "4294967296"),
        ({"method": "nonsense"}, "nonsense"),
        ({"encoder": "nonsense"}, "nonsense"),
        ({"precision": "float16"}, "There is no 'float16'. Use one of float32, bfloat16"),
        ({"inner_learning_rate": 0.0}, "inner loop's learning rate must be above zero"),
        ({"inner_learning_rate": float("nan")}, "inner loop's learning rate must be above zero"),
        ({"transductive": True}, "protonet does not judge queries .* use maml, fomaml, protomaml, reptile"),
        ({"transductive": True, "method": "anil"}, "anil does not judge queries"),
        ({"whole_groups": -0.1}, r"A share of -0\.1 is not possible\. Use a number from 0 to 1"),
        ({"whole_groups": 1.01}, "A share of 1.01 is not possible"),
        ({"whole_groups": float("nan")}, "A share of nan is not possible"),
        ({"inner_steps": 0}, "Inner steps and tasks must be at least 1"),
        ({"tasks": 0}, "Inner steps and tasks must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(TrainingError, match=error):
        TrainingConfig(**settings)


def test_rotations_are_on_for_omniglot_alone_unless_asked_for() -> None:
    assert TrainingConfig("omniglot").with_rotations
    assert not TrainingConfig("glyphs").with_rotations
    assert not TrainingConfig("omniglot", rotations=False).with_rotations
    assert TrainingConfig("glyphs", rotations=True).with_rotations


@pytest.mark.parametrize(("rgb", "channels"), [(False, 1), (True, 3)])
def test_the_input_has_the_size_and_colours_asked_for(rgb: bool, channels: int) -> None:
    assert TrainingConfig(image_size=20, rgb=rgb).input == ImageInput.for_shape((20, 20, channels))
