"""The tensor that embeds: what the last layer takes, judged by episodes where there are data, and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.models import photo_folder, tflite

from converters import export_bundle
from converters.external.candidates import candidates
from converters.external.judgement import few_of_each
from converters.options import ModelOptions
from converters.tflite.edit import add_constant, serialize
from converters.tflite.edit_graph import Graph
from converters.tflite.model import parse
from edge_meta.datasets import Dataset
from edge_meta.errors import ExportError

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 3, 3, 24)).astype("f4") / 5
DENSE = RNG.normal(size=(24, 12)).astype("f4")
SHAPE = (1, 16, 16, 3)


def pooled(x: Any) -> Any:
    return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, KERNEL, 2, "SAME")), axis=(1, 2))


def logits(x: Any) -> Any:
    return pooled(x) @ DENSE


def classes(x: Any) -> Any:
    return tf.nn.softmax(logits(x))


def by_convolution(x: Any) -> Any:
    """MobileNetV1's last layers: a convolution of one pixel in place of a dense layer."""
    one = tf.reshape(pooled(x), (1, 1, 1, 24))
    return tf.nn.softmax(tf.reshape(tf.nn.conv2d(one, DENSE[None, None], 1, "VALID"), (1, 12)))


def of_unit_length(x: Any) -> Any:
    return tf.math.l2_normalize(logits(x), axis=1)


def dense_alone(x: Any) -> Any:
    return tf.reshape(x, (1, 768)) @ np.ones((768, 16), "f4")


def by_pooled_maps(x: Any) -> Any:
    """A map for each class, and its mean as the class's score."""
    return tf.nn.softmax(pooled(x))


def sizes(function: Any, names: tuple[str, ...] = ()) -> list[int]:
    graph = Graph(tflite(function, SHAPE), "net.tflite")
    return [int(np.prod(graph.shape(tensor))) for tensor in candidates(graph, graph.outputs[0], names)]


@pytest.mark.parametrize(
    ("function", "first"),
    [(classes, 24), (by_convolution, 24), (logits, 24), (of_unit_length, 12), (pooled, 24), (dense_alone, 16)],
)
def test_the_input_of_the_last_layer_comes_first(function: Any, first: int) -> None:
    assert sizes(function)[0] == first


def test_pooled_scores_come_before_their_probabilities() -> None:
    graph = Graph(tflite(by_pooled_maps, SHAPE), "net.tflite")
    first, second = candidates(graph, graph.outputs[0])
    assert (graph.producer(first), graph.producer(second)) == ("MEAN", "SOFTMAX")


def test_an_output_that_is_named_an_embedding_comes_first() -> None:
    assert sizes(logits, ("net/embedding/BiasAdd",))[0] == 12


def spoiled(x: Any) -> Any:
    """A classifier whose probabilities are all the same, but for rounding."""
    return tf.nn.softmax(1e-7 * logits(x))


def test_candidates_are_judged_on_data_and_named(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(tflite(spoiled, SHAPE))
    dataset, notes = photo_folder(tmp_path / "photos", classes=12), []
    options = ModelOptions(mean=(127.5,), scale=(1 / 127.5,))
    made = export_bundle(
        tmp_path / "net.tflite", tmp_path / "made.bundle", calibration=dataset, model_options=options, on_note=notes.append
    )
    assert made.manifest.dim == 24
    report = made.manifest.parity["candidates"]
    assert report["dataset"] == dataset
    assert min(report["tensors"].values()) == 0.0
    assert report["tensors"][made.manifest.training["tensor"]] > max(report["tensors"].values()) - 0.03
    assert any("episodes: " in note and "the embedding is taken from" in note for note in notes)


def test_a_better_output_is_taken_from_data(tmp_path: Path) -> None:
    def trained(x: Any) -> Any:
        """An encoder whose last layer drops a channel that says nothing and drowns the others."""
        noise = 1e3 * tf.math.floormod(1e3 * tf.reduce_sum(x, axis=(1, 2, 3)), 1.0)
        return tf.concat([pooled(x), noise[:, None]], axis=1) @ np.eye(25, 24, dtype="f4")

    (tmp_path / "net.tflite").write_bytes(tflite(trained, SHAPE))
    dataset, options = photo_folder(tmp_path / "photos", classes=12), ModelOptions(mean=(127.5,), scale=(1 / 127.5,))
    made = export_bundle(tmp_path / "net.tflite", tmp_path / "made.bundle", calibration=dataset, model_options=options)
    assert made.manifest.dim == 24


def test_without_data_the_choice_is_said(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(tflite(classes, SHAPE))
    notes: list[str] = []
    options = ModelOptions(mean=(127.5,), scale=(1 / 127.5,))
    made = export_bundle(tmp_path / "net.tflite", tmp_path / "made.bundle", model_options=options, on_note=notes.append)
    assert made.manifest.dim == 24
    assert any("not from" in note and "--output-tensor" in note for note in notes)


def test_few_of_each_keeps_classes_and_their_examples() -> None:
    labels = np.repeat(np.arange(50, dtype=np.int32), 30)
    data = Dataset("many", "train", labels[:, None], labels, tuple(map(str, range(50))), ("",) * 50)
    few = few_of_each(data)
    assert np.bincount(few.labels).tolist() == [20] * 20
    assert [few.class_names[label] for label in few.labels] == [str(value) for value in few.examples[:, 0]]


def enlarged_by_xnnpack_alone() -> bytes:
    """A segmentation network that ends in MediaPipe's own operator, which XNNPACK runs and the interpreter does not."""

    def network(x: Any) -> Any:
        features = tf.nn.relu(tf.nn.conv2d(x, KERNEL, 2, "SAME"))
        return tf.nn.conv2d_transpose(features, np.ones((2, 2, 1, 24), "f4"), (1, 16, 16, 1), 2)

    model = parse(tflite(network, SHAPE))
    operator = model.subgraphs[0].operators[-1]
    code = model.operatorCodes[operator.opcodeIndex]
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, "Convolution2DTransposeBias"
    _, weights, features, *_ = (int(index) for index in operator.inputs)
    operator.inputs = [features, weights, add_constant(model, "bias", np.zeros(1, "f4"))]
    operator.builtinOptionsType, operator.builtinOptions = 0, None
    operator.customOptions = list(np.array([1, 2, 2, 0, 0], np.int32).tobytes())
    return serialize(model)


@pytest.mark.parametrize(("operator", "runs"), [("CONV_2D", True), ("custom Convolution2DTransposeBias", False)])
def test_operators_that_xnnpack_alone_runs_are_left_out(tmp_path: Path, operator: str, runs: bool) -> None:
    (tmp_path / "net.tflite").write_bytes(enlarged_by_xnnpack_alone())
    graph = Graph((tmp_path / "net.tflite").read_bytes(), "net.tflite")
    tensor = next(step.outputs[0] for step in graph.steps() if step.name == operator)
    options = ModelOptions(mean=(127.5,), scale=(1 / 127.5,), output_tensor=str(tensor))
    if runs:
        made = export_bundle(tmp_path / "net.tflite", tmp_path / "made.bundle", model_options=options)
        assert made.manifest.dim == 24
    else:
        with pytest.raises(ExportError, match="XNNPACK alone"):
            export_bundle(tmp_path / "net.tflite", tmp_path / "made.bundle", model_options=options)
