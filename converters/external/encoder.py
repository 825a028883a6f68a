"""Make an encoder of another maker's .tflite file, with the input and output that every device expects.

The file's weights and quantization stay. Operators put before and behind it convert its own input and output, so a device, a
phone or a browser sees the same as with an encoder trained here. It takes float32 images (1, H, W, C) in RGB, float32
samples (1, N) from −1 to 1, or arrays as the manifest states; it gives float32 (1, D).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.external.agreement import varied_examples
from converters.external.choice import Choice
from converters.external.embedding_part import keep_embedding
from converters.external.judgement import few_of_each
from converters.external.source_input import LOWEST
from converters.tflite.edit_graph import Graph
from converters.tflite.tail import DEQUANTIZE
from edge_meta.errors import BundleError, ExportError
from edge_meta.inputs import InputSpec
from edge_meta.runtime.embedding import embed_all
from edge_meta.runtime.interpreter import Encoder
from edge_meta.runtime.subprocess_check import check_model
from edge_meta.types import Array

EXAMPLES = 6  # to run a model on
LARGEST = 2.0**15  # of an embedding's values, the store's limit


@dataclass(frozen=True)
class ExternalEncoder:
    """encoder.tflite made of another maker's file, with fields of its manifest.

    Attributes:
        dim: the size of the embedding.
        squared_norm: mean ‖f(x)‖² over synthetic examples.
    """

    model: bytes
    input_spec: InputSpec
    dim: int
    squared_norm: float


def fit_encoder(content: bytes, choice: Choice, on_note: Callable[[str], None]) -> ExternalEncoder:
    """Fit a .tflite file to what devices expect and run it on synthetic examples, in a child process first.

    Args:
        content: of the file.
        choice: its embedding and its input.
        on_note: called with a line about each assumption.

    Raises:
        ExportError: it cannot be an encoder.
    """
    name = choice.source_input.name
    graph = Graph(content, name)
    source, _ = keep_embedding(graph, name, str(choice.tensor), on_note)
    graph.set_shape(source, choice.source_input.shape)
    input_spec = choice.source_input.fit(graph, source)
    examples = (
        varied_examples(input_spec, choice.source_input.ids) if choice.data is None else few_of_each(choice.data).examples
    )
    model = _one_vector(graph, name, input_spec, choice.asked, examples, on_note)
    encoder = Encoder(model)
    return ExternalEncoder(model, input_spec, encoder.dim, _try(encoder, input_spec, name))


def _one_vector(
    graph: Graph, name: str, input_spec: InputSpec, asked: bool, examples: NDArray[Any], on_note: Callable[[str], None]
) -> bytes:
    """Give the file a float32 vector (1, D) as its output, and run it in a child process.

    Args:
        asked: the tensor was asked for, so that vectors at several positions are averaged.
        examples: that the range of averages in integers is measured on.
    """
    input_name = input_spec.noun
    _drop_last_uint8(graph)
    (output,) = graph.outputs
    dtype, quantization = graph.dtype(output), graph.quantization(output)
    shape = _run(graph.save(input_name), name)
    described = f"{graph.name(output)!r} {list(shape)} {dtype}"
    if prod(shape) != max(shape, default=0):
        if not asked:
            raise ExportError(
                f"{name} gives {described}, not one vector.",
                "Choose a tensor with --output-tensor; of several vectors the mean is then taken.",
            )
        on_note(f"the embedding is the mean of {described} over its positions")
        shape = _average(graph, shape, input_spec, examples)
    dim = prod(shape)
    if not 2 <= dim <= 65536:
        raise ExportError(
            f"{name} gives {described}; an embedding has 2 to 65536 values.", "Choose another --output-tensor."
        )
    # Before it is dequantized, so that integers stay integers to the end.
    if dtype in DEQUANTIZE and shape != (1, dim):
        graph.append("RESHAPE", dtype, (1, dim), np.array([1, dim], np.int32))
        shape = (1, dim)
    if dtype in DEQUANTIZE and quantization is not None:
        graph.append("DEQUANTIZE", "float32", shape, version=DEQUANTIZE[dtype])
    elif dtype == "float16":
        graph.append("DEQUANTIZE", "float32", shape, version=3)
    elif dtype != "float32":
        raise ExportError(
            f"{name} gives {described} without a scale, which is no embedding.", "Choose another --output-tensor."
        )
    if graph.shape(graph.outputs[0]) != (1, dim):
        graph.append("RESHAPE", "float32", (1, dim), np.array([1, dim], np.int32))
    model = graph.save(input_name)
    _run(model, name)
    return model


def _average(graph: Graph, shape: tuple[int, ...], input_spec: InputSpec, examples: NDArray[Any]) -> tuple[int, ...]:
    """Average the output over all axes but the last, in its own dtype; returns the new shape, (1, D).

    Averages vary less than what they are made of, so that those of integers get a scale of their own: for a range twice
    as wide as that of the examples, as far as the output's own range goes.
    """
    (output,) = graph.outputs
    dtype = graph.dtype(output)
    version, averaged = DEQUANTIZE.get(dtype, 1), (1, shape[-1])
    axes = np.arange(len(shape) - 1, dtype=np.int32)
    own = quantization = graph.quantization(output)
    if dtype in LOWEST and own is not None:
        floats = Graph(graph.save(input_spec.noun), "the averages")
        floats.append("DEQUANTIZE", "float32", shape, version=version)
        floats.append("MEAN", "float32", averaged, axes, keepDims=True)
        floats.append("RESHAPE", "float32", averaged, np.array(averaged, np.int32))
        found = embed_all(Encoder(floats.save(input_spec.noun)), input_spec, examples)
        quantization = _scale_of(2.0 * found, dtype)
        if quantization[0] >= own[0]:
            quantization = own
    ones = (*[1] * (len(shape) - 1), shape[-1])
    graph.append("MEAN", dtype, ones, axes, version=version, quantization=quantization, keepDims=True)
    if len(ones) != 2:
        graph.append("RESHAPE", dtype, averaged, np.array(averaged, np.int32))
    return averaged


def _scale_of(values: Array, dtype: str) -> tuple[float, int]:
    """Scale and zero point of a dtype that hold values and 0, symmetric for int16."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0, np.finfo(np.float32).tiny)
    if dtype == "int16":
        return max(-low, high) / 32767, 0
    scale = (high - low) / 255
    return scale, round(LOWEST[dtype] - low / scale)


