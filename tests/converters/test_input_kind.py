"""The kind of a model's input: judged by shape, name and metadata; asked for where two are likely."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
from support.models import tflite
from support.tflite import flatbuffer

from converters.external.input_kind import input_kind
from converters.external.input_spec import SAMPLES, read_input
from converters.options import ModelOptions
from converters.tflite.edit import add_metadata, serialize
from converters.tflite.edit_graph import Graph
from converters.tflite.metadata import ENTRY, with_metadata
from converters.tflite.model import metadata_entry, parse
from edge_meta.errors import ExportError
from edge_meta.inputs import ImageInput


def kind(shape: tuple[int, ...], name: str = "net.tflite", metadata: bytes = b"", **options: Any) -> str:
    model = parse(tflite(tf.tanh, shape))
    if metadata:
        add_metadata(model, ENTRY, metadata)
    graph = Graph(serialize(model), name)
    return input_kind(graph, graph.inputs[0], shape, name, ModelOptions(**options))


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((1, 96, 96, 3), "image"),
        ((1, 3, 96, 96), "image"),
        ((1, 28, 28, 1), "image"),
        ((1, 160, 120, 3), "image"),
        ((1, 128, 6), "array"),
        ((1, 300), "array"),
    ],
)
def test_a_clear_shape_says_the_kind(shape: tuple[int, ...], found: str) -> None:
    assert kind(shape) == found


@pytest.mark.parametrize("shape", [(1, 76, 32, 1), (1, 49, 40, 1), (1, 1, 64, 101), (1, 128, 3, 1), (1, 200, 6, 3)])
def test_a_spectrogram_or_an_image_is_asked_about(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExportError, match=r"which may be an image, or an array.*--input-kind"):
        kind(shape)


def test_samples_or_an_array_are_asked_about() -> None:
    with pytest.raises(ExportError, match=r"4096 values in a row.*--sample-rate HZ, or --input-kind array"):
        kind((1, 4096))
    assert kind((1, 4096), sample_rate=8000) == "audio"


def test_a_name_says_the_kind() -> None:
    assert kind((1, 76, 32, 1), "logmel_encoder.tflite") == "array"
    assert kind((1, 15600), "speech.tflite") == "audio"
    assert kind((1, 48, 160, 1), "plate_image.tflite") == "image"


def test_metadata_say_the_kind() -> None:
    described = metadata_entry(parse(with_metadata(tflite(tf.tanh, (1, 48, 160, 1)), ImageInput(48, 160, 1), 8, "")), ENTRY)
    assert kind((1, 48, 160, 1), metadata=described) == "image"


OF_AUDIO = flatbuffer({3: [{2: [{3: {0: 4, 1: {}}}]}]})  # ModelMetadata down to AudioProperties


def test_metadata_of_audio_say_kind_and_range() -> None:
    assert kind((1, 15600), metadata=OF_AUDIO) == "audio"
    model = parse(tflite(tf.tanh, (1, 15600)))
    add_metadata(model, ENTRY, OF_AUDIO)
    graph = Graph(serialize(model), "net.tflite")
    _, ranges = read_input(graph, graph.inputs[0], "net.tflite", ModelOptions(), lambda note: None)
    assert ranges == [SAMPLES]


def test_a_sample_rate_contradicts_an_image() -> None:
    with pytest.raises(ExportError, match="may be an image"):
        kind((1, 76, 32, 1), sample_rate=16000)
    with pytest.raises(ExportError, match="may be an image"):
        kind((1, 96, 96, 3), sample_rate=16000)
    with pytest.raises(ExportError, match="is an image and has no sample rate"):
        kind((1, 96, 96, 3), input_kind="image", sample_rate=16000)


def test_the_kind_that_is_asked_for_is_taken() -> None:
    assert kind((1, 76, 32, 1), input_kind="array") == "array"
    assert kind((1, 76, 32, 1), input_kind="image") == "image"
