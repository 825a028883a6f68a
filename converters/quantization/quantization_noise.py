"""Measure quantization noise: each layer of a quantized file against the float32 file, as signal to noise in dB.

The ratio is Σ (x − x̄)² / Σ (x − x̂)² over a channel's values x and the quantized x̂. Its inverse is averaged over the
channels; each channel counts the same, and at most as all noise. At 20 dB the noise has a hundredth of the signal's power,
at 0 dB nothing of the signal is left. Each layer has two ratios: its own, from the inputs that it has in the quantized file,
tells where noise arises; the total, with the noise of all layers before it, tells what is left there.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from converters.tflite.edit import serialize
from converters.tflite.model import constant_data, operator_name, parse
from edge_meta.types import Array, Array64

SILENT = 90.0  # dB; above it is the rounding of float32


def measure_noise(exact: bytes, quantized: bytes, images: Array, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Measure the noise of each layer of two files that were converted from one network.

    Args:
        exact: the file in float32.
        quantized: the file in another format.
        images: normalized, (n, H, W, C).
        names: the layers' names in the network, in order, to report them by.

    Returns:
        For each layer that adds noise, worst first: `layer`, `operator`, `own_db`, `total_db`. Layers behind the first
        operator that the converter made differently in the two files are left out.
    """
    model, other = parse(exact), parse(quantized)
    graph, theirs = model.subgraphs[0], _computing(other)
    every = zip(graph.operators, theirs, strict=False)
    both = list(takewhile(lambda pair: operator_name(model, pair[0]) == operator_name(other, pair[1]), every))
    pairs = {int(graph.inputs[0]): int(other.subgraphs[0].inputs[0])}
    pairs |= {int(ours.outputs[0]): int(its.outputs[0]) for ours, its in both}
    right, found = _run(exact, [images], pairs), _run(quantized, [images], pairs.values())
    noise = []
    for operator, _ in both:
        output, given = int(operator.outputs[0]), _computed(model, operator)
        noisy, kind = found[pairs[output]], operator_name(model, operator)
        alone = _run(_alone(model, operator), [found[pairs[index]] for index in given], [output])[output]
        if (own := _decibels(alone, noisy)) < SILENT:
            layer = {"layer": _layer(graph.tensors[output].name.decode(), names), "operator": kind}
            noise.append(layer | {"own_db": own, "total_db": _decibels(right[output], noisy)})
    return sorted(noise, key=lambda row: row["own_db"])


def _run(content: bytes, given: Sequence[NDArray[Any]], wanted: Iterable[int]) -> dict[int, Array64]:
    """Run a file's first subgraph on the values for its inputs, each (n, ...): tensor's number → its values, (n, ...)."""
    graph = parse(content).subgraphs[0]
    # Delegates do not show the tensors that they compute.
    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    values: dict[int, list[Array64]] = {index: [] for index in wanted}
    for example in zip(*given, strict=True):
        for index, value in zip(graph.inputs, example, strict=True):
            shape = graph.tensors[index].shape
            interpreter.set_tensor(int(index), value.astype(np.float32).reshape(shape))
        interpreter.invoke()
        for index, found in values.items():
            found.append(_real(interpreter.get_tensor(index), graph.tensors[index].quantization))
    return {index: np.stack(found) for index, found in values.items()}


def _alone(model: Any, operator: Any) -> bytes:
    """Make a file of one operator; its inputs are those of the operator that are no constants."""
    single, graph = copy.copy(model), copy.copy(model.subgraphs[0])
    graph.operators, graph.inputs, graph.outputs = [operator], _computed(model, operator), operator.outputs
    single.subgraphs, single.signatureDefs = [graph], []
    return serialize(single)


def _computing(model: Any) -> list[Any]:
    """The encoder's operators without QUANTIZE and DEQUANTIZE."""
    return [each for each in model.subgraphs[0].operators if operator_name(model, each) not in ("QUANTIZE", "DEQUANTIZE")]


def _computed(model: Any, operator: Any) -> list[int]:
    """The operator's inputs that are no constants, each once."""
    tensors = model.subgraphs[0].tensors
    return [
        int(index) for index in dict.fromkeys(operator.inputs) if index >= 0 and not constant_data(model, tensors[index])
    ]


def _real(values: NDArray[Any], quantization: Any) -> Array64:
    if np.issubdtype(values.dtype, np.integer) and quantization is not None and quantization.scale is not None:
        real: Array64 = (values.astype(np.float64) - quantization.zeroPoint[0]) * quantization.scale[0]
        return real
    return values.astype(np.float64)


def _decibels(exact: Array64, found: Array64) -> float:
    channels = tuple(range(exact.ndim - 1))
    signal = np.sum((exact - exact.mean(axis=channels)) ** 2, axis=channels)
    noise = np.sum((exact - found) ** 2, axis=channels)
    alive = signal > 1e-12 * np.max(signal)  # not the channels that never change
    lost = np.minimum(noise[alive] / signal[alive], 1.0).mean() if alive.any() else 0.0
    return round(float(-10.0 * np.log10(max(lost, 1e-12))), 1) + 0.0  # never -0.0


def _layer(tensor: str, names: Sequence[str]) -> str:
    """The layers in a tensor's name: the converter fuses several into one operator.

    A tensor is named `model_1/second_1/Relu;model_1/first_1/convolution`; a name that is used again gets a number.
    The network's output has no name of its own.
    """
    if names and "/" not in tensor:
        return names[-1]
    inner = [part for path in tensor.split(";") for part in path.split("/")[1:]]
    parts = {name for part in inner for name in (part, re.sub(r"_\d+$", "", part))}
    return " + ".join(name for name in names if name in parts) or tensor.split(";")[0]
