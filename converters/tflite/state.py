"""Take state out of a .tflite file's tree, so that each run starts as the first one does."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from converters.tflite.edit import add_buffer
from converters.tflite.model import DTYPES, operator_name


def fold_variables(model: Any) -> None:
    """Replace the variables of the first subgraph by their initial values, or by the values that were assigned since.

    A variable without an initial value starts from zeros. Variables of called subgraphs, such as a loop's body, stay.
    """
    main = model.subgraphs[0]
    names = [operator_name(model, operator) for operator in main.operators]
    if "READ_VARIABLE" not in names and "CALL_ONCE" not in names:
        return
    handles: dict[int, tuple[Any, Any]] = {}
    initial: dict[tuple[Any, Any], Any] = {}  # the tensors of constants, of other subgraphs
    assigned: dict[tuple[Any, Any], int] = {}  # tensors of the first subgraph
    same: dict[int, int] = {}
    kept = []
    for name, operator in zip(names, main.operators, strict=True):
        operator.inputs = [same.get(int(index), int(index)) for index in operator.inputs]
        if name == "VAR_HANDLE":
            handles[int(operator.outputs[0])] = _key(operator)
        elif name == "CALL_ONCE":
            initial |= _initial_values(model, model.subgraphs[operator.builtinOptions.initSubgraphIndex])
        elif name == "ASSIGN_VARIABLE" and operator.inputs[0] in handles:
            assigned[handles[operator.inputs[0]]] = operator.inputs[1]
        elif name == "READ_VARIABLE" and operator.inputs[0] in handles:
            key, read = handles[operator.inputs[0]], int(operator.outputs[0])
            if key in assigned:
                same[read] = assigned[key]
            else:
                _make_constant(model, main.tensors[read], initial.get(key))
        else:
            kept.append(operator)
    main.operators = kept
    main.outputs = [same.get(int(index), int(index)) for index in main.outputs]


def has_state(model: Any) -> bool:
    """Tell whether any tensor keeps its value from one run to the next, until an interpreter resets it."""
    return any(tensor.isVariable for graph in model.subgraphs for tensor in graph.tensors)


def has_variables(model: Any) -> bool:
    """Tell whether any subgraph has variables that operators read and assign, which no interpreter resets."""
    return any(
        operator_name(model, operator) == "VAR_HANDLE" for graph in model.subgraphs for operator in graph.operators or []
    )


def _key(operator: Any) -> tuple[Any, Any]:
    return operator.builtinOptions.container, operator.builtinOptions.sharedName


def _initial_values(model: Any, graph: Any) -> dict[tuple[Any, Any], Any]:
    """The constants that a subgraph assigns to variables."""
    handles, values = {}, {}
    for operator in graph.operators:
        name = operator_name(model, operator)
        if name == "VAR_HANDLE":
            handles[int(operator.outputs[0])] = _key(operator)
        elif name == "ASSIGN_VARIABLE":
            values[handles[int(operator.inputs[0])]] = graph.tensors[int(operator.inputs[1])]
    return values


def _make_constant(model: Any, tensor: Any, initial: Any) -> None:
    """Let a tensor hold a variable's initial value, or zeros."""
    if initial is not None:
        tensor.shape, tensor.shapeSignature, tensor.buffer = initial.shape, None, initial.buffer
        return
    dtype = np.dtype(DTYPES[tensor.type])
    tensor.buffer = add_buffer(model, bytes(prod(map(int, tensor.shape)) * dtype.itemsize))
