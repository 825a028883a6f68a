"""The encoder in its interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions, first_line, open_interpreter


class Encoder:
    """An encoder in an interpreter: a normalized example in, its embedding out. Not safe to share between threads.

    Attributes:
        options: what it runs with: the backend that was taken, and no delegate if it was passed over.
        interpreter: the backend's own object, with tensors allocated.
    """

    def __init__(self, model: bytes, options: RuntimeOptions = DEFAULT) -> None:
        """Load a model.

        Args:
            model: the content of encoder.tflite; subgraph 0 is the encoder.

        Raises:
            BackendError: the backend is not installed, or the delegate failed and there is no fallback.
            BundleError: the interpreter refuses the model.
        """
        self.options, self.interpreter = open_interpreter(model, options)
        given, taken = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        self.input_shape: tuple[int, ...] = tuple(int(size) for size in given["shape"])
        self.dim = int(taken["shape"][-1])
        self.input_dtype = np.dtype(given["dtype"]).name
        shape = taken["shape"].tolist()
        if taken["dtype"] != np.float32 or shape != [1, self.dim]:
            name = np.dtype(taken["dtype"]).name
            raise BundleError(
                f"encoder.tflite gives {name} values of shape {shape}, not one vector in float32.",
                "Export the bundle again.",
            )
        self._input, self._output = given["index"], taken["index"]

    @property
    def backend(self) -> str:
        """Which of `choices.BACKENDS` runs it."""
        return str(self.options.backend)

    def embed(self, example: NDArray[Any]) -> NDArray[np.float32]:
        """The embedding, float32 (D,), of one normalized example, of `input_shape` and `input_dtype`.

        Raises:
            BackendError: an operator or the delegate fails, as at an id beyond a vocabulary, or when a device is unplugged.
        """
        self.interpreter.set_tensor(self._input, example)
        try:
            self.interpreter.invoke()
        except RuntimeError as error:
            raise BackendError(
                f"The {self.backend} interpreter fails while it runs the encoder ({first_line(error)}).",
                "Check the values that were given, or use another --backend, or no --delegate.",
            ) from None
        embedding: NDArray[np.float32] = self.interpreter.get_tensor(self._output)[0]
        return embedding
