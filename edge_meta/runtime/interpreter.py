"""The encoder in its interpreter: embed one example at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_meta.errors import BackendError, BundleError
from edge_meta.runtime.backends import DEFAULT, RuntimeOptions, first_line, open_interpreter
from edge_meta.runtime.bundle import Bundle
from edge_meta.runtime.compiled_model import CompiledModel
from edge_meta.runtime.first_run import check_first_run
from edge_meta.runtime.output_normalization import OutputNormalization
from edge_meta.runtime.placement import Placement


class Encoder:
    """An encoder in an interpreter. Not safe to share between threads.

    Attributes:
        options: with the backend and the accelerator that were taken, and neither a delegate nor an accelerator after a
            fallback.
        interpreter: the backend's own object, with tensors allocated; or a `CompiledModel`.
    """

    def __init__(
        self, model: bytes, options: RuntimeOptions = DEFAULT, normalization: OutputNormalization | None = None
    ) -> None:
        """Load a model.

        Args:
            model: the content of encoder.tflite; subgraph 0 is the encoder.
            normalization: of its output, where the manifest says so.

        Raises:
            BackendError: the backend is not installed, or the delegate or the accelerator failed and there is no fallback.
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
        self._input, self._output, self._normalization = given["index"], taken["index"], normalization

    @property
    def backend(self) -> str:
        """The one of `choices.BACKENDS` that runs it."""
        return str(self.options.backend)

    @property
    def placement(self) -> Placement | None:
        """Where the operators run; None in an interpreter, which has `operators`."""
        return self.interpreter.placement if isinstance(self.interpreter, CompiledModel) else None

    def operators(self) -> list[str]:
        """The operators' names in the order in which they run; DELEGATE stands for those that a delegate took over.

        Not with an accelerator, which has a `placement`.
        """
        # No backend has a public way to list them.
        return [str(operator["op_name"]) for operator in self.interpreter._get_ops_details()]

    def embed(self, example: NDArray[Any]) -> NDArray[np.float32]:
        """Embed one normalized example, of `input_shape` and `input_dtype`, as float32 (D,).

        Raises:
            BackendError: an operator or the delegate fails, such as for an id beyond the vocabulary or an unplugged device.
        """
        self.interpreter.set_tensor(self._input, example)
        self.interpreter.reset_all_variables()  # of recurrent layers, which keep their state between runs
        try:
            self.interpreter.invoke()
        except RuntimeError as error:
            raise BackendError(
                f"The {self.backend} interpreter fails while it runs the encoder ({first_line(error)}).",
                "Check the values that were given, or use another --backend, or no --delegate or --accelerator.",
            ) from None
        embedding: NDArray[np.float32] = self.interpreter.get_tensor(self._output)[0]
        return embedding if self._normalization is None else self._normalization.apply(embedding)


def open_encoder(bundle: Bundle, options: RuntimeOptions = DEFAULT) -> Encoder:
    """Load a bundle's encoder, and check it against the manifest. Run it in a child process first if it never ran here.

    Raises:
        BackendError: see `Encoder`.
        BundleError: see `Encoder` and `check_first_run`; or its shapes or dtype are not those of the manifest.
    """
    check_first_run(bundle, options)
    with bundle.naming_errors():
        encoder = Encoder(bundle.model, options, bundle.manifest.normalization)
    manifest = bundle.manifest
    shape, dtype = (1, *manifest.input_spec.shape), manifest.input_spec.tensor_dtype
    if (encoder.input_shape, encoder.input_dtype, encoder.dim) != (shape, dtype, manifest.dim):
        raise BundleError(
            f"{bundle.path}: encoder.tflite takes {encoder.input_shape} and gives {encoder.dim} values, from "
            f"{encoder.input_dtype}; the manifest says {shape} and {manifest.dim}, from {dtype}.",
            "Export the bundle again.",
        )
    return encoder
