"""The input of another maker's model: the way from an example to its values, in NumPy and as operators in its file.

The two are written apart from each other, so that the comparison of a finished file with its source (`agreement`) sees an
error in either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.tflite.edit_graph import Graph
from edge_meta.errors import ExportError
from edge_meta.inputs import ArrayInput, ImageInput, InputSpec
from edge_meta.types import Array64

LOWEST = {"uint8": 0, "int8": -128, "int16": -32768}  # of the dtypes that are quantized


@dataclass(frozen=True)
class SourceInput:
    """A model's own input.

    Attributes:
        name: of the model's file, for messages.
        spec: the examples that it takes; images as pixels from 0 to 255.
        shape: of its tensor, with the batch, without open sizes.
        dtype: of its tensor.
        quantization: scale and zero point of its tensor, None if it has none.
        mean, scale: its values are (x − mean) · scale before they are quantized: (1,), or one a channel in the model's
            order; None while the range is not known.
        planes: the channels of an image come before its rows.
        blue_first: the channels of an image are BGR.
        ids: rows of the smallest table that integers are looked up in.
    """

    name: str
    spec: InputSpec
    shape: tuple[int, ...]
    dtype: str
    quantization: tuple[float, int] | None
    mean: Array64 | None = None
    scale: Array64 | None = None
    planes: bool = False
    blue_first: bool = False
    ids: int = 2

    def with_range(self, mean: Array64, scale: Array64) -> SourceInput:
        """The same input with a known range.

        Raises:
            ExportError: as many values as no input has channels.
        """
        channels = self.spec.shape[-1] if self.spec.noun != "recording" else 1
        for values in (mean, scale):
            if values.size not in (1, channels):
                raise ExportError(
                    f"{values.size} values were given for {channels} channels of {self.name}.", "Give one, or one each."
                )
        return replace(self, mean=mean, scale=scale)

    def values(self, examples: NDArray[Any]) -> NDArray[Any]:
        """Compute the model's own input for examples (n, ...), as `InputSpec.read` gives them.

        Returns:
            (n, *shape), in the model's dtype: each row has the batch of one if the shape has it.
        """
        assert self.mean is not None
        assert self.scale is not None
        x = self.spec.normalize(examples)
        if self._taken_as_it_is:
            return x.reshape(len(x), *self.shape)
        if self.blue_first:
            x = x[..., ::-1]
        x = (x.astype(np.float32) - self.mean.astype(np.float32)) * self.scale.astype(np.float32)
        if self.planes:
            x = x.transpose(0, 3, 1, 2)
        x = np.ascontiguousarray(x, np.float32).reshape(len(x), *self.shape)
        if self.quantization is not None and self.dtype in LOWEST:
            step, zero = self.quantization
            # Halves away from zero, as TFLite's reference kernels round.
            steps = x / np.float32(step)
            steps = np.trunc(steps + np.copysign(np.float32(0.5), steps)) + zero
            lowest = LOWEST[self.dtype]
            x = np.clip(steps, lowest, lowest + (65535 if self.dtype == "int16" else 255))
        return x.astype(self.dtype)

    def fit(self, graph: Graph, source: int) -> InputSpec:
        """Put operators before the input so that the file takes what devices give; returns the new input.

        Args:
            source: the input's tensor.

        Raises:
            ExportError: a dtype that cannot be computed from float32.
        """
        assert self.mean is not None
        assert self.scale is not None
        mean, scale, shape = self.mean, self.scale, self.shape
        if isinstance(self.spec, ArrayInput):
            tensor = source if self._taken_as_it_is else _to_float(graph, source, self.name)
            if self.shape == self.spec.shape:
                tensor = graph.prepend("RESHAPE", tensor, self.spec.dtype, (1, *shape), np.array(shape, np.int32))
            if not self._taken_as_it_is:
                _affine(graph, tensor, mean, scale)
            return self.spec
        tensor = _to_float(graph, source, self.name)
        if not isinstance(self.spec, ImageInput):
            (samples,) = self.spec.shape
            if shape != (1, samples):
                tensor = graph.prepend("RESHAPE", tensor, "float32", (1, samples), np.array(shape, np.int32))
            _affine(graph, tensor, mean, scale)
            return self.spec
        if len(shape) == 3:
            tensor = graph.prepend("RESHAPE", tensor, "float32", (1, *shape), np.array(shape, np.int32))
        whole = (1, *self.spec.shape)
        if self.planes:
            tensor = graph.prepend("TRANSPOSE", tensor, "float32", whole, np.array([0, 3, 1, 2], np.int32))
        if max(mean.size, scale.size) > 1:
            _affine(graph, tensor, mean, scale)
            mean, scale = np.zeros(1), np.ones(1)
        if self.blue_first:
            (tensor,) = graph.inputs
            graph.prepend("REVERSE_V2", tensor, "float32", whole, np.array([3], np.int32))
        return replace(self.spec, mean=float(mean[0]), scale=float(scale[0]))

    @property
    def _taken_as_it_is(self) -> bool:
        return isinstance(self.spec, ArrayInput) and self.spec.dtype != "float32"


def _to_float(graph: Graph, source: int, name: str) -> int:
    """Replace an input of another dtype by one in float32; returns it."""
    dtype, shape = graph.dtype(source), graph.shape(source)
    if dtype == "float32":
        return source
    if dtype in LOWEST and graph.quantization(source) is not None:
        return graph.prepend("QUANTIZE", source, "float32", shape)
    if dtype in (*LOWEST, "int32"):
        return graph.prepend("CAST", source, "float32", shape)
    raise ExportError(f"{name} takes values of dtype {dtype}.", "Convert it again for float32, uint8 or int8.")


def _affine(graph: Graph, tensor: int, mean: Array64, scale: Array64) -> None:
    """Put (x − mean) · scale before an input."""
    shape = graph.shape(tensor)
    if (scale != 1.0).any():
        tensor = graph.prepend("MUL", tensor, "float32", shape, scale.astype(np.float32))
    if mean.any():
        graph.prepend("SUB", tensor, "float32", shape, mean.astype(np.float32))
