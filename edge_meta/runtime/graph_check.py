"""Read and check the graph of a .tflite file in plain Python, before an interpreter sees the file.

Interpreters follow a file's offsets, and not all check them: tflite-runtime reads past the end of a file that was cut short,
and crashes. This module checks that every table, vector and string that an interpreter starts from lies inside the file, and
that every index of a buffer, operator code, tensor or subgraph exists. `graph_flow` checks the order in which operators read
and write tensors. Neither checks the operators' own options, the constants' values, or whether shapes fit their operators:
an interpreter may still crash on a file made for it, or take more memory than there is. So `first_run` runs a model from
elsewhere in a child process first.

The schema is TensorFlow Lite's, version 3, in FlatBuffers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from edge_meta.errors import BundleError
from edge_meta.runtime.flatbuffers import File, Table
from edge_meta.runtime.graph_flow import check_flow, check_inputs, check_scales

LARGEST_TENSOR = 1 << 28  # values
LARGEST_RANK = 16
MOST_PARTS = 2_000_000  # of a graph; see `File`

DEQUANTIZE = 6  # in BuiltinOperator
QUANTIZED = {3, 7, 9}  # uint8, int16 and int8 in TensorType


@dataclass(frozen=True)
class Tensor:
    """A tensor's TensorType, shape, scale if it has a single one, and whether it has a value before the graph runs."""

    kind: int
    shape: tuple[int, ...]
    scale: float | None
    constant: bool


@dataclass(frozen=True)
class Operator:
    """An operator's BuiltinOperator code, and the indices of its inputs (-1 for an optional one left out) and outputs."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Subgraph:
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(model: bytes, most_parts: int = MOST_PARTS) -> list[Subgraph]:
    """Read the subgraphs of a .tflite file.

    Args:
        model: the file's content.
        most_parts: fields and numbers to read; see `File`.

    Raises:
        BundleError: it is no such file, is cut short, refers to what is not in it, or has too many parts.
    """
    if model[4:8] != b"TFL3":
        raise BundleError("This is not a TFLite model.", "Export the bundle again.")
    try:
        return _model(File(model, most_parts).root())
    except (ValueError, struct.error) as error:
        raise BundleError(
            f"The model is malformed ({error}).", "Get it again from where it came, or export it again."
        ) from None


def output_step(model: bytes) -> float | None:
    """The quantization step of the first output of subgraph 0: its own scale, or that of the tensor dequantized into it.

    None if the output does not come from a tensor that is quantized by one scale.
    """
    graph = read_graph(model)[0]
    at = graph.outputs[0]
    for operator in graph.operators:
        if operator.code == DEQUANTIZE and operator.inputs and at in operator.outputs:
            at = operator.inputs[0]
            break
    tensor = graph.tensors[at]
    return tensor.scale or None if tensor.kind in QUANTIZED else None


# The schema. Field numbers are those of the tables Model, OperatorCode, Buffer, SubGraph, Tensor, QuantizationParameters,
# Operator, SignatureDef, TensorMap and Metadata.


def _model(model: Table) -> list[Subgraph]:
    if model.number(0) != 3:
        raise ValueError(f"its schema version is {model.number(0)}, not 3")
    codes = model.tables(1, _operator_code)
    filled = model.tables(4, _buffer)
    buffers = len(filled)
    graphs = model.tables(2, lambda graph: _subgraph(graph, codes, filled))
    if not graphs or not graphs[0].inputs or not graphs[0].outputs:
        raise ValueError("it has no graph with an input and an output")
    model.check_text(3)
    for signature in model.tables(7, lambda table: table):
        signature.check_text(2)
        of = _existing([signature.number(4, "I")], len(graphs), "subgraph")[0]
        for field in (0, 1):
            for named in signature.tables(field, lambda table: table):
                named.check_text(0)
                _existing([named.number(1, "I")], len(graphs[of].tensors), "tensor")
    for metadata in model.tables(6, lambda table: table):
        metadata.check_text(0)
        _existing([metadata.number(1, "I")], buffers, "buffer")
    return graphs


def _operator_code(code: Table) -> int:
    code.check_text(1)
    return max(code.number(0, "b"), code.number(3))  # the older field has no room for codes above 127


def _buffer(buffer: Table) -> bool:
    """Check a buffer; return whether it has any bytes."""
    size, far = buffer.check_bytes(0), buffer.number(2, "Q")
    if buffer.number(1, "Q") + far > len(buffer.file.data):  # a large one lies behind the tables
        raise ValueError("a buffer reaches out of the file")
    return bool(size or far)


def _subgraph(graph: Table, codes: list[int], filled: list[bool]) -> Subgraph:
    tensors = graph.tables(0, lambda tensor: _tensor(tensor, filled))
    graph.check_text(4)

    def indices(table: Table, field: int, first: int = 0) -> tuple[int, ...]:
        return _existing(table.numbers(field), len(tensors), "tensor", first)

    def operator(table: Table) -> Operator:
        code = _existing([table.number(0, "I")], len(codes), "operator code")[0]
        table.table(4)
        table.table(12)
        table.check_bytes(5)
        indices(table, 8, first=-1)
        if table.number(9, "Q") + table.number(10, "Q") > len(table.file.data):
            raise ValueError("an operator's options reach out of the file")
        inputs = indices(table, 1, first=-1)
        check_inputs(codes[code], inputs)
        return Operator(codes[code], inputs, indices(table, 2))

    operators, inputs, outputs = graph.tables(3, operator), indices(graph, 1), indices(graph, 2)
    # A tensor without values needs no operator that writes it, but may have one.
    written = {index for each in operators for index in each.outputs}
    empty = [index for index, tensor in enumerate(tensors) if math.prod(tensor.shape) == 0 and index not in written]
    constants = [index for index, tensor in enumerate(tensors) if tensor.constant]
    check_flow(inputs, constants + empty, [(each.inputs, each.outputs) for each in operators], outputs)
    return Subgraph(tensors, operators, inputs, outputs)


def _tensor(tensor: Table, filled: list[bool]) -> Tensor:
    shape, kind = tensor.numbers(0), tensor.number(1, "b")
    (buffer,) = _existing([tensor.number(2, "I")], len(filled), "buffer")
    tensor.check_text(3)
    if len(shape) > LARGEST_RANK or len(tensor.numbers(7)) > LARGEST_RANK:
        raise ValueError(f"a tensor has more than {LARGEST_RANK} dimensions")
    if min(shape, default=0) < 0 or math.prod(shape) > LARGEST_TENSOR:
        raise ValueError(f"a tensor has the shape {list(shape)}")
    scale = None
    if (quantization := tensor.table(4)) is not None:
        scales = quantization.numbers(2, "f")
        quantization.numbers(3, "q")
        if kind in QUANTIZED:
            check_scales(scales)
        if len(scales) == 1:
            scale = scales[0]
    # Variables start from zeros.
    return Tensor(kind, shape, scale, filled[buffer] or bool(tensor.number(5, "b")))


def _existing(indices: Sequence[int], of: int, what: str, first: int = 0) -> tuple[int, ...]:
    for index in indices:
        if not first <= index < of:
            raise ValueError(f"it refers to {what} {index} of {of}")
    return tuple(indices)
