"""Changes to a finished .tflite file that leave its encoder as it is: other subgraphs out, integer inputs and outputs,
operators added."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edge_meta.errors import ExportError

ALIGNMENT = 16  # of a buffer's data, as the schema demands; kernels on boards rely on it


OPERATOR_OF = {"FullyConnectedOptions": "FULLY_CONNECTED", "SoftmaxOptions": "SOFTMAX"}


class _Buffer(schema.BufferT):
    """A buffer that is written aligned, which the generated code forgets, and in one piece."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - overrides the generated name
        data = b"" if self.data is None else bytes(bytearray(self.data))
        if data:
            builder.StartVector(1, len(data), ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.Head() : builder.Head() + len(data)] = data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if data:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


def unpacked(content: bytes) -> Any:
    """A file as a tree of the schema's objects (ModelT)."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def packed(model: Any) -> bytes:
    """The file of a tree, which it changes: buffers and operator codes that nothing uses are left out."""
    _drop_unused(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def add_buffer(model: Any, data: bytes) -> int:
    """Adds a buffer and returns its index."""
    model.buffers.append(_buffer(data))
    return len(model.buffers) - 1


def encoder_alone(content: bytes) -> Any:
    """The tree of the file with nothing but its first subgraph, the encoder, and that one's signature."""
    model = unpacked(content)
    del model.subgraphs[1:]
    model.signatureDefs = [entry for entry in model.signatureDefs or [] if entry.subgraphIndex == 0]
    return model


def with_short_names(content: bytes) -> bytes:
    """The file with each tensor named by the first of the operations that were fused into it, and no longer by all of them,
    which takes a few kilobytes."""
    model = unpacked(content)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = tensor.name.split(b";")[0]
    return packed(model)


def with_integer_ends(model: Any) -> Any:
    """The tree with the encoder's inputs and outputs in int8: the first QUANTIZE and the last DEQUANTIZE are left out, and
    who calls it does what they did.

    Raises:
        ExportError: the encoder does not begin and end so.
    """
    graph = model.subgraphs[0]
    first, last = graph.operators[0], graph.operators[-1]
    names = [_name(model, operator) for operator in (first, last)]
    inner, result = int(first.outputs[0]), int(last.inputs[0])
    types = {graph.tensors[index].type for index in (inner, result)}
    if names != ["QUANTIZE", "DEQUANTIZE"] or types != {schema.TensorType.INT8}:
        raise ExportError("The encoder is not in int8 from end to end.", "Export it with --quantize int8.")
    replaced = {int(first.inputs[0]): inner, int(last.outputs[0]): result}
    graph.operators = graph.operators[1:-1]
    graph.inputs, graph.outputs = _renumbered(graph.inputs, replaced), _renumbered(graph.outputs, replaced)
    for signature in model.signatureDefs:
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = replaced[end.tensorIndex]
    _drop_tensors(model, graph)
    return model


def add_operator(model: Any, options: Any, inputs: list[int], label: str, shape: tuple[int, ...]) -> int:
    """Appends the operator that `options`, such as SoftmaxOptionsT, are of; returns the index of its float32 output."""
    kind = type(options).__name__.removesuffix("T")
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, OPERATOR_OF[kind])
    code.version = 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs = np.array(inputs, np.int32)
    operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, kind), options
    operator.outputs = np.array([add_tensor(model, label, shape)], np.int32)
    model.subgraphs[0].operators.append(operator)
    return int(operator.outputs[0])


def add_tensor(model: Any, label: str, shape: tuple[int, ...], values: NDArray[np.float32] | None = None) -> int:
    """Adds a float32 tensor to the first subgraph, constant if it has values, and returns its index."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = label, np.array(shape, np.int32), schema.TensorType.FLOAT32
    tensor.buffer = 0 if values is None else add_buffer(model, np.ascontiguousarray(values, "<f4").tobytes())
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _buffer(data: Any) -> Any:
    buffer = _Buffer()
    buffer.data = data
    return buffer


def _name(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return next(name for name, value in vars(schema.BuiltinOperator).items() if value == builtin)


def _renumbered(indices: Any, new: dict[int, int]) -> NDArray[np.int32]:
    return np.array([new.get(int(index), int(index)) for index in indices], np.int32)


def _drop_tensors(model: Any, graph: Any) -> None:
    """Leave out the tensors that no operator uses any more."""
    used = {int(index) for operator in graph.operators for index in (*operator.inputs, *operator.outputs)} - {-1}
    new = {old: index for index, old in enumerate(sorted(used))} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in sorted(used)]
    for holder in (*graph.operators, graph):
        holder.inputs, holder.outputs = _renumbered(holder.inputs, new), _renumbered(holder.outputs, new)
    for signature in model.signatureDefs:
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = new[end.tensorIndex]


def _drop_unused(model: Any) -> None:
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    entries = list(model.metadata or [])
    # Buffer 0 is the empty one, by the format's convention.
    buffers = sorted({0} | {holder.buffer for holder in (*tensors, *entries)})
    new_buffer = {old: index for index, old in enumerate(buffers)}
    for holder in (*tensors, *entries):
        holder.buffer = new_buffer[holder.buffer]
    model.buffers = [_buffer(model.buffers[old].data) for old in buffers]
    codes = sorted({operator.opcodeIndex for operator in operators})
    new_code = {old: index for index, old in enumerate(codes)}
    for operator in operators:
        operator.opcodeIndex = new_code[operator.opcodeIndex]
    model.operatorCodes = [model.operatorCodes[old] for old in codes]
