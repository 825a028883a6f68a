"""Run another maker's model as it was handed in: a .tflite file in its own interpreter, others in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from converters.tflite.model import parse
from converters.tflite.state import has_variables
from edge_meta.runtime.backends import first_line
from edge_meta.types import Array

DEQUANTIZED = (np.uint8, np.int8, np.int16)


class SourceModel(Protocol):
    """A model as its maker wrote it."""

    def embed(self, values: NDArray[Any]) -> Array:
        """Compute the embedding's tensor, as float32 (n, D), from values of its own input (n, *shape)."""


@dataclass(frozen=True)
class ModelInputs:
    """A model's inputs by any key: the one that takes an example, and those that are computed from it.

    Attributes:
        masks: 1 where a token's id is not 0.
        segments: all 0.
    """

    example: Any
    masks: tuple[Any, ...] = ()
    segments: tuple[Any, ...] = ()

    def feed(self, value: NDArray[Any]) -> dict[Any, NDArray[Any]]:
        """The value of each input for a value of the example's; all have one shape and dtype."""
        masks = dict.fromkeys(self.masks, (value != 0).astype(value.dtype))
        return {self.example: value, **masks, **dict.fromkeys(self.segments, np.zeros_like(value))}


@dataclass(frozen=True)
class TfliteModel:
    """A .tflite file, not changed by a byte. Models with state start anew for each example.

    Attributes:
        content: of the file, whose first subgraph is run.
        inputs: the tensors that are given.
        tensors: those that `read` gives.
    """

    content: bytes
    inputs: ModelInputs
    tensors: Sequence[int]
    _opened: list[Any] = field(default_factory=list, repr=False, compare=False)

    def embed(self, values: NDArray[Any]) -> Array:
        """The first of the tensors."""
        return self.read(values)[0]

    def read(self, values: NDArray[Any]) -> list[Array]:
        """Each tensor as float32 (n, D), dequantized, from values of its own input (n, *shape)."""
        details = {tensor["index"]: tensor for tensor in self._interpreter(values.shape[1:]).get_tensor_details()}
        rows: list[list[Array]] = [[] for _ in self.tensors]
        anew = has_variables(parse(self.content))
        for value in values:
            if anew:
                self._opened.clear()
            interpreter = self._interpreter(values.shape[1:])
            for tensor, given in self.inputs.feed(value).items():
                interpreter.set_tensor(tensor, given)
            interpreter.reset_all_variables()  # of recurrent layers
            interpreter.invoke()
            for row, tensor in zip(rows, self.tensors, strict=True):
                found = dequantized(interpreter.get_tensor(tensor), details[tensor]["quantization_parameters"])
                row.append(_vector(found))
        return [np.stack(row) for row in rows]

    def _interpreter(self, shape: tuple[int, ...]) -> Any:
        if not self._opened:
            # Inner tensors can be read where all are kept, and no delegate hides them.
            interpreter = Interpreter(
                model_content=self.content,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            for tensor in self.inputs.feed(np.zeros(shape)):
                interpreter.resize_tensor_input(tensor, shape)
            interpreter.allocate_tensors()
            self._opened.append(interpreter)
        return self._opened[0]


@dataclass(frozen=True)
class TensorFlowModel:
    """A Keras model or a SavedModel in TensorFlow.

    Attributes:
        function: from its inputs, in their order, to the embedding's tensor.
        inputs: numbers of its inputs.
    """

    function: Callable[..., Any]
    inputs: ModelInputs

    def embed(self, values: NDArray[Any]) -> Array:
        """See `SourceModel`."""
        return np.stack([self._of(self.inputs.feed(value)) for value in values])

    def _of(self, feed: Mapping[int, NDArray[Any]]) -> Array:
        import tensorflow as tf

        (given,) = self.function(*(tf.constant(feed[number]) for number in sorted(feed)))
        return _vector(np.asarray(given, np.float32))


def _vector(values: Array) -> Array:
    """A tensor as one vector (D,): the mean over all axes but the last, where it holds several."""
    if values.size == max(values.shape, default=0):
        return values.ravel()
    mean: Array = values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def why_not(content: bytes) -> str | None:
    """The interpreter's reason for not running a file with its own kernels alone; None if it does."""
    try:
        Interpreter(
            model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ).allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return first_line(error)
    return None


def dequantized(values: NDArray[Any], parameters: Mapping[str, Any]) -> Array:
    """A tensor's values as float32, by the parameters that an interpreter states."""
    if values.dtype not in DEQUANTIZED or len(parameters["scales"]) != 1:
        return values.astype(np.float32)
    scale, zero = parameters["scales"][0], parameters["zero_points"][0]
    dequantized: Array = (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)
    return dequantized
