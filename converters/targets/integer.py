"""Take the encoder alone out of a bundle, with int8 input and output, for targets without floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.tflite.edit import encoder_alone, serialize, with_integer_ends
from converters.tflite.model import ModelFile, OperatorInfo, TensorInfo
from edge_meta.runtime.bundle import Bundle


@dataclass(frozen=True)
class End:
    """An input or output in integers; its value q means (q − zero_point) · scale.

    Attributes:
        dtype: int8, or uint8.
    """

    scale: float
    zero_point: int
    dtype: str = "int8"

    @classmethod
    def of(cls, tensor: TensorInfo) -> End:
        """Read the scale and zero point of a tensor that has one of each."""
        return cls(tensor.scales[0], tensor.zero_points[0], tensor.dtype)

    def quantized(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Quantize values to the nearest steps."""
        steps = np.round(values / np.float32(self.scale)) + self.zero_point
        limits = np.iinfo(self.dtype)
        rounded: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(self.dtype)
        return rounded

    def values(self, quantized: NDArray[Any]) -> NDArray[np.float32]:
        """Dequantize."""
        values: NDArray[np.float32] = (quantized.astype(np.float32) - self.zero_point) * np.float32(self.scale)
        return values

    def to_manifest(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "scale": self.scale, "zero_point": self.zero_point}


@dataclass(frozen=True)
class IntegerEncoder:
    """A bundle's encoder without its heads, and without the operators that convert floats to int8 and back.

    Attributes:
        model: the file's bytes, with one subgraph and the signature `embed`.
    """

    model: bytes
    operators: tuple[OperatorInfo, ...]
    input: End
    output: End

    @classmethod
    def of(cls, bundle: Bundle) -> IntegerEncoder:
        """Take the encoder out of a bundle; raises ExportError when it is not in int8 from end to end."""
        model = serialize(with_integer_ends(encoder_alone(bundle.model)))
        operators = ModelFile.parse(model).subgraphs[0]
        first = operators[0].inputs[0]
        assert first is not None
        return cls(model, operators, End.of(first), End.of(operators[-1].outputs[0]))
