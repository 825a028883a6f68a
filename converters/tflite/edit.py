"""Edit a finished .tflite file and leave its encoder as it is: remove subgraphs and float ends, join two files, add parts.

A file is edited as a tree of the schema's objects (ModelT), from `model.parse` to `serialize`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters.tflite.model import DTYPES, MIN_RUNTIME, OPERATOR_CODES, min_runtime, operator_name, parse
from edge_meta.errors import ExportError

ALIGNMENT = 16  # of a buffer's data, as the schema demands; kernels on boards rely on it

_TYPES = {dtype: code for code, dtype in DTYPES.items()}
# Options are called like their operator, ReverseV2Options for REVERSE_V2, but for these.
_OPTIONS = {
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "L2_NORMALIZATION": "L2Norm",
    "MEAN": "Reducer",
    "RNN": "RNN",
}


class _Buffer(schema.BufferT):  # type: ignore[misc]  # generated code is not typed
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


def serialize(model: Any) -> bytes:
    """Write a tree as a file. The tree loses the buffers and operator codes that nothing uses."""
    _drop_unused(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


# Add parts


def add_buffer(model: Any, data: bytes) -> int:
    """Add a buffer and return its index."""
    model.buffers.append(_buffer(data))
    return len(model.buffers) - 1


def add_tensor(model: Any, name: str, dtype: str, shape: Sequence[int]) -> int:
    """Add a tensor to the first subgraph and return its index."""
    quantization = schema.QuantizationParametersT()
    tensors = model.subgraphs[0].tensors
    tensors.append(schema.TensorT(list(shape), _TYPES[dtype], name=name.encode(), quantization=quantization))
    return len(tensors) - 1


def add_constant(model: Any, name: str, values: NDArray[Any]) -> int:
    """Add a tensor that holds values to the first subgraph and return its index."""
    index = add_tensor(model, name, values.dtype.name, values.shape)
    set_constant(model, index, values)
    return index


def set_constant(model: Any, tensor: int, values: NDArray[Any]) -> None:
    """Let a tensor of the first subgraph hold values, in place of being computed or given."""
    model.subgraphs[0].tensors[tensor].buffer = add_buffer(model, np.ascontiguousarray(values).tobytes())


def set_quantization(model: Any, tensor: int, scales: Sequence[float], zero_points: Sequence[int], axis: int = 0) -> None:
    """Give a tensor of the first subgraph its scales and zero points: one of each, or one an entry along `axis`."""
    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint, quantization.quantizedDimension = list(scales), list(zero_points), axis
    model.subgraphs[0].tensors[tensor].quantization = quantization


def add_metadata(model: Any, name: str, data: bytes) -> None:
    """Set an entry of the file's metadata, in place of one of the same name."""
    entry = schema.MetadataT(name=name, buffer=add_buffer(model, data))
    model.metadata = [*(other for other in model.metadata or [] if other.name != name.encode()), entry]


def new_operator(
    model: Any, name: str, inputs: Sequence[int], outputs: Sequence[int], version: int = 1, **options: Any
) -> Any:
    """Make an operator of TFLite's own, for the caller to place among a subgraph's operators.

    Args:
        name: as `operator_name` gives it.
        inputs, outputs: tensors' indices.
        options: fields of the schema's table of options, such as beta=1.0 for SOFTMAX.
    """
    code = OPERATOR_CODES[name]
    model.operatorCodes.append(schema.OperatorCodeT(min(code, 127), version=version, builtinCode=code))
    table = _OPTIONS.get(name) or "".join(part.capitalize() for part in name.split("_"))
    return schema.OperatorT(
        opcodeIndex=len(model.operatorCodes) - 1,
        inputs=list(inputs),
        outputs=list(outputs),
        builtinOptionsType=getattr(schema.BuiltinOptions, f"{table}Options"),
        builtinOptions=getattr(schema, f"{table}OptionsT")(**options),
    )


# Change a whole file


def encoder_alone(content: bytes) -> Any:
    """Parse a file without any subgraph but its first, the encoder, and without the other signatures."""
    model = parse(content)
    del model.subgraphs[1:]
    model.signatureDefs = [entry for entry in model.signatureDefs or [] if entry.subgraphIndex == 0]
    return model


def with_short_names(content: bytes) -> bytes:
    """Name each tensor by the first of the operations that were fused into it: the list of all takes a few kilobytes."""
    model = parse(content)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = tensor.name.split(b";")[0]
    return serialize(model)


