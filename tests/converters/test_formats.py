"""Every format: its types in the file, what it loses, the runtimes that take it, and heads that stay in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from support.device import cli

from converters.quantization.checks import OLDEST_RUNTIME, check
from converters.quantization.convert import convert
from converters.quantization.formats import FORMATS
from converters.tflite.edit import ALIGNMENT, join, serialize
from converters.tflite.model import MIN_RUNTIME, ModelFile, parse
from edge_meta.choices import QUANTIZATIONS
from edge_meta.errors import ExportError

# The cosine of the worst of 20 images, and the file's size against float32's, at the least and at the most.
EXPECTED = {
    "float32": (0.999999, 1.0, 1.0),
    "float16": (0.9999, 0.45, 0.6),
    "dynamic": (0.99, 0.2, 0.45),
    "int8": (0.97, 0.2, 0.45),
    "int16x8": (0.99, 0.2, 0.45),
}


@pytest.fixture(scope="module")
def encoder() -> keras.Model:
    """An encoder with the kinds of layers that have weights: convolution, depthwise convolution, and a dense layer."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="stem")(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=4, activation="relu", name="spread")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(128, name="embedding")(x))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((20, 16, 16, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def files(encoder: keras.Model, images: np.ndarray) -> dict[str, bytes]:
    return {quantize: convert(encoder, quantize, images, 8, 16) for quantize in FORMATS}


@pytest.mark.parametrize("quantize", FORMATS)
def test_a_format_has_its_types_and_its_size(files: dict[str, bytes], quantize: str) -> None:
    parsed = ModelFile.parse(files[quantize])
    check(parsed, quantize)
    assert parsed.min_runtime <= OLDEST_RUNTIME
    _, least, most = EXPECTED[quantize]
    weights = sum(len(tensor.data) for operator in parsed.subgraphs[0] for tensor in operator.inputs if tensor)
    exact = ModelFile.parse(files["float32"])
    assert least <= weights / sum(len(each.data) for op in exact.subgraphs[0] for each in op.inputs if each) <= most
    assert parsed.subgraphs[1:] == exact.subgraphs[1:], "the heads are not those of the float32 file"


@pytest.mark.parametrize("quantize", FORMATS)
@pytest.mark.parametrize("make", [Interpreter, tf.lite.Interpreter])
def test_a_format_embeds_as_the_encoder_does(
    files: dict[str, bytes], encoder: keras.Model, images: np.ndarray, quantize: str, make: Callable[..., Any]
) -> None:
    runner = make(model_content=files[quantize]).get_signature_runner("embed")
    found = np.concatenate([runner(image=image[None])["embedding"] for image in images])
    exact = encoder(images).numpy()
    cosine = np.sum(found * exact, axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > EXPECTED[quantize][0]
    assert (quantize == "float32") == bool(np.allclose(found, exact, atol=1e-5))


@pytest.mark.parametrize("quantize", FORMATS)
def test_another_format_than_asked_for_is_told_apart(files: dict[str, bytes], quantize: str) -> None:
    parsed = ModelFile.parse(files[quantize])
    for other in FORMATS.keys() - {quantize}:
        with pytest.raises(ExportError, match=r"has (weights|activations) in \w+, not in"):
            check(parsed, other)


def test_the_command_line_offers_every_format() -> None:
    assert tuple(FORMATS) == QUANTIZATIONS
    assert all(name in cli("export", "--help").stdout for name in FORMATS)


# --- two files in one -------------------------------------------------------------------------------------------------


def test_a_file_that_is_read_and_written_says_the_same(files: dict[str, bytes]) -> None:
    again = serialize(parse(files["int8"]))
    assert ModelFile.parse(again) == ModelFile.parse(files["int8"])
    assert again == files["int8"]


def test_joined_files_keep_their_newest_operators(files: dict[str, bytes]) -> None:
    newer = parse(files["int8"])
    entry = next(entry for entry in newer.metadata if entry.name == MIN_RUNTIME.encode())
    newer.buffers[entry.buffer].data = np.frombuffer(b"2.11.0", np.uint8)
    pair = files["float32"], serialize(newer)
    for first, second in (pair, pair[::-1]):
        joined = ModelFile.parse(join(first, second))
        assert joined.subgraphs == ModelFile.parse(first).subgraphs + ModelFile.parse(second).subgraphs
        assert joined.min_runtime == (2, 11, 0)


@pytest.mark.parametrize("quantize", FORMATS)
def test_constants_are_aligned_as_kernels_want_them(files: dict[str, bytes], quantize: str) -> None:
    content = files[quantize]
    for buffer in parse(content).buffers:
        data = b"" if buffer.data is None else bytes(bytearray(buffer.data))
        if len(data) > 256 and any(data):  # what can be found
            assert content.index(data) % ALIGNMENT == 0
