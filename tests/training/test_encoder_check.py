"""Any Keras model as an encoder, and the errors of models that cannot be one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support.workstation import SIZE, synthetic

from edge_meta.datasets.episodes import EpisodeSampler
from edge_meta.errors import TrainingError
from edge_meta.inputs import ImageInput
from edge_meta.training import ProtoNet
from edge_meta.training.run import RunFolder

SHAPE = (SIZE, SIZE, 1)


class Subclassed(keras.Model):
    """A model whose layers Keras finds by running its code."""

    def __init__(self) -> None:
        super().__init__(name="subclassed")
        self.conv = layers.Conv2D(4, 3, strides=4)
        self.flat = layers.Flatten()

    def call(self, images: Any) -> Any:
        return self.flat(self.conv(images))


def called() -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, *SHAPE), np.float32))
    return model


def sequential() -> keras.Model:
    return keras.Sequential(
        [layers.Input(SHAPE), layers.Conv2D(4, 3, strides=4), layers.BatchNormalization(), layers.Flatten()]
    )


def application() -> keras.Model:
    return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg")


def nested() -> keras.Model:
    return keras.Sequential([layers.Input((32, 32, 3)), application(), layers.Dense(8)])


@pytest.mark.parametrize("make", [called, sequential, application, nested])
def test_any_keras_model_trains_and_is_kept(make: Any, tmp_path: Path) -> None:
    learner = ProtoNet(make())
    height, _, channels = learner.encoder.input_shape[1:]
    data = synthetic(6, 6, channels)
    if height != SIZE:
        data = type(data)(
            "big", "train", data.examples.repeat(2, 1).repeat(2, 2), data.labels, data.class_names, data.groups
        )
    learner.compile()
    before = [array.copy() for array in learner.encoder.get_weights()]
    run = RunFolder.create(tmp_path / "run", {}, {"input": {}})
    learner.fit(EpisodeSampler(data, 3, 1, 2), 2, run=run, validations=1)
    assert any(not np.array_equal(one, other) for one, other in zip(before, learner.encoder.get_weights(), strict=True))
    assert run.encoder.is_file()


def test_a_subclassed_model_may_get_its_shape_from_the_input() -> None:
    learner = ProtoNet(Subclassed(), ImageInput.for_shape(SHAPE))
    assert learner.encoder.output_shape == (None, 64)


def no_tensor() -> keras.Model:
    class Broken(keras.Model):
        def call(self, images: Any) -> Any:
            raise ValueError("no such layer")

    return Broken(name="broken")


@pytest.mark.parametrize(
    ("make", "spec", "message"),
    [
        (lambda: np.zeros(3), None, "of ndarray, not of keras.Model"),
        (Subclassed, None, "subclassed does not say which images it takes. Call it on a batch"),
        (no_tensor, ImageInput.for_shape(SHAPE), r"broken cannot be called on images of .* \(.*no such layer"),
        (
            lambda: keras.applications.MobileNetV2(include_top=False, weights=None, alpha=0.35, pooling="avg"),
            None,
            r"takes \(None, None, None, 3\), not images .* input_shape=\(96, 96, 3\)",
        ),
        (
            lambda: keras.applications.MobileNetV2((32, 32, 3), include_top=False, weights=None, alpha=0.35),
            None,
            r"gives \(None, 1, 1, 1280\), not one vector .* GlobalAveragePooling2D",
        ),
    ],
)
def test_a_model_that_cannot_be_one_is_told_why(make: Any, spec: ImageInput | None, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        ProtoNet(make(), spec)
