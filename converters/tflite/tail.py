"""Put operators behind the output of a .tflite file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.tflite.edit import add_constant, add_tensor, new_operator, serialize
from converters.tflite.model import DTYPES

DEQUANTIZE = {"uint8": 1, "int8": 2, "int16": 3}  # the operator's version for each dtype


class Tail:
    """Operators put behind the output of a file's tree, which is as `Graph.save` leaves it.

    Attributes:
        tensor: the last one's result.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._operators: list[Any] = model.subgraphs[0].operators
        self.tensor = int(model.subgraphs[0].outputs[0])

    def append(
        self,
        name: str,
        shape: Sequence[int] | None = None,
        *operands: Any,
        dtype: str = "float32",
        version: int = 1,
        **how: Any,
    ) -> None:
        """Put an operator behind the last one.

        Args:
            shape: of its result; by default that of its input.
            operands: constants as its further inputs.
        """
        tensors = self._model.subgraphs[0].tensors
        if shape is None:
            shape = [int(size) for size in tensors[self.tensor].shape]
        inputs = [self.tensor, *(add_constant(self._model, f"{name.lower()}_operand", operand) for operand in operands)]
        self.tensor = add_tensor(self._model, f"chain/{name.lower()}", dtype, shape)
        self._operators.append(new_operator(self._model, name, inputs, [self.tensor], version, **how))

    def reshape(self, shape: Sequence[int]) -> None:
        """Give the values another shape."""
        self.append("RESHAPE", shape, np.array(shape, np.int32))

    def concatenate(self, tensors: Sequence[int], shape: Sequence[int]) -> None:
        """Put float32 tensors below each other, as the result of that shape."""
        self.tensor = add_tensor(self._model, "chain/concatenation", "float32", shape)
        self._operators.append(new_operator(self._model, "CONCATENATION", tensors, [self.tensor], axis=0))

    def to_float(self) -> None:
        """Turn values of another dtype into float32."""
        tensor = self._model.subgraphs[0].tensors[self.tensor]
        dtype = DTYPES[tensor.type]
        scaled = tensor.quantization is not None and tensor.quantization.scale is not None
        if dtype == "float16" or (dtype in DEQUANTIZE and scaled):
            self.append("DEQUANTIZE", version=3 if dtype == "float16" else DEQUANTIZE[dtype])
        elif dtype != "float32":
            self.append("CAST", inDataType=tensor.type, outDataType=0)

    def to_dtype_of(self, taken: Any) -> None:
        """Turn float32 values into the dtype of an input, with its scale."""
        dtype = DTYPES[taken.type]
        if dtype == "float32":
            return
        scaled = taken.quantization is not None and taken.quantization.scale is not None
        if scaled:
            self.append("QUANTIZE", dtype=dtype)
            self._model.subgraphs[0].tensors[self.tensor].quantization = taken.quantization
        else:
            self.append("CAST", dtype=dtype, inDataType=0, outDataType=taken.type)

    def save(self) -> bytes:
        """The file, with the last operator's result as its one output."""
        main = self._model.subgraphs[0]
        main.outputs = [self.tensor]
        for signature in self._model.signatureDefs:
            signature.outputs[0].tensorIndex = self.tensor
        return serialize(self._model)
