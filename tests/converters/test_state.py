"""Models with state start each example anew, and files of old converters are repaired."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converters import ModelOptions, export_bundle
from converters.targets import export_target
from converters.tflite.edit import add_constant, add_tensor, new_operator, serialize
from converters.tflite.model import parse
from edge_meta.errors import ExportError
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.interpreter import open_encoder

RNG = np.random.default_rng(0)
WEIGHTS, RECURRENT = RNG.normal(size=(6, 12)).astype("f4"), RNG.normal(size=(6, 6)).astype("f4")
EXAMPLES = RNG.normal(size=(4, 12)).astype("f4")
START = np.arange(6, dtype="f4")[None]


def dense(x: Any) -> Any:
    return tf.tanh(x @ WEIGHTS.T)


def converted(function: Any, module: Any = None, **how: Any) -> bytes:
    traced = tf.function(function).get_concrete_function(tf.TensorSpec((1, 12)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], module or tf.Module())
    for name, value in how.items():
        setattr(converter, name, value)
    made: bytes = converter.convert()
    return made


@pytest.fixture
def embed(tmp_path: Path) -> Callable[[bytes], np.ndarray]:
    """embed(model): embeddings of EXAMPLES by its bundle, each run twice."""

    def run(model: bytes) -> np.ndarray:
        (tmp_path / "mine.tflite").write_bytes(model)
        options = ModelOptions(input_kind="array")
        bundle = export_bundle(tmp_path / "mine.tflite", tmp_path / "made.bundle", model_options=options)
        encoder = open_encoder(bundle)
        found = np.stack([encoder.embed(example[None]) for example in (*EXAMPLES, *EXAMPLES)])
        np.testing.assert_array_equal(found[: len(EXAMPLES)], found[len(EXAMPLES) :])
        return found[: len(EXAMPLES)]

    return run


@pytest.mark.parametrize("start", [START, None], ids=["with a start", "from zeros"])
def test_variables_have_their_first_values_each_time(embed: Callable[[bytes], np.ndarray], start: Any) -> None:
    module = tf.Module()
    module.state = tf.Variable(np.zeros((1, 6), "f4") if start is None else start)

    def twice(x: Any) -> Any:
        module.state.assign_add(dense(x))
        return module.state.assign(2.0 * module.state)

    model = converted(twice, module, experimental_enable_resource_variables=True)
    names = [int(max(code.builtinCode, code.deprecatedBuiltinCode)) for code in parse(model).operatorCodes]
    assert schema.BuiltinOperator.READ_VARIABLE in names
    wanted = 2.0 * (dense(EXAMPLES).numpy() + (0.0 if start is None else start))
    np.testing.assert_allclose(embed(model), wanted, atol=1e-5)


def test_a_savedmodel_that_assigns_is_taken_as_tflite_only(embed: Callable[[bytes], np.ndarray], tmp_path: Path) -> None:
    class Counting(tf.Module):
        def __init__(self) -> None:
            self.state = tf.Variable(START)

        @tf.function(input_signature=[tf.TensorSpec((1, 12))])
        def __call__(self, x: Any) -> Any:
            return self.state.assign_add(dense(x))

    module = Counting()
    tf.saved_model.save(module, str(tmp_path / "counting"), signatures=module.__call__)
    with pytest.raises(ExportError, match=r"counting assigns its variables, .* or convert it to \.tflite"):
        export_bundle(tmp_path / "counting", tmp_path / "made.bundle", quantize="float32")
    file = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "counting")).convert()
    np.testing.assert_allclose(embed(file), START + dense(EXAMPLES).numpy(), atol=1e-5)


def recurrent() -> bytes:
    """tanh(W x + R h), where h is the output of the last run."""
    model = parse(converted(lambda x: tf.tanh(x[:, :6] + x[:, 6:])))
    graph = model.subgraphs[0]
    given, bias = int(graph.inputs[0]), np.zeros(6, "f4")
    constants = [add_constant(model, name, values) for name, values in (("w", WEIGHTS), ("r", RECURRENT), ("b", bias))]
    state, result = add_tensor(model, "state", "float32", (1, 6)), add_tensor(model, "result", "float32", (1, 6))
    graph.tensors[state].isVariable = True
    tanh = schema.ActivationFunctionType.TANH
    graph.operators = [new_operator(model, "RNN", [given, *constants, state], [result], fusedActivationFunction=tanh)]
    graph.outputs = [result]
    for signature in model.signatureDefs:
        signature.outputs[0].tensorIndex = result
    return serialize(model)


def test_a_recurrent_cell_is_reset_for_each_example(embed: Callable[[bytes], np.ndarray], tmp_path: Path) -> None:
    model = recurrent()
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    runs = []
    for _ in range(2):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], EXAMPLES[:1])
        interpreter.invoke()
        runs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert np.abs(runs[0] - runs[1]).max() > 0.01
    np.testing.assert_allclose(embed(model), dense(EXAMPLES).numpy(), atol=1e-5)
    with pytest.raises(ExportError, match="web does not reset before each example"):
        export_target(Bundle.open(tmp_path / "made.bundle"), tmp_path / "site", "web")


def smoothed() -> bytes:
    """A running sum of tanh(W x), in a variable."""
    module = tf.Module()
    module.state = tf.Variable(START)
    return converted(
        lambda x: module.state.assign(0.5 * module.state + dense(x)), module, experimental_enable_resource_variables=True
    )


@pytest.mark.parametrize("make", [smoothed, recurrent])
def test_a_longer_example_is_run_part_by_part(make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "mine.tflite").write_bytes(make())
    options, notes = ModelOptions(input_kind="array", input_shape=(36,)), []
    made = tmp_path / "made.bundle"
    bundle = export_bundle(tmp_path / "mine.tflite", made, model_options=options, on_note=notes.append)
    assert "mine.tflite keeps state; each example starts anew, and is 3 runs on [1, 12], the last of which embeds" in notes
    encoder = open_encoder(bundle)
    example = RNG.normal(size=(1, 36)).astype("f4")
    wanted = START if make is smoothed else np.zeros((1, 6), "f4")
    for part in np.split(example, 3, axis=1):
        wanted = 0.5 * wanted + dense(part) if make is smoothed else np.tanh(part @ WEIGHTS.T + wanted @ RECURRENT.T)
    for _ in range(2):
        np.testing.assert_allclose(encoder.embed(example), np.ravel(wanted), atol=1e-5)


def test_a_file_that_keeps_state_is_noted(tmp_path: Path) -> None:
    (tmp_path / "mine.tflite").write_bytes(smoothed())
    notes: list[str] = []
    options = ModelOptions(input_kind="array")
    export_bundle(tmp_path / "mine.tflite", tmp_path / "made.bundle", model_options=options, on_note=notes.append)
    assert any("keeps state; each example starts anew, and is one run on [1, 12]" in note for note in notes)


@pytest.mark.parametrize("length", [30, 12 * 257])
def test_an_example_is_a_whole_number_of_runs(tmp_path: Path, length: int) -> None:
    (tmp_path / "mine.tflite").write_bytes(smoothed())
    options = ModelOptions(input_kind="array", input_shape=(length,))
    with pytest.raises(ExportError, match=r"takes \[1, 12\] at a time, .*multiple of 12"):
        export_bundle(tmp_path / "mine.tflite", tmp_path / "made.bundle", model_options=options)


@pytest.mark.parametrize("scales", [1, 3])
def test_an_axis_that_a_tensor_lacks_is_repaired(embed: Callable[[bytes], np.ndarray], scales: int) -> None:
    """Converters copied the axis of a convolution's scales to tensors that were reshaped (person_detect.tflite)."""

    def samples() -> Any:
        return ([RNG.normal(size=(1, 12)).astype("f4")] for _ in range(30))

    whole = converted(dense, optimizations=[tf.lite.Optimize.DEFAULT], representative_dataset=samples)
    model = parse(whole)
    (inner,) = {int(operator.outputs[0]) for operator in model.subgraphs[0].operators[:1]}
    quantization = model.subgraphs[0].tensors[inner].quantization
    quantization.quantizedDimension = 3
    quantization.scale, quantization.zeroPoint = (
        np.repeat(each, scales) for each in (quantization.scale, quantization.zeroPoint)
    )
    with pytest.raises(ValueError, match="quantized_dimension"):
        Interpreter(model_content=serialize(model))
    np.testing.assert_allclose(embed(serialize(model)), dense(EXAMPLES).numpy(), atol=0.1)


def test_several_outputs_name_the_tensors_to_choose_from(tmp_path: Path) -> None:
    model = converted(lambda x: (tf.reshape(dense(x), (1, 1, 2, 3)), tf.nn.softmax(dense(x) * 2.0)))
    (tmp_path / "mine.tflite").write_bytes(model)
    with pytest.raises(ExportError, match=r"has 2 outputs: .*\[1, 1, 2, 3\].* or one before them: \d+ '.*' \[1, 6\]"):
        export_bundle(tmp_path / "mine.tflite", tmp_path / "made.bundle")
