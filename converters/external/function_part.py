"""Find the tensor of a TensorFlow function that a tensor of its .tflite file was made of, and cut the function there.

So the part that embeds is converted by itself, and run in TensorFlow to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import tensorflow as tf

from converters.external.agreement import varied_examples
from converters.external.choice import Choice
from converters.external.input_range import Arithmetic, applied
from converters.external.source_model import ModelInputs, TfliteModel
from converters.tflite.edit_graph import Graph
from edge_meta.errors import ExportError

ARITHMETIC = {"Mul": "MUL", "AddV2": "ADD", "Add": "ADD", "Sub": "SUB", "RealDiv": "DIV"}
TRANSPARENT = {"Cast", "Identity", "Pad", "PadV2", "Transpose", "Reshape", "ExpandDims", "Squeeze"}


@dataclass(frozen=True)
class FunctionPart:
    """A part of a function: from some of its inputs to one tensor.

    Attributes:
        inputs: numbers of its inputs.
    """

    function: Any
    inputs: ModelInputs


def part_of_function(function: Any, whole: bytes, choice: Choice) -> FunctionPart:
    """Cut a function at the tensor that was chosen in its .tflite file.

    Args:
        function: as `load_function` gives it.
        whole: the file that the function was converted to.

    Raises:
        ExportError: TensorFlow has no tensor of that name.
    """
    graph = Graph(whole, choice.source_input.name)
    place = {tensor: number for number, tensor in enumerate(graph.inputs)}
    taken = [choice.inputs.example, *choice.inputs.masks, *choice.inputs.segments]
    number = {tensor: index for index, tensor in enumerate(taken)}
    inputs = ModelInputs(
        number[choice.inputs.example],
        tuple(number[tensor] for tensor in choice.inputs.masks),
        tuple(number[tensor] for tensor in choice.inputs.segments),
    )
    feeds = [function.inputs[place[tensor]] for tensor in taken]
    return FunctionPart(function.prune(feeds, [_tensor(function, feeds, inputs, graph, choice)]), inputs)


def output_names(function: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Names that say what the outputs are: the given ones, and those of the operations behind them."""
    return (*names, *(_before_identity(tensor).op.name for tensor in function.outputs))


def wanted_tensor(function: Any, whole: bytes, names: Sequence[str], wanted: str | None) -> str | None:
    """Translate the name of an output or of a layer to the index of its tensor in a file; other names stay.

    Args:
        names: of the function's outputs.
    """
    if wanted is None:
        return None
    graph = Graph(whole, "the converted file")
    if wanted in names:
        return str(graph.outputs[list(names).index(wanted)])
    for place, tensor in enumerate(function.outputs):
        if f"/{wanted}_1/" in f"/{_before_identity(tensor).op.name}":
            return str(graph.outputs[place])
    if any(wanted in (graph.name(tensor), str(tensor)) for tensor in graph.tensors()):
        return wanted
    # Keras numbers the scopes of layers that are loaded again.
    for scope in (f"/{wanted}_1/", f"/{wanted}/"):
        of_layer = [
            tensor
            for step in graph.steps()
            for tensor in step.outputs
            if any(scope in f"/{part}/" for part in graph.name(tensor).split(";"))
        ]
        if of_layer:
            return str(of_layer[-1])
    return wanted


def first_arithmetic(function: Any) -> Arithmetic:
    """Follow a function's first operations, which rescale or normalize its input; returns their slope and offset."""
    slope, offset = np.ones(1), np.zeros(1)
    tensor = function.inputs[0]
    while True:
        readers = tensor.consumers()
        if len(readers) != 1:
            return slope, offset
        (operation,) = readers
        if operation.type in ARITHMETIC:
            place = [given is tensor for given in operation.inputs].index(True)
            constant = tf.get_static_value(operation.inputs[1 - place])
            if constant is None or constant.size not in (1, tensor.shape[-1] if tensor.shape.rank else 1):
                return slope, offset
            slope, offset = applied(
                ARITHMETIC[operation.type], place == 0, slope, offset, constant.astype(np.float64).ravel()
            )
        elif operation.type not in TRANSPARENT:
            return slope, offset
        tensor = operation.outputs[0]


def _tensor(function: Any, feeds: Sequence[Any], inputs: ModelInputs, graph: Graph, choice: Choice) -> Any:
    """The function's tensor that the chosen tensor of the file was made of: by its names, else by its values."""
    if choice.tensor in graph.outputs:
        return function.outputs[graph.outputs.index(choice.tensor)]
    size = prod(graph.shape(choice.tensor)[1:])
    fitting = [
        operation.outputs[0]
        for operation in function.graph.get_operations()
        if operation.outputs and operation.type not in ("Const", "Placeholder") and _size(operation.outputs[0]) == size
    ]
    names = {part.split(":")[0].strip() for part in graph.name(choice.tensor).split(";")}
    # The last of the operations that were fused into it gives its values.
    named = [tensor for tensor in fitting if tensor.op.name in names]
    if named:
        return named[-1]
    value = choice.source_input.values(varied_examples(choice.source_input.spec, choice.source_input.ids, 1))[0]
    wanted = TfliteModel(choice.content, choice.inputs, (choice.tensor,)).embed(value[None])[0]
    given = [inputs.feed(value)[number] for number in range(len(feeds))]
    for tensor in fitting:
        try:
            (found,) = function.prune(feeds, [tensor])(*map(tf.constant, given))
        except ValueError:
            continue  # it needs other inputs
        if np.allclose(np.asarray(found).ravel(), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max()):
            return tensor
    raise ExportError(
        f"{choice.source_input.name} has no tensor that {choice.tensor_name!r} of the converted file can be compared with.",
        "Name a layer, or another tensor, with --output-tensor.",
    )


def _size(tensor: Any) -> int | None:
    sizes = [None] if tensor.shape.rank is None else tensor.shape.as_list()[1:]
    return None if None in sizes else prod(sizes)


def _before_identity(tensor: Any) -> Any:
    while tensor.op.type == "Identity" and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor
