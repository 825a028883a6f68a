"""Work out how much noise the rounding of a format explains, on a network and its own inputs.

A converted file rounds each layer's values to the steps of its scale, and each weight to those of its own. The same is done
to the float32 file at random: each weight, and each layer's result, moves by up to half a step of what the converted file
has there (Widrow and Kollár 2008, Quantization Noise: rounding as uniform noise of a step's width). What this changes in the
embeddings follows from the network: rounding that later layers amplify or average away counts as much as it does there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from converters.tflite.edit import add_constant, add_tensor, new_operator, serialize
from converters.tflite.model import DTYPES, constant_data, operator_name, parse
from converters.tflite.state import has_state
from edge_meta.types import Array, Array64

OF_FLOAT16 = 2.0**-10  # between two float16 values, relative
ENDS = ("QUANTIZE", "DEQUANTIZE")


def explained_noise(exact: bytes, converted: bytes, values: NDArray[Any]) -> float | None:
    """The noise that rounding explains.

    Args:
        exact: the network converted to float32, of one input.
        converted: the same network in another format.
        values: examples of its input (n, *shape), where the shape has a batch of one.

    Returns:
        √(Σ‖f(x) − g(x)‖² / Σ‖f(x) − mean f‖²), f the float32 file and g the one that is rounded at random; None where the
        converter made other operators of the network, or some have inner values of their own, such as loops.
    """
    model, other = parse(exact), parse(converted)
    ours, theirs = _computing(model), _computing(other)
    if len(model.subgraphs) > 1 or has_state(model) or len(model.subgraphs[0].inputs) != 1:
        return None
    if [operator_name(model, each) for each in ours] != [operator_name(other, each) for each in theirs]:
        return None
    rng, given = np.random.default_rng(0), int(model.subgraphs[0].inputs[0])
    f, spans = _run(exact, values, [given, *(int(each.inputs[0]) for each in ours)])
    steps = {given: _step_of_input(other)}
    for mine, its in zip(ours, theirs, strict=True):
        steps[int(mine.outputs[0])] = _step(other, int(its.outputs[0]))
        mine.inputs = [int(index) for index in mine.inputs]
        taken, moved = mine.inputs[0], False
        for place in range(1, min(len(mine.inputs), len(its.inputs))):
            weights = _weights(model, mine.inputs[place])
            step = None if weights is None else _steps_of_weights(other, int(its.inputs[place]), weights)
            if weights is not None and step is not None:
                rounded = weights + rng.uniform(-0.5, 0.5, weights.shape) * step
                mine.inputs[place] = add_constant(model, "rounded", rounded.astype(np.float32))
                moved = DTYPES[other.subgraphs[0].tensors[int(its.inputs[place])].type] == "int8"
        if moved and _step(other, int(its.inputs[0])) is None and not steps.get(taken):
            steps[taken] = spans[taken] / 255  # a hybrid operator rounds its input while it runs
    for tensor, width in steps.items():
        if width and DTYPES[model.subgraphs[0].tensors[tensor].type] == "float32":
            _move(model, tensor, width, rng)
    g, _ = _run(serialize(model), values, [])
    spread = ((f - f.mean(axis=0)) ** 2).sum()
    return float(np.sqrt(((f - g) ** 2).sum() / max(spread, np.finfo(np.float64).tiny)))


def _computing(model: Any) -> list[Any]:
    return [each for each in model.subgraphs[0].operators if operator_name(model, each) not in ENDS]


def _weights(model: Any, tensor: int) -> Array | None:
    """A constant in float32 of more than one value."""
    if tensor < 0:
        return None
    found = model.subgraphs[0].tensors[tensor]
    data = constant_data(model, found)
    if not data or DTYPES[found.type] != "float32" or len(data) <= 4:
        return None
    return np.frombuffer(data, np.float32).reshape([int(size) for size in found.shape])


def _step(model: Any, tensor: int) -> float | None:
    """The step of a quantized tensor of one scale."""
    quantization = model.subgraphs[0].tensors[tensor].quantization
    if quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return None
    return float(quantization.scale[0])


def _step_of_input(model: Any) -> float | None:
    main = model.subgraphs[0]
    behind = [each for each in main.operators if main.inputs[0] in each.inputs and operator_name(model, each) == "QUANTIZE"]
    return _step(model, int(behind[0].outputs[0])) if behind else None


def _steps_of_weights(model: Any, tensor: int, weights: Array) -> Array64 | None:
    """The steps of a converted file's weights, to be multiplied with an array of the weights' shape."""
    main = model.subgraphs[0]
    of_halves = [each for each in main.operators if tensor in each.outputs and operator_name(model, each) == "DEQUANTIZE"]
    if of_halves:
        return OF_FLOAT16 * np.abs(weights.astype(np.float64))
    found = main.tensors[tensor]
    if found.quantization is None or found.quantization.scale is None or DTYPES[found.type] == "int32":
        return None
    scales = np.array(found.quantization.scale, np.float64)
    if len(scales) == 1:
        return scales
    shape = np.ones(weights.ndim, int)
    shape[found.quantization.quantizedDimension] = len(scales)
    return scales.reshape(shape)


def _move(model: Any, tensor: int, step: float, rng: np.random.Generator) -> None:
    """Add up to half a step at random to a tensor, for all operators that take it."""
    main = model.subgraphs[0]
    shape = [int(size) for size in main.tensors[tensor].shape]
    moved = add_tensor(model, f"rounded {tensor}", "float32", shape)
    noise = add_constant(model, f"rounding {tensor}", rng.uniform(-0.5 * step, 0.5 * step, shape).astype(np.float32))
    for operator in main.operators:
        operator.inputs = [moved if index == tensor else int(index) for index in operator.inputs]
    main.outputs = [moved if index == tensor else int(index) for index in main.outputs]
    for signature in model.signatureDefs or []:
        for end in signature.outputs:
            end.tensorIndex = moved if end.tensorIndex == tensor else end.tensorIndex
    behind = [place for place, operator in enumerate(main.operators) if tensor in operator.outputs]
    main.operators.insert(behind[0] + 1 if behind else 0, new_operator(model, "ADD", [tensor, noise], [moved]))


def _run(content: bytes, values: NDArray[Any], tensors: Sequence[int]) -> tuple[Array64, dict[int, float]]:
    """The outputs (n, D), and the span of each tensor's values over all examples."""
    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs, ends = [], dict.fromkeys(tensors, (np.inf, -np.inf))
    for value in values:
        interpreter.set_tensor(taken["index"], value)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(given["index"]).astype(np.float64).ravel())
        for tensor, (low, high) in ends.items():
            found = interpreter.get_tensor(tensor)
            ends[tensor] = min(low, float(found.min())), max(high, float(found.max()))
    return np.stack(outputs), {tensor: high - low for tensor, (low, high) in ends.items()}
