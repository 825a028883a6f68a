"""Copy the network of one .tflite file behind that of another. Trees are the schema's objects, see `edit`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from converters.tflite.edit import serialize
from converters.tflite.edit_graph import subgraph_calls
from converters.tflite.model import parse
from edge_meta.runtime.backends import RuntimeOptions, open_interpreter


class NetworkCopier:
    """Copies the first subgraph of a file into that of another, as often as asked; the copies share their constants.

    The file has one input and one output, as `Graph.save` leaves it.
    """

    def __init__(self, model: Any, other: Any) -> None:
        """Bring the constants, operator codes and called subgraphs of `other` into `model`, both trees."""
        self._model, self._network = model, other.subgraphs[0]
        self._first_code, self._first_called = len(model.operatorCodes), len(model.subgraphs)
        model.operatorCodes += other.operatorCodes
        first_buffer = len(model.buffers)
        model.buffers += other.buffers
        for called in other.subgraphs[1:]:
            self._move(called.operators)
        for subgraph in other.subgraphs:
            for tensor in subgraph.tensors:
                # The first buffer is the empty one in every file.
                tensor.buffer = tensor.buffer + first_buffer if tensor.buffer and _filled(other, tensor) else 0
        model.subgraphs += other.subgraphs[1:]
        self._move(self._network.operators)
        self._constants: dict[int, int] = {}

    def copy(self, given: int) -> int:
        """Add a copy that takes the tensor `given` as its input; returns its output's tensor."""
        main, network = self._model.subgraphs[0], self._network
        places = {-1: -1, int(network.inputs[0]): given}

        def place(index: int) -> int:
            if index in places:
                return places[index]
            tensor = network.tensors[index]
            if tensor.buffer and index in self._constants:
                return self._constants[index]
            main.tensors.append(deepcopy(tensor))
            places[index] = len(main.tensors) - 1
            if tensor.buffer:
                self._constants[index] = places[index]
            return places[index]

        for operator in network.operators:
            copied = deepcopy(operator)
            for ends in ("inputs", "outputs", "intermediates"):
                if (indices := getattr(operator, ends)) is not None:
                    setattr(copied, ends, [place(int(index)) for index in indices])
            main.operators.append(copied)
        return place(int(network.outputs[0]))

    def _move(self, operators: list[Any]) -> None:
        """Number the operator codes and the called subgraphs of operators as they are in the other file."""
        for operator in operators:
            operator.opcodeIndex += self._first_code
            for options, field in subgraph_calls([operator]):
                if getattr(options, field) > 0:
                    setattr(options, field, getattr(options, field) - 1 + self._first_called)


def with_static_shapes(content: bytes) -> bytes:
    """State each tensor's shape as it is when the file runs, for runtimes that do not compute shapes themselves."""
    model, (_, interpreter) = parse(content), open_interpreter(content, RuntimeOptions(xnnpack=False))
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()
    tensors = model.subgraphs[0].tensors
    for details in interpreter.get_tensor_details():
        # Behind the file's own tensors come the interpreter's temporary ones.
        if details["index"] < len(tensors) and not _filled(model, tensors[details["index"]]):
            tensors[details["index"]].shape = [int(size) for size in details["shape"]]
            tensors[details["index"]].shapeSignature = None
    return serialize(model)


def _filled(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0
