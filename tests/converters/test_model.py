"""The content of a .tflite file, and the encoder id: the same for the same encoder, another for any other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters.quantization.convert import convert
from converters.quantization.signatures import frozen
from converters.tflite.model import ModelFile, OperatorInfo, TensorInfo
from edge_meta.inputs import ImageInput

INPUT = ImageInput(16, 16).to_manifest()


def id_of(content: bytes) -> str:
    return ModelFile.parse(content).encoder_id(INPUT)


def embed_alone(encoder: keras.Model, signature: str | None) -> bytes:
    """The encoder in float32 without heads, its signature of that name, or without any."""
    embed = frozen(encoder)
    function = tf.function(lambda picture: embed(picture), input_signature=[tf.TensorSpec((1, 16, 16, 1), tf.float32)])
    if signature is None:
        return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    module = tf.Module()
    module.function = function
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={signature: function.get_concrete_function()})
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature]).convert()


def changed(model: ModelFile, change: Callable[[TensorInfo], TensorInfo]) -> ModelFile:
    """The file with each of its encoder's tensors changed."""

    def of(operator: OperatorInfo) -> OperatorInfo:
        inputs = tuple(tensor and change(tensor) for tensor in operator.inputs)
        return replace(operator, inputs=inputs, outputs=tuple(map(change, operator.outputs)))

    return replace(model, subgraphs=(tuple(map(of, model.subgraphs[0])), *model.subgraphs[1:]))


def test_a_file_has_operators_tensors_and_signatures(converted: Callable[..., bytes], trained: keras.Model) -> None:
    model = ModelFile.parse(converted("float32"))
    assert list(model.signatures) == ["embed", "enroll", "score", "train_step"]
    assert len(model.subgraphs) == 4
    first = model.subgraphs[0][0]
    assert first.name == "CONV_2D"
    assert [tensor.shape for tensor in first.inputs] == [(1, 16, 16, 1), (8, 3, 3, 1), (8,)]
    assert first.outputs[0].shape == (1, 16, 16, 8)
    assert (first.options["strideH"], first.options["strideW"]) == (1, 1)
    kernel, bias = trained.get_layer("conv1").get_weights()
    norm = trained.get_layer("norm1")
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    folded = np.frombuffer(first.inputs[1].data, np.float32).reshape(8, 3, 3, 1)
    assert np.allclose(folded, np.moveaxis(kernel * scale, -1, 0), atol=1e-5)
    assert np.allclose(np.frombuffer(first.inputs[2].data, np.float32), (bias - mean) * scale + beta, atol=1e-5)
    assert first.inputs[0].data == b""
    assert model.min_runtime >= (1, 5)


def test_a_quantized_file_is_read_with_its_scales(converted: Callable[..., bytes]) -> None:
    convolutions = [operator for operator in ModelFile.parse(converted("int8")).subgraphs[0] if operator.name == "CONV_2D"]
    for operator in convolutions:
        image, kernel, bias = operator.inputs
        assert (image.dtype, kernel.dtype, bias.dtype) == ("int8", "int8", "int32")
        assert (len(image.scales), len(kernel.scales)) == (1, 8)
        assert kernel.zero_points == (0,) * 8
        assert len(kernel.data) == np.prod(kernel.shape)


# --- the encoder id ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_the_id_is_that_of_the_encoder_and_not_of_its_heads(converted: Callable[..., bytes], quantize: str) -> None:
    one, other = converted(quantize, 8, 16), converted(quantize, 16, 4)
    assert one != other
    assert id_of(one) == id_of(other)
    assert len(id_of(one)) == 32


@pytest.mark.parametrize("signature", ["embed", "serving_default", None])
def test_heads_and_names_leave_the_id(converted: Callable[..., bytes], trained: keras.Model, signature: str | None) -> None:
    alone = embed_alone(trained, signature)
    assert len(ModelFile.parse(alone).subgraphs) == 1
    assert id_of(alone) == id_of(converted("float32"))


