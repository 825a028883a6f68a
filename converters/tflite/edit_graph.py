"""Edit the graph of a .tflite file of any maker: choose the output, fix the input's shape, add operators at either end.

The file's weights and its own quantization stay.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters.tflite.edit import (
    add_constant,
    add_metadata,
    add_tensor,
    new_operator,
    serialize,
    set_constant,
    set_quantization,
)
from converters.tflite.model import DTYPES, MIN_RUNTIME, constant_data, metadata_entry, operator_name, parse
from converters.tflite.repair import repair_quantization
from converters.tflite.state import fold_variables
from edge_meta.errors import BundleError, ExportError
from edge_meta.runtime.graph_check import read_graph

CONSTANTS = ("float32", "float16", "int64", "int32", "int16", "int8", "uint8")  # dtypes of constants that can be read


class Step(NamedTuple):
    """An operator of a graph, with the tensors that it takes and gives; -1 stands for one that it does without.

    Attributes:
        activation: number of the function fused into it, 0 for none.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: int


class Graph:
    """A .tflite file whose first subgraph is open to changes. Tensors are named by their index in it.

    Attributes:
        signatures: name → the schema's SignatureDefT, as the file had them.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Raises ExportError when the content is not a .tflite file."""
        try:
            read_graph(content)  # every table and index that it refers to exists
            self._model = parse(content)
            repair_quantization(self._model)
            if not all(subgraph.operators is not None and subgraph.tensors for subgraph in self._model.subgraphs):
                raise ValueError("it has no operators")
            if any(buffer.offset > 1 for buffer in self._model.buffers):
                raise ValueError("it keeps its weights outside of the flatbuffer, for models above 2 GB")
        except BundleError as error:
            raise ExportError(f"{name}: {error.cause}", "Get it again.") from None
        # Strings of a damaged file may be no text, and the generated code fails on what nothing refers to.
        except Exception as error:
            raise ExportError(f"{name} is not a .tflite model that can be read ({error}).", "Get it again.") from None
        for subgraph in self._model.subgraphs:
            for operator in subgraph.operators:
                operator.inputs = [] if operator.inputs is None else operator.inputs
                operator.outputs = [] if operator.outputs is None else operator.outputs
        self._min_runtime = self.metadata(MIN_RUNTIME)
        self.signatures = {entry.signatureKey.decode(): entry for entry in self._model.signatureDefs or []}

    # Read

    @property
    def inputs(self) -> list[int]:
        """Tensors that are given."""
        return [int(index) for index in self._main.inputs]

    @property
    def outputs(self) -> list[int]:
        """Tensors that are the result."""
        return [int(index) for index in self._main.outputs]

    @property
    def operators(self) -> list[str]:
        """Names of the operators in order; `custom NAME` for those that are not TFLite's own."""
        return [operator_name(self._model, operator) for operator in self._main.operators]

    def options(self) -> list[tuple[str, Any]]:
        """Each operator's name and the schema's table of its options, in order."""
        return [(operator_name(self._model, operator), operator.builtinOptions) for operator in self._main.operators]

    def steps(self) -> list[Step]:
        """The operators in order, with their tensors."""
        return [
            Step(
                operator_name(self._model, operator),
                tuple(int(index) for index in operator.inputs),
                tuple(int(index) for index in operator.outputs),
                int(getattr(operator.builtinOptions, "fusedActivationFunction", 0)),
            )
            for operator in self._main.operators
        ]

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """A constant's values, dequantized where it has one scale; None for a tensor that is given or computed."""
        dtype, found = self.dtype(tensor), self._main.tensors[tensor]
        data = constant_data(self._model, found)
        if not data or dtype not in CONSTANTS:
            return None
        values = np.frombuffer(data, dtype).reshape(self.shape(tensor))
        quantization = self.quantization(tensor)
        return values if quantization is None else (values.astype(np.float64) - quantization[1]) * quantization[0]

    def tensors(self) -> range:
        """All tensors."""
        return range(len(self._main.tensors))

    def name(self, tensor: int) -> str:
        """A tensor's name, or `tensor N` if it has none."""
        name = self._main.tensors[tensor].name
        return str(name.decode(errors="replace")) if name else f"tensor {tensor}"

    def dtype(self, tensor: int) -> str:
        """A tensor's dtype, float32 or the like."""
        return str(DTYPES[self._main.tensors[tensor].type])

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's shape, with -1 for a size that the file leaves open."""
        found = self._main.tensors[tensor]
        sizes = found.shapeSignature if found.shapeSignature is not None else found.shape
        return tuple(int(size) for size in (sizes if sizes is not None else ()))

    def quantization(self, tensor: int) -> tuple[float, int] | None:
        """A tensor's scale and zero point, if it has one of each."""
        found = self._main.tensors[tensor].quantization
        if found is None or found.scale is None or len(found.scale) != 1 or not found.scale[0] > 0:
            return None
        return float(found.scale[0]), int(found.zeroPoint[0]) if found.zeroPoint is not None else 0

    def producer(self, tensor: int) -> str | None:
        """The name of the operator that computes a tensor."""
        found = (operator for operator in self._main.operators if tensor in operator.outputs)
        return next((operator_name(self._model, operator) for operator in found), None)

    def metadata(self, name: str) -> bytes:
        """An entry of the file's metadata, b"" if there is none."""
        return metadata_entry(self._model, name)

    # Change

    def make_main(self, subgraph: int) -> None:
        """Put a subgraph first."""
        subgraphs = self._model.subgraphs
        subgraphs[0], subgraphs[subgraph] = subgraphs[subgraph], subgraphs[0]
        places = {0: subgraph, subgraph: 0}
        for options, field in subgraph_calls([operator for each in subgraphs for operator in each.operators]):
            setattr(options, field, places.get(getattr(options, field), getattr(options, field)))
        for entry in self.signatures.values():
            entry.subgraphIndex = places.get(entry.subgraphIndex, entry.subgraphIndex)

    def fold_variables(self) -> None:
        """Replace the variables by the values that a first run finds in them."""
        fold_variables(self._model)

    def set_shape(self, tensor: int, shape: Sequence[int]) -> None:
        """Give a tensor a static shape."""
        found = self._main.tensors[tensor]
        found.shape, found.shapeSignature = list(shape), None

    def make_output(self, tensor: int) -> None:
        """Make a tensor the only output, and drop operators, inputs and subgraphs that it does not need."""
        main = self._main
        main.outputs = [tensor]
        needed, kept = {tensor}, []
        for operator in reversed(main.operators):
            # A recurrent operator also changes its state, which others may read.
            states = [int(index) for index in operator.inputs if index >= 0 and main.tensors[index].isVariable]
            if needed.intersection([*map(int, operator.outputs), *states]):
                needed.update(int(index) for index in operator.inputs if index >= 0)
                kept.append(operator)
        main.operators = kept[::-1]
        main.inputs = [index for index in self.inputs if index in needed]
        if not subgraph_calls(main.operators):
            self._model.subgraphs = [main]

    def make_constant(self, tensor: int, values: NDArray[Any]) -> None:
        """Replace an input by a constant."""
        set_constant(self._model, tensor, values)
        self._main.inputs = [index for index in self.inputs if index != tensor]

    def prepend(
        self, operator: str, tensor: int, dtype: str, shape: Sequence[int], operand: NDArray[Any] | None = None
    ) -> int:
        """Put an operator before an input; returns the new input, which the operator computes the old one from.

        Args:
            tensor: the input.
            dtype, shape: of the new input.
            operand: a constant as the operator's second input.
        """
        new = add_tensor(self._model, f"{self.name(tensor)}/{operator.lower()}", dtype, shape)
        self._main.operators.insert(0, self._operator(operator, new, tensor, operand))
        self._main.inputs = [new if index == tensor else index for index in self.inputs]
        return new

    def append(
        self,
        operator: str,
        dtype: str,
        shape: Sequence[int],
        operand: NDArray[Any] | None = None,
        version: int = 1,
        quantization: tuple[float, int] | None = None,
        **options: Any,
    ) -> int:
        """Put an operator behind the only output; returns the new output, of that dtype and shape.

        Args:
            quantization: the output's scale and zero point; by default those that it is computed from.
            options: fields of the schema's table of options.
        """
        (tensor,) = self.outputs
        new = add_tensor(self._model, f"{self.name(tensor)}/{operator.lower()}", dtype, shape)
        if quantization is not None:
            set_quantization(self._model, new, [quantization[0]], [quantization[1]])
        elif dtype == self.dtype(tensor):
            # Integers mean the same in another shape.
            self._main.tensors[new].quantization = copy.deepcopy(self._main.tensors[tensor].quantization)
        self._main.operators.append(self._operator(operator, tensor, new, operand, version, **options))
        self._main.outputs = [new]
        return new

    def compute_input(self, operator: str, source: int, tensor: int, operand: NDArray[Any] | None = None) -> None:
        """Compute an input from another tensor by an operator, so that it is no longer given."""
        self._main.operators.insert(0, self._operator(operator, source, tensor, operand))
        self._main.inputs = [index for index in self.inputs if index != tensor]

    def new_tensor(self, like: int, dtype: str) -> int:
        """Add a tensor of another one's shape."""
        return add_tensor(self._model, f"{self.name(like)}/{dtype}", dtype, self.shape(like))

    def whole(self) -> bytes:
        """The file as it is now, with its own signatures and metadata."""
        return serialize(self._model)

    def save(self, input_name: str) -> bytes:
        """The file, with the one signature `embed`, from the input's name to `embedding`."""
        model = self._model
        ends = ((input_name, self.inputs[0]), ("embedding", self.outputs[0]))
        given, result = ([schema.TensorMapT(name, tensor)] for name, tensor in ends)
        model.signatureDefs = [schema.SignatureDefT(given, result, "embed", 0)]
        # Metadata describes the inputs and outputs that the file had.
        model.metadataBuffer = None
        model.metadata = None
        if self._min_runtime:
            add_metadata(model, MIN_RUNTIME, self._min_runtime)
        for tensor in self._unused():
            tensor.buffer = 0
        return serialize(model)

    @property
    def _main(self) -> Any:
        return self._model.subgraphs[0]

    def _unused(self) -> list[Any]:
        """Tensors that no operator takes or gives any more."""
        unused = []
        for subgraph in self._model.subgraphs:
            used = {int(index) for operator in subgraph.operators for index in (*operator.inputs, *operator.outputs)}
            unused += [tensor for index, tensor in enumerate(subgraph.tensors) if index not in used]
        return unused

    def _operator(
        self, name: str, taken: int, given: int, operand: NDArray[Any] | None, version: int = 1, **options: Any
    ) -> Any:
        inputs = [taken]
        if operand is not None:
            inputs.append(add_constant(self._model, f"{name.lower()}_operand", operand))
        if name == "CAST":
            types = [self._main.tensors[tensor].type for tensor in (taken, given)]
            options = dict(zip(("inDataType", "outDataType"), types, strict=True))
        return new_operator(self._model, name, inputs, [given], version, **options)


def subgraph_calls(operators: Sequence[Any]) -> list[tuple[Any, str]]:
    """List the options of operators that run another subgraph, each with the field that names it."""
    return [
        (options, field)
        for operator in operators
        for options in (operator.builtinOptions, operator.builtinOptions2)
        if options is not None
        for field in vars(options)
        if "ubgraph" in field.lower() and isinstance(getattr(options, field), int)
    ]