def _drop_last_uint8(graph: Graph) -> None:
    """Take the embedding before an operator that only turns int8 into uint8: the values are the same, and stay int8."""
    (output,) = graph.outputs
    made_by = next((step for step in graph.steps() if output in step.outputs), None)
    if made_by is None or made_by.name != "QUANTIZE" or graph.dtype(output) != "uint8":
        return
    inner = made_by.inputs[0]
    before, after = graph.quantization(inner), graph.quantization(output)
    if graph.dtype(inner) == "int8" and before and after and (before[0], before[1] + 128) == after:
        graph.make_output(inner)


def _run(model: bytes, name: str) -> tuple[int, ...]:
    """The output's shape, from a run in a child process: an interpreter may crash on a file of unknown origin."""
    try:
        return check_model(model).main.outputs[0].shape
    except BundleError as error:
        raise ExportError(f"{name}: {error.cause}", "Convert it again for TFLite's own operators.") from None


def _try(encoder: Encoder, input_spec: InputSpec, name: str) -> float:
    """Embed synthetic examples and return mean ‖f(x)‖².

    Raises:
        ExportError: embeddings are not finite, too large for a store, all the same, or depend on earlier calls.
    """
    values = input_spec.normalize(input_spec.synthetic(np.random.default_rng(0), EXAMPLES))
    # Embed the first twice in a row, and again after the others.
    embeddings = np.stack([encoder.embed(value[None]) for value in (values[0], *values, values[0])]).astype(np.float64)
    if not np.isfinite(embeddings).all():
        raise ExportError(f"{name} gives values that are not finite.", "Check --mean and --scale, or get the model again.")
    if (embeddings[[1, -1]] != embeddings[0]).any():
        raise ExportError(
            f"{name} gives another embedding when it runs again on the same {input_spec.noun}: it keeps state or is random.",
            "Convert it again without state, recurrent layers unrolled, and with dropout off.",
        )
    if not (embeddings[2:-1] != embeddings[0]).any():
        raise ExportError(f"{name} gives the same embedding for every {input_spec.noun}.", "Choose another --output-tensor.")
    if np.abs(embeddings).max() >= LARGEST:
        raise ExportError(
            f"{name} gives values up to {np.abs(embeddings).max():.3g}, and a store holds embeddings below {LARGEST:g}.",
            "Choose another --output-tensor, such as one behind a normalization.",
        )
    return float(np.einsum("nd,nd->n", embeddings, embeddings).mean())
