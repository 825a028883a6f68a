"""The encoder in its interpreter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions, first_line, open_interpreter


class Encoder:
    """An encoder in an interpreter: a normalized image in, its embedding out. Not safe to share between threads.

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
        types, shape = {given["dtype"], taken["dtype"]}, taken["shape"].tolist()
        if types != {np.float32} or shape != [1, self.dim]:
            names = " and ".join(sorted(np.dtype(kind).name for kind in types))
            raise BundleError(
                f"encoder.tflite has {names} values and gives {shape}; it takes float32 and one vector.",
                "Export the bundle again.",
            )
        self._input, self._output = given["index"], taken["index"]

    @property
    def backend(self) -> str:
        """Which of `backends.BACKENDS` runs it."""
        return str(self.options.backend)

    def embed(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embedding, float32 (D,), of a normalized image, float32 (1, H, W, C).

        Raises:
            BackendError: an operator or the delegate fails, as when a device is unplugged.
        """
        self.interpreter.set_tensor(self._input, image)
        try:
            self.interpreter.invoke()
        except RuntimeError as error:
            raise BackendError(
                f"The {self.backend} interpreter fails while it runs the encoder ({first_line(error)}).",
                "Use another --backend, or no --delegate.",
            ) from None
        embedding: NDArray[np.float32] = self.interpreter.get_tensor(self._output)[0]
        return embedding
