"""The checks of a converted file: each way in which a converter can fail without a word is an error that says so."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from converters.quantization import signatures
from converters.quantization.checks import check
from converters.quantization.formats import FORMATS
from converters.tflite.model import ModelFile, OperatorInfo, TensorInfo
from edge_meta.errors import ExportError


@pytest.fixture(params=FORMATS)
def good(request: pytest.FixtureRequest, converted: Callable[..., bytes]) -> tuple[ModelFile, str]:
    return ModelFile.parse(converted(request.param)), request.param


@pytest.fixture
def int8(converted: Callable[..., bytes]) -> ModelFile:
    return ModelFile.parse(converted("int8"))


def tensor(dtype: str) -> TensorInfo:
    return TensorInfo(99, dtype, (1, 8), (), (), b"")


def with_operator(model: ModelFile, signature: str, operator: OperatorInfo) -> ModelFile:
    """The file with one more operator at the end of a signature."""
    index = model.signatures[signature]
    subgraphs = list(model.subgraphs)
    subgraphs[index] = (*subgraphs[index], operator)
    return replace(model, subgraphs=tuple(subgraphs))


def test_a_good_file_passes(good: tuple[ModelFile, str]) -> None:
    check(*good)


@pytest.mark.parametrize("signature", ["embed", "train_step"])
@pytest.mark.parametrize("name", ["READ_VARIABLE", "VAR_HANDLE", "ASSIGN_VARIABLE"])
def test_variables_are_refused(good: tuple[ModelFile, str], signature: str, name: str) -> None:
    model, quantize = good
    with pytest.raises(ExportError, match=f"reads variables .*{name}"):
        check(with_operator(model, signature, OperatorInfo(name, {}, (), (tensor("float32"),))), quantize)


@pytest.mark.parametrize("signature", ["embed", "score"])
@pytest.mark.parametrize("name", ["custom FlexSave", "custom MyOp"])
def test_ops_that_are_not_tflites_own_are_refused(good: tuple[ModelFile, str], signature: str, name: str) -> None:
    model, quantize = good
    with pytest.raises(ExportError, match=f"ops outside of TFLite's own .*{name}"):
        check(with_operator(model, signature, OperatorInfo(name, {}, (), (tensor("float32"),))), quantize)


@pytest.mark.parametrize("signatures", [{"embed": 1, "score": 0}, {"score": 0}, {}])
def test_a_file_whose_first_subgraph_is_not_embed_is_refused(good: tuple[ModelFile, str], signatures: dict) -> None:
    model, quantize = good
    with pytest.raises(ExportError, match=r"first subgraph, .*, is not embed"):
        check(replace(model, signatures=signatures), quantize)


@pytest.mark.parametrize("version", [(2, 14, 1), (2, 15, 0), (2, 16), (3, 0, 0), (10,)])
def test_operators_newer_than_the_oldest_runtime_are_refused(good: tuple[ModelFile, str], version: tuple[int, ...]) -> None:
    model, quantize = good
    with pytest.raises(ExportError, match=rf"needs TFLite {'.'.join(map(str, version))}; tflite-runtime 2\.14 could not"):
        check(replace(model, min_runtime=version), quantize)


@pytest.mark.parametrize("version", [(2, 14, 0), (2, 14), (2, 3, 0), (1, 14, 0), (0,)])
def test_operators_that_the_oldest_runtime_has_pass(good: tuple[ModelFile, str], version: tuple[int, ...]) -> None:
    model, quantize = good
    check(replace(model, min_runtime=version), quantize)


@pytest.mark.parametrize("head", ["enroll", "score", "train_step"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "float16"])
def test_a_quantized_head_is_refused_and_named(good: tuple[ModelFile, str], head: str, dtype: str) -> None:
    model, quantize = good
    with pytest.raises(ExportError, match=f"head {head} is not in float32"):
        check(with_operator(model, head, OperatorInfo("ADD", {}, (tensor(dtype),), (tensor(dtype),))), quantize)


@pytest.mark.parametrize(("made", "asked"), [("float32", "int8"), ("int8", "float32")])
def test_weights_of_another_type_than_asked_are_refused(converted: Callable[..., bytes], made: str, asked: str) -> None:
    with pytest.raises(ExportError, match=f"CONV_2D has weights in {made}, not in {asked}"):
        check(ModelFile.parse(converted(made)), asked)


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_a_single_layer_left_in_float_is_refused(int8: ModelFile, name: str) -> None:
    layer = OperatorInfo(name, {}, (tensor("int8"), tensor("float32"), None), (tensor("int8"),))
    with pytest.raises(ExportError, match=f"{name} has weights in float32, not in int8"):
        check(with_operator(int8, "embed", layer), "int8")


def test_int8_weights_with_float_activations_are_not_int8() -> None:
    """Dynamic-range quantization, which the converter makes without calibration, has int8 weights too."""
    # Only weights of 1,024 elements and more are quantized so.
    inputs = keras.Input((16, 16, 8))
    x = keras.layers.Conv2D(32, 3, name="wide")(inputs)
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    module, functions = signatures.signatures(encoder, 8, 16)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=sorted(functions))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        model = ModelFile.parse(converter.convert())
    convolution = next(operator for operator in model.subgraphs[0] if operator.name == "CONV_2D")
    assert (convolution.inputs[0].dtype, convolution.inputs[1].dtype) == ("float32", "int8")
    with pytest.raises(ExportError, match="not fit for a device"):
        check(model, "int8")


def test_a_keras_model_that_was_not_frozen_is_caught(trained: keras.Model, tmp_path: Path) -> None:
    """The naive way, which converts without a complaint and leaves the weights out."""
    module = tf.Module()
    module.encoder = trained
    module.embed = tf.function(lambda image: {"embedding": trained(image, training=False)})
    module.score = tf.function(signatures.score)

    def spec(*shape: int) -> tf.TensorSpec:
        return tf.TensorSpec(shape, tf.float32)

    functions = {
        "embed": module.embed.get_concrete_function(image=spec(1, 16, 16, 1)),
        "score": module.score.get_concrete_function(embedding=spec(1, 8), prototypes=spec(4, 8), counts=spec(4)),
    }
    tf.saved_model.save(module, tmp_path, signatures=functions)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=sorted(functions))
    content = converter.convert()
    convolutions = [operator for operator in ModelFile.parse(content).subgraphs[0] if operator.name == "CONV_2D"]
    assert not any(operator.inputs[1].data for operator in convolutions), "the converter keeps the weights of today's Keras"
    with pytest.raises(ExportError, match="reads variables"):
        check(ModelFile.parse(content), "float32")


def test_every_error_says_what_to_do(int8: ModelFile) -> None:
    with pytest.raises(ExportError) as caught:
        check(replace(int8, min_runtime=(9,)), "int8")
    assert caught.value.remedy == "Change the encoder's layers, or --quantize."
    assert "not fit for a device" in caught.value.cause
