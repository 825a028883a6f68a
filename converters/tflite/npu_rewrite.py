"""Rewrite an int8 encoder's operators that Arm's Vela leaves to the CPU as ones that an Ethos-U's NPU runs.

* REVERSE_V2 of an image's columns, the mirrored view: a convolution of 1×1 over rows, whose weights permute. Equal.
* MEAN over the maps of several images: a depthwise convolution whose weights are all 1 / (height · width). Equal, or rounded
  to the next step.
* L2_NORMALIZATION in int8, behind which the file returns to floats: done in float32, which rounds less. At the very end of
  an int8 file it can be left to the program.

Only the target's file changes; Vela's own list of operators is the page SUPPORTED_OPS.md of its release.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.tflite.edit import add_constant, add_tensor, new_operator, set_quantization
from converters.tflite.model import DTYPES, constant_data, operator_name

VALID = 1  # padding
CONVOLUTION = 3  # version of int8 convolutions with a scale a channel


def rewrite(model: Any) -> list[str]:
    """Rewrite the first subgraph of a parsed file in place; returns the names of the operators that were replaced."""
    graph, replaced, operators = model.subgraphs[0], [], []
    for operator in graph.operators:
        name = operator_name(model, operator)
        made = RULES[name](model, operator) if name in RULES else None
        operators += made or [operator]
        replaced += [name] if made else []
    graph.operators = operators
    return replaced + _normalize_in_float(model)


def _reverse(model: Any, operator: Any) -> list[Any] | None:
    """Turn around the columns of an int8 image (1, height, width, channels) by a convolution of (1, height, 1, columns)."""
    image, axis = (int(index) for index in operator.inputs)
    shape = _shape(model, image)
    if _dtype(model, image) != "int8" or len(shape) != 4 or _integers(model, axis) != [2]:
        return None
    batch, height, width, channels = shape
    columns = width * channels
    order = np.arange(columns).reshape(width, channels)[::-1].ravel()
    weights = np.eye(columns, dtype=np.int8)[order].reshape(columns, 1, 1, columns)
    rows, turned = (_like(model, image, (batch, height, 1, columns)) for _ in range(2))
    inputs = [rows, *_weights(model, "mirror", weights, 1.0, _scale(model, image), columns)]
    return [
        _reshape(model, image, rows),
        new_operator(model, "CONV_2D", inputs, [turned], CONVOLUTION, padding=VALID, **_strides(), **_dilations()),
        _reshape(model, turned, int(operator.outputs[0])),
    ]


def _mean(model: Any, operator: Any) -> list[Any] | None:
    """Average int8 maps (batch, height, width, channels) by a depthwise convolution as large as a map."""
    maps, axes = (int(index) for index in operator.inputs)
    shape = _shape(model, maps)
    if _dtype(model, maps) != "int8" or len(shape) != 4 or shape[0] == 1 or sorted(_integers(model, axes)) != [1, 2]:
        return None  # of a batch of one, Vela takes MEAN itself
    batch, height, width, channels = shape
    means = int(operator.outputs[0])
    pixel = _like(model, means, (batch, 1, 1, channels))
    ones = np.ones((1, height, width, channels), np.int8)
    inputs = [maps, *_weights(model, "mean", ones, 1.0 / (height * width), _scale(model, maps), channels, axis=3)]
    how = {"padding": VALID, "depthMultiplier": 1, **_strides(), **_dilations()}
    return [
        new_operator(model, "DEPTHWISE_CONV_2D", inputs, [pixel], CONVOLUTION, **how),
        _reshape(model, pixel, means),
    ]


RULES: dict[str, Callable[[Any, Any], list[Any] | None]] = {"REVERSE_V2": _reverse, "MEAN": _mean}


def _normalize_in_float(model: Any) -> list[str]:
    """Let a DEQUANTIZE that follows an int8 L2_NORMALIZATION come before it."""
    graph = model.subgraphs[0]
    names = [operator_name(model, operator) for operator in graph.operators]
    for at in range(len(names) - 1):
        norm, back = graph.operators[at : at + 2]
        if names[at : at + 2] == ["L2_NORMALIZATION", "DEQUANTIZE"] and norm.outputs[0] == back.inputs[0]:
            given, result = int(norm.inputs[0]), int(back.outputs[0])
            values = add_tensor(model, "values", "float32", _shape(model, given))
            graph.operators[at : at + 2] = [
                new_operator(model, "DEQUANTIZE", [given], [values], 2),
                new_operator(model, "L2_NORMALIZATION", [values], [result]),
            ]
            return ["L2_NORMALIZATION"]
    return []


def remove_unit_length(model: Any) -> float | None:
    """Remove an int8 L2_NORMALIZATION at the end of the first subgraph, with a MUL by a positive number behind it.

    Returns:
        The length that the output had, for the program to give it; None if the subgraph does not end so.
    """
    graph = model.subgraphs[0]
    names, length = [operator_name(model, operator) for operator in graph.operators], 1.0
    last = 2 if names[-2:] == ["L2_NORMALIZATION", "MUL"] else 1
    if last == 2:
        length = _number(model, int(graph.operators[-1].inputs[1]))
    elif names[-1:] != ["L2_NORMALIZATION"]:
        return None
    if not length > 0:
        return None
    output = int(graph.operators[-last].inputs[0])
    graph.operators, graph.outputs = list(graph.operators)[:-last], [output]
    for signature in model.signatureDefs:
        signature.outputs[0].tensorIndex = output
    return length


def _number(model: Any, tensor: int) -> float:
    """The value of an int8 constant of one element; 0 for any other tensor."""
    found = model.subgraphs[0].tensors[tensor]
    data = constant_data(model, found)
    if len(data) != 1 or _dtype(model, tensor) != "int8":
        return 0.0
    return (int(np.frombuffer(data, np.int8)[0]) - int(found.quantization.zeroPoint[0])) * _scale(model, tensor)


def _weights(
    model: Any, name: str, values: Any, scale: float, input_scale: float, channels: int, axis: int = 0
) -> tuple[int, int]:
    """Add int8 weights, with the same scale for each channel, and a bias of zero; returns both tensors."""
    weights, bias = add_constant(model, name, values), add_constant(model, f"{name}/bias", np.zeros(channels, np.int32))
    set_quantization(model, weights, [scale] * channels, [0] * channels, axis)
    set_quantization(model, bias, [scale * input_scale] * channels, [0] * channels)
    return weights, bias


def _reshape(model: Any, given: int, result: int) -> Any:
    shape = _shape(model, result)
    sizes = add_constant(model, "shape", np.array(shape, np.int32))
    assert math.prod(shape) == math.prod(_shape(model, given))
    return new_operator(model, "RESHAPE", [given, sizes], [result], newShape=list(shape))


def _like(model: Any, tensor: int, shape: tuple[int, ...]) -> int:
    """Add a tensor of another shape, with the dtype and quantization of a given one."""
    found = model.subgraphs[0].tensors[tensor]
    made = add_tensor(model, f"{found.name.decode()}/{'x'.join(map(str, shape))}", _dtype(model, tensor), shape)
    model.subgraphs[0].tensors[made].quantization = found.quantization
    return made


def _strides() -> dict[str, int]:
    return {"strideW": 1, "strideH": 1}


def _dilations() -> dict[str, int]:
    return {"dilationWFactor": 1, "dilationHFactor": 1}


def _dtype(model: Any, tensor: int) -> str:
    return str(DTYPES[model.subgraphs[0].tensors[tensor].type])


def _shape(model: Any, tensor: int) -> tuple[int, ...]:
    return tuple(int(size) for size in model.subgraphs[0].tensors[tensor].shape)


def _scale(model: Any, tensor: int) -> float:
    return float(model.subgraphs[0].tensors[tensor].quantization.scale[0])


def _integers(model: Any, tensor: int) -> list[int]:
    values: list[int] = np.frombuffer(constant_data(model, model.subgraphs[0].tensors[tensor]), "<i4").tolist()
    return values
