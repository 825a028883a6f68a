"""What a .tflite file says of its graph, read in plain Python before an interpreter sees the file.

Interpreters follow a file's offsets, and not all check them: tflite-runtime reads past the end of a file that was cut short,
and crashes. Here every table, vector and string that an interpreter starts from lies inside the file, and every index of a
buffer, operator code, tensor or subgraph exists. Not checked are the operators' own options, the constants' values, and
whether shapes fit their operators; an interpreter may still crash on a file made for it, or take more memory than there is.
`subprocess_check.check_model` runs a file in a child process for that reason.

The layout is that of FlatBuffers (https://flatbuffers.dev/internals) with TensorFlow Lite's schema, version 3.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from edge_meta.errors import BundleError

LARGEST_TENSOR = 1 << 28  # values
LARGEST_RANK = 16
# Fields and numbers of a graph. A file can name the same table again and again, and so ask for much more work than its size.
MOST_PARTS = 2_000_000
LINE = 100  # bytes of text that count as one part

DEQUANTIZE = 6  # in BuiltinOperator
QUANTIZED = {3, 7, 9}  # uint8, int16 and int8 in TensorType

T = TypeVar("T")


@dataclass(frozen=True)
class Tensor:
    """A tensor's TensorType, shape, and its scale where it has a single one."""

    kind: int
    shape: tuple[int, ...]
    scale: float | None


@dataclass(frozen=True)
class Operator:
    """An operator's BuiltinOperator code, and the tensors that it takes (-1 for one that is left out) and gives."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Subgraph:
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(model: bytes) -> list[Subgraph]:
    """The subgraphs of a .tflite file.

    Raises:
        BundleError: it is no such file, is cut short, or refers to what is not in it.
    """
    if model[4:8] != b"TFL3":
        raise BundleError("This is not a TFLite model.", "Export the bundle again.")
    try:
        return _model(_File(model).root())
    except (ValueError, struct.error) as error:
        raise BundleError(
            f"The model is malformed ({error}).", "Get it again from where it came, or export it again."
        ) from None


def output_step(model: bytes) -> float | None:
    """One quantization step of the first output of subgraph 0: its own scale, or that of what is dequantized into it.

    None if the output does not come from a tensor that is quantized by one scale.
    """
    graph = read_graph(model)[0]
    at = graph.outputs[0]
    for operator in graph.operators:
        if operator.code == DEQUANTIZE and operator.inputs and at in operator.outputs:
            at = operator.inputs[0]
            break
    tensor = graph.tensors[at]
    usable = tensor.kind in QUANTIZED and tensor.scale is not None and math.isfinite(tensor.scale) and tensor.scale > 0
    return tensor.scale if usable else None


class _File:
    """Reads numbers, and counts what has been read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.parts = data, 0

    def number(self, kind: str, at: int) -> int:
        if at < 0:
            raise ValueError("an offset points before its start")
        value: int = struct.unpack_from("<" + kind, self.data, at)[0]  # struct.error past the end
        return value

    def count(self, parts: int) -> None:
        self.parts += parts
        if self.parts > MOST_PARTS:
            raise ValueError("its graph has too many parts")

    def follow(self, at: int) -> int:
        """Where the offset at `at` points to; all that is pointed to starts with 4 aligned bytes."""
        target = at + self.number("I", at)
        if target % 4 or target + 4 > len(self.data):
            raise ValueError(f"an offset points to {target} of {len(self.data)} bytes")
        return target

    def root(self) -> _Table:
        return _Table(self, self.follow(0))


