"""The range of pixels: read from a model's first operators or its metadata, tried on data, else asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.models import photo_folder, tflite

from converters import export_bundle
from converters.external.input_range import CAFFE, IMAGENET, RAW, SIGNED, UNIT, Range, range_of_operators, stated_range
from converters.options import ModelOptions
from converters.tflite.edit import add_metadata, serialize
from converters.tflite.edit_graph import Graph
from converters.tflite.metadata import ENTRY, with_metadata
from converters.tflite.model import metadata_entry, parse
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 8)).astype("f4") / 5


def network(x: Any) -> Any:
    return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, KERNEL, 2, "SAME")), axis=(1, 2))


def normalized(x: Any) -> Any:
    return network((x / 255.0 - np.array([0.485, 0.456, 0.406], "f4")) / np.array([0.229, 0.224, 0.225], "f4"))


def read(content: bytes) -> Range | None:
    graph = Graph(content, "it")
    return range_of_operators(graph, graph.inputs[0], 3)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda x: network(x / 127.5 - 1.0), RAW),
        (lambda x: network(tf.pad(x * (1 / 255.0), [[0, 0], [1, 1], [1, 1], [0, 0]])), RAW),
        (normalized, RAW),
        (lambda x: network(x - np.array([103.9, 116.8, 123.7], "f4")), RAW),
        (lambda x: network(2.0 * x - 1.0), UNIT),
        (lambda x: network((x - np.array([0.485, 0.456, 0.406], "f4")) / np.array([0.229, 0.224, 0.225], "f4")), UNIT),
        (lambda x: network((x + 1.0) * 127.5), SIGNED),  # the factor moves into the weights
        (network, None),
    ],
    ids=["rescaling", "unit", "normalization", "mean only", "unit to signed", "of unit", "signed to raw", "nothing"],
)
def test_first_operators_say_the_range(function: Any, found: Range | None) -> None:
    assert read(tflite(function, (1, 16, 16, 3))) == found


@pytest.mark.parametrize(("seen", "found"), [((0, 255), RAW), ((0, 1), UNIT), ((-1, 1), SIGNED)])
def test_a_first_quantize_says_the_range(seen: tuple[float, float], found: Range) -> None:
    assert read(tflite(network, (1, 16, 16, 3), ends=tf.float32, seen=seen)) == found


@pytest.mark.parametrize(
    "layers", [[keras.layers.Rescaling(1 / 127.5, -1)], [keras.layers.Normalization(mean=120.0, variance=3600.0)]]
)
def test_a_keras_model_that_rescales_takes_raw_pixels(tmp_path: Path, layers: list[Any]) -> None:
    behind = [keras.layers.Conv2D(8, 3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers, *behind])
    model.save(tmp_path / "own.keras")
    notes: list[str] = []
    made = export_bundle(tmp_path / "own.keras", tmp_path / "made.bundle", quantize="float32", on_note=notes.append)
    assert (made.manifest.input_spec.mean, made.manifest.input_spec.scale) == (0.0, 1.0)
    assert any("pixels as its first operators take them: --mean 0 --scale 1" in note for note in notes)


def with_range(content: bytes, mean: float, scale: float) -> bytes:
    described = metadata_entry(parse(with_metadata(content, ImageInput(16, 16, 3, mean, scale), 8, "none")), ENTRY)
    model = parse(content)
    add_metadata(model, ENTRY, described)
    return serialize(model)


def test_metadata_says_the_range_where_operators_do_not() -> None:
    graph = Graph(with_range(tflite(network, (1, 16, 16, 3)), 127.5, 1 / 127.5), "it")
    found = stated_range(graph, graph.inputs[0], 3, "it")
    assert found is not None
    assert (found[0].mean, found[1]) == ((127.5,), "its metadata")


def test_metadata_against_operators_is_asked_about() -> None:
    content = with_range(tflite(lambda x: network(x / 127.5 - 1.0), (1, 16, 16, 3)), 127.5, 1 / 127.5)
    graph = Graph(content, "it.tflite")
    with pytest.raises(ExportError, match=r"its first operators take 0 to 255.*--mean"):
        stated_range(graph, graph.inputs[0], 3, "it.tflite")


def saturated(x: Any) -> Any:
    """Tell patterns apart for values from −1 to 1 alone: larger ones are cut, smaller ones drown in an offset."""
    spread = tf.image.resize(tf.clip_by_value(x, -1.0, 1.0), (4, 4))
    return tf.round(16.0 * tf.reshape(spread, (1, 48))) @ tf.constant(
        np.random.default_rng(1).normal(size=(48, 24)), tf.float32
    )


def test_data_tell_the_range_where_nothing_says_it(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(tflite(saturated, (1, 16, 16, 3)))
    notes: list[str] = []
    dataset = photo_folder(tmp_path / "photos", classes=12)
    made = export_bundle(tmp_path / "net.tflite", tmp_path / "made.bundle", calibration=dataset, on_note=notes.append)
    assert made.manifest.input_spec.mean in (127.5, 0.0)  # ImageNet's deviations are operators
    ranges = made.manifest.parity["candidates"]["ranges"]
    assert max(ranges, key=ranges.__getitem__) in (SIGNED.name, IMAGENET.name)
    assert ranges[RAW.name] < ranges[SIGNED.name] - 0.1
    assert any("do best on" in note and RAW.name in note for note in notes)


def test_without_evidence_the_range_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(tflite(network, (1, 16, 16, 3)))
    with pytest.raises(ExportError, match=r"does not say in which range.*--mean 127\.5.*--calibration"):
        export_bundle(tmp_path / "net.tflite", tmp_path / "made.bundle")
    # A network whose features do not depend on the range.
    scaleless = tflite(lambda x: tf.math.l2_normalize(tf.reshape(x - tf.reduce_mean(x), (1, 768))), (1, 16, 16, 3))
    (tmp_path / "any.tflite").write_bytes(scaleless)
    dataset = photo_folder(tmp_path / "photos")
    with pytest.raises(ExportError, match=r"does not tell \(-1 to 1 .* %.*--mean"):
        export_bundle(tmp_path / "any.tflite", tmp_path / "made.bundle", calibration=dataset)


def test_a_range_of_blue_first_pixels_reverses_the_channels(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(tflite(network, (1, 16, 16, 3)))
    options = ModelOptions(mean=CAFFE.mean, scale=CAFFE.scale, channel_order="bgr")
    made = export_bundle(tmp_path / "net.tflite", tmp_path / "made.bundle", model_options=options)
    assert made.manifest.parity["source"]["noise"] < 1e-4