def ends_in_integers(content: bytes) -> bool:
    """Tell whether a file's encoder takes and gives int8 or uint8 behind operators that convert from and to float32."""
    try:
        with_integer_ends(encoder_alone(content))
    except ExportError:
        return False
    return True


def with_integer_ends(model: Any) -> Any:
    """Give the encoder int8 inputs and outputs, or uint8 where it works in uint8: remove what converts at either end.

    That is each QUANTIZE in front, from float32 or between two integer types, and the DEQUANTIZE behind, with a QUANTIZE
    between two integer types before it. The program that runs the file does then what these did.

    Raises:
        ExportError: the encoder does not begin and end so.
    """
    graph = model.subgraphs[0]
    operators, given, taken = list(graph.operators), int(graph.inputs[0]), int(graph.outputs[0])
    first, last = given, taken
    while operators and operator_name(model, operators[0]) == "QUANTIZE" and int(operators[0].inputs[0]) == first:
        first = int(operators.pop(0).outputs[0])
    while operators and _converts_back(model, graph, operators[-1], last):
        last = int(operators.pop().inputs[0])
    types = {graph.tensors[index].type for index in (first, last)}
    if first == given or last == taken or types not in ({schema.TensorType.INT8}, {schema.TensorType.UINT8}):
        raise ExportError("The encoder is not in int8 from end to end.", "Export it with --quantize int8.")
    graph.operators = operators
    replaced = {given: first, taken: last}
    graph.inputs, graph.outputs = _renumbered(graph.inputs, replaced), _renumbered(graph.outputs, replaced)
    _renumber_signatures(model, replaced)
    _drop_tensors(model, graph)
    return model


def _converts_back(model: Any, graph: Any, operator: Any, result: int) -> bool:
    name, made_of = operator_name(model, operator), graph.tensors[int(operator.inputs[0])].type
    if int(operator.outputs[0]) != result:
        return False
    return name == "DEQUANTIZE" or (name == "QUANTIZE" and made_of == schema.TensorType.INT8)


def join(encoder: bytes, heads: bytes) -> bytes:
    """Join two files, both with static shapes and no variables: all subgraphs and signatures, the encoder's first.

    The converter quantizes a whole file. In float16 the heads' constants would overflow, and int16x8 wants every signature
    calibrated, so encoder and heads are converted apart.
    """
    joined, added = parse(encoder), parse(heads)
    codes = {_code_key(code): index for index, code in enumerate(joined.operatorCodes)}
    for code in added.operatorCodes:
        if _code_key(code) not in codes:
            codes[_code_key(code)] = len(joined.operatorCodes)
            joined.operatorCodes.append(code)
    for subgraph in added.subgraphs:
        for operator in subgraph.operators:
            operator.opcodeIndex = codes[_code_key(added.operatorCodes[operator.opcodeIndex])]
        for tensor in subgraph.tensors:
            if tensor.buffer:  # the first buffer is the empty one in every file
                joined.buffers.append(added.buffers[tensor.buffer])
                tensor.buffer = len(joined.buffers) - 1
    for signature in added.signatureDefs:
        signature.subgraphIndex += len(joined.subgraphs)
    joined.subgraphs += added.subgraphs
    joined.signatureDefs += added.signatureDefs
    for entry in joined.metadata or []:
        if entry.name == MIN_RUNTIME.encode():
            newest = max(min_runtime(joined), min_runtime(added))
            joined.buffers[entry.buffer].data = ".".join(map(str, newest)).encode().ljust(16, b"\0")
    return serialize(joined)


def _code_key(code: Any) -> tuple[Any, ...]:
    return code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version


def _buffer(data: Any) -> Any:
    buffer = _Buffer()
    buffer.data = data
    return buffer


def _renumbered(indices: Any, new: dict[int, int]) -> NDArray[np.int32]:
    return np.array([new.get(int(index), int(index)) for index in indices], np.int32)


def _renumber_signatures(model: Any, new: dict[int, int]) -> None:
    for signature in model.signatureDefs:
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = new[end.tensorIndex]


def _drop_tensors(model: Any, graph: Any) -> None:
    """Drop the tensors that no operator uses any more."""
    used = {int(index) for operator in graph.operators for index in (*operator.inputs, *operator.outputs)} - {-1}
    new = {old: index for index, old in enumerate(sorted(used))} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in sorted(used)]
    for holder in (*graph.operators, graph):
        holder.inputs, holder.outputs = _renumbered(holder.inputs, new), _renumbered(holder.outputs, new)
    _renumber_signatures(model, new)


def _drop_unused(model: Any) -> None:
    """Drop the buffers and operator codes that nothing uses any more."""
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
