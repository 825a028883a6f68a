"""The noise that a format's rounding explains is near that of a converted file, and no fault of a file hides in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.external.agreement import agreement
from converters.external.embedding_part import model_inputs
from converters.external.noise_bound import MARGIN, noise_bound
from converters.external.source import load_function, to_tflite
from converters.external.source_model import TfliteModel
from converters.quantization.explained_noise import explained_noise
from converters.tflite.edit import serialize
from converters.tflite.edit_graph import Graph
from converters.tflite.model import parse
from edge_meta.errors import ExportError

RNG = np.random.default_rng(0)
VALUES = (RNG.normal(size=(24, 1, 1, 1, 3)) + 0.3 * RNG.normal(size=(24, 1, 16, 16, 3))).astype("f4")


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """convert(format): a small network of random weights."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("net") / "net.keras"
    net = [keras.Input((16, 16, 3))]
    for filters in (16, 24):
        net.append(keras.layers.Conv2D(filters, 3, strides=2, kernel_initializer="he_normal", activation="relu"))
    keras.Sequential([*net, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(8)]).save(path)
    function, _ = load_function(path)
    return lambda quantize: to_tflite(path, function, quantize, [[value] for value in VALUES])


def embeddings(content: bytes) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    found = []
    for value in VALUES:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel())
    return np.stack(found)


@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int16x8", "int8"])
def test_rounding_explains_the_noise_of_a_file(convert: Any, quantize: str) -> None:
    exact, converted = convert("float32"), convert(quantize)
    found = agreement(embeddings(exact), embeddings(converted))["noise"]
    explained = explained_noise(exact, converted, VALUES)
    assert explained is not None
    assert explained / 4 < found < MARGIN * explained < 0.3


def test_a_wrong_weight_is_not_explained(convert: Any) -> None:
    exact, model = convert("float32"), parse(convert("int8"))
    weights = [
        each for each in model.subgraphs[0].tensors if len(each.shape) == 4 and model.buffers[each.buffer].data is not None
    ]
    data = model.buffers[weights[-1].buffer].data
    model.buffers[weights[-1].buffer].data = bytes(reversed(bytes(bytearray(data))))
    wrong = serialize(model)
    explained = explained_noise(exact, wrong, VALUES)
    assert explained is not None
    assert agreement(embeddings(exact), embeddings(wrong))["noise"] > MARGIN * explained


def test_a_file_in_float32_must_agree_first(convert: Any) -> None:
    exact, converted = convert("float32"), convert("int8")
    source = embeddings(exact)
    assert noise_bound(exact, converted, VALUES, source, "net.keras", "array") < 0.3
    with pytest.raises(ExportError, match=r"does not compute what net\.keras does"):
        noise_bound(exact, converted, VALUES, source[:, ::-1], "net.keras", "array")


def test_a_text_model_with_a_mask_must_agree_first(tmp_path: Path) -> None:
    ids, mask = keras.Input((6,), dtype="int32", name="input_ids"), keras.Input((6,), dtype="int32", name="attention_mask")
    words = keras.layers.Embedding(50, 8)(ids)
    kept = keras.layers.Multiply()([words, keras.layers.Reshape((6, 1))(keras.ops.cast(mask, "float32"))])
    keras.Model([ids, mask], keras.layers.Dense(16)(keras.layers.GlobalAveragePooling1D()(kept))).save(tmp_path / "t.keras")
    function, _ = load_function(tmp_path / "t.keras")
    exact = to_tflite(tmp_path / "t.keras", function)
    given = RNG.integers(1, 50, (24, 1, 6)).astype(np.int32)
    given[:, :, 4:] = 0
    graph = Graph(exact, "t.keras")
    source = TfliteModel(exact, model_inputs(graph, "t.keras"), graph.outputs).embed(given)
    assert noise_bound(exact, exact, given, source, "t.keras", "array") > 0
    with pytest.raises(ExportError, match=r"does not compute what t\.keras does"):
        noise_bound(exact, exact, given, source[:, ::-1], "t.keras", "array")


def test_other_operators_explain_nothing(convert: Any) -> None:
    model = parse(convert("int8"))
    del model.subgraphs[0].operators[2]
    assert explained_noise(convert("float32"), serialize(model), VALUES) is None
