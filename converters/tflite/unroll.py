"""Unroll a .tflite file that keeps state: one run on a long example in place of many runs on its parts."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from converters.tflite.edit import add_constant, add_tensor, new_operator, serialize
from converters.tflite.model import DTYPES, constant_data, operator_name, parse

ONCE = ("CALL_ONCE", "VAR_HANDLE")
SLICE_VERSIONS = {"int8": 2, "int16": 4}


def unrolled(content: bytes, axis: int, steps: int) -> bytes:
    """Repeat the first subgraph of a file of one input on the parts of a longer input, each from the state before it.

    The last run keeps the numbers and names of its tensors; its output is the file's.

    Args:
        axis: of the input, along which the parts lie.
        steps: runs.
    """
    model = parse(content)
    main = model.subgraphs[0]
    once = [operator for operator in main.operators if operator_name(model, operator) in ONCE]
    each = [operator for operator in main.operators if operator_name(model, operator) not in ONCE]
    computed = {int(index) for operator in each for index in operator.outputs}
    taken = int(main.inputs[0])
    dtype, size = DTYPES[main.tensors[taken].type], [int(each) for each in main.tensors[taken].shape]
    long = [steps * length if place == axis else length for place, length in enumerate(size)]
    whole = add_tensor(model, f"{main.tensors[taken].name.decode()}/all", dtype, long)
    main.tensors[whole].quantization = deepcopy(main.tensors[taken].quantization)
    extent = add_constant(model, "slice_size", np.array(size, np.int32))
    operators = []
    for step in range(steps):
        places: dict[int, int] = {}
        if step < steps - 1:
            places = {
                index: _copied(main, index, step) for index in sorted({taken, *computed}) if not _kept(model, main, index)
            }
        begin = np.array([step * length if place == axis else 0 for place, length in enumerate(size)], np.int32)
        start = add_constant(model, "slice_begin", begin)
        part = places.get(taken, taken)
        operators.append(new_operator(model, "SLICE", [whole, start, extent], [part], SLICE_VERSIONS.get(dtype, 1)))
        operators += [_moved(operator, places) for operator in each]
    main.operators = [*once, *operators]
    main.inputs = [whole]
    for signature in model.signatureDefs or []:
        for end in signature.inputs or [] if signature.subgraphIndex == 0 else []:
            end.tensorIndex = whole
    return serialize(model)


def _kept(model: Any, main: Any, index: int) -> bool:
    """Tell whether all runs share a tensor: a constant, or the state of a recurrent operator."""
    tensor = main.tensors[index]
    return bool(tensor.isVariable) or bool(constant_data(model, tensor))


def _copied(main: Any, index: int, step: int) -> int:
    tensor = deepcopy(main.tensors[index])
    tensor.name = f"run {step}/".encode() + (tensor.name or b"")
    main.tensors.append(tensor)
    return len(main.tensors) - 1


def _moved(operator: Any, places: dict[int, int]) -> Any:
    """An operator on other tensors."""
    if not places:
        return operator
    moved = deepcopy(operator)
    for ends in ("inputs", "outputs", "intermediates"):
        if (indices := getattr(operator, ends)) is not None:
            setattr(moved, ends, [places.get(int(index), int(index)) for index in indices])
    return moved
