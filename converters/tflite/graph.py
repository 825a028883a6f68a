"""Changing a .tflite file: another output, a static input, operators in front and behind; its own quantization stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters.tflite.edit import add_buffer, packed, unpacked
from edge_meta.errors import BundleError, ExportError
from edge_meta.runtime.graph_check import read_graph

_CODES = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_OPTIONS = {name: code for name, code in vars(schema.BuiltinOptions).items() if not name.startswith("_")}
_DTYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
_TYPES = {dtype: code for code, dtype in _DTYPES.items()}


class Graph:
    """A .tflite file taken apart, with its first subgraph open to changes. Tensors are named by their index in it."""

    def __init__(self, content: bytes, name: str) -> None:
        """Raises ExportError when the content is not a .tflite file."""
        try:
            read_graph(content)  # all that it refers to is there
            self.model = unpacked(content)
            if not all(subgraph.operators is not None and subgraph.tensors for subgraph in self.model.subgraphs):
                raise ValueError("it has no operators")
            if any(buffer.offset > 1 for buffer in self.model.buffers):
                raise ValueError("it keeps its weights outside of the flatbuffer, for models above 2 GB")
        except BundleError as error:
            raise ExportError(f"{name}: {error.cause}", "Get it again.") from None
        # Strings of a damaged file may be no text, and the generated code trips over what nothing refers to.
        except Exception as error:
            raise ExportError(f"{name} is not a .tflite model that can be read ({error}).", "Get it again.") from None
        for subgraph in self.model.subgraphs:
            for operator in subgraph.operators:
                operator.inputs = [] if operator.inputs is None else operator.inputs
                operator.outputs = [] if operator.outputs is None else operator.outputs
        self._min_runtime = self.metadata("min_runtime_version")
        self.signatures = {entry.signatureKey.decode(): entry for entry in self.model.signatureDefs or []}

    # What is there

    @property
    def inputs(self) -> list[int]:
        return [int(index) for index in self._main.inputs]

    @property
    def outputs(self) -> list[int]:
        return [int(index) for index in self._main.outputs]

    @property
    def operators(self) -> list[str]:
        """Names of the operators in order; `custom NAME` for those that are not TFLite's own."""
        return [self._operator_name(operator) for operator in self._main.operators]

    def tensors(self) -> range:
        return range(len(self._main.tensors))

    def name(self, tensor: int) -> str:
        name = self._main.tensors[tensor].name
        return name.decode(errors="replace") if name else f"tensor {tensor}"

    def dtype(self, tensor: int) -> str:
        return _DTYPES[self._main.tensors[tensor].type]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """With -1 for what the file leaves open."""
        found = self._main.tensors[tensor]
        sizes = found.shapeSignature if found.shapeSignature is not None else found.shape
        return tuple(int(size) for size in (sizes if sizes is not None else ()))

    def quantization(self, tensor: int) -> tuple[float, int] | None:
        """Scale and zero point, if the tensor has one of each."""
        found = self._main.tensors[tensor].quantization
        if found is None or found.scale is None or len(found.scale) != 1 or not found.scale[0] > 0:
            return None
        return float(found.scale[0]), int(found.zeroPoint[0]) if found.zeroPoint is not None else 0

    def producer(self, tensor: int) -> str | None:
        """The operator that computes a tensor."""
        return next((self._operator_name(operator) for operator in self._main.operators if tensor in operator.outputs), None)

    def metadata(self, name: str) -> bytes:
        """An entry of the file's metadata, b"" if there is none."""
        for entry in self.model.metadata or []:
            if entry.name == name.encode():
                return bytes(bytearray(self.model.buffers[entry.buffer].data))
        return b""

    # Changes

    def make_main(self, subgraph: int) -> None:
        """Put a subgraph first."""
        subgraphs = self.model.subgraphs
        subgraphs[0], subgraphs[subgraph] = subgraphs[subgraph], subgraphs[0]
        places = {0: subgraph, subgraph: 0}
        for options, field in _calls(subgraphs):
            setattr(options, field, places.get(getattr(options, field), getattr(options, field)))
        for entry in self.signatures.values():
            entry.subgraphIndex = places.get(entry.subgraphIndex, entry.subgraphIndex)

    def set_shape(self, tensor: int, shape: Sequence[int]) -> None:
        found = self._main.tensors[tensor]
        found.shape, found.shapeSignature = list(shape), None

    def make_output(self, tensor: int) -> None:
        """Have a tensor as the only output, and drop operators, inputs and subgraphs that it does not need."""
        main = self._main
        main.outputs = [tensor]
        needed, kept = {tensor}, []
        for operator in reversed(main.operators):
            if needed.intersection(map(int, operator.outputs)):
                needed.update(int(index) for index in operator.inputs if index >= 0)
                kept.append(operator)
        main.operators = kept[::-1]
        main.inputs = [index for index in self.inputs if index in needed]
        if not _calls([main]):
            self.model.subgraphs = [main]

    def constant(self, tensor: int, values: NDArray[Any]) -> None:
        """Give an input its values for good."""
        self._main.tensors[tensor].buffer = add_buffer(self.model, np.ascontiguousarray(values).tobytes())
        self._main.inputs = [index for index in self.inputs if index != tensor]

    def feed(self, operator: str, tensor: int, dtype: str, shape: Sequence[int], values: NDArray[Any] | None = None) -> int:
        """Compute an input by an operator from a new input, which is returned; `values` is a constant second operand."""
        new = self._new(dtype, shape, f"{self.name(tensor)}/{operator.lower()}")
        self._main.operators.insert(0, self._operator(operator, new, tensor, values))
        self._main.inputs = [new if index == tensor else index for index in self.inputs]
        return new

    def follow(
        self, operator: str, dtype: str, shape: Sequence[int], values: NDArray[Any] | None = None, version: int = 1
    ) -> int:
        """Put an operator behind the output; returns the new output."""
        (tensor,) = self.outputs
        new = self._new(dtype, shape, f"{self.name(tensor)}/{operator.lower()}")
        self._main.operators.append(self._operator(operator, tensor, new, values, version))
        self._main.outputs = [new]
        return new

    def derive(self, operator: str, source: int, tensor: int, values: NDArray[Any] | None = None) -> None:
        """Compute an input by an operator from another tensor."""
        self._main.operators.insert(0, self._operator(operator, source, tensor, values))
        self._main.inputs = [index for index in self.inputs if index != tensor]

    def new_tensor(self, like: int, dtype: str) -> int:
        return self._new(dtype, self.shape(like), f"{self.name(like)}/{dtype}")

    def save(self, takes: str) -> bytes:
        """The file, with the one signature `embed`, from `takes` to `embedding`."""
        model = self.model
        model.signatureDefs = [_signature(takes, self.inputs[0], self.outputs[0])]
        # What it said of its inputs and outputs holds no longer.
        model.metadataBuffer = None
        model.metadata = None
        if self._min_runtime:
            model.metadata = [schema.MetadataT(name="min_runtime_version", buffer=add_buffer(model, self._min_runtime))]
        for tensor in self._unused():
            tensor.buffer = 0
        return packed(model)

    # Parts

    @property
    def _main(self) -> Any:
        return self.model.subgraphs[0]

    def _operator_name(self, operator: Any) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        if code.customCode:
            return f"custom {code.customCode.decode(errors='replace')}"
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        return next((name for name, number in _CODES.items() if number == builtin), f"operator {builtin}")

    def _unused(self) -> list[Any]:
        """Tensors that no operator takes or gives any more."""
        left = []
        for subgraph in self.model.subgraphs:
            used = {int(index) for operator in subgraph.operators for index in (*operator.inputs, *operator.outputs)}
            left += [tensor for index, tensor in enumerate(subgraph.tensors) if index not in used]
        return left

    def _new(self, dtype: str, shape: Sequence[int], name: str, buffer: int = 0) -> int:
        tensor = schema.TensorT(
            shape=list(shape),
            type=_TYPES[dtype],
            buffer=buffer,
            name=name.encode(),
            quantization=schema.QuantizationParametersT(),
        )
        self._main.tensors.append(tensor)
        return len(self._main.tensors) - 1

    def _operator(self, operator: str, taken: int, given: int, values: NDArray[Any] | None, version: int = 1) -> Any:
        inputs = [taken]
        if values is not None:
            buffer = add_buffer(self.model, np.ascontiguousarray(values).tobytes())
            inputs.append(self._new(values.dtype.name, values.shape, f"{operator.lower()}_operand", buffer))
        kind = {
            "SUB": "Sub",
            "MUL": "Mul",
            "REVERSE_V2": "ReverseV2",
            "NOT_EQUAL": "NotEqual",
            "L2_NORMALIZATION": "L2Norm",
        }.get(operator)
        kind = f"{kind or operator.capitalize()}Options"
        filled = getattr(schema, f"{kind}T")()
        if operator == "CAST":
            filled.inDataType, filled.outDataType = (self._main.tensors[tensor].type for tensor in (taken, given))
        code, codes = _CODES[operator], self.model.operatorCodes
        codes.append(schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=version))
        return schema.OperatorT(
            opcodeIndex=len(codes) - 1,
            inputs=inputs,
            outputs=[given],
            builtinOptionsType=_OPTIONS[kind],
            builtinOptions=filled,
        )


def _signature(takes: str, given: int, taken: int) -> Any:
    def named(name: str, tensor: int) -> Any:
        return schema.TensorMapT(name=name, tensorIndex=tensor)

    return schema.SignatureDefT([named(takes, given)], [named("embedding", taken)], "embed", 0)


def _calls(subgraphs: Sequence[Any]) -> list[tuple[Any, str]]:
    """Options of operators that run another subgraph, with the field that names it."""
    return [
        (options, field)
        for subgraph in subgraphs
        for operator in subgraph.operators
        for options in (operator.builtinOptions, operator.builtinOptions2)
        if options is not None
        for field in vars(options)
        if "ubgraph" in field.lower() and isinstance(getattr(options, field), int)
    ]