class _Table:
    """A table: fields that may be absent, found through its vtable."""

    def __init__(self, file: _File, at: int) -> None:
        self.file, self.at = file, at
        vtable = at - file.number("i", at)
        size, self.size = file.number("H", vtable), file.number("H", vtable + 2)
        if size < 4 or size % 2 or vtable + size > len(file.data) or self.size < 4 or at + self.size > len(file.data):
            raise ValueError(f"the table at {at} reaches out of the file")
        file.count(4 + size // 2)
        self.fields = struct.unpack_from(f"<{size // 2 - 2}H", file.data, vtable + 4)

    def number(self, field: int, kind: str = "i", default: int = 0) -> int:
        at = self._find(field, struct.calcsize("<" + kind))
        return default if at is None else self.file.number(kind, at)

    def table(self, field: int) -> _Table | None:
        at = self._find(field, 4)
        return None if at is None else _Table(self.file, self.file.follow(at))

    def tables(self, field: int, read: Callable[[_Table], T]) -> list[T]:
        start, length = self._vector(field, 4)
        self.file.count(length)
        return [read(_Table(self.file, self.file.follow(start + 4 * index))) for index in range(length)]

    def numbers(self, field: int, kind: str = "i") -> tuple[Any, ...]:
        start, length = self._vector(field, struct.calcsize("<" + kind))
        self.file.count(length)
        return struct.unpack_from(f"<{length}{kind}", self.file.data, start)

    def check_bytes(self, field: int) -> None:
        self._vector(field, 1)

    def check_text(self, field: int) -> None:
        start, length = self._vector(field, 1)
        self.file.count(length // LINE)
        self.file.data[start : start + length].decode()  # UnicodeDecodeError, a ValueError

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        """Where a vector's elements start, and how many they are; none if the field is absent."""
        at = self._find(field, 4)
        if at is None:
            return 0, 0
        start = self.file.follow(at)
        length = self.file.number("I", start)
        if start + 4 + length * width > len(self.file.data):
            raise ValueError(f"a vector of {length} at {start} reaches out of the file")
        return start + 4, length

    def _find(self, field: int, width: int) -> int | None:
        offset = self.fields[field] if field < len(self.fields) else 0
        if offset and not 4 <= offset <= self.size - width:
            raise ValueError(f"a field of the table at {self.at} lies outside of it")
        return self.at + offset if offset else None


# The schema. Field numbers are those of the tables Model, OperatorCode, Buffer, SubGraph, Tensor, QuantizationParameters,
# Operator, SignatureDef, TensorMap and Metadata.


def _model(model: _Table) -> list[Subgraph]:
    if model.number(0) != 3:
        raise ValueError(f"its schema version is {model.number(0)}, not 3")
    codes = model.tables(1, _operator_code)
    buffers = len(model.tables(4, _buffer))
    graphs = model.tables(2, lambda graph: _subgraph(graph, codes, buffers))
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


def _operator_code(code: _Table) -> int:
    code.check_text(1)
    return max(code.number(0, "b"), code.number(3))  # the older field has no room for codes above 127


def _buffer(buffer: _Table) -> None:
    buffer.check_bytes(0)
    if buffer.number(1, "Q") + buffer.number(2, "Q") > len(buffer.file.data):  # a large one lies behind the tables
        raise ValueError("a buffer reaches out of the file")


def _subgraph(graph: _Table, codes: list[int], buffers: int) -> Subgraph:
    tensors = graph.tables(0, lambda tensor: _tensor(tensor, buffers))
    graph.check_text(4)

    def indices(table: _Table, field: int, first: int = 0) -> tuple[int, ...]:
        return _existing(table.numbers(field), len(tensors), "tensor", first)

    def operator(table: _Table) -> Operator:
        code = _existing([table.number(0, "I")], len(codes), "operator code")[0]
        table.table(4)
        table.table(12)
        table.check_bytes(5)
        indices(table, 8, first=-1)
        if table.number(9, "Q") + table.number(10, "Q") > len(table.file.data):
            raise ValueError("an operator's options reach out of the file")
        return Operator(codes[code], indices(table, 1, first=-1), indices(table, 2, first=-1))

    return Subgraph(tensors, graph.tables(3, operator), indices(graph, 1), indices(graph, 2))


def _tensor(tensor: _Table, buffers: int) -> Tensor:
    shape, kind = tensor.numbers(0), tensor.number(1, "b")
    _existing([tensor.number(2, "I")], buffers, "buffer")
    tensor.check_text(3)
    if len(shape) > LARGEST_RANK or len(tensor.numbers(7)) > LARGEST_RANK:
        raise ValueError(f"a tensor has more than {LARGEST_RANK} dimensions")
    if min(shape, default=0) < 0 or math.prod(shape) > LARGEST_TENSOR:
        raise ValueError(f"a tensor has the shape {list(shape)}")
    scale = None
    if (quantization := tensor.table(4)) is not None:
        scales = quantization.numbers(2, "f")
        quantization.numbers(3, "q")
        if len(scales) == 1:
            scale = scales[0]
    return Tensor(kind, shape, scale)


def _existing(indices: Sequence[int], of: int, what: str, first: int = 0) -> tuple[int, ...]:
    for index in indices:
        if not first <= index < of:
            raise ValueError(f"it refers to {what} {index} of {of}")
    return tuple(indices)