def test_a_copy_of_the_encoder_has_the_same_id(converted: Callable[..., bytes], trained: keras.Model) -> None:
    copy = keras.models.clone_model(trained)
    copy.set_weights(trained.get_weights())
    assert id_of(convert(copy, "float32", None, 8, 16)) == id_of(converted("float32"))


def test_the_id_tells_one_weight(converted: Callable[..., bytes], trained: keras.Model) -> None:
    other = keras.models.clone_model(trained)
    values = trained.get_weights()
    values[0] = values[0].copy()
    values[0][0, 0, 0, 0] = np.nextafter(values[0][0, 0, 0, 0], np.float32(10))
    other.set_weights(values)
    assert id_of(convert(other, "float32", None, 8, 16)) != id_of(converted("float32"))


def test_the_id_tells_the_quantization(converted: Callable[..., bytes]) -> None:
    assert id_of(converted("int8")) != id_of(converted("float32"))


@pytest.mark.parametrize("field", ["scales", "zero_points", "data", "shape", "dtype"])
def test_the_id_tells_any_property_of_a_tensor(converted: Callable[..., bytes], field: str) -> None:
    model = ModelFile.parse(converted("int8"))
    target = next(operator for operator in model.subgraphs[0] if operator.name == "CONV_2D").inputs[1]
    value = {
        "scales": (*target.scales[:-1], np.nextafter(target.scales[-1], 1.0)),
        "zero_points": (*target.zero_points[:-1], 1),
        "data": target.data[:-1] + bytes([target.data[-1] ^ 1]),
        "shape": (*target.shape, 1),
        "dtype": "uint8",
    }[field]
    other = changed(model, lambda tensor: replace(tensor, **{field: value}) if tensor is target else tensor)
    assert other.encoder_id(INPUT) != model.encoder_id(INPUT)
    assert changed(model, lambda tensor: tensor).encoder_id(INPUT) == model.encoder_id(INPUT)


def test_the_id_tells_an_operators_name_and_options(converted: Callable[..., bytes]) -> None:
    model = ModelFile.parse(converted("float32"))
    first, rest = model.subgraphs[0][0], model.subgraphs[0][1:]
    for other in (replace(first, name="DEPTHWISE_CONV_2D"), replace(first, options={**first.options, "strideW": 2})):
        assert replace(model, subgraphs=((other, *rest),)).encoder_id(INPUT) != model.encoder_id(INPUT)


@pytest.mark.parametrize(
    "other", [ImageInput(16, 16, mean=0.0), ImageInput(16, 16, scale=1 / 255), ImageInput(20, 16)], ids=str
)
def test_the_id_tells_the_inputs_normalization(converted: Callable[..., bytes], other: ImageInput) -> None:
    model = ModelFile.parse(converted("float32"))
    assert model.encoder_id(other.to_manifest()) != model.encoder_id(INPUT)
    assert model.encoder_id(dict(reversed(INPUT.items()))) == model.encoder_id(INPUT)


def test_the_id_tells_what_an_operator_is_applied_to() -> None:
    """Two encoders of the same operators, weights and shapes that differ in their wiring alone."""

    def file_of(skips: bool) -> bytes:
        kernel = keras.initializers.Constant(np.random.default_rng(0).normal(size=(3, 3, 1, 1)))
        image = keras.Input((16, 16, 1))
        once = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer=kernel)(image)
        twice = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer=kernel)(once)
        both = keras.layers.Add()([twice, image if skips else once])
        return embed_alone(keras.Model(image, keras.layers.Flatten()(both)), "embed")

    files = [file_of(skips) for skips in (False, True)]
    one, other = ([(operator.name, operator.options) for operator in ModelFile.parse(file).subgraphs[0]] for file in files)
    assert one == other, "they differ in more than their wiring"
    assert id_of(files[0]) != id_of(files[1])
