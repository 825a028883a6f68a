"""The encoder in its interpreter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BundleError
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions, open_interpreter


class Encoder:
    """An encoder in an interpreter: a normalized image in, its embedding out. Not safe to share between threads.

    Attributes:
        backend: which of `backends.BACKENDS` runs it.
        interpreter: the backend's own object, with tensors allocated.
    """

    def __init__(self, model: bytes, options: RuntimeOptions = DEFAULT) -> None:
        """Load a model.

        Args:
            model: the content of encoder.tflite; subgraph 0 is the encoder.

        Raises:
            BackendError: the backend is not installed.
            BundleError: the interpreter refuses the model.
        """
        self.backend, self.interpreter = open_interpreter(model, options)
        given, taken = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        self.input_shape: tuple[int, ...] = tuple(int(size) for size in given["shape"])
        self.dim = int(taken["shape"][-1])
        types, shape = {given["dtype"], taken["dtype"]}, taken["shape"].tolist()
        if types != {np.float32} or shape != [1, self.dim]:
            names = " and ".join(sorted(np.dtype(kind).name for kind in types))
            raise BundleError(
                f"encoder.tflite has {names} values and gives {shape}; it takes float32 and one vector.",
                "Export the bundle again.",
            )
        self._input, self._output = given["index"], taken["index"]

    def embed(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embedding, float32 (D,), of a normalized image, float32 (1, H, W, C)."""
        self.interpreter.set_tensor(self._input, image)
        self.interpreter.invoke()
        embedding: NDArray[np.float32] = self.interpreter.get_tensor(self._output)[0]
        return embedding
